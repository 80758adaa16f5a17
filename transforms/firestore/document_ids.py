"""Where a document lives: paths that are checked, and ids that depend on nothing but the document.

A random id makes a new document every time a bundle is done again. So an element without an id gets the hash of fields
that identify it, or is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from transforms.errors import RecordError
from transforms.firestore import field_paths
from transforms.firestore.document_order import numeric_id
from transforms.firestore.names import check_document_id
from transforms.firestore.operations import Delete, Operation
from transforms.firestore.values import serialised_fields

# Paths that need no closer look: every segment begins with a letter or digit and is short.
_SEGMENT = r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,254}"
_PLAIN_PATH = re.compile(rf"{_SEGMENT}/{_SEGMENT}(?:/{_SEGMENT}/{_SEGMENT}){{0,5}}")


def check_path(path: Any) -> None:
    """Raises RecordError `INVALID_PATH` or `INVALID_ID` unless `path` names a document.

    >>> check_path("users/ada")
    >>> check_path("users")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    transforms.errors.RecordError: INVALID_PATH: a path must be COLLECTION/ID, an even number of segments, not 1; ...
    """
    if not isinstance(path, str):
        raise RecordError("INVALID_PATH", f"a path must be text, not {type(path).__name__}")
    if _PLAIN_PATH.fullmatch(path):
        return
    segments = path.split("/")
    if not all(segments):
        raise RecordError("INVALID_PATH", 'a path must not begin or end with "/" and must have no empty segment')
    if len(segments) % 2:
        raise RecordError(
            "INVALID_PATH",
            f"a path must be COLLECTION/ID, an even number of segments, not {len(segments)}; an id can be made of the "
            "fields that id_from names",
        )
    for segment in segments:
        if numeric_id(segment) is None:  # __id7__ is reserved, too, but what Datastore's numeric ids look like
            check_document_id(segment)


def identified(operation: Operation, names: Sequence[str]) -> Operation:
    """The operation itself, or, where its path names a collection, with the hash of the named fields as document id.

    Raises:
      RecordError: `MISSING_ID`: one of the fields is absent.
    """
    if not isinstance(operation.path, str) or operation.path.count("/") % 2 or isinstance(operation, Delete):
        return operation
    return replace(operation, path=f"{operation.path}/{document_id(operation.fields, *names)}")


def document_id(fields: Mapping[str, Any], *names: str) -> str:
    """A document id that depends on the named fields only: the same values always have the same id.

    >>> document_id({"email": "ada@example.com", "seen": 7}, "email")
    '17b22a1ac3535c51189b0b914e0128f6'

    Args:
      fields: of the document.
      names: field paths; at least one. Values of different types differ: 1, 1.0 and "1" have three ids.

    Raises:
      RecordError: `MISSING_ID`: one of the fields is absent or null.
    """
    if not names:
        raise ValueError("document_id needs the name of at least one field; without any all documents had one id")
    chosen = {name: _value_at(fields, name) for name in names}
    return hashlib.sha256(serialised_fields(chosen)).hexdigest()[:32]


def _value_at(fields: Mapping[str, Any], path: str) -> Any:
    value: Any = fields
    for name in field_paths.parse(path):
        value = value.get(name) if isinstance(value, Mapping) else None
    if value is None:
        raise RecordError("MISSING_ID", f"the document id is made of the field {path}, which is absent")
    return value
