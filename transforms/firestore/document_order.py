"""Firestore's order of document names, and names that lie between two others.

A name's path is compared segment by segment, a shorter path before what lies below it. Of two segments a numeric id,
`__id7__`, comes before any other and by its number; other ids by their UTF-8 bytes, which is Python's order of text.
Source: "Data types", "Reference", in the Firestore documentation; numeric ids come from Datastore.

    users/__id7__  <  users/__id70__  <  users/Ada  <  users/ada  <  users/ada/posts/1  <  users/ada!

`name_between` finds where a range of names may be cut: by arithmetic alone, because a runner that asks for a cut does
not wait for a request.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from transforms.errors import RecordError
from transforms.firestore.names import check_document_id

_NUMERIC_ID = re.compile(r"__id(-?(?:0|[1-9][0-9]{0,18}))__")
_INT64 = range(-(2**63), 2**63)

# How many characters behind the common beginning of two ids take part in the arithmetic.
_DIGITS = 6
_ASCII_BASE, _UNICODE_BASE = 0x80, 0x110000
# The character above which ids are not expected, unless they are there already.
_LAST_ASCII, _LAST_UNICODE = "~", "\U0010ffff"


def sort_key(path: str) -> tuple[object, ...]:
    """Paths sorted by this are in Firestore's order.

    >>> sorted(["a/b", "a/__id10__", "a/B", "a/__id9__", "a/b/c/d", "a/b!"], key=sort_key)
    ['a/__id9__', 'a/__id10__', 'a/B', 'a/b', 'a/b/c/d', 'a/b!']
    """
    if "__id" in path:
        return tuple(part for segment in path.split("/") for part in _numeric_first(segment))
    return tuple(part for segment in path.split("/") for part in (1, segment))


def _numeric_first(segment: str) -> tuple[int, object]:
    number = numeric_id(segment)
    return (1, segment) if number is None else (0, number)


def numeric_id(segment: str) -> int | None:
    """The number of a numeric id.

    >>> numeric_id("__id-3__"), numeric_id("__id03__")
    (-3, None)
    """
    found = _NUMERIC_ID.fullmatch(segment)
    return int(found[1]) if found and int(found[1]) in _INT64 else None


def name_between(low: str, high: str | None, fraction: float = 0.5, shared_segments: int = 0) -> str | None:
    """A document path strictly between two others, about `fraction` of the way; None if arithmetic finds none.

    Args:
      low: a document path.
      high: a greater one; None where no end is known.
      fraction: in (0, 1).
      shared_segments: how many segments every name begins with alike; where no end is known only what is behind them
        is varied.

    >>> name_between("users/a", "users/i"), name_between("users/ada/posts/1", "users/ada/posts/3")
    ('users/e', 'users/ada/posts/2')
    >>> name_between("users/ada/posts/7", "users/edi/posts/2")
    'users/c/posts/7'
    """
    lows = low.split("/")
    at, ceiling = _first_difference(lows, high.split("/") if high else None, shared_segments)
    if at >= len(lows):
        return None  # `high` lies below `low`
    middle = _id_between(lows[at], ceiling, fraction)
    if middle is None:
        return None
    candidate = "/".join((*lows[:at], middle, *lows[at + 1 :]))
    key = sort_key(candidate)
    fits = sort_key(low) < key and (high is None or key < sort_key(high))
    return candidate if fits else None


def fraction_below(path: str, low: str, high: str | None, shared_segments: int = 0) -> float:
    """About which part of the names between `low` and `high` lies below `path`, in [0, 1].

    >>> fraction_below("users/c", "users/a", "users/e")
    0.5
    """
    lows = low.split("/")
    at, ceiling = _first_difference(lows, high.split("/") if high else None, shared_segments)
    segments = path.split("/")
    if at >= min(len(lows), len(segments)):
        return 0.0
    floor, found = lows[at], segments[at]
    top = ceiling or _top_of(floor)
    if any(numeric_id(segment) is not None for segment in (floor, found, top)):
        return 0.0
    base, start = _base((floor, found, top)), _common_length(floor, top)
    first, here, last = (_as_number(text[start:], base) for text in (floor, found, top))
    return min(1.0, max(0.0, (here - first) / (last - first))) if last > first else 0.0


def _first_difference(lows: Sequence[str], highs: Sequence[str] | None, shared_segments: int) -> tuple[int, str | None]:
    """Index of the first document id in which two paths differ, and the upper one's id there, if it bounds the lower's.

    Below different collections ids do not bound each other: the lower collection continues to its own end.
    """
    if highs is None:
        return shared_segments | 1, None  # ids stand at odd places
    at = next((i for i, (a, b) in enumerate(zip(lows, highs, strict=False)) if a != b), min(len(lows), len(highs)))
    return (at, highs[at]) if at % 2 and at < len(highs) else (at + 1, None)


def _id_between(low: str, high: str | None, fraction: float) -> str | None:
    low_number, high_number = numeric_id(low), numeric_id(high) if high else None
    if low_number is not None:
        return _id_above_number(low_number, high, high_number, fraction)
    middle = _text_between(low, high or _top_of(low), fraction)
    try:
        check_document_id(middle)
    except RecordError:
        return None  # such as ".."; a range need not be cut here
    return middle if low < middle and (high is None or middle < high) else None


def _id_above_number(low: int, high: str | None, high_number: int | None, fraction: float) -> str | None:
    if high is not None and high_number is None:
        return " " if high > " " else None  # all numbers below, all other ids above
    top = _INT64[-1] if high_number is None else high_number
    middle = low + int((top - low) * fraction)
    return f"__id{middle}__" if low < middle else None


def _top_of(text: str) -> str:
    return _LAST_ASCII if text[:1] < _LAST_ASCII else _LAST_UNICODE


def _text_between(low: str, high: str, fraction: float) -> str:
    start = _common_length(low, high)
    base = _base((low, high))
    first, last = _as_number(low[start:], base), _as_number(high[start:], base)
    # Whole numbers: a double has too few digits. 2**32 steps are enough of a fraction.
    middle = first + (last - first) * int(fraction * 2**32) // 2**32
    digits: list[int] = []
    for _ in range(_DIGITS):
        middle, digit = divmod(middle, base)
        digits.append(digit)
    text = ""
    for digit in reversed(digits):
        if digit == 0:
            break
        character = _allowed(digit)
        text += character
        if ord(character) != digit:
            break
    # A short text says as much: what follows the first character beyond the lower bound does not matter.
    enough = next((n for n in range(1, len(text)) if text[:n] > low[start:]), len(text))
    return low[:start] + text[:enough]


def _allowed(digit: int) -> str:
    """The nearest character at or above `digit` that is harmless in a document id."""
    if digit < 0x20:
        return " "
    if digit == ord("/"):
        return "0"
    if 0xD800 <= digit <= 0xDFFF:
        return "\ue000"  # surrogates are not characters
    return chr(digit)


def _common_length(low: str, high: str) -> int:
    return next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))


def _base(texts: Sequence[str]) -> int:
    return _ASCII_BASE if all(text.isascii() for text in texts) else _UNICODE_BASE


def _as_number(text: str, base: int) -> int:
    """The first characters of a text as one number, so that greater texts have greater numbers."""
    number = 0
    for character in text[:_DIGITS].ljust(_DIGITS, "\0"):
        number = number * base + ord(character)
    return number
