"""A document as it was read: small to keep, small to shuffle, decoded when its fields are first asked for.

    document.path            users/ada
    document.id              ada
    document.fields          {"name": "Ada", …}: Python values, see values.py
    document.create_time, document.update_time
    document.to_dict()       {"__name__": "users/ada", "name": "Ada", …}

It holds the protobuf message that came from the wire and is pickled as its bytes, so that a document that is only
counted, routed or shuffled is never decoded.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from transforms.firestore import messages
from transforms.firestore.values import decode_fields, timestamp


class Document:
    """A document that was read, or a path at which there was none. Immutable; equal when all of it is equal.

    Args:
      message: protobuf `Document`; nobody may change it afterwards.
    """

    __slots__ = ("_fields", "_message", "_n_bytes", "path")

    path: str
    _message: Any
    _fields: Mapping[str, Any] | None
    _n_bytes: int | None

    def __init__(self, message: Any):
        set_slot = object.__setattr__
        set_slot(self, "_message", message)
        set_slot(self, "_fields", None)
        set_slot(self, "_n_bytes", None)
        set_slot(self, "path", message.name.split("/documents/", 1)[1])

    @classmethod
    def from_bytes(cls, serialised: bytes) -> Document:
        """From the bytes of a protobuf `Document`."""
        return cls(messages.Document.FromString(serialised))

    @property
    def name(self) -> str:
        """The full name, `projects/P/databases/D/documents/PATH`."""
        name: str = self._message.name
        return name

    @property
    def id(self) -> str:
        """The last segment of the path."""
        return self.path.rpartition("/")[2]

    @property
    def exists(self) -> bool:
        """False for a path that was asked for and at which there was no document."""
        found: bool = self._message.HasField("update_time")
        return found

    @property
    def fields(self) -> Mapping[str, Any]:
        """The values by name; empty where no document exists."""
        if self._fields is None:
            fields = decode_fields(self._message.fields)
            object.__setattr__(self, "_fields", fields)
            return fields
        return self._fields

    @property
    def create_time(self) -> datetime.datetime | None:
        """When the document was created; None where none exists."""
        return _time(self._message.create_time) if self.exists else None

    @property
    def update_time(self) -> datetime.datetime | None:
        """When the document was last changed, which is its version; None where none exists."""
        return _time(self._message.update_time) if self.exists else None

    @property
    def message(self) -> Any:
        """The protobuf `Document`, for those who decode it themselves; not to be changed."""
        return self._message

    @property
    def n_bytes(self) -> int:
        """Size of the document on the wire; protobuf finds it by serialising all of it, so it is asked once."""
        if self._n_bytes is None:
            size: int = self._message.ByteSize()
            object.__setattr__(self, "_n_bytes", size)
            return size
        return self._n_bytes

    def to_bytes(self) -> bytes:
        """The protobuf `Document`, serialised."""
        serialised: bytes = self._message.SerializeToString()
        return serialised

    def to_dict(self) -> dict[str, Any]:
        """The fields and, under `__name__`, the path; no field of Firestore's can have that name."""
        return {"__name__": self.path, **self.fields}

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a Document is immutable; make a new one instead of setting {name}")

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        return Document.from_bytes, (self.to_bytes(),)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Document):
            return NotImplemented
        return self._comparable() == other._comparable()

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Document({self.path!r}, update_time={self.update_time})"  # values do not belong in logs

    def _comparable(self) -> bytes:
        serialised: bytes = self._message.SerializeToString(deterministic=True)
        return serialised


def _time(message: Any) -> datetime.datetime:
    return timestamp(message.seconds, message.nanos)
