"""Messages of Listen as a server sends them, written short."""

from __future__ import annotations

from typing import Any

from transforms.firestore import messages
from transforms.firestore.values import encode_fields

PREFIX = "projects/p/databases/(default)/documents/"


def response(kind: str) -> tuple[Any, Any]:
    message = messages.ListenResponse()
    part = getattr(message, kind)
    part.SetInParent()
    return message, part


def document(path: str, update_us: int, create_us: int | None = None, prefix: str = PREFIX, **fields: Any) -> Any:
    """A protobuf `Document`."""
    made = messages.Document(name=prefix + path)
    made.update_time.FromMicroseconds(update_us)
    made.create_time.FromMicroseconds(update_us if create_us is None else create_us)
    encode_fields(fields, made.fields)
    return made


def changed(sent: Any, *, matches: bool = True) -> Any:
    """The document matches, or does not match any more."""
    message, part = response("document_change")
    part.document.CopyFrom(sent)
    (part.target_ids if matches else part.removed_target_ids).append(1)
    return message


def found(path: str, update_us: int, create_us: int | None = None, **fields: Any) -> Any:
    return changed(document(path, update_us, create_us, **fields))


def left(path: str, update_us: int) -> Any:
    return changed(document(path, update_us), matches=False)


def gone(path: str, read_us: int, kind: str = "document_delete", prefix: str = PREFIX) -> Any:
    message, part = response(kind)
    part.document = prefix + path
    part.removed_target_ids.append(1)
    part.read_time.FromMicroseconds(read_us)
    return message


def target(kind: str, read_us: int | None = None, token: bytes = b"", *, everybody: bool = False) -> Any:
    """A `TargetChange`, of this target or of all."""
    message, part = response("target_change")
    part.target_change_type = messages.TargetChange.TargetChangeType.Value(kind)
    part.resume_token = token
    if not everybody:
        part.target_ids.append(1)
    if read_us is not None:
        part.read_time.FromMicroseconds(read_us)
    return message


def current() -> Any:
    return target("CURRENT")


def reset() -> Any:
    return target("RESET")


def snapshot(read_us: int, token: bytes = b"") -> Any:
    return target("NO_CHANGE", read_us, token, everybody=True)


def removed(code: int, text: str = "datastore operation timed out") -> Any:
    message = target("REMOVE")
    message.target_change.cause.code, message.target_change.cause.message = code, text
    return message


def existence(count: int, bloom: Any = None) -> Any:
    message, part = response("filter")
    part.target_id, part.count = 1, count
    if bloom is not None:
        part.unchanged_names.CopyFrom(bloom)
    return message
