"""What expressions of Cosmos DB's SQL are worth for an item. Plain Python.

A path that is not there is undefined, and so is nearly everything made of it; a row whose condition is undefined is not
in the answer. Values are ordered by type: undefined, null, booleans, numbers, strings, arrays, objects.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transforms.testing.cosmos.answers import RefusedError
from transforms.testing.cosmos.sql import Expression

UNDEFINED = object()

_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def is_true(expression: Expression | None, item: Mapping[str, Any]) -> bool:
    """Whether an item satisfies a condition."""
    return expression is None or value_of(expression, item) is True


def value_of(expression: Expression, item: Any) -> Any:
    """The value of an expression, or UNDEFINED.

    >>> value_of((">", ("path", "n"), ("value", 1)), {"n": 2}), value_of(("path", "x"), {}) is UNDEFINED
    (True, True)
    """
    kind, *parts = expression
    if kind == "value":
        return parts[0]
    if kind == "path":
        return _at(item, parts)
    if kind == "array":
        return [each for each in (value_of(part, item) for part in parts) if each is not UNDEFINED]
    if kind in ("and", "or"):
        return _logical(kind, value_of(parts[0], item), value_of(parts[1], item))
    values = [value_of(part, item) for part in (parts[1:] if kind == "call" else parts)]
    if kind == "not":
        return not values[0] if isinstance(values[0], bool) else UNDEFINED
    if kind == "call":
        return _called(parts[0], values)
    if kind == "in":
        return any(_is_equal(values[0], other) is True for other in values[1:])
    if kind in ("=", "!=", "<>"):
        equal = _is_equal(*values)
        return equal if equal is UNDEFINED or kind == "=" else not equal
    if kind == "like":
        return _is_like(*values)
    if kind in _COMPARED:
        same = sort_key(values[0])[0] == sort_key(values[1])[0] and UNDEFINED not in values
        return _COMPARED[kind](sort_key(values[0]), sort_key(values[1])) if same else UNDEFINED
    return _ARITHMETIC[kind](*values) if all(map(_is_number, values)) else UNDEFINED


def sort_key(value: Any) -> tuple[int, Any]:
    """Orders values of all types."""
    if value is UNDEFINED:
        return 0, 0
    if value is None:
        return 1, 0
    if isinstance(value, bool):
        return 2, value
    if isinstance(value, (int, float)):
        return 3, value
    if isinstance(value, str):
        return 4, value
    if isinstance(value, list):
        return 5, [sort_key(each) for each in value]
    return 6, sorted((name, sort_key(each)) for name, each in value.items())


def _at(value: Any, steps: Sequence[Any]) -> Any:
    for step in steps:
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                return UNDEFINED
            value = value[step]
        elif isinstance(value, Mapping) and step in value:
            value = value[step]
        else:
            return UNDEFINED
    return value


def _logical(kind: str, left: Any, right: Any) -> Any:
    decides = kind == "or"
    if left is decides or right is decides:
        return decides
    return UNDEFINED if not (isinstance(left, bool) and isinstance(right, bool)) else not decides


def _is_equal(left: Any, right: Any) -> Any:
    if left is UNDEFINED or right is UNDEFINED:
        return UNDEFINED
    return sort_key(left) == sort_key(right)


def _is_like(text: Any, pattern: Any) -> Any:
    if not isinstance(text, str) or not isinstance(pattern, str):
        return UNDEFINED
    wanted = "".join({"%": ".*", "_": "."}.get(each, re.escape(each)) for each in pattern)
    return re.fullmatch(wanted, text, re.DOTALL) is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _of_text(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*values: Any) -> Any:
        return function(*values) if all(isinstance(each, str) for each in values[:2]) else UNDEFINED

    return call


def _folded(function: Callable[[str, str], bool]) -> Callable[..., Any]:
    def call(text: str, other: str, ignores_case: bool = False) -> bool:
        return function(text.lower(), other.lower()) if ignores_case else function(text, other)

    return _of_text(call)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "IS_DEFINED": lambda value: value is not UNDEFINED,
    "IS_NULL": lambda value: value is None,
    "IS_BOOL": lambda value: isinstance(value, bool),
    "IS_NUMBER": _is_number,
    "IS_STRING": lambda value: isinstance(value, str),
    "IS_ARRAY": lambda value: isinstance(value, list),
    "IS_OBJECT": lambda value: isinstance(value, Mapping),
    "STARTSWITH": _folded(str.startswith),
    "ENDSWITH": _folded(str.endswith),
    "CONTAINS": _folded(lambda text, other: other in text),
    "STRINGEQUALS": _folded(operator.eq),
    "LOWER": _of_text(str.lower),
    "UPPER": _of_text(str.upper),
    "LENGTH": _of_text(len),
    "CONCAT": lambda *values: "".join(values) if all(isinstance(each, str) for each in values) else UNDEFINED,
    "ARRAY_LENGTH": lambda value: len(value) if isinstance(value, list) else UNDEFINED,
    "ARRAY_CONTAINS": lambda value, other, *_: (
        any(_is_equal(each, other) is True for each in value) if isinstance(value, list) else UNDEFINED
    ),
    "ABS": lambda value: abs(value) if _is_number(value) else UNDEFINED,
}


def _called(name: str, values: Sequence[Any]) -> Any:
    if name not in _FUNCTIONS:
        raise RefusedError(400, f"The function {name} is not imitated here")
    try:
        return _FUNCTIONS[name](*values)
    except TypeError:
        raise RefusedError(400, f"{name} has the wrong number of arguments") from None
