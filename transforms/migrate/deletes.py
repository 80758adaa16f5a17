"""Documents whose items are gone: found by comparing keys once a copy has ended. Plain Python.

    documents of the collection, some hundred ──ids──▶ keys that Cosmos DB has ──▶ those without an item
                                                                 │ read again, one by one
                                                                 ▼
                                              deleted, unless somebody has written the document meanwhile

Only copies of this container's items are looked at: neither documents of anybody else nor writes of an application that
Cosmos DB does not have yet. Doing it again deletes nothing more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from transforms.cosmos.connection import Connection
from transforms.cosmos.items import partition_key_of
from transforms.cosmos.reads import keys, query, read_item
from transforms.cosmos.target import COSMOS, CosmosTarget
from transforms.errors import JobError
from transforms.firestore import field_paths, messages
from transforms.firestore.committer import AtomicGroup, Committer
from transforms.firestore.documents import Document
from transforms.firestore.outcomes import Landed
from transforms.firestore.query import Query
from transforms.firestore.reader import read
from transforms.firestore.target import FirestoreTarget
from transforms.migrate.documents import META_FIELD, is_pending, is_tombstone
from transforms.retry import Retry

_DOCUMENTS_PER_QUERY = 200


@dataclass(frozen=True)
class DeleteScan:
    """Deletes the documents of items that are gone; picklable, to be called once everything is copied.

    Attributes:
      container: whose items they are copies of.
      firestore, collection: where the documents are.
      retry: of requests to Firestore.
      before: called with documents that are about to be deleted, so that a crash in between does both again.
    """

    container: CosmosTarget
    firestore: FirestoreTarget
    collection: str
    retry: Retry = field(default_factory=Retry)
    before: Callable[[Sequence[Document]], None] | None = None

    def __call__(self) -> Mapping[str, Any]:
        """How many documents were compared and deleted.

        Raises:
          JobError: the container is empty, so everything would be deleted.
          TransientError: a request failed too often.
        """
        connection, client = self.container.connect(), self.firestore.connect()
        committer = Committer(client, retry=self.retry)
        paths = connection.properties.key_paths
        heads = [field_paths.render([path.strip("/").split("/")[0]]) for path in paths]
        selected = Query(self.collection).select(META_FIELD, "id", *dict.fromkeys(heads))
        compared = deleted = 0
        copies = (each for each in read(client, selected, retry=self.retry) if self._is_copy(each))
        for documents in _in_parts(copies, _DOCUMENTS_PER_QUERY):
            missing = list(_missing(connection, documents, paths))
            if missing and not compared and not any(keys(connection)):
                raise JobError(
                    f"{self.container.label} holds no items, so every document of {self.collection} would be deleted; "
                    "check the names, or pass --deletes=ignore"
                )
            compared += len(documents)
            gone = [each for each in missing if _is_gone(connection, each, paths)]
            if gone and self.before is not None:
                self.before(gone)
            groups = [AtomicGroup((messages.delete(each.name) + _unchanged(each),)) for each in gone]
            deleted += sum(isinstance(each, Landed) for each in committer.commit(groups, guarded=True).outcomes)
        return {"documents_compared": compared, "documents_deleted": deleted}

    def _is_copy(self, document: Document) -> bool:
        meta = document.fields.get(META_FIELD)
        if not isinstance(meta, Mapping) or "_ts" not in meta or is_pending(document.fields):
            return False
        source = str(meta.get("source", ""))
        return source == self.container.label or not source.startswith(COSMOS)


def _missing(connection: Connection, documents: Sequence[Document], paths: Sequence[str]) -> Iterator[Document]:
    members = ", ".join(f"c{_accessor(path)} AS k{n}" for n, path in enumerate(paths))
    text = f"SELECT c.id, {members} FROM c WHERE ARRAY_CONTAINS(@ids, c.id)"  # noqa: S608  # paths of the container's key
    ids = [_id_of(document) for document in documents]
    found = {
        _identity(row["id"], [row.get(f"k{n}", {}) for n in range(len(paths))])
        for page in query(connection, text, {"ids": ids})
        for row in page
    }
    for document in documents:
        if _identity(_id_of(document), partition_key_of(document.fields, paths)) not in found:
            yield document


def _is_gone(connection: Connection, document: Document, paths: Sequence[str]) -> bool:
    item = read_item(connection, _id_of(document), partition_key_of(document.fields, paths))
    return item is None or is_tombstone(item)


def _id_of(document: Document) -> str:
    return str(document.fields.get("id", document.id))


def _identity(name: str, key: Sequence[Any]) -> str:
    return json.dumps([name, *key])


def _unchanged(document: Document) -> bytes:
    return messages.if_unchanged_since(document.update_time) if document.update_time else b""


def _in_parts(documents: Iterable[Document], size: int) -> Iterator[list[Document]]:
    """
    >>> [len(part) for part in _in_parts(range(5), 2)]  # type: ignore[arg-type]
    [2, 2, 1]
    """
    rest = iter(documents)
    while part := list(islice(rest, size)):
        yield part


def _accessor(path: str) -> str:
    return "".join(f"[{json.dumps(name)}]" for name in path.strip("/").split("/"))
