"""The documents of a collection that are copies of a container's items, and which of them may go. Plain Python.

    read the document ──▶ read its item again in Cosmos DB: gone ──▶ delete it, unless it was written since it was read

In this order nothing is lost: whoever stores the item again in between writes the document as well, or the change feed
brings it. Documents of anybody else are not copies, nor are writes of an application that Cosmos DB does not have yet.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from transforms.cosmos.connection import Connection
from transforms.cosmos.items import partition_key_of, path_steps
from transforms.cosmos.reads import read_item
from transforms.cosmos.target import COSMOS
from transforms.firestore import field_paths, messages
from transforms.firestore.client import FirestoreClient, RpcError
from transforms.firestore.committer import AtomicGroup, Committer, Refused
from transforms.firestore.documents import Document
from transforms.firestore.outcomes import Landed
from transforms.firestore.packing import RequestLimits
from transforms.firestore.query import MAX_DISJUNCTIONS, Query
from transforms.firestore.reader import read
from transforms.migrate.documents import META_FIELD, is_pending, is_tombstone
from transforms.retry import Retry

_TOGETHER, _ALONE = RequestLimits(), RequestLimits(max_writes=1)


class Copies:
    """Copies of a container's items; of each its `_meta` and what names the item. Thread-safe.

    Args:
      connection: the container.
      client, collection: where the documents are.
      retry: of requests to Firestore.
      before: called with documents that are about to be deleted, so that a crash in between does both again.

    Raises (every method): JobError, TransientError.
    """

    def __init__(
        self,
        connection: Connection,
        client: FirestoreClient,
        collection: str,
        retry: Retry,
        before: Callable[[Sequence[Document]], None] | None = None,
    ):
        self._connection, self._client, self._retry, self._before = connection, client, retry, before
        self.key_paths = connection.properties.key_paths
        heads = [field_paths.render([path_steps(path)[0]]) for path in self.key_paths]
        self._query = Query(collection).select(META_FIELD, "id", *dict.fromkeys(heads))

    def all(self) -> Iterator[Document]:
        """Every copy."""
        return self._found(self._query)

    def of(self, ids: Sequence[str]) -> Iterator[Document]:
        """Copies of items of these ids, of any partition key; a query for each thirty."""
        for at in range(0, len(ids), MAX_DISJUNCTIONS):
            yield from self._found(self._query.where("id", "in", list(ids[at : at + MAX_DISJUNCTIONS])))

    def is_gone(self, document: Document) -> bool:
        """Whether Cosmos DB has no item of which this is a copy; it is asked now."""
        return self.item_now(document) is None

    def item_now(self, document: Document) -> dict[str, Any] | None:
        """The item of which this is a copy; None if it is gone. Cosmos DB is asked now."""
        key = partition_key_of(document.fields, self.key_paths)
        item = read_item(self._connection, id_of(document), key)
        return None if item is None or is_tombstone(item) else item

    def delete(self, documents: Sequence[Document]) -> list[bool]:
        """Deletes documents; says of each whether it was deleted: not if somebody has written it since it was read."""
        if documents and self._before is not None:
            self._before(documents)
        are_deleted = self._commit(documents, _TOGETHER)
        # One document that was written keeps the others of its Commit, too.
        kept = [at for at, is_deleted in enumerate(are_deleted) if not is_deleted]
        if len(documents) > 1:
            alone = self._commit([documents[at] for at in kept], _ALONE)
            for at, is_deleted in zip(kept, alone, strict=True):
                are_deleted[at] = is_deleted
        return are_deleted

    def item_of(self, document: Document) -> str:
        """Which item it is a copy of, as `item_text`."""
        return item_text(id_of(document), partition_key_of(document.fields, self.key_paths))

    def _commit(self, documents: Sequence[Document], limits: RequestLimits) -> list[bool]:
        if not documents:
            return []
        groups = [AtomicGroup((messages.delete(each.name) + _unchanged(each),)) for each in documents]
        outcomes = Committer(self._client, limits, self._retry).commit(groups, guarded=True).outcomes
        for outcome in outcomes:
            if isinstance(outcome, Refused):
                raise self._client.target.job_error(RpcError(outcome.code, outcome.message))
        return [isinstance(outcome, Landed) for outcome in outcomes]

    def _found(self, query: Query) -> Iterator[Document]:
        return (each for each in read(self._client, query, retry=self._retry) if self._is_copy(each))

    def _is_copy(self, document: Document) -> bool:
        meta = document.fields.get(META_FIELD)
        if not isinstance(meta, Mapping) or "_ts" not in meta or is_pending(document.fields):
            return False
        source = str(meta.get("source", ""))
        return source == self._connection.label or not source.startswith(COSMOS)


def id_of(document: Document) -> str:
    """The id of the item of which a document is a copy."""
    return str(document.fields.get("id", document.id))


def item_text(name: str, key: Sequence[Any]) -> str:
    """One text per item of a container, for comparisons.

    Args:
      key: partition key, one value per path; numbers are equal whether they are written 1 or 1.0.

    >>> item_text("a", [1, True]) == item_text("a", [1.0, True]), item_text("a", [1]) == item_text("a", [True])
    (True, False)
    """
    return json.dumps([name, *(float(value) if type(value) is int else value for value in key)])


def _unchanged(document: Document) -> bytes:
    return messages.if_unchanged_since(document.update_time) if document.update_time else b""
