"""Batches of changes as the steps of the listen job get them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.listened import PREFIX, document
from transforms.batch import Batch
from transforms.firestore.changes.change import ADDED, MODIFIED, REMOVED, Change
from transforms.firestore.changes.change_batch import ChangeBatch, StreamState
from transforms.firestore.changes.positions import Follow
from transforms.firestore.changes.times import from_micros
from transforms.firestore.collection_patterns import CollectionPattern
from transforms.firestore.documents import Document
from transforms.listen.entries import Changed, StreamSettings, entered

SECOND = 1_000_000
START = 1_800_000_000 * SECOND


def stored(path: str, at_s: float = 0, prefix: str = PREFIX, **fields: Any) -> Change:
    """A document that was created, so many seconds after START."""
    at = START + int(at_s * SECOND)
    return Change(ADDED, path, Document(document(path, at, prefix=prefix, **fields)), from_micros(at), from_micros(at))


def changed(path: str, at_s: float, prefix: str = PREFIX, **fields: Any) -> Change:
    """A document that was changed."""
    at = START + int(at_s * SECOND)
    made = Document(document(path, at, START, prefix=prefix, **fields))
    return Change(MODIFIED, path, made, from_micros(at), from_micros(at))


def removed(path: str, at_s: float, version_s: float | None = 0, *, deleted: bool = True) -> Change:
    """A document that is gone, or left the query, and its last known version."""
    version = None if version_s is None else from_micros(START + int(version_s * SECOND))
    return Change(REMOVED, path, None, version, from_micros(START + int(at_s * SECOND)), deleted=deleted)


def batch_of(
    *changes: Change,
    pattern: str = "users",
    parameters: Mapping[str, str] = {},
    stream_id: str = "users",
    records: Mapping[str, Mapping[str, Any]] = {},
) -> Batch[Changed]:
    """The batch of some changes, with what a record spec made of them by path."""
    read_time = max((change.read_time for change in changes), default=from_micros(START))
    found = ChangeBatch(stream_id, changes, Follow(read_time), read_time, StreamState.LIVE)
    batch = entered(found, "listen-1", StreamSettings((CollectionPattern(pattern),), parameters))
    return batch.then([entry._replace(record=records.get(entry.key)) for entry in batch.entries])
