"""Operations as serialised `Write` messages, checked on the way.

The document is encoded once and nested as bytes; the few other parts of a `Write` are appended, because serialised
protobuf messages can be concatenated. Source: google/firestore/v1/write.proto.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from transforms.errors import RecordError
from transforms.firestore import field_paths, messages
from transforms.firestore.document_ids import check_path
from transforms.firestore.limits import check_document
from transforms.firestore.operations import (
    ArrayRemove,
    ArrayUnion,
    Delete,
    Increment,
    Maximum,
    Merge,
    Minimum,
    Operation,
    ServerTimestamp,
    Set,
    Transforms,
    Update,
)
from transforms.firestore.values import check_path_length, encode, encoded_fields


def encoded(operation: Operation, documents: str) -> bytes:
    """The operation as a serialised `Write`.

    Args:
      operation: what to do.
      documents: the root of all documents, projects/P/databases/D/documents.

    Raises:
      RecordError: Firestore would refuse it; says which field and why.
    """
    check_path(operation.path)
    name = f"{documents}/{operation.path}"
    if isinstance(operation, Delete):
        return messages.delimited(2, name.encode()) + _conditions(operation.exists, operation.update_time)
    document = messages.document(name, _fields(operation.fields))
    check_document(document)
    write: bytes = messages.update(document)
    if isinstance(operation, Set):
        write += _conditions(operation.exists, operation.update_time)
    elif isinstance(operation, Merge):
        write += _mask(map(field_paths.render, field_paths.leaves(operation.fields)))
        write += _conditions(operation.exists, operation.update_time)
    elif isinstance(operation, Update):
        write += _mask(_update_mask(operation.fields, operation.mask))
        write += _conditions(None if operation.update_time else True, operation.update_time)
    else:
        write += _conditions(False, None)
    return write + _transforms(operation.transforms) if operation.transforms else write


def _fields(fields: Any) -> bytes:
    if not isinstance(fields, Mapping):
        raise RecordError("INVALID_FIELDS", f"fields must map names to values, got {type(fields).__name__}")
    return encoded_fields(fields)


def _conditions(exists: Any, update_time: Any) -> bytes:
    if exists is None and update_time is None:
        return b""
    write = messages.Write()
    if exists is not None and update_time is not None:
        raise RecordError("INVALID_PRECONDITION", "exists and update_time exclude each other; give one of them")
    if isinstance(exists, bool):
        write.current_document.exists = exists
    elif isinstance(update_time, datetime.datetime):
        write.current_document.update_time.CopyFrom(encode(update_time).timestamp_value)
    else:
        raise RecordError("INVALID_PRECONDITION", "exists must be true or false, update_time an aware datetime")
    serialised: bytes = write.SerializeToString()
    return serialised


def _mask(paths: Iterable[str]) -> bytes:
    write = messages.Write()
    write.update_mask.SetInParent()  # an empty mask writes nothing; an absent one replaces the document
    write.update_mask.field_paths.extend(paths)
    serialised: bytes = write.SerializeToString()
    return serialised


def _update_mask(fields: Mapping[str, Any], mask: Sequence[str] | None) -> list[str]:
    if mask is None:
        return [field_paths.render([name]) for name in fields]
    if isinstance(mask, str):
        raise RecordError("INVALID_FIELD_PATH", "mask must be a sequence of field paths, not one text")
    covered = set(map(_parsed, mask))
    for leaf in field_paths.leaves(fields):
        if not any(leaf[:length] in covered for length in range(1, len(leaf) + 1)):
            raise RecordError("NOT_IN_MASK", f"{field_paths.render(leaf)} has a value but is not in the mask")
    return list(mask)


def _parsed(path: str) -> tuple[str, ...]:
    names = field_paths.parse(path)
    check_path_length(names)
    return names


def _transforms(transforms: Transforms) -> bytes:
    if not isinstance(transforms, Mapping):
        raise RecordError("INVALID_TRANSFORM", "transforms must map field paths to field transforms")
    write = messages.Write()
    for path, transform in transforms.items():
        _parsed(path)
        out = write.update_transforms.add(field_path=path)
        if isinstance(transform, ServerTimestamp):
            out.set_to_server_value = out.ServerValue.REQUEST_TIME
        elif isinstance(transform, Increment):
            out.increment.CopyFrom(_number(path, transform.amount))
        elif isinstance(transform, Maximum):
            out.maximum.CopyFrom(_number(path, transform.bound))
        elif isinstance(transform, Minimum):
            out.minimum.CopyFrom(_number(path, transform.bound))
        elif isinstance(transform, (ArrayUnion, ArrayRemove)):
            target = out.append_missing_elements if isinstance(transform, ArrayUnion) else out.remove_all_from_array
            target.SetInParent()
            target.values.extend(encode(list(transform.items)).array_value.values)
        else:
            raise RecordError("INVALID_TRANSFORM", f"{path}: no field transform, but {type(transform).__name__}")
    serialised: bytes = write.SerializeToString()
    return serialised


def _number(path: str, number: Any) -> Any:
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise RecordError("INVALID_TRANSFORM", f"{path}: the operand must be a number, not {type(number).__name__}")
    return encode(number)
