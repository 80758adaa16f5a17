"""Documents as batches of records, for the jobs whose element is a batch.

    Create([query]) ─▶ PlanReads ─▶ Reshuffle ─▶ ReadBatches ─▶ PCollection[Batch[Record]]
                       ranges of names            one range, batch by batch

Batches are named by (input, range, ordinal), so the same query at the same `read_time`, cut into the same ranges, has
the same batches. A range that were split while it is read would end its batches elsewhere, so here none is: what
balances the load is that there are many. Should Firestore cut the collection at other names the next time, the ranges
have other names too, and what was complete is read again instead of being passed over wrongly.

    moment = fix_read_time(target.connect(), JOB_START)
    batches = pipeline | ReadDocumentBatches(target, Query("users"), moment)
"""

import datetime
import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, TypeAlias, TypeVar

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection
from apache_beam.typehints.decorators import no_annotations

from transforms.batch import Batch, Record
from transforms.errors import UsageError
from transforms.firestore.client import FirestoreClient, FirestoreTarget
from transforms.firestore.documents import Document
from transforms.firestore.query import Query
from transforms.firestore.ranges import Bound
from transforms.firestore.read_plan import check_max_ranges
from transforms.firestore.reader import read
from transforms.firestore.steps import Piece, PlanReads, QueryPiece
from transforms.inputs.identity import of_query, text_of
from transforms.inputs.items import Item, cut
from transforms.runtime.batch_coder import register_batches
from transforms.runtime.garbage import tune_garbage_collector

T = TypeVar("T")
EntryOf: TypeAlias = Callable[[Document, int], T | None]

_MIB = 1024 * 1024
_FINGERPRINT_DIGITS = 12
# Positions order the records of a query: by range, then within it. Both together stay exact in a double, as JSON needs.
_POSITIONS_PER_RANGE = 2**39


register_batches(Record)


class ReadDocumentBatches(beam.PTransform[PBegin, PCollection[Batch[Record]]]):
    """Reads the documents of a query as batches.

    In: nothing. Out: `Batch[Record]` with the document's id as `fallback_id` and `firestore://COLLECTION` as source,
    named `{input id}-{range}-{ordinal}`. Delivery: every document once, as of one moment. Parallel: ranges of names,
    which are not split further. Fails: JobError and TransientError as ReadFromFirestore.

    Args:
      target: the database.
      query: what to read.
      read_time: the moment to read at; fixed by the caller, because it is part of the batches' names.
      batch_size: documents in a batch.
      max_batch_bytes: bytes of documents in a batch, unless a single one has more.
      max_ranges: in [1, 10,000].
      is_complete: says of a batch id whether the batch may be passed over; its documents are then not decoded.

    Raises:
      UsageError: an option is out of its bounds.
    """

    def __init__(
        self,
        target: FirestoreTarget,
        query: Query,
        read_time: datetime.datetime,
        *,
        batch_size: int = 500,
        max_batch_bytes: int = 16 * _MIB,
        max_ranges: int = 256,
        is_complete: Callable[[str], bool] = lambda batch_id: False,
    ):
        super().__init__()
        for name, value in (("batch_size", batch_size), ("max_batch_bytes", max_batch_bytes)):
            if value < 1:
                raise UsageError(f"{name} must be at least 1, got {value}")
        check_max_ranges(max_ranges)
        self._target, self._query, self._read_time, self._max_ranges = target, query, read_time, max_ranges
        self._read = ReadPieceBatches(target, batch_size, max_batch_bytes, is_complete)

    def expand(self, begin: PBegin) -> PCollection[Batch[Record]]:
        """Wires the steps of the diagram above."""
        queries = begin | "Query" >> beam.Create([self._query], reshuffle=False)
        pieces = queries | "PlanReads" >> PlanReads(self._target, self._read_time, self._max_ranges)
        batches: PCollection[Batch[Record]] = pieces | "ReadBatches" >> self._read
        return batches


def record_of(document: Document, position: int) -> Record:
    """A document as a record; its values are decoded here."""
    return Record(position, document.fields, fallback_id=document.id)


class ReadPieceBatches(beam.PTransform[PCollection[Piece], PCollection[Batch[Any]]]):
    """Reads the ranges of queries as batches.

    In: what `PlanReads` makes of queries. Out: batches, named `{input id}-{range}-{ordinal}`. Delivery: every document
    of a range once. Parallel: ranges, which are not split further. Fails: as `ReadDocumentBatches`, which also says
    what the other arguments are.

    Args:
      batch_type: of the batches; there is a coder for it.
      entry_of: makes one of a document and its position; None for a document that is not to be read. Picklable.
    """

    def __init__(
        self,
        target: FirestoreTarget,
        batch_size: int,
        max_batch_bytes: int,
        is_complete: Callable[[str], bool],
        batch_type: Any = Batch[Record],
        entry_of: EntryOf[Any] = record_of,
    ):
        super().__init__()
        self._batch_type = batch_type
        self._read = _ReadBatchesFn(target, batch_size, max_batch_bytes, is_complete, entry_of)

    @no_annotations  # type: ignore[untyped-decorator]  # Beam takes Batch[Any] for a class of its own
    def expand(self, pieces: PCollection[Piece]) -> PCollection[Batch[Any]]:
        batches: PCollection[Batch[Any]] = pieces | "Read" >> beam.ParDo(self._read).with_output_types(self._batch_type)
        return batches


class _ReadBatchesFn(beam.DoFn):
    def __init__(
        self,
        target: FirestoreTarget,
        batch_size: int,
        max_batch_bytes: int,
        is_complete: Callable[[str], bool],
        entry_of: EntryOf[Any],
    ):
        self._target, self._batch_size, self._max_batch_bytes = target, batch_size, max_batch_bytes
        self._is_complete, self._entry_of = is_complete, entry_of

    def setup(self) -> None:
        tune_garbage_collector()

    @no_annotations  # type: ignore[untyped-decorator]  # the type of a batch's entries is the transform's
    def process(self, piece: Piece) -> Iterator[Batch[Any]]:
        if not isinstance(piece, QueryPiece):
            raise TypeError(f"batches are made of queries, got {type(piece).__name__}")
        client = self._target.connect()
        yield from read_batches(
            client, piece, self._batch_size, self._max_batch_bytes, self._is_complete, self._entry_of
        )


def read_batches(
    client: FirestoreClient,
    piece: QueryPiece,
    batch_size: int,
    max_batch_bytes: int,
    is_complete: Callable[[str], bool] = lambda batch_id: False,
    entry_of: EntryOf[T] = record_of,  # type: ignore[assignment]  # a Record is what T is then
) -> Iterator[Batch[T]]:
    """Reads a range batch by batch; no more than one of them is in memory. Arguments and errors as above."""
    name = f"{input_id(client.target, piece.query, piece.read_time)}-{range_id(piece)}"
    first = piece.index * _POSITIONS_PER_RANGE
    with closing(read(client, piece.query, piece.span, piece.read_time)) as documents:
        items = (Item(first + n, None, document.n_bytes, document) for n, document in enumerate(documents))
        for ordinal, batch in enumerate(cut(items, batch_size, max_batch_bytes)):
            batch_id = f"{name}-{ordinal:05d}"
            if not is_complete(batch_id):
                made = (entry_of(item.content, item.position) for item in batch if isinstance(item, Item))
                entries = tuple(entry for entry in made if entry is not None)
                if entries:
                    yield Batch(batch_id, source_of(piece.query), len(entries), entries)


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
