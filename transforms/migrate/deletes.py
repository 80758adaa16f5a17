"""Documents whose items are gone: found by comparing keys once a copy has ended. Plain Python.

    documents of the collection, some hundred ──ids──▶ keys that Cosmos DB has ──▶ those without an item, and those that
                                                                 │                 their item makes no longer: moved.py
                                                                 │ read again, one by one
                                                                 ▼
                                              deleted, unless somebody has written the document meanwhile

Only copies of this container's items are looked at. Doing it again deletes nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from transforms.cosmos.connection import Connection
from transforms.cosmos.items import accessor, path_steps
from transforms.cosmos.reads import keys, query
from transforms.cosmos.target import CosmosTarget
from transforms.errors import JobError
from transforms.firestore.documents import Document
from transforms.firestore.target import FirestoreTarget
from transforms.migrate.copies import Copies, id_of, item_text
from transforms.migrate.moved import Moves
from transforms.records.model import RecordSpec
from transforms.retry import Retry

_DOCUMENTS_PER_QUERY = 200


@dataclass(frozen=True)
class DeleteScan:
    """Deletes the documents of items that are gone; picklable, to be called once everything is copied.

    Attributes:
      container: whose items they are copies of.
      firestore, collection: where the documents are.
      spec: of the items.
      retry: of requests to Firestore.
      before: called with documents that are about to be deleted, so that a crash in between does both again.
    """

    container: CosmosTarget
    firestore: FirestoreTarget
    collection: str
    spec: RecordSpec
    retry: Retry = field(default_factory=Retry)
    before: Callable[[Sequence[Document]], None] | None = None

    def copies(self) -> Copies:
        """The documents that are looked at. Raises as `Copies`."""
        return Copies(self.container.connect(), self.firestore.connect(), self.collection, self.retry, self.before)

    def __call__(self) -> Mapping[str, Any]:
        """How many documents were compared and deleted.

        Raises:
          JobError: the container is empty, so everything would be deleted.
          TransientError: a request failed too often.
        """
        connection, copies = self.container.connect(), self.copies()
        moves = Moves(self.spec, self.firestore.connect(), self.collection, self.retry)
        compared = deleted = 0
        for documents in _in_parts(copies.all(), _DOCUMENTS_PER_QUERY):
            items = _items_of(connection, documents, copies, self.spec.key_fields)
            held = [(document, items.get(copies.item_of(document))) for document in documents]
            missing = [document for document, item in held if item is None]
            if missing and not compared and not any(keys(connection)):
                raise JobError(
                    f"{self.container.label} holds no items, so every document of {self.collection} would be deleted; "
                    "check the names, or pass --deletes=ignore"
                )
            compared += len(documents)
            gone = [each for each in missing if copies.is_gone(each)]
            moved = [document for document, item in held if item is not None and moves.may_have_moved(document, item)]
            gone += [each for each in moved if moves.has_moved(each, copies.item_now(each))]
            deleted += sum(copies.delete(gone))
        return {"documents_compared": compared, "documents_deleted": deleted}


def _items_of(
    connection: Connection, documents: Sequence[Document], copies: Copies, fields: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """The items of these documents' ids, those fields of them alone, by `item_text`."""
    of_key = "".join(f", {accessor(path_steps(path))} AS k{n}" for n, path in enumerate(copies.key_paths))
    of_item = "".join(f", {accessor([name])} AS f{n}" for n, name in enumerate(fields))
    text = f"SELECT c.id{of_key}{of_item} FROM c WHERE ARRAY_CONTAINS(@ids, c.id)"  # noqa: S608  # names, quoted
    found = {}
    for page in query(connection, text, {"ids": [id_of(document) for document in documents]}):
        for row in page:
            key = [row.get(f"k{n}", {}) for n in range(len(copies.key_paths))]
            item = {name: row[f"f{n}"] for n, name in enumerate(fields) if f"f{n}" in row}
            found[item_text(row["id"], key)] = {**item, "id": row["id"]}
    return found


def _in_parts(documents: Iterable[Document], size: int) -> Iterator[list[Document]]:
    """
    >>> [len(part) for part in _in_parts(range(5), 2)]  # type: ignore[arg-type]
    [2, 2, 1]
    """
    rest = iter(documents)
    while part := list(islice(rest, size)):
        yield part
