"""The steps that only an export has.

pieces ──InferShapes──▶ shapes of all documents ──ProvideTables──▶ columns, once the tables are there

Batch[Exported] ──DropHeld──▶ Batch[Exported], with the versions that the table has marked as unchanged
"""

import datetime
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsSingleton, PCollection

from transforms.batch import Batch
from transforms.bigquery.schema import Column
from transforms.export.entries import Exported
from transforms.export.shapes import Shape, merge, observe
from transforms.export.tables import held_versions, provide
from transforms.export.target import ExportTarget
from transforms.firestore.collection_patterns import CollectionPattern
from transforms.firestore.documents import Document
from transforms.firestore.pieces import Piece, QueryPiece
from transforms.firestore.reader import read
from transforms.firestore.target import FirestoreTarget
from transforms.runtime.batch_coder import register_batches

Shapes = dict[str, Shape]
Columns = tuple[Column, ...]


register_batches(Exported)


class ExportedOf:
    """Makes the entry of a document, with the parameters of the first pattern that means it, if any does."""

    def __init__(self, patterns: Iterable[CollectionPattern]):
        self._patterns = tuple(patterns)

    def __call__(self, document: Document, position: int) -> Exported | None:
        """None for a document that only shares the collection's name."""
        path = document.path
        for pattern in self._patterns:
            parameters = pattern.parameters_of(path)
            if parameters is not None:
                return Exported(path, position, document, parameters)
        return None


class InferShapes(beam.PTransform[PCollection[Piece], PCollection[Any]]):
    """Reads documents only to see of what kinds their fields are.

    In: ranges of queries. Out: one mapping of all fields to their shapes; an empty one where there are no documents.
    Parallel: ranges; only shapes are shuffled. Fails: as `reader.read`.

    Args:
      patterns: documents that none of them means are passed over.
      within_maps: whether members of maps are wanted, too.
    """

    def __init__(self, target: FirestoreTarget, patterns: Iterable[CollectionPattern], within_maps: bool):
        super().__init__()
        self._observe = _ObserveFn(target, tuple(patterns), within_maps)

    def expand(self, pieces: PCollection[Piece]) -> PCollection[Any]:
        observed = pieces | "Observe" >> beam.ParDo(self._observe)
        merged: PCollection[Any] = observed | "Merge" >> beam.CombineGlobally(_MergeShapes())
        return merged


class _ObserveFn(beam.DoFn):
    def __init__(self, target: FirestoreTarget, patterns: tuple[CollectionPattern, ...], within_maps: bool):
        self._target, self._patterns, self._within_maps = target, patterns, within_maps

    def process(self, piece: Piece) -> Iterator[Any]:
        if not isinstance(piece, QueryPiece):
            raise TypeError(f"shapes are those of queries, got {type(piece).__name__}")
        shapes: Shapes = {}
        for document in read(self._target.connect(), piece.query, piece.span, piece.read_time):
            if any(pattern.means(document.path) for pattern in self._patterns):
                observe(document.message.fields, shapes, within_maps=self._within_maps)
        yield shapes


class _MergeShapes(beam.CombineFn):
    def create_accumulator(self) -> Shapes:
        return {}

    def add_input(self, mutable_accumulator: Shapes, element: Mapping[str, Shape]) -> Shapes:
        merge(mutable_accumulator, element)
        return mutable_accumulator

    def merge_accumulators(self, accumulators: Iterable[Shapes]) -> Shapes:
        merged: Shapes = {}
        for accumulator in accumulators:
            merge(merged, accumulator)
        return merged

    def extract_output(self, accumulator: Shapes) -> Shapes:
        return accumulator


class ProvideTables(beam.PTransform[PCollection[Any], PCollection[Any]]):
    """Makes the tables, or adds the columns they lack.

    In: one mapping of fields to shapes. Out: the columns of the flat table, once. Delivery: doing it again does
    nothing. Fails: JobError if a table does not fit or may not be changed.
    """

    def __init__(self, target: ExportTarget):
        super().__init__()
        self._target = target

    def expand(self, shapes: PCollection[Any]) -> PCollection[Any]:
        columns: PCollection[Any] = shapes | "Provide" >> beam.ParDo(_ProvideFn(self._target))
        return columns


class _ProvideFn(beam.DoFn):
    def __init__(self, target: ExportTarget):
        self._target = target

    def process(self, shapes: Any) -> Iterator[Any]:
        yield provide(self._target, shapes)


class DropHeld(beam.PTransform[PCollection[Batch[Exported]], PCollection[Batch[Exported]]]):
    """Marks documents as unchanged whose update_time the table holds. One query per batch.

    Args:
      columns: what `ProvideTables` gives; the tables are there then.
    """

    def __init__(self, target: ExportTarget, columns: PCollection[Any]):
        super().__init__()
        self._target, self._columns = target, columns

    def expand(self, batches: PCollection[Batch[Exported]]) -> PCollection[Batch[Exported]]:
        compared: PCollection[Batch[Exported]] = batches | "Compare" >> beam.ParDo(
            _DropHeldFn(self._target), columns=AsSingleton(self._columns)
        )
        return compared


class _DropHeldFn(beam.DoFn):
    def __init__(self, target: ExportTarget):
        self._target = target

    def setup(self) -> None:
        self._client = self._target.table.client()

    def process(self, element: Batch[Exported], columns: Any = None) -> Iterator[Batch[Exported]]:
        held = held_versions(self._client, self._target, (entry.document.name for entry in element.entries))
        yield element.then([_compared(entry, held) for entry in element.entries])


def _compared(entry: Exported, held: Mapping[str, datetime.datetime]) -> Exported:
    version, update_time = held.get(entry.document.name), entry.document.update_time
    is_held = version is not None and update_time is not None and version >= update_time
    return entry._replace(unchanged=True) if is_held else entry
