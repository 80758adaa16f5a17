"""Makes the rows of a batch of documents and hands them to their tables. Plain Python.

Batch[Exported] ─┬─ changed ──▶ flat row, changelog row ──▶ Sink ─┬─ accepted
                 │                                                └─ refused: dead letter
                 └─ unchanged ─▶ its name only, where missing documents are looked for
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from transforms.batch import Batch, DeadLetter
from transforms.bigquery.cells import writable
from transforms.bigquery.changelog import CHANGELOG_COLUMNS, ChangelogRows
from transforms.bigquery.document_columns import DOCUMENT_NAME
from transforms.bigquery.document_rows import DocumentRows
from transforms.bigquery.inserter import Rejected
from transforms.bigquery.methods import FILE_LOADS, INSERT_ROWS, STORAGE_WRITE_EXACTLY_ONCE, TYPED_METHODS
from transforms.bigquery.rows import Row, insert_id, json_columns, loadable
from transforms.bigquery.schema import Column
from transforms.bigquery.storage_target import StorageTarget
from transforms.bigquery.tables import BigQueryTarget
from transforms.errors import RecordError
from transforms.export.entries import Exported
from transforms.export.sinks import Appended, Collected, Inserted, Sink
from transforms.export.streams import StreamLedger
from transforms.export.target import ExportTarget
from transforms.firestore.documents import Document
from transforms.ledger.entry import LedgerEntry
from transforms.records.spec import RecordSpec

STEP = "WriteRows"

ROWS, CHANGES, NAMES = "rows", "changes", "names"
PURPOSES = (ROWS, CHANGES, NAMES)

# How many fields are told by name, those that overflowed most: with a field for every id of something, the ledger's
# document of the batch would be too large for Firestore.
_MOST_FIELDS = 50

# Those of flat rows are found out by the job.
STATIC_COLUMNS = {CHANGES: CHANGELOG_COLUMNS, NAMES: (Column(DOCUMENT_NAME, "STRING"),)}


class RowMaker(Protocol):
    """Makes rows of one table."""

    def row(self, document: Document, parameters: Mapping[str, str] | None = None) -> Row:
        """Raises RecordError for a document that no row can be made of."""


@dataclass(frozen=True)
class RowsPlan:
    """How the rows of an export are made and sent; picklable.

    Attributes:
      extracted_at: of all rows.
      method: of `sinks.METHODS`.
      storage: where the Storage Write API is, for the methods that use it.
      ledger: keeps the streams of batches.
    """

    target: ExportTarget
    extracted_at: datetime.datetime
    method: str
    ledger: LedgerEntry
    storage_host: str | None = None

    def destination(self, purpose: str) -> BigQueryTarget | None:
        """The table that rows of a purpose go to; None where there are none."""
        target = self.target
        if purpose == ROWS:
            return target.staging if target.is_staged else target.flat
        if purpose == CHANGES:
            return target.changelog
        return target.staging if target.names_all else None


class RowWriter:
    """Writes the rows of batches; for one thread. Connects when it is first used.

    Args:
      columns: of the flat table.
    """

    def __init__(self, plan: RowsPlan, columns: Sequence[Column]):
        self._plan, self._columns = plan, columns
        self._sinks = {purpose: self._sink(purpose) for purpose in PURPOSES if plan.destination(purpose)}
        # Changes first: a document whose change is refused must not be staged.
        self._makers = {purpose: self._maker(purpose) for purpose in (CHANGES, ROWS) if purpose in self._sinks}

    def write(self, batch: Batch[Exported]) -> Batch[Exported]:
        """Writes a batch; every entry is afterwards still an entry or a dead letter."""
        books = _Books(batch)
        for purpose, maker in self._makers.items():
            books.send(maker, self._sinks[purpose])
        if NAMES in self._sinks:
            books.name(self._sinks[NAMES], every=not self._plan.target.is_staged)
        return books.closed()

    def collected(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of the last batch by purpose, flat ones as load jobs want them; with FILE_LOADS."""
        sinks = {purpose: sink for purpose, sink in self._sinks.items() if isinstance(sink, Collected)}
        holding = {ROWS: json_columns(self._columns)}
        return {
            purpose: [loadable(cells, holding.get(purpose, ())) for cells in sink.take()]
            for purpose, sink in sinks.items()
        }

    def _maker(self, purpose: str) -> RowMaker:
        target, typed = self._plan.target, self._plan.method in TYPED_METHODS
        if purpose == CHANGES:
            return ChangelogRows(target.imported, typed=typed)
        rows = DocumentRows(
            self._columns,
            target.parameters,
            read_time=target.read_time,
            extracted_at=self._plan.extracted_at,
            typed=typed,
        )
        return _SpecRows(target.spec, rows) if target.spec else rows

    def _sink(self, purpose: str) -> Sink:
        plan, table = self._plan, self._plan.destination(purpose)
        if table is None:
            raise ValueError(f"there is no table for {purpose}")
        if plan.method == FILE_LOADS:
            return Collected()
        if plan.method == INSERT_ROWS:
            return Inserted(table)
        columns = writable(STATIC_COLUMNS.get(purpose, self._columns))
        streams = StreamLedger(plan.ledger, purpose) if plan.method == STORAGE_WRITE_EXACTLY_ONCE else None
        return Appended(StorageTarget(table, plan.storage_host), columns, streams)


class _SpecRows:
    """Rows of what a record spec makes of a document."""

    def __init__(self, spec: RecordSpec, rows: DocumentRows):
        self._spec, self._rows = spec, rows

    def row(self, document: Document, parameters: Mapping[str, str] | None = None) -> Row:
        return self._rows.row(document, parameters, self._spec.flatten(document.fields, document.id))


@dataclass
class _Books:
    """What has become of the documents of one batch so far."""

    batch: Batch[Exported]
    letters: dict[int, DeadLetter] = field(default_factory=dict)
    overflowed: Counter[str] = field(default_factory=Counter)
    retries: int = 0

    def send(self, maker: RowMaker, sink: Sink) -> None:
        """Sends the rows of one table for all documents that are to be written and are no dead letters yet."""
        rows, ids, indices = [], [], []
        for index, entry in enumerate(self.batch.entries):
            if entry.unchanged or index in self.letters:
                continue
            try:
                row = maker.row(entry.document, entry.parameters)
            except RecordError as error:
                self.letters[index] = _letter(entry, error.code, error.message, retryable=False)
                continue
            rows.append(row.cells)
            ids.append(insert_id(entry.document.name, str(entry.document.update_time), self.batch.batch_id))
            indices.append(index)
            self.overflowed.update(row.overflowed)
        result = sink.insert(self.batch.batch_id, rows, ids)
        self.retries += result.retries
        for answer in result.rejected:
            index = indices[answer.index]
            self.letters[index] = _refused(self.batch.entries[index], answer)

    def name(self, sink: Sink, *, every: bool) -> None:
        """Writes the names of documents without a row there, refused ones included: they are not missing."""
        rowless = [entry for index, entry in enumerate(self.batch.entries) if entry.unchanged or index in self.letters]
        named = self.batch.entries if every else rowless
        ids = [insert_id(entry.document.name, self.batch.batch_id) for entry in named]
        names = [{DOCUMENT_NAME: entry.document.name} for entry in named]
        self.retries += sink.insert(self.batch.batch_id, names, ids).retries

    def closed(self) -> Batch[Exported]:
        entries = [entry for index, entry in enumerate(self.batch.entries) if index not in self.letters]
        return self.batch.then(
            entries,
            [letter for _, letter in sorted(self.letters.items())],
            retries=self.retries,
            overflowed=self.overflowed.total(),
            overflowed_by=dict(self.overflowed.most_common(_MOST_FIELDS)),
        )


def _refused(entry: Exported, answer: Rejected) -> DeadLetter:
    return _letter(entry, answer.code, f"{answer.message}; the row is missing", retryable=answer.retryable)


def _letter(entry: Exported, code: str, message: str, *, retryable: bool) -> DeadLetter:
    return DeadLetter(
        STEP, code, message, entry.document.to_dict(), entry.key, entry.position, entry.line, retryable=retryable
    )
