"""Reads of both stores, compared: names of fields that differ, never values. Pure.

Between two reads a writer may come. So stores that differ are read again after a pause, and only a difference in both
comparisons counts: the copy was behind for that long, or is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transforms.dual.counting import SHADOW_EQUAL, SHADOW_MISMATCH, SHADOW_UNKNOWN
from transforms.dual.stored import Answer, Found

ABSENCE = "existence"


def differing(first: Answer, second: Answer) -> list[str] | None:
    """The fields that differ in what two stores answered; None if one of them did not.

    >>> from transforms.dual.stored import Failed
    >>> differing(Found(None), Failed("down")) is None
    True
    """
    if not isinstance(first, Found) or not isinstance(second, Found):
        return None
    left, right = _content(first), _content(second)
    if left is None or right is None:
        return [] if left is right else [ABSENCE]
    missing = object()
    names = left.keys() | right.keys()
    return sorted(name for name in names if left.get(name, missing) != right.get(name, missing))


def verdict(once: list[str] | None, again: list[str] | None) -> tuple[str, list[str]]:
    """The counter of a comparison, and the fields that differed both times.

    >>> verdict(["score", "text"], ["score"]), verdict(["score"], [])
    (('shadow_mismatch', ['score']), ('shadow_equal', []))
    """
    if once is None or again is None:
        return SHADOW_UNKNOWN, []
    both = [name for name in again if name in once]
    return (SHADOW_MISMATCH, both) if both else (SHADOW_EQUAL, [])


def _content(found: Found) -> Mapping[str, Any] | None:
    return None if found.stored is None else found.stored.content
