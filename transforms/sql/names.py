"""Names that look alike, for messages about one that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from transforms.errors import UsageError


def closest(name: str, names: list[str], likeness: float = 0.6) -> str:
    """Those of the names that look most like one; the end of a sentence.

    Args:
      likeness: at least so much, of 1.

    >>> closest("ordrs", ["orders", "people"]), closest("x", ["orders"])
    ('; is it orders?', '')
    """
    found = difflib.get_close_matches(name, names, 3, likeness)
    return f"; is it {' or '.join(found)}?" if found else ""


def check_columns(flag: str, place: str, asked: Iterable[str], there: list[str]) -> None:
    """Raises UsageError for the first column that a flag asks for and a place does not have; names similar ones.

    >>> check_columns("--key", "shop.orders", ["ordr"], ["order", "placed_at"])
    Traceback (most recent call last):
    transforms.errors.UsageError: --key: shop.orders has no column ordr; is it order?
    """
    for name in asked:
        if name not in there:
            raise UsageError(f"{flag}: {place} has no column {name}{closest(name, there)}")
