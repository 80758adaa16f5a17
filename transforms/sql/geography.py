"""Well-known text as a cell of GEOGRAPHY: what BigQuery takes in any case, or not at all. No Beam.

    POINT(13.25 52.5)             longitude first
    LINESTRING(0 0, 1 1)          from point to point the shortest way, for which two must not be opposite each other

BigQuery refuses a row whose polygon crosses itself on the globe, which its text does not show; so no polygon fits.
Source: https://cloud.google.com/bigquery/docs/reference/standard-sql/geography_functions#st_geogfromtext
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from transforms.bigquery.cells import MISFIT

_NUMBER = r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
_PAIR = re.compile(rf"({_NUMBER}) ({_NUMBER})")
_PAIRS = rf"\({_NUMBER} {_NUMBER}(?:, ?{_NUMBER} {_NUMBER})*\)"
_POINTS = re.compile(rf"POINT\({_NUMBER} {_NUMBER}\)|MULTIPOINT{_PAIRS}|MULTIPOINT\({_PAIRS}(?:, ?{_PAIRS})*\)")
_LINES = re.compile(rf"LINESTRING{_PAIRS}|MULTILINESTRING\({_PAIRS}(?:, ?{_PAIRS})*\)")
_LINE = re.compile(_PAIRS)


def geography(text: str) -> Any:
    """The same text, or MISFIT.

    >>> geography("POINT(13.25 52.5)"), geography("LINESTRING(0 0,1 1)"), geography("MULTIPOINT(0 0,1 1)")
    ('POINT(13.25 52.5)', 'LINESTRING(0 0,1 1)', 'MULTIPOINT(0 0,1 1)')
    >>> [text for text in ("POINT(52.5 113)", "LINESTRING(0 0,180 0)", "POLYGON((0 0,1 0,1 1,0 0))", "POINT Z(1 2 3)")
    ...  if geography(text) is not MISFIT]
    []
    """
    is_line = _LINES.fullmatch(text)
    if not (is_line or _POINTS.fullmatch(text)):
        return MISFIT
    if not all(abs(longitude) <= 180 and abs(latitude) <= 90 for longitude, latitude in _pairs(text)):
        return MISFIT
    if is_line:
        for line in _LINE.findall(text):
            if not all(_is_short(*ends) for ends in pairwise(_pairs(line))) or len(set(_pairs(line))) == 1:
                return MISFIT
    return text


def _pairs(text: str) -> list[tuple[float, float]]:
    return [(float(longitude), float(latitude)) for longitude, latitude in _PAIR.findall(text)]


def _is_short(start: tuple[float, float], end: tuple[float, float]) -> bool:
    """Whether two points are certainly not opposite each other.

    >>> _is_short((179, 0), (-179, 0)), _is_short((0, 10), (180, -10))
    (True, False)
    """
    across = abs(start[0] - end[0])
    return min(across, 360 - across) < 179 or abs(start[1] + end[1]) > 1
