"""Rows as COPY writes them in its text format: fields between tabs, backslash escapes, \\N for NULL.

Source: https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from transforms.sql.database import Fields

_NULL = "\\N"
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MEANING = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def rows_of(lines: Sequence[bytes | bytearray | memoryview]) -> list[Fields]:
    r"""The fields of rows; bytes that are no UTF-8 stand there as lone surrogates.

    >>> rows_of([b"7\tZo\xc3\xab\\n\\\\\t\\N\t\n", b"8\t\t\t\n"])
    [['7', 'Zoë\n\\', None, ''], ['8', '', '', '']]
    """
    # Together, because most of the time would be spent on calls; a line end within a field is escaped.
    rows = b"".join(lines).decode("utf-8", "surrogateescape").split("\n")
    rows.pop()
    return [_fields_of(row) for row in rows]


def _fields_of(row: str) -> Fields:
    if "\\" not in row:
        return row.split("\t")
    fields: list[str | None] = [*row.split("\t")]
    n_nulls = fields.count(_NULL)
    if row.count("\\") > n_nulls:
        return [_unescaped(field) if field and "\\" in field else field for field in fields]
    for _ in range(n_nulls):
        fields[fields.index(_NULL)] = None
    return fields


def _unescaped(field: str) -> str | None:
    return None if field == _NULL else _ESCAPE.sub(_meant, field)


def _meant(match: re.Match[str]) -> str:
    return _MEANING.get(match[1], match[1])
