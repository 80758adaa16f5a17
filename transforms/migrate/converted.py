"""The values of items and of documents, each as the other store has them. Plain Python.

    as_json    what Cosmos DB gives back: whole numbers are integers; NaN and integers that it would change are refused
    flat       without arrays in arrays, which Firestore does not take: refused, or a map around each inner one
    nested     what `flat` made that of

Most values need none of it, and to see that costs a sixth of making them anew.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from transforms.errors import RecordError

# Cosmos DB keeps IEEE 754 doubles: of greater integers it keeps the nearest that there is.
MAX_INTEGER = 2**53

# A map with this one name stands for an array in an array. One that an item has itself gets another underscore.
_WRAPPED = "_array"
_LIKE_WRAPPED = re.compile("_+array")


def as_json(fields: dict[str, Any], *, may_share: bool = False) -> dict[str, Any]:
    """The fields as Cosmos DB gives them back.

    Args:
      may_share: whether the result may have the fields' own maps and arrays.

    Raises:
      RecordError: INTEGER_OUT_OF_RANGE or NOT_JSON: a value that Cosmos DB does not hold exactly; TOO_DEEP.
    """
    return fields if may_share and _holds(_is_json, fields) else _converted(fields, _json)


def flat(fields: dict[str, Any], *, wraps: bool) -> dict[str, Any]:
    """The fields without arrays in arrays; those that have none are given back as they are.

    Raises:
      RecordError: NESTED_ARRAY: there is one, and it is not to be wrapped.
    """
    return fields if _holds(_is_flat, fields) else _converted(fields, partial(_flat, wraps=wraps))


def nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of which `flat` made these, as JSON. Raises RecordError as `as_json`."""
    return _converted(fields, _nested)


class _Unfit(Exception):  # noqa: N818 - never leaves this module
    """Something in a value; where is looked for only then, so that a value that fits costs no paths."""

    def __init__(self, code: str, problem: str):
        self.code, self.problem = code, problem
        super().__init__(code, problem)


def _holds(check: Callable[[Iterable[Any]], bool], fields: Mapping[str, Any]) -> bool:
    try:
        return check(fields.values())
    except RecursionError:
        return False  # and `_converted` says so


def _converted(fields: Mapping[str, Any], convert: Callable[[Any], Any]) -> dict[str, Any]:
    """The fields with their values converted. Raises RecordError."""
    try:
        return {name: convert(value) for name, value in fields.items()}
    except RecursionError:
        raise RecordError("TOO_DEEP", "maps and arrays in one another are too deep for Python") from None
    except _Unfit as unfit:
        from transforms.firestore.values import field_path  # an application that has no misfits does without gRPC

        raise RecordError(unfit.code, f"{field_path(_steps_to_unfit(fields, convert))}: {unfit.problem}") from None


def _steps_to_unfit(value: Any, convert: Callable[[Any], Any]) -> list[str | int]:
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for step, member in pairs:
        try:
            convert(member)
        except _Unfit:
            return [step, *_steps_to_unfit(member, convert)]
    return []


def _is_json(values: Iterable[Any]) -> bool:
    """Whether `_json` would give these values back as they are, which costs a sixth of making them anew."""
    for value in values:
        kind = type(value)
        if kind is str or value is None or kind is bool:
            continue
        if kind is dict:
            if not _is_json(value.values()):
                return False
        elif kind is list:
            if not _is_json(value):
                return False
        elif kind is int:
            if not -MAX_INTEGER <= value <= MAX_INTEGER:
                return False
        elif kind is not float or not math.isfinite(value) or value.is_integer():
            return False
    return True


def _json(value: Any) -> Any:
    """The value as Cosmos DB gives it back. The common kinds come first."""
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return value
    if kind is int:
        if -MAX_INTEGER <= value <= MAX_INTEGER:
            return value
        raise _Unfit("INTEGER_OUT_OF_RANGE", "Cosmos DB keeps integers up to 2^53 exactly; store greater ones as text")
    if kind is dict:
        return {name: _json(member) for name, member in value.items()}
    if kind is list:
        return [_json(member) for member in value]
    if kind is float:
        if not math.isfinite(value):
            raise _Unfit("NOT_JSON", "JSON, and so Cosmos DB, has neither NaN nor infinity")
        return int(value) if value.is_integer() and -MAX_INTEGER <= value <= MAX_INTEGER else value
    raise _Unfit("NOT_JSON", f"Cosmos DB has no type for {kind.__name__}; JSON's own types can be copied")


def _is_flat(values: Iterable[Any]) -> bool:
    """Whether `_flat` would give these JSON values back as they are. A map of one name in an array is not looked at."""
    for value in values:
        kind = type(value)
        if kind is dict:
            if not _is_flat(value.values()):
                return False
        elif kind is list:
            for item in value:
                kind = type(item)
                if kind is list or (kind is dict and (len(item) == 1 or not _is_flat(item.values()))):
                    return False
    return True


def _flat(value: Any, wraps: bool) -> Any:
    """A JSON value without arrays in arrays."""
    kind = type(value)
    if kind is dict:
        return {name: _flat(member, wraps) for name, member in value.items()}
    return [_flat_in_array(member, wraps) for member in value] if kind is list else value


def _flat_in_array(value: Any, wraps: bool) -> Any:
    kind = type(value)
    if kind is list:
        if not wraps:
            raise _Unfit(
                "NESTED_ARRAY",
                "holds an array directly in an array, which Firestore does not take; nested_arrays=wrap puts a map "
                "around the inner one",
            )
        return {_WRAPPED: _flat(value, wraps)}
    if kind is dict and len(value) == 1:
        ((name, member),) = value.items()
        return {f"_{name}" if _LIKE_WRAPPED.fullmatch(name) else name: _flat(member, wraps)}
    return _flat(value, wraps) if kind is dict else value


def _nested(value: Any) -> Any:
    """The value of which `_flat` made this one, as JSON."""
    kind = type(value)
    if kind is dict:
        return {name: _nested(member) for name, member in value.items()}
    return [_nested_in_array(member) for member in value] if kind is list else _json(value)


def _nested_in_array(value: Any) -> Any:
    if type(value) is not dict or len(value) != 1:
        return _nested(value)
    ((name, member),) = value.items()
    if name == _WRAPPED and type(member) is list:
        return _nested(member)
    return {name[1:] if _LIKE_WRAPPED.fullmatch(name) and name != _WRAPPED else name: _nested(member)}
