"""Arrays as PostgreSQL writes them: {a,"b c",NULL}, or [a,b] for the vectors of pgvector.

Source: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
"""

from __future__ import annotations

import re

_ITEM = re.compile(r'"((?:[^"\\]|\\.)*)"|([^",{}\\]+)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PLAIN_ITEM = re.compile(r'"([^"]*)"|([^",]+)')
_ODD = re.compile(r"[\\={}]|NULL")


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
        if bare == "NULL":
            return None
        items.append(_ESCAPED.sub(r"\1", quoted) if bare is None else bare)
        at = match.end()
        if at < end and text[at] != ",":
            return None
        at += 1
    return items
