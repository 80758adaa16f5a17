"""What a cell of CSV can be without losing anything: as which types of BigQuery its text says the same.

    cell ──fits──▶ types, as bits ──and over all cells of a column──▶ narrowest ──▶ its type

    "7"      INT64, NUMERIC, BIGNUMERIC, FLOAT64, STRING          "007", "+1", "1,5"    STRING
    "1.50"   NUMERIC, BIGNUMERIC, FLOAT64, STRING                 "2026-01-31"          DATE, STRING
    "1e5"    FLOAT64, STRING                                      "2026-01-31T12:00:00Z"  TIMESTAMP, STRING
    "true"   BOOL, STRING                                         "2026-01-31 12:00:00"   DATETIME, STRING

A number is FLOAT64 only if the double nearest to it is written with the same digits: 0.1 is, 0.12345678901234567890 is
not. The text of a number may change, such as 1.50 to 1.5; its value does not.
"""

from __future__ import annotations

import datetime
import functools
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

# From the narrowest to what every cell is. Plain integers: combining an enum.IntFlag costs ten times as much.
TYPES = ("BOOL", "INT64", "NUMERIC", "BIGNUMERIC", "FLOAT64", "DATE", "DATETIME", "TIMESTAMP", "TIME", "STRING")
BITS = {name: 1 << n for n, name in enumerate(TYPES)}
ALL = (1 << len(TYPES)) - 1

_STRING = BITS["STRING"]
_NUMBER = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?([eE][-+]?[0-9]+)?")
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[ T]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,6}))?"
    r"(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_CLOCK = re.compile(r"([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,6}))?")
_NOT_FINITE = frozenset({"nan", "inf", "-inf", "infinity", "-infinity"})
_MIN_INT64, _MAX_INT64 = -(2**63), 2**63 - 1
# https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#decimal_types
_DECIMALS = (("NUMERIC", 29, 9), ("BIGNUMERIC", 38, 38))
_CACHED = 65_536  # cells of most columns repeat


def narrowest(bits: int) -> str:
    """The narrowest of some types.

    >>> narrowest(fits("7") & fits("1.5")), narrowest(fits("7") & fits("007")), narrowest(fits("1.5") & fits("1e5"))
    ('NUMERIC', 'STRING', 'FLOAT64')
    """
    return next(name for name in TYPES if bits & BITS[name])


@functools.lru_cache(maxsize=_CACHED)
def fits(cell: str) -> int:
    """The types as which a cell that is not empty says the same.

    >>> [name for name in TYPES if fits("9223372036854775808") & BITS[name]]
    ['NUMERIC', 'BIGNUMERIC', 'STRING']
    """
    first = cell[:1]
    if first.isdigit() or first == "-":
        if number := _NUMBER.fullmatch(cell):
            return _STRING | _of_number(cell, *number.groups())
        if first != "-":
            return _STRING | _of_time(cell)
    lower = cell.lower()
    if lower in ("true", "false"):
        return _STRING | BITS["BOOL"]
    return _STRING | BITS["FLOAT64"] if lower in _NOT_FINITE else _STRING


def _of_number(cell: str, sign: str, whole: str, fraction: str | None, exponent: str | None) -> int:
    value = Decimal(cell)
    number = float(cell)
    bits = BITS["FLOAT64"] if math.isfinite(number) and Decimal(repr(number)) == value else 0
    if exponent is not None or (sign and not value):  # -0 is a double only
        return bits
    if fraction is None and _MIN_INT64 <= value <= _MAX_INT64:
        bits |= BITS["INT64"]
    for name, most_whole, most_fraction in _DECIMALS:
        if len(whole) <= most_whole and len(fraction or "") <= most_fraction:
            bits |= BITS[name]
    return bits


def _of_time(cell: str) -> int:
    if clock := _CLOCK.fullmatch(cell):
        return BITS["TIME"] if _is_valid(f"2000-01-01T{clock[1]}") else 0
    moment = _MOMENT.fullmatch(cell)
    if moment is None or not _is_valid(f"{moment[1]}T{moment[2] or '00:00:00'}"):
        return 0
    if moment[2] is None:
        return BITS["DATE"]
    if moment[4] is None:
        return BITS["DATETIME"]
    return BITS["TIMESTAMP"] if _moment(cell) is not None else 0


def _is_valid(text: str) -> bool:
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _moment(cell: str) -> datetime.datetime | None:
    """
    >>> _moment("2026-01-31 12:00:00.5+0130").isoformat()
    '2026-01-31T12:00:00.500000+01:30'
    """
    found = _MOMENT.fullmatch(cell)
    if found is None or not found[4]:
        return None
    day, clock, fraction, zone = found.groups()
    hours = "+0000" if zone == "Z" else zone.replace(":", "").ljust(5, "0")
    text = f"{day}T{clock}.{(fraction or '').ljust(6, '0')}{hours[:3]}:{hours[3:]}"
    try:
        moment = datetime.datetime.fromisoformat(text)
        moment.astimezone(datetime.timezone.utc)
    except (ValueError, OverflowError):  # no such zone, or in UTC it lies outside the years 1 to 9999
        return None
    return moment


# What a cell that fits a type says, as a Python value or as text that says it.
VALUES: dict[str, Callable[[str], Any]] = {
    "BOOL": lambda cell: cell.lower() == "true",
    "INT64": int,
    "FLOAT64": float,
    "TIMESTAMP": _moment,
}
