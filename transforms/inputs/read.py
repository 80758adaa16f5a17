"""The sources of batches: input files, and the documents of queries.

    Create(files)   ─▶ PlanSlices ─▶ Reshuffle ─▶ ReadSlices  ─▶ PCollection[Batch[Record]]
    Create([query]) ─▶ PlanReads  ─▶ Reshuffle ─▶ ReadBatches ─▶ PCollection[Batch[Record]]
    Create(lanes)   ───────────────▶ Reshuffle ─▶ ReadParts   ─▶ PCollection[Batch[TableRow]]
                       slices, ranges of names,    one of them, batch by batch: `Source.batches`
                       parts of tables

Only descriptions of slices, ranges and parts are shuffled. Each is read once, from beginning to end, and each batch
goes to the next step before the following one is read, so first results show at once and memory does not grow with the
input. None is split while it is read, because its batches would then end elsewhere; there are many, which balances the
load.

    batches = pipeline | ReadBatches(match_inputs(["results/*.jsonl"]))
    batches = pipeline | ReadDocumentBatches(target, Query("users"), fix_read_time(target.connect(), JOB_START))
"""

import datetime
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection
from apache_beam.typehints.decorators import no_annotations

from transforms.batch import MAX_BATCH_BYTES, Batch, Record
from transforms.errors import UsageError
from transforms.firestore.pieces import Piece, QueryPiece
from transforms.firestore.query import Query
from transforms.firestore.read_plan import check_max_ranges
from transforms.firestore.steps import PlanReads
from transforms.firestore.target import FirestoreTarget
from transforms.inputs.documents import EntryOf, read_batches, record_of
from transforms.inputs.files import InputFile
from transforms.inputs.options import DEFAULT, ReadOptions
from transforms.inputs.packs import Pack, packed, read_pack
from transforms.inputs.slices import Slice, plan_slices, read_slice
from transforms.inputs.sources import Source
from transforms.inputs.table_records import TableRecordSource
from transforms.inputs.tables import Lane, TableRow, TableSource
from transforms.runtime.batch_coder import register_batches
from transforms.runtime.garbage import tune_garbage_collector
from transforms.runtime.stopping import is_asked_to_stop

register_batches(Record, TableRow)


def _none_is_complete(batch_id: str) -> bool:
    return False


@dataclass
class ReadBatches(beam.PTransform[PBegin, PCollection[Batch[Record]]]):
    """Reads JSON Lines, JSON, CSV, Parquet and model batch results, each also in gzip (Parquet has its own).

    In: nothing. Out: `Batch[Record]`, named `{file fingerprint}-{slice}-{ordinal}`; records of a slice in order, slices
    in any. Many small files share batches, see `packs.py`. Delivery: every record of every file once, as a record or as
    a dead letter of its batch; run again, the same. Parallel: slices. Fails: a file that is gone, has changed or cannot
    be opened raises JobError; damage within a file is a dead letter, as is every record that cannot be parsed.

    Attributes:
      files: what `match_inputs` found.
      options: how to read them, and how large a batch is.
      completed: ids of batches that need not be read again; their records are not even parsed.
    """

    files: Sequence[InputFile]
    options: ReadOptions = DEFAULT
    completed: Collection[str] = frozenset()

    def expand(self, begin: PBegin) -> PCollection[Batch[Record]]:
        packs = packed(self.files, self.options.batch_size)
        files = begin | "Files" >> beam.Create(packs, reshuffle=False)
        slices = files | "PlanSlices" >> beam.ParDo(_PlanSlicesFn(self.options))
        spread = slices | "Reshuffle" >> beam.Reshuffle()
        return spread | "ReadSlices" >> beam.ParDo(
            _ReadFn(_FileSource(self.options, frozenset(self.completed)))
        ).with_output_types(Batch[Record])


@dataclass
class ReadPieceBatches(beam.PTransform[PCollection[Piece], PCollection[Batch[Any]]]):
    """Reads the ranges of queries as batches.

    In: what `PlanReads` makes of queries. Out: batches, named `{input id}-{range}-{ordinal}`. Delivery: every document
    of a range once. Parallel: ranges. Fails: JobError and TransientError as ReadFromFirestore.

    Attributes:
      target: the database.
      batch_size: documents in a batch.
      max_batch_bytes: bytes of documents in a batch, unless a single one has more.
      is_complete: whether the batch of an id may be passed over; its documents are then not decoded.
      batch_type: of the batches; there is a coder for it.
      entry_of: makes an entry of a document and its position; None for a document that is not to be read. Picklable.

    Raises:
      UsageError: an argument is out of its bounds.
    """

    target: FirestoreTarget
    batch_size: int = 500
    max_batch_bytes: int = MAX_BATCH_BYTES
    is_complete: Callable[[str], bool] = _none_is_complete
    batch_type: Any = Batch[Record]
    entry_of: EntryOf[Any] = record_of

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_batch_bytes"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")

    @no_annotations  # type: ignore[untyped-decorator]  # Beam takes Batch[Any] for a class of its own
    def expand(self, pieces: PCollection[Piece]) -> PCollection[Batch[Any]]:
        source = _QuerySource(self.target, self.batch_size, self.max_batch_bytes, self.is_complete, self.entry_of)
        return pieces | "Read" >> beam.ParDo(_ReadFn(source)).with_output_types(self.batch_type)


@dataclass
class ReadDocumentBatches(beam.PTransform[PBegin, PCollection[Batch[Record]]]):
    """Reads the documents of a query as batches.

    In: nothing. Out: `Batch[Record]` with the document's id as `fallback_id` and `firestore://COLLECTION` as source.
    Everything else is as in `ReadPieceBatches`.

    Attributes:
      query: what to read.
      read_time: fixed by the caller, because it is part of the batches' names.
      max_ranges: in [1, 10,000].
      target, batch_size, max_batch_bytes, is_complete: as in `ReadPieceBatches`.

    Raises:
      UsageError: an argument is out of its bounds.
    """

    target: FirestoreTarget
    query: Query
    read_time: datetime.datetime
    batch_size: int = 500
    max_batch_bytes: int = MAX_BATCH_BYTES
    max_ranges: int = 256
    is_complete: Callable[[str], bool] = _none_is_complete

    def __post_init__(self) -> None:
        check_max_ranges(self.max_ranges)
        self._read = ReadPieceBatches(self.target, self.batch_size, self.max_batch_bytes, self.is_complete)

    def expand(self, begin: PBegin) -> PCollection[Batch[Record]]:
        queries = begin | "Query" >> beam.Create([self.query], reshuffle=False)
        pieces = queries | "PlanReads" >> PlanReads(self.target, self.read_time, self.max_ranges)
        return pieces | "ReadBatches" >> self._read


@dataclass
class ReadTableBatches(beam.PTransform[PBegin, PCollection[Batch[TableRow]]]):
    """Reads the rows of a table of a database as batches.

    In: nothing. Out: `Batch[TableRow]`, named `{input id}-{part}-{ordinal}`. Delivery: every row of the snapshot once;
    without a snapshot every row that was there all the time. Parallel: lanes. Fails: JobError and TransientError as
    `Source.batches`.

    Attributes:
      source: of which table, in which snapshot.
      lanes: all parts of the table; see `lanes`.
    """

    source: TableSource
    lanes: Sequence[Lane]

    def expand(self, begin: PBegin) -> PCollection[Batch[TableRow]]:
        lanes = begin | "Parts" >> beam.Create(self.lanes, reshuffle=False)
        spread = lanes | "Reshuffle" >> beam.Reshuffle()
        return spread | "ReadParts" >> beam.ParDo(_ReadFn(self.source)).with_output_types(Batch[TableRow])


@dataclass
class ReadTableRecords(beam.PTransform[PBegin, PCollection[Batch[Record]]]):
    """Reads the rows of a table of a database as records. Everything else is as in `ReadTableBatches`.

    Attributes:
      source: of which table.
      lanes: all parts of the table.
    """

    source: TableRecordSource
    lanes: Sequence[Lane]

    def expand(self, begin: PBegin) -> PCollection[Batch[Record]]:
        lanes = begin | "Parts" >> beam.Create(self.lanes, reshuffle=False)
        spread = lanes | "Reshuffle" >> beam.Reshuffle()
        return spread | "ReadParts" >> beam.ParDo(_ReadFn(self.source)).with_output_types(Batch[Record])


@dataclass
class _PlanSlicesFn(beam.DoFn):
    options: ReadOptions

    def process(self, pack: Pack) -> Iterator[Slice | Pack]:
        if len(pack.files) > 1:
            yield pack
        else:
            yield from plan_slices(pack.files[0], self.options)


@dataclass
class _ReadFn(beam.DoFn):
    """Reads the partitions of one source."""

    source: Source[Any, Any]

    def setup(self) -> None:
        tune_garbage_collector()

    @no_annotations  # type: ignore[untyped-decorator]  # the type of a batch's entries is the transform's
    def process(self, partition: Any) -> Iterator[Batch[Any]]:
        if not is_asked_to_stop():  # before anything is opened
            yield from self.source.batches(partition)


@dataclass(frozen=True)
class _FileSource:
    options: ReadOptions
    completed: frozenset[str]

    def batches(self, partition: Slice | Pack) -> Iterator[Batch[Record]]:
        read: Any = read_pack if isinstance(partition, Pack) else read_slice
        yield from read(partition, self.options, self.completed.__contains__, is_asked_to_stop)


@dataclass(frozen=True)
class _QuerySource:
    target: FirestoreTarget
    batch_size: int
    max_batch_bytes: int
    is_complete: Callable[[str], bool]
    entry_of: EntryOf[Any]

    def batches(self, partition: Piece) -> Iterator[Batch[Any]]:
        if not isinstance(partition, QueryPiece):
            raise TypeError(f"batches are made of queries, got {type(partition).__name__}")
        bounds = self.batch_size, self.max_batch_bytes
        yield from read_batches(self.target.connect(), partition, *bounds, self.is_complete, self.entry_of)
