"""Firestore I/O for Apache Beam in Python: the public API on one page.

    from transforms import ReadFromFirestore, Set, WriteToFirestore

    with beam.Pipeline() as pipeline:
        users = pipeline | ReadFromFirestore("users", project="my-project")
        names = users | beam.Map(lambda user: Set(f"names/{user.id}", {"name": user.fields["name"]}))
        result = names | WriteToFirestore(project="my-project")
        result.dead_letters | beam.Map(print)

Names are imported when they are asked for, so that a command that needs one of them does not wait for Beam.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transforms.dual.async_store import AsyncDualStore as AsyncDualStore
    from transforms.dual.store import DualStore as DualStore
    from transforms.firestore.changes.change import Change as Change
    from transforms.firestore.changes.change_batch import ChangeBatch as ChangeBatch
    from transforms.firestore.changes.options import ListenedQuery as ListenedQuery
    from transforms.firestore.changes.options import ListenOptions as ListenOptions
    from transforms.firestore.delete import DeleteFromFirestore as DeleteFromFirestore
    from transforms.firestore.documents import Document as Document
    from transforms.firestore.listen import ListenToFirestore as ListenToFirestore
    from transforms.firestore.operations import ArrayRemove as ArrayRemove
    from transforms.firestore.operations import ArrayUnion as ArrayUnion
    from transforms.firestore.operations import Create as Create
    from transforms.firestore.operations import Delete as Delete
    from transforms.firestore.operations import Increment as Increment
    from transforms.firestore.operations import Maximum as Maximum
    from transforms.firestore.operations import Merge as Merge
    from transforms.firestore.operations import Minimum as Minimum
    from transforms.firestore.operations import ServerTimestamp as ServerTimestamp
    from transforms.firestore.operations import Set as Set
    from transforms.firestore.operations import Update as Update
    from transforms.firestore.query import Query as Query
    from transforms.firestore.read import ReadAllFromFirestore as ReadAllFromFirestore
    from transforms.firestore.read import ReadFromFirestore as ReadFromFirestore
    from transforms.firestore.target import FirestoreTarget as FirestoreTarget
    from transforms.firestore.values import GeoPoint as GeoPoint
    from transforms.firestore.values import Reference as Reference
    from transforms.firestore.values import Vector as Vector
    from transforms.firestore.write import CommitToFirestore as CommitToFirestore
    from transforms.firestore.write import WriteResult as WriteResult
    from transforms.firestore.write import WriteToFirestore as WriteToFirestore
    from transforms.firestore.written import FailedWrite as FailedWrite
    from transforms.firestore.written import WrittenDocument as WrittenDocument

_HOME = {
    "changes.change": ["Change"],
    "changes.change_batch": ["ChangeBatch"],
    "changes.options": ["ListenOptions", "ListenedQuery"],
    "delete": ["DeleteFromFirestore"],
    "documents": ["Document"],
    "listen": ["ListenToFirestore"],
    "operations": [
        "ArrayRemove",
        "ArrayUnion",
        "Create",
        "Delete",
        "Increment",
        "Maximum",
        "Merge",
        "Minimum",
        "ServerTimestamp",
        "Set",
        "Update",
    ],
    "query": ["Query"],
    "read": ["ReadAllFromFirestore", "ReadFromFirestore"],
    "target": ["FirestoreTarget"],
    "values": ["GeoPoint", "Reference", "Vector"],
    "write": ["CommitToFirestore", "WriteResult", "WriteToFirestore"],
    "written": ["FailedWrite", "WrittenDocument"],
}
_MODULE_OF = {
    "DualStore": "transforms.dual.store",
    "AsyncDualStore": "transforms.dual.async_store",
    **{name: f"transforms.firestore.{module}" for module, names in _HOME.items() for name in names},
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF])
