"""Rows of tables of databases as records of ingest. Plain Python; the transform is in `read.py`.

Batch[TableRow] ──TableRecords──▶ Batch[Record], with the row's key as `fallback_id`

A run reads each range of the key by a transaction of its own, and a resumed run reads on behind the batches that are
done, as an export does: see `tables.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from transforms.batch import Batch, Record
from transforms.inputs.options import ReadOptions
from transforms.inputs.shapes import shaped
from transforms.inputs.tables import Lane, TableSource, lanes
from transforms.retry import Retry
from transforms.sql.columns import SourceTable
from transforms.sql.database import Database, Part, Position, Selection
from transforms.sql.records import TableRecords


@dataclass(frozen=True)
class TableInput:
    """A table as an input.

    Attributes:
      database: how to reach it.
      table: what it declares.
    """

    database: Database
    table: SourceTable

    @property
    def label(self) -> str:
        """As batches name their source."""
        return self.database.label

    @property
    def fingerprint(self) -> tuple[str, list[tuple[str, str]], list[str]]:
        """The same for a table that is read in the same way: location, columns, key."""
        return self.label, [(each.name, each.declared) for each in self.table.columns], list(self.table.key)

    @property
    def selection(self) -> Selection:
        """What is read."""
        return Selection(self.table, self.table.key, in_order=self.table.is_ordered)

    def boundaries(self, max_parts: int) -> list[Position]:
        """Where a run cuts the table. Raises JobError, TransientError."""
        if not self.table.is_ordered:
            return []
        return self.database.boundaries(self.table, self.table.key, max_parts)

    def lanes(self, boundaries: list[Position], max_readers: int) -> list[Lane]:
        """All parts, for so many readers."""
        parts = [Part(0)]
        if self.table.is_ordered:
            parts = self.database.ranges(self.table, self.table.key, boundaries)
        return lanes(parts, max_readers)


@dataclass(frozen=True)
class TableRecordSource:
    """The records of a table.

    Attributes:
      rows: of the table.
      options: of the shape of records.
    """

    rows: TableSource
    options: ReadOptions

    def batches(self, partition: Lane) -> Iterator[Batch[Record]]:
        """As `Source.batches`."""
        selection = self.rows.selection
        value = TableRecords(selection.table.columns, self.rows.database.items).value
        for batch in self.rows.batches(partition):
            records = tuple(
                Record(row.position, value(row.fields), fallback_id=row.key if selection.key else None)
                for row in batch.entries
            )
            made = Batch(batch.batch_id, batch.source, batch.read, records, behind=batch.behind)
            yield shaped(made, self.options)


def records_now(table: TableInput, options: ReadOptions, retry: Retry = Retry()) -> Iterator[Batch[Record]]:  # noqa: B008  # frozen
    """All records of a table in one transaction, without a pipeline. Raises JobError, TransientError."""
    size = options.batch_size, options.max_batch_bytes
    rows = TableSource(table.database, table.selection, None, *size, lambda part: (0, ""), lambda: False, retry)
    yield from TableRecordSource(rows, options).batches((Part(0),))
