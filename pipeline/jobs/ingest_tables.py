"""Tables of databases as a source of ingest: what `--input=postgresql://…` means.

    the first run ─▶ boundaries of the key ─▶ ledger ─▶ the same ranges for whoever resumes the run

Each range is a transaction of its own. A run that was interrupted reads on behind the batches that are done; of a table
without an ordered key, such as a view, it reads all rows again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from pipeline.locations import table_source
from transforms.batch import Batch, Record
from transforms.errors import UsageError
from transforms.inputs.options import ReadOptions
from transforms.inputs.read import ReadTableRecords
from transforms.inputs.table_records import TableInput, TableRecordSource, records_now
from transforms.inputs.tables import TableSource, input_id, position_of_text, text_of_position
from transforms.ledger.entry import LedgerEntry
from transforms.ledger.parts import PartsInLedger
from transforms.retry import Retry
from transforms.runtime.stopping import is_asked_to_stop
from transforms.secrets import parse_secret

_KEPT, _CUTS = "tables", "boundaries"
_MAX_RANGES = 256
_MAX_READERS = 4  # connections, however many workers there are


@dataclass(frozen=True)
class TableInputs:
    """The tables that `--input` names.

    Attributes:
      tables: in the order of their locations.
      reading: how large a batch is, and the shape of records.
      retry: of a range whose connection breaks.
    """

    tables: tuple[TableInput, ...]
    reading: ReadOptions
    retry: Retry

    @classmethod
    def find(
        cls, locations: Sequence[str], where: str | None, reading: ReadOptions, retry: Retry, max_outage_s: float
    ) -> "TableInputs":
        """The tables, as their servers describe them.

        Args:
          where: their password is; None for what their clients take.
          max_outage_s: a server that was reached before may be away for so long.

        Raises:
          UsageError: one is not there, or there is a password and no table.
          JobError, TransientError: a server cannot be asked.
        """
        password = parse_secret(where, "--input_password") if where else None
        if password and not locations:
            raise UsageError("--input_password is for tables of databases, and --input names none")
        found = []
        for location in sorted(set(locations)):
            database = table_source("--input", location, password, max_outage_s)
            found.append(TableInput(database, database.describe("--input")))
        return cls(tuple(found), reading, retry)

    @property
    def labels(self) -> list[str]:
        """As batches name their sources."""
        return [table.label for table in self.tables]

    def kept(self) -> dict[str, Any]:
        """What the ledger keeps: where the run cuts the tables. Raises JobError, TransientError."""
        if not self.tables:
            return {}
        return {_KEPT: [{_CUTS: list(map(text_of_position, each.boundaries(_MAX_RANGES)))} for each in self.tables]}

    def ids(self, run: str) -> list[str]:
        """With what the ids of the batches begin."""
        return [input_id(table.label, "", run) for table in self.tables]

    def batches(self) -> Iterator[Batch[Record]]:
        """All records, read here and now, without a pipeline."""
        for table in self.tables:
            yield from records_now(table, self.reading, self.retry)

    def read(
        self, pipeline: beam.Pipeline, run: str, kept: Mapping[str, Any], entry: LedgerEntry, *, keeps_completed: bool
    ) -> list[PCollection[Batch[Record]]]:
        """Draws the reading part of a graph.

        Args:
          run: part of the names of batches: the same row stands elsewhere in another run.
          kept: what the ledger has kept.
          keeps_completed: whether a completed batch is done for good.
        """
        read = []
        for table, of_table in zip(self.tables, kept[_KEPT], strict=True):
            cuts = [cut for text in of_table[_CUTS] if (cut := position_of_text(text)) is not None]
            size = self.reading.batch_size, self.reading.max_batch_bytes
            before = PartsInLedger(entry, keeps_completed)
            rows = TableSource(table.database, table.selection, None, *size, before, is_asked_to_stop, self.retry, run)
            step = ReadTableRecords(TableRecordSource(rows, self.reading), table.lanes(cuts, _MAX_READERS))
            read.append(pipeline | f"ReadTable[{table.label}]" >> step)
        return read
