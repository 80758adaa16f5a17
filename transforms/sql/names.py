"""Names that look alike, for messages about one that is not there."""

from __future__ import annotations

import difflib


def closest(name: str, names: list[str], likeness: float = 0.6) -> str:
    """Those of the names that look most like one; the end of a sentence.

    Args:
      likeness: at least so much, of 1.

    >>> closest("ordrs", ["orders", "people"]), closest("x", ["orders"])
    ('; is it orders?', '')
    """
    found = difflib.get_close_matches(name, names, 3, likeness)
    return f"; is it {' or '.join(found)}?" if found else ""
