"""Texts with `{names}` in a description: filled once with a user's variables, then with what a request is about.

variables     endpoint, model, dataset_id, …       when a description is taken into use
of a request  id, key, file, result, page, …       when a request is made

>>> fill("/batches/{id}/{kind}", {"id": "b1"})
'/batches/b1/{kind}'
>>> filled({"a": "{x}", "b": ["{y}"], "{x}": 1}, {"x": "X", "y": ""})
{'a': 'X', 'b': [], 'X': 1}
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from typing import Any

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
# What a path or a query may hold as it is. Ids of Google have slashes and colons.
_PATH_SAFE = "/:@!$'()*,;~"


def fill(text: str, values: Mapping[str, str]) -> str:
    """A text with the values of those names that have one."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def fill_url(text: str, values: Mapping[str, str]) -> str:
    """As `fill`; values are quoted, so that none can begin a query or a fragment.

    >>> fill_url("/batches/{id}?limit={n}", {"id": "a/b?c#d", "n": "1&x"})
    '/batches/a/b%3Fc%23d?limit=1%26x'
    """
    return fill(text, {name: urllib.parse.quote(value, safe=_PATH_SAFE) for name, value in values.items()})


def filled(value: Any, values: Mapping[str, str]) -> Any:
    """Plain JSON with all texts filled. An entry whose text is a name alone is left out if its value is empty."""
    if isinstance(value, str):
        return fill(value, values)
    if isinstance(value, dict):
        return {fill(name, values): filled(each, values) for name, each in value.items() if not _is_empty(each, values)}
    if isinstance(value, list):
        return [filled(each, values) for each in value if not _is_empty(each, values)]
    return value


def placed(value: Any, values: Mapping[str, Any]) -> Any:
    """Plain JSON in which a text that is one name becomes its value, whatever kind that is; others are filled.

    >>> placed({"schema": "{schema}", "text": "{n} of {all}"}, {"schema": {"type": "object"}, "n": 1, "all": 2})
    {'schema': {'type': 'object'}, 'text': '1 of 2'}
    """
    if isinstance(value, str):
        found = _PLACEHOLDER.fullmatch(value)
        if found is not None and found[1] in values:
            return values[found[1]]
        return fill(value, {name: str(each) for name, each in values.items()})
    if isinstance(value, dict):
        return {fill(name, values): placed(each, values) for name, each in value.items()}
    return [placed(each, values) for each in value] if isinstance(value, list) else value


def names_in(value: Any) -> list[str]:
    """The names that texts of plain JSON have, in order.

    >>> names_in({"a": "{x}/{y}", "{x}": ["{z}", 1]})
    ['x', 'y', 'z']
    """
    if isinstance(value, str):
        return list(dict.fromkeys(_PLACEHOLDER.findall(value)))
    if isinstance(value, dict):
        value = [part for pair in value.items() for part in pair]
    parts = value if isinstance(value, list) else []
    return list(dict.fromkeys(name for part in parts for name in names_in(part)))


def _is_empty(value: Any, values: Mapping[str, str]) -> bool:
    found = _PLACEHOLDER.fullmatch(value) if isinstance(value, str) else None
    return found is not None and values.get(found[1]) == ""
