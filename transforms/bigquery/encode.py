"""Takes the rows of a batch out of it, for load jobs, which work outside the batch's own step.

Batch[Written] ──EncodeRows──┬──▶ batches   the same, values that did not fit their columns counted
                             └──▶ rows      a dict of cells for each entry
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.typehints.decorators import no_annotations

from transforms.batch import Batch
from transforms.bigquery.insert import row_of
from transforms.bigquery.rows import RowEncoder
from transforms.bigquery.schema import Column
from transforms.upsert.entries import Written

_ROWS = "rows"


class EncodedRows(NamedTuple):
    """What `EncodeRows` gives."""

    batches: PCollection[Batch[Written]]
    rows: PCollection[dict[str, Any]]


class EncodeRows(beam.PTransform[PCollection[Batch[Written]], EncodedRows]):
    """Encodes a row for every entry of a batch. Calls nothing; no value fails a row."""

    def __init__(self, columns: Sequence[Column]):
        super().__init__()
        self._columns = tuple(columns)

    @no_annotations  # type: ignore[untyped-decorator]  # Beam warns of every output that is several collections
    def expand(self, batches: PCollection[Batch[Written]]) -> EncodedRows:
        encoded = batches | "Encode" >> beam.ParDo(_EncodeFn(self._columns)).with_outputs(_ROWS, main="batches")
        return EncodedRows(encoded["batches"], encoded[_ROWS])


class _EncodeFn(beam.DoFn):
    def __init__(self, columns: tuple[Column, ...]):
        super().__init__()
        self._columns = columns

    def setup(self) -> None:
        self._encoder = RowEncoder(self._columns)

    def process(self, element: Batch[Written]) -> Iterator[Any]:
        overflowed = 0
        for entry in element.entries:
            row = row_of(entry, self._encoder)
            overflowed += len(row.overflowed)
            yield TaggedOutput(_ROWS, row.cells)
        yield element.then(element.entries, overflowed=overflowed)
