"""The texts of keys as a database's own numbers. Plain Python.

Keys are compared as text, in the order of bytes, by whoever holds them as text. A database orders numbers as numbers;
but of all numbers with so many digits the texts have the same order, so a range of texts is a few ranges of numbers,
which an index finds.

    texts from "15" to below "3"  =  15 … 29,  150 … 299,  1500 … 2999,  and 2
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Sequence

from transforms.sql.columns import SourceColumn, SourceTable
from transforms.sql.database import Position

NEVER = "FALSE"
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_MOST_DIGITS = 19  # of 64 bits
_LEAST, _GREATEST = -(2**63), 2**63 - 1
_BEHIND_ALL = "\U0010ffff"


def integers_spanning(low: str | None, high: str | None, n_columns: int = 1) -> list[tuple[int, int]]:
    """The numbers, first and last of each range, whose keys can lie from `low` to below `high`.

    >>> integers_spanning("15", "3")[:3]
    [(2, 2), (15, 29), (150, 299)]
    >>> integers_spanning('["15"', '["15","3"]', n_columns=2)
    [(15, 15)]

    Args:
      low, high: texts of keys; None for no bound.
      n_columns: of the key, of which the number is the first.
    """
    found: list[tuple[int, int]] = []
    for n_digits in range(1, _MOST_DIGITS + 1):
        for sign in ("-", ""):
            # 0 has no sign.
            numbers = range(10 ** (n_digits - 1) if n_digits > 1 else int(sign == "-"), 10**n_digits)
            first, last = (_text(sign, n_columns, behind) for behind in (_BEHIND_ALL, ""))
            start = 0 if low is None else bisect_left(numbers, low, key=first)
            stop = len(numbers) if high is None else bisect_left(numbers, high, key=last)
            if start < stop:
                ends = numbers[start], numbers[stop - 1]
                found.append((-ends[1], -ends[0]) if sign else ends)
    return found


def integers_condition(column: str, low: str | None, high: str | None, n_columns: int) -> str:
    """The condition on rows whose keys' texts lie from `low` to below `high`, for a key that begins with a number.

    >>> integers_condition("id", '["15"', '["15","3"]', 2)
    'id BETWEEN 15 AND 15'

    Args:
      column: its name, quoted; its type has 64 bits or fewer.
      low, high, n_columns: as in `integers_spanning`.
    """
    ranges = integers_spanning(low, high, n_columns)
    said = (f"{column} BETWEEN {max(first, _LEAST)} AND {min(last, _GREATEST)}" for first, last in ranges)
    return " OR ".join(said) or NEVER


def among(
    table: SourceTable,
    key: Sequence[str],
    keys: Sequence[Position],
    of_column: Callable[[SourceColumn, list[str]], str],
) -> str:
    """The condition on rows with these keys, or a few more.

    Args:
      of_column: the condition on rows with one of these texts in a column; empty where there is none.
    """
    texts = by_column(keys, len(key))
    said = [of_column(column, some) for column, some in zip(table.columns_of(key), texts, strict=True)]
    return " AND ".join(filter(None, said))


def _text(sign: str, n_columns: int, behind: str) -> Callable[[int], str]:
    """The text of a number's keys: the first, or one behind all of them."""
    if n_columns == 1:
        return lambda number: f"{sign}{number}"
    return lambda number: f'["{sign}{number}"{behind}'


def position_of(key: str, n_columns: int) -> Position | None:
    """The texts of the columns that a key was made of, see `rows.KeyOf`; None if it was made of others.

    >>> position_of("7", 1), position_of('["x","1.5"]', 2), position_of("7", 2)
    (('7',), ('x', '1.5'), None)
    """
    if n_columns == 1:
        return (key,)
    try:
        texts = json.loads(key)
    except ValueError:
        return None
    if not isinstance(texts, list) or len(texts) != n_columns or not all(isinstance(text, str) for text in texts):
        return None
    return tuple(texts)


def is_int64(text: str) -> bool:
    """Whether a text is a number of 64 bits, as databases write it.

    >>> is_int64("-7"), is_int64("07"), is_int64("9223372036854775808")
    (True, False, False)
    """
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= _MOST_DIGITS):
        return False
    return str(int(text)) == text and _LEAST <= int(text) <= _GREATEST


def by_column(keys: Sequence[Position], n_columns: int) -> list[list[str]]:
    """The texts of each column that the keys have, each once.

    >>> by_column([("1", "x"), ("1", "y")], 2)
    [['1'], ['x', 'y']]
    """
    return [sorted({key[at] for key in keys}) for at in range(n_columns)]
