"""What one `Write` makes of one document: precondition, fields, transforms. Pure functions of protobuf messages.

    Write, stored document ──precondition──▶ fields by mask ──▶ transforms ──▶ document, `WriteResult`
                                │ does not hold                     └ no field changed: the stored version stays
                                └▶ RpcError

Source: `Write`, `Precondition` and `DocumentTransform` in the Firestore RPC reference.
"""

from __future__ import annotations

import math
from typing import Any

from transforms.errors import RecordError
from transforms.firestore import field_paths, messages
from transforms.firestore.client import RpcError
from transforms.firestore.limits import check_document
from transforms.testing.order import order_key

_MAX_INT64 = 2**63 - 1


def written_name(write: Any) -> str:
    """Full name of the document that a protobuf `Write` is about."""
    name: str = write.delete or write.transform.document or write.update.name
    return name


def apply(write: Any, stored: Any | None, time_us: int) -> tuple[Any | None, Any]:
    """The document after a write, None if it is deleted, and the write's `WriteResult`.

    Args:
      write: protobuf `Write`.
      stored: the protobuf `Document` there is; not changed.
      time_us: of the write, in microseconds since 1970.

    Raises:
      RpcError: the precondition does not hold, or the document passes one of Firestore's limits.
    """
    _check_precondition(write.current_document, written_name(write), stored)
    try:
        return _written(write, stored, time_us)
    except RecordError as error:
        raise RpcError("INVALID_ARGUMENT", error.message) from None


def find(fields: Any, names: tuple[str, ...]) -> Any | None:
    """The protobuf `Value` to which nested field names lead; None if there is none."""
    *outer, last = names
    for name in outer:
        if name not in fields:
            return None
        fields = fields[name].map_value.fields
    return fields.get(last)


def put(fields: Any, names: tuple[str, ...], value: Any | None) -> None:
    """Sets the value to which nested field names lead, making maps on the way; None removes it."""
    *outer, last = names
    for name in outer:
        if name not in fields or not fields[name].HasField("map_value"):
            if value is None:
                return
            fields[name].map_value.SetInParent()
        fields = fields[name].map_value.fields
    if value is not None:
        fields[last].CopyFrom(value)
    elif last in fields:
        del fields[last]


def number(value: Any | None) -> int | float | None:
    """What a protobuf `Value` holds if that is a number."""
    kind = value.WhichOneof("value_type") if value is not None else None
    return getattr(value, kind) if kind in ("integer_value", "double_value") else None


def _written(write: Any, stored: Any | None, time_us: int) -> tuple[Any | None, Any]:
    result = messages.WriteResult()
    if write.delete:
        return None, result
    document = messages.Document(name=written_name(write))
    is_partial = write.HasField("update_mask") or bool(write.transform.document)
    base = stored if is_partial else write.update
    for name, value in base.fields.items() if base else ():
        document.fields[name].CopyFrom(value)
    for path in write.update_mask.field_paths:
        names = field_paths.parse(path)
        put(document.fields, names, find(write.update.fields, names))
    for transform in [*write.update_transforms, *write.transform.field_transforms]:
        names = field_paths.parse(transform.field_path)
        value = _transformed(transform, find(document.fields, names), time_us)
        put(document.fields, names, value)
        returned = messages.Value(null_value=0) if value.HasField("array_value") else value
        result.transform_results.add().CopyFrom(returned)
    if stored and _content(stored) == _content(document):
        result.update_time.CopyFrom(stored.update_time)
        return stored, result
    check_document(document.SerializeToString())
    document.update_time.FromMicroseconds(time_us)
    document.create_time.CopyFrom(stored.create_time if stored else document.update_time)
    result.update_time.CopyFrom(document.update_time)
    return document, result


def _check_precondition(precondition: Any, name: str, stored: Any | None) -> None:
    kind = precondition.WhichOneof("condition_type")
    if kind == "exists" and not precondition.exists and stored is not None:
        raise RpcError("ALREADY_EXISTS", f"Document already exists: {name}")
    if kind == "exists" and precondition.exists and stored is None:
        raise RpcError("NOT_FOUND", f"No document to update: {name}")
    version, required = stored.update_time.ToMicroseconds() if stored else 0, precondition.update_time.ToMicroseconds()
    if kind == "update_time" and version != required:
        message = f"the stored version ({version}) does not match the required base version ({required})"
        raise RpcError("FAILED_PRECONDITION", message)


def _content(document: Any) -> dict[str, bytes]:
    return {name: value.SerializeToString(deterministic=True) for name, value in document.fields.items()}


def _transformed(transform: Any, stored: Any | None, time_us: int) -> Any:
    kind = transform.WhichOneof("transform_type")
    value = messages.Value()
    if kind == "set_to_server_value":
        value.timestamp_value.FromMilliseconds(time_us // 1_000)
    elif kind in ("append_missing_elements", "remove_all_from_array"):
        operands = {order_key(each) for each in getattr(transform, kind).values}
        items = list(stored.array_value.values) if stored else []
        if kind == "remove_all_from_array":
            items = [item for item in items if order_key(item) not in operands]
        for each in transform.append_missing_elements.values:
            if order_key(each) not in map(order_key, items):
                items.append(each)
        value.array_value.values.extend(items)
        value.array_value.SetInParent()
    else:
        value.CopyFrom(_calculated(kind, getattr(transform, kind), stored))
    return value


def _calculated(kind: str, operand: Any, stored: Any | None) -> Any:
    """Increment, maximum, minimum: of equal numbers the stored one stays, whatever is not a number is replaced."""
    before, by = number(stored), number(operand)
    if before is None or by is None:
        return operand
    if kind == "increment":
        total = before + by
        if isinstance(total, float):
            return messages.Value(double_value=total)
        return messages.Value(integer_value=max(-_MAX_INT64 - 1, min(_MAX_INT64, total)))
    if before != before or by != by:
        return messages.Value(double_value=math.nan)
    return operand if (by > before if kind == "maximum" else by < before) else stored
