"""Records of files on their way to a table.

Batch[Record] ──MakeFileRows──▶ Batch[FileRow]
"""

from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.pvalue import PCollection

from transforms.batch import Batch, Record
from transforms.export.files.rows import FileRow, rows_of_batch
from transforms.runtime.batch_coder import register_batches
from transforms.sql.columns import SourceColumn

register_batches(FileRow)


@dataclass
class MakeFileRows(beam.PTransform[PCollection[Batch[Record]], PCollection[Batch[FileRow]]]):
    """Makes rows of records.

    In: `Batch[Record]`. Out: the same batches of rows; a record without a value of the key is a dead letter. Parallel:
    batches.

    Attributes:
      columns: that the files have.
      key: names of those that identify a row; empty for the row's place in its file.
    """

    columns: tuple[SourceColumn, ...]
    key: tuple[str, ...]

    def expand(self, batches: PCollection[Batch[Record]]) -> PCollection[Batch[FileRow]]:
        return batches | "Make" >> beam.ParDo(_MakeFn(self.columns, self.key)).with_output_types(Batch[FileRow])


@dataclass
class _MakeFn(beam.DoFn):
    columns: tuple[SourceColumn, ...]
    key: tuple[str, ...]

    def process(self, batch: Batch[Record]) -> Iterator[Batch[FileRow]]:
        yield rows_of_batch(batch, self.columns, self.key)
