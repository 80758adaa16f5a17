"""The steps that every Firestore read is made of.

    requests ──PlanReads──▶ pieces ──Reshuffle──▶ pieces ──ReadPieces──▶ Document
                 ▲
    read_time ───┘ fixed once, when the job starts

A request is a `Query`, the path of a collection or the path of a document. A piece is a range of names of a query, a
query that cannot be divided, or up to 100 paths: only pieces are shuffled, never documents.
"""

import datetime
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import AsSingleton, PCollection
from apache_beam.utils.windowed_value import WindowedValue

from transforms.firestore.documents import Document
from transforms.firestore.pieces import PathsPiece, Piece, QueryPiece
from transforms.firestore.query import Query, check_document_path
from transforms.firestore.ranges import NameRange
from transforms.firestore.read_plan import RangePlanner
from transforms.firestore.read_time import JOB_START, LATEST, ReadTimeChoice, fix_read_time
from transforms.firestore.reader import MAX_PATHS_PER_REQUEST, read, read_paths
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.tracker import NameRangeProvider

_NAMESPACE = "ReadFromFirestore"
_PIECES_PLANNED = Metrics.counter(_NAMESPACE, "pieces_planned")
_DOCUMENTS_READ = Metrics.counter(_NAMESPACE, "documents_read")
_DOCUMENTS_MISSING = Metrics.counter(_NAMESPACE, "documents_missing")
_STREAMS_RESUMED = Metrics.counter(_NAMESPACE, "streams_resumed")


@dataclass
class PlanReads(beam.PTransform[PCollection[Any], PCollection[Piece]]):
    """Makes pieces of requests and spreads them over the workers.

    In: `Query` or paths. Out: `QueryPiece` and `PathsPiece`, each with the timestamp and window of its request. A piece
    is planned again when its bundle is. Fails: JobError and TransientError as `RangePlanner.ranges`; UsageError for a
    request that is not a path.

    Args:
      target: the database.
      read_time: JOB_START is fixed once for a bounded input; for an unbounded one, whose job outlives every read time,
        for each bundle of requests.
      max_ranges: of one query.
    """

    target: FirestoreTarget
    read_time: ReadTimeChoice
    max_ranges: int

    def expand(self, requests: PCollection[Any]) -> PCollection[Piece]:
        plan = _PlanReadsFn(self.target, self.read_time, self.max_ranges)
        if self.read_time is LATEST or (self.read_time is JOB_START and not requests.is_bounded):
            planned = requests | "PlanPieces" >> beam.ParDo(plan)
        else:
            choice = requests.pipeline | "ReadTime" >> beam.Create([self.read_time], reshuffle=False)
            fixed = choice | "FixReadTime" >> beam.ParDo(_FixReadTimeFn(self.target))
            planned = requests | "PlanPieces" >> beam.ParDo(plan, fixed=AsSingleton(fixed))
        pieces: PCollection[Piece] = planned | "Reshuffle" >> beam.Reshuffle()
        return pieces


@dataclass
class ReadPieces(beam.PTransform[PCollection[Piece], PCollection[Document]]):
    """Reads pieces; a range of names can be split while it is read.

    In: what `PlanReads` makes. Out: documents, those of a piece in the order of its query, with the piece's timestamp
    and window. Delivery: within one execution of a piece every document once, however often its stream is cut. Fails:
    JobError and TransientError as `reader.read`.
    """

    target: FirestoreTarget

    def expand(self, pieces: PCollection[Piece]) -> PCollection[Document]:
        documents: PCollection[Document] = pieces | "Read" >> beam.ParDo(ReadPiecesFn(self.target))
        return documents


@dataclass
class _FixReadTimeFn(beam.DoFn):
    target: FirestoreTarget

    def process(self, choice: Any) -> Iterator[datetime.datetime | None]:
        yield fix_read_time(self.target.connect(), choice)


@dataclass
class _PlanReadsFn(beam.DoFn):
    """Collects paths of equal timestamp and window, so that one request asks for many of them."""

    target: FirestoreTarget
    read_time: ReadTimeChoice
    max_ranges: int

    def start_bundle(self) -> None:
        self._planner = RangePlanner(self.target.connect(), self.max_ranges)
        self._paths: dict[tuple[Any, Any, datetime.datetime | None], list[str]] = {}
        self._fixed: datetime.datetime | None = None

    def process(
        self,
        request: Any,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
        fixed: datetime.datetime | None = None,
    ) -> Iterator[Piece]:
        read_time = fixed or self._time_of_bundle()
        if isinstance(request, str) and request.count("/") % 2:
            check_document_path(request)
            paths = self._paths.setdefault((timestamp, window, read_time), [])
            paths.append(request)
            if len(paths) >= MAX_PATHS_PER_REQUEST:
                yield from self._paths_pieces()
            return
        query = request if isinstance(request, Query) else Query(request)
        for index, span in enumerate(self._planner.ranges(query, read_time)):
            _PIECES_PLANNED.inc()
            yield QueryPiece(query, span, read_time, index)

    def finish_bundle(self) -> Iterator[Any]:
        yield from self._paths_pieces()

    def _time_of_bundle(self) -> datetime.datetime | None:
        if self._fixed is None:
            self._fixed = fix_read_time(self.target.connect(), self.read_time)
        return self._fixed

    def _paths_pieces(self) -> Iterator[Any]:
        """`PathsPiece`s in their windows, which is how Beam lets a DoFn say where an element belongs."""
        for (timestamp, window, read_time), paths in self._paths.items():
            _PIECES_PLANNED.inc()
            yield WindowedValue(PathsPiece(tuple(paths), read_time), timestamp, (window,))
        self._paths.clear()


@dataclass
class ReadPiecesFn(beam.DoFn):
    """Reads one piece; a splittable DoFn over its range of names."""

    target: FirestoreTarget

    def process(
        self,
        piece: Piece,
        tracker: Any = beam.DoFn.RestrictionParam(NameRangeProvider()),  # noqa: B008 - how Beam knows an SDF
    ) -> Iterator[Document]:
        n_found = n_missing = 0
        try:
            with closing(self._documents(piece, tracker.current_restriction())) as documents:
                if not (isinstance(piece, QueryPiece) and piece.query.is_divisible):
                    tracker.try_claim(None)  # from here on nobody can be given a part of it
                    for document in documents:
                        found = document.exists
                        n_found, n_missing = n_found + found, n_missing + (not found)
                        yield document
                    return
                for document in documents:
                    if not tracker.try_claim(document.path):
                        return
                    n_found += 1
                    yield document
                tracker.try_claim(None)
        finally:
            _DOCUMENTS_READ.inc(n_found)
            _DOCUMENTS_MISSING.inc(n_missing)

    def _documents(self, piece: Piece, span: NameRange) -> Generator[Document, None, None]:
        client = self.target.connect()
        if isinstance(piece, PathsPiece):
            return read_paths(client, piece.paths, piece.read_time, on_resume=_STREAMS_RESUMED.inc)
        return read(client, piece.query, span, piece.read_time, on_resume=_STREAMS_RESUMED.inc)
