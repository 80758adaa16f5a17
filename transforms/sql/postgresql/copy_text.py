"""Rows as COPY writes them in its text format: fields between tabs, backslash escapes, \\N for NULL.

Source: https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2
"""

from __future__ import annotations

import re

_NULL = "\\N"
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MEANING = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def fields_of(line: bytes) -> list[str | None]:
    r"""The fields of a row; bytes that are no UTF-8 stand there as lone surrogates.

    >>> fields_of(b"7\tZo\xc3\xab\\n\\\\\t\\N\t\n")
    ['7', 'Zoë\n\\', None, '']
    """
    text = line.decode("utf-8", "surrogateescape")
    fields = text.removesuffix("\n").split("\t")
    if "\\" not in text:
        return list(fields)
    return [_unescaped(field) if "\\" in field else field for field in fields]


def _unescaped(field: str) -> str | None:
    return None if field == _NULL else _ESCAPE.sub(_meant, field)


def _meant(match: re.Match[str]) -> str:
    return _MEANING.get(match[1], match[1])
