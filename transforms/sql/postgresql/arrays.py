"""Arrays as PostgreSQL writes them: {a,"b c",NULL}, or [a,b] for the vectors of pgvector.

Source: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_NULL = "NULL"
_ITEM = re.compile(r'"((?:[^"\\]|\\.)*)"|([^",{}\\]+)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PLAIN_ITEM = re.compile(r'"([^"]*)"|([^",]+)')
_ODD = re.compile(r"[\\={}]|NULL")
_SEPARATORS = re.compile(r"[,{}\n]")
_EMPTY_ITEM, _BETWEEN = '""', "}\n{"


def items_of_arrays(texts: Sequence[str]) -> list[list[str] | None]:
    """What `array_items` gives for each text.

    >>> items_of_arrays(["{a,b}", "{}", '{"b c"}']), items_of_arrays(['{"a,b"}', "{NULL}"])
    ([['a', 'b'], [], ['b c']], [['a,b'], None])
    """
    lines = "\n".join(texts)
    if not _is_plain(lines, len(texts)):
        return list(map(array_items, texts))
    return [inner.split(",") if inner else [] for inner in lines.replace('"', "")[1:-1].split(_BETWEEN)]


def _is_plain(lines: str, n: int) -> bool:
    """Whether arrays, a line for each, can be split at their commas once the quotation marks are gone."""
    if "\\" in lines or _NULL in lines or _EMPTY_ITEM in lines or lines[:1] + lines[-1:] != "{}":
        return False
    # All brackets stand between two lines, but for the first and the last one.
    are_flat = lines.count(_BETWEEN) == lines.count("\n") == lines.count("{") - 1 == lines.count("}") - 1 == n - 1
    return are_flat and not _SEPARATORS.search("".join(lines.split('"')[1::2]))


def array_items(text: str) -> list[str] | None:
    """The items of an array of one dimension without NULL; None for any other.

    >>> array_items('{a,"b c","say \\\\"x\\\\"",""}'), array_items("[1,2]"), array_items("{}")
    (['a', 'b c', 'say "x"', ''], ['1', '2'], [])
    >>> array_items("{1,NULL}"), array_items("{{1},{2}}"), array_items("[0:1]={1,2}"), array_items('{"NULL"}')
    (None, None, None, ['NULL'])
    """
    if text[:1] == "{" and not _ODD.search(text, 1, len(text) - 1):  # most arrays
        inner = text[1:-1]
        if '"' in inner:
            return [bare or quoted for quoted, bare in _PLAIN_ITEM.findall(inner)]
        return inner.split(",") if inner else []
    if text[:1] + text[-1:] not in ("{}", "[]") or "=" in text[: text.find("{") + 1]:
        return None
    items: list[str] = []
    at, end = 1, len(text) - 1
    while at < end:
        match = _ITEM.match(text, at, end)
        if match is None:
            return None
        quoted, bare = match.groups()
        if bare == _NULL:
            return None
        items.append(_ESCAPED.sub(r"\1", quoted) if bare is None else bare)
        at = match.end()
        if at < end and text[at] != ",":
            return None
        at += 1
    return items
