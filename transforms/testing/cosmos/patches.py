"""Partial updates: what the operations of a patch make of an item. Plain Python.

Source: learn.microsoft.com/azure/cosmos-db/partial-document-update
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from transforms.testing.cosmos.answers import RefusedError

_MAX_OPERATIONS = 10


def patched(item: Mapping[str, Any], operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """An item after add, set, replace, remove, incr and move.

    >>> added = {"op": "add", "path": "/b/-", "value": 5}
    >>> patched({"a": 1, "b": [1]}, [{"op": "incr", "path": "/a", "value": 2}, added])
    {'a': 3, 'b': [1, 5]}

    Raises:
      RefusedError: 400, an operation does not fit the item.
    """
    if not 1 <= len(operations) <= _MAX_OPERATIONS:
        raise RefusedError(400, f"A patch has between 1 and {_MAX_OPERATIONS} operations")
    result: dict[str, Any] = copy.deepcopy(dict(item))
    for operation in operations:
        kind, path = str(operation.get("op", "")).lower(), str(operation.get("path", ""))
        if path == "/id":
            raise RefusedError(400, "The id of an item cannot be patched")
        if kind == "move":
            origin = str(operation.get("from", ""))
            value = _take(result, origin)
            _put(result, path, value, "set")
        elif kind == "remove":
            _take(result, path)
        elif kind == "incr":
            _put(result, path, _incremented(result, path, operation.get("value")), "set")
        elif kind in ("add", "set", "replace"):
            _put(result, path, operation.get("value"), kind)
        else:
            raise RefusedError(400, f"There is no patch operation {kind!r}")
    return result


def _steps(path: str) -> list[str]:
    if not path.startswith("/") or path == "/":
        raise RefusedError(400, f"The path {path!r} of a patch does not begin with / or is empty")
    return [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]


def _parent(item: Any, path: str) -> tuple[Any, str]:
    *above, last = _steps(path)
    for step in above:
        try:
            item = item[int(step)] if isinstance(item, list) else item[step]
        except (KeyError, IndexError, ValueError, TypeError):
            raise RefusedError(400, f"The path {path!r} of a patch is not there") from None
    if not isinstance(item, (dict, list)):
        raise RefusedError(400, f"The path {path!r} of a patch is not in an object or an array")
    return item, last


def _place(array: list[Any], step: str, path: str, last: int) -> int:
    if not step.isdecimal() or int(step) > last:
        raise RefusedError(400, f"The path {path!r} of a patch is not a place of the array")
    return int(step)


def _put(item: Any, path: str, value: Any, kind: str) -> None:
    parent, last = _parent(item, path)
    if isinstance(parent, list):
        if kind == "add":
            parent.insert(len(parent) if last == "-" else _place(parent, last, path, len(parent)), value)
        else:
            parent[_place(parent, last, path, len(parent) - 1)] = value
    elif kind == "replace" and last not in parent:
        raise RefusedError(400, f"The path {path!r} of a patch is not there")
    else:
        parent[last] = value


def _take(item: Any, path: str) -> Any:
    parent, last = _parent(item, path)
    if isinstance(parent, list):
        return parent.pop(_place(parent, last, path, len(parent) - 1))
    if last not in parent:
        raise RefusedError(400, f"The path {path!r} of a patch is not there")
    return parent.pop(last)


def _incremented(item: Any, path: str, by: Any) -> Any:
    parent, last = _parent(item, path)
    before = parent.get(last, 0) if isinstance(parent, dict) else parent[_place(parent, last, path, len(parent) - 1)]
    if not all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in (before, by)):
        raise RefusedError(400, f"The path {path!r} of a patch is not a number")
    return before + by
