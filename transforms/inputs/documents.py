"""Documents of Firestore as batches. Plain Python; the transforms are in `read.py`.

A batch is named by (input, range, ordinal), so the same query at the same read time, cut into the same ranges, has the
same batches. Should Firestore cut the collection at other names the next time, the ranges have other names too, and
what was complete is read again instead of being passed over wrongly.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TypeAlias, TypeVar

from transforms.batch import Batch, DeadLetter, Record
from transforms.firestore.client import FirestoreClient
from transforms.firestore.documents import Document
from transforms.firestore.pieces import QueryPiece
from transforms.firestore.query import Query
from transforms.firestore.ranges import Bound
from transforms.firestore.reader import read
from transforms.firestore.target import FirestoreTarget
from transforms.inputs.identity import of_query, text_of
from transforms.inputs.items import STEP, Item, cut
from transforms.unexpected import FAILURES, Unexpected

T = TypeVar("T")
EntryOf: TypeAlias = Callable[[Document, int], T | None]

_FINGERPRINT_DIGITS = 12
# Positions order the records of a query: by range, then within it. Both together stay exact in a double, as JSON needs.
_POSITIONS_PER_RANGE = 2**39


def record_of(document: Document, position: int) -> Record:
    """A document as a record; its values are decoded here."""
    return Record(position, document.fields, fallback_id=document.id)


def read_batches(
    client: FirestoreClient,
    piece: QueryPiece,
    batch_size: int,
    max_batch_bytes: int,
    is_complete: Callable[[str], bool] = lambda batch_id: False,
    entry_of: EntryOf[T] = record_of,  # type: ignore[assignment]  # a Record is what T is then
) -> Iterator[Batch[T]]:
    """Reads a range batch by batch; no more than one of them is in memory.

    Args:
      batch_size, max_batch_bytes, is_complete, entry_of: as in `ReadPieceBatches`.

    Raises:
      TransientError, JobError: as `reader.read`.
    """
    name = f"{input_id(client.target, piece.query, piece.read_time)}-{range_id(piece)}"
    first = piece.index * _POSITIONS_PER_RANGE
    with closing(read(client, piece.query, piece.span, piece.read_time)) as documents:
        items = (Item(first + n, None, document.n_bytes, document) for n, document in enumerate(documents))
        for ordinal, batch in enumerate(cut(items, batch_size, max_batch_bytes)):
            batch_id = f"{name}-{ordinal:05d}"
            if not is_complete(batch_id):
                entries, unfit = _read([item for item in batch if isinstance(item, Item)], entry_of)
                if entries or unfit:
                    yield Batch(batch_id, source_of(piece.query), len(entries) + len(unfit), entries, unfit)


def _read(items: list[Item], entry_of: EntryOf[T]) -> tuple[tuple[T, ...], tuple[DeadLetter, ...]]:
    """The entries of documents, and the dead letters of those of which none can be made."""
    made, unfit = list[T | None](), list[DeadLetter]()
    unexpected = Unexpected("reading the document", len(items))
    for item in items:
        try:
            made.append(entry_of(item.content, item.position))
        except FAILURES as failure:
            error = unexpected.as_record_error(failure)
            document = item.content
            unfit.append(DeadLetter(STEP, error.code, error.message, None, document.id, item.position))
    unexpected.check_not_alike()
    return tuple(entry for entry in made if entry is not None), tuple(unfit)


def input_id(target: FirestoreTarget, query: Query, read_time: datetime.datetime | None) -> str:
    """What the names of all batches of a query begin with: another one means another content.

    Digested are the full name of the database, the fields of the query (`identity.of_query`), and the read time in UTC.

    >>> noon = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
    >>> input_id(FirestoreTarget("acme"), Query("users"), noon)
    '4270605cc9e7'
    """
    moment = read_time.astimezone(datetime.timezone.utc).isoformat() if read_time else ""
    return _digest(target.name, text_of(of_query(query)), moment)


def range_id(piece: QueryPiece) -> str:
    """Short, and another one for another range: batches of different ranges must not share their names."""

    def text(bound: Bound | None) -> str:
        return f"{bound.path}\0{bound.after}" if bound else ""

    return _digest(text(piece.span.start), text(piece.span.end))


def source_of(query: Query) -> str:
    """The collection or group as a location.

    >>> source_of(Query("users")), source_of(Query.group("posts", parent="users/ada"))
    ('firestore://users', 'firestore://users/ada/**/posts')
    """
    if not query.all_descendants:
        return f"firestore://{query.collection}"
    return f"firestore://{query.parent}/**/{query.collection}" if query.parent else f"firestore://**/{query.collection}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_FINGERPRINT_DIGITS]
