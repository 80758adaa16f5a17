"""Pending writes and tombstones that are in a store: found by a query, so that nothing about them has to be remembered.

A search gives a bounded number of keys; what is left is found the next time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from transforms.cosmos.connection import Connection
from transforms.cosmos.reads import query
from transforms.dual.kinds import Key, Kind
from transforms.errors import RecordError
from transforms.firestore.documents import Document
from transforms.firestore.query import Query
from transforms.firestore.reader import read
from transforms.firestore.target import FirestoreTarget
from transforms.follow.firestore_feed import naming_of
from transforms.migrate.documents import META_FIELD, tombstones_of
from transforms.retry import Retry

MAX_FOUND = 500

_PENDING_ITEMS = 'SELECT * FROM c WHERE c["_meta"]["pending"] = true'
_OLD_TOMBSTONES = 'SELECT * FROM c WHERE c["_deleted"] = true AND c["_meta"]["stamp"]["time"] < @before'


class CosmosSearch:
    """Of a container. Raises (every method): JobError, TransientError."""

    def __init__(self, connection: Connection, kind: Kind):
        self._connection, self._kind = connection, kind

    def pending(self) -> list[Key]:
        """Writes that Cosmos DB alone has accepted."""
        return self._keys(_PENDING_ITEMS, {})

    def tombstones(self, before_us: int) -> list[Key]:
        """Tombstones with stamps before a time."""
        return self._keys(_OLD_TOMBSTONES, {"before": before_us})

    def _keys(self, text: str, parameters: Mapping[str, Any]) -> list[Key]:
        pages = query(self._connection, text, parameters, max_items=MAX_FOUND)
        items = islice((item for page in pages for item in page), MAX_FOUND)
        return list(self._named(items))

    def _named(self, items: Iterator[Mapping[str, Any]]) -> Iterator[Key]:
        for item in items:
            try:
                yield self._kind.key_of(item)
            except RecordError:
                continue  # not ours; the feed keeps it as a dead letter


class FirestoreSearch:
    """Of a collection and its tombstones. Raises (every method): JobError, TransientError."""

    def __init__(self, target: FirestoreTarget, kind: Kind, collection: str, retry: Retry):
        self._target, self._kind, self._retry = target, kind, retry
        self._documents, self._tombstones = Query(collection), Query(tombstones_of(collection))

    def pending(self) -> list[Key]:
        """Writes that Firestore alone has accepted."""
        found = [self._found(query.where(f"{META_FIELD}.pending", "==", True)) for query in self._both]
        return [key for keys in found for key in keys][:MAX_FOUND]

    def tombstones(self, before_us: int) -> list[Key]:
        """Tombstones with stamps before a time."""
        return self._found(self._tombstones.where(f"{META_FIELD}.stamp.time", "<", before_us))

    @property
    def _both(self) -> tuple[Query, Query]:
        return self._documents, self._tombstones

    def _found(self, query: Query) -> list[Key]:
        documents = read(self._target.connect(), query.limit(MAX_FOUND), retry=self._retry)
        return [key for document in documents if (key := self._key(document)) is not None]

    def _key(self, document: Document) -> Key | None:
        is_tombstone = document.path.rpartition("/")[0] == self._tombstones.collection
        try:
            return self._kind.key_of(naming_of(document, is_tombstone=is_tombstone))
        except RecordError:
            return None
