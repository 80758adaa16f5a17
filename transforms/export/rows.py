"""The rows of an export: what of a document goes to which table, and what is said of a refused one. Plain Python.

Batch[Exported] ─┬─ changed ──▶ changelog row, flat row
                 └─ unchanged ─▶ its name only, where missing documents are looked for
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from transforms.batch import DeadLetter
from transforms.bigquery.row_writer import RowsPlan, RowTable
from transforms.bigquery.rows import Row
from transforms.bigquery.schema import Column
from transforms.export.changelog import CHANGELOG_COLUMNS, ChangelogRows
from transforms.export.columns import DOCUMENT_NAME
from transforms.export.document_rows import DocumentRows
from transforms.export.entries import Exported
from transforms.export.streams import streams_of
from transforms.export.target import ExportTarget
from transforms.firestore.documents import Document
from transforms.ledger.entry import LedgerEntry
from transforms.records.spec import Origin, RecordSpec

STEP = "WriteRows"

ROWS, CHANGES, NAMES = "rows", "changes", "names"


def rows_of_documents(
    target: ExportTarget,
    extracted_at: datetime.datetime,
    method: str,
    ledger: LedgerEntry,
    storage_host: str | None = None,
) -> RowsPlan[Exported]:
    """How the rows of an export are made and sent.

    Args:
      extracted_at: of all rows.
      ledger: keeps the streams of batches, for STORAGE_WRITE_EXACTLY_ONCE.
    """
    tables = []
    # Changes first: a document whose change is refused must not be staged.
    if target.changelog:
        tables.append(RowTable(CHANGES, target.changelog, partial(_changes, target), CHANGELOG_COLUMNS))
    if flat := target.staging if target.is_staged else target.flat:
        tables.append(RowTable(ROWS, flat, partial(_flat_rows, target, extracted_at)))
    if target.staging and target.names_all:
        columns = (Column(DOCUMENT_NAME, "STRING"),)
        tables.append(RowTable(NAMES, target.staging, partial(_names, not target.is_staged), columns))
    return RowsPlan(
        tuple(tables),
        method,
        _dead_letter,
        storage_host=storage_host,
        streams=streams_of(ledger, method),
    )


@dataclass(frozen=True)
class _Changed:
    """A row of every document that has changed."""

    make: Callable[[Document, Mapping[str, str]], Row]

    def takes(self, entry: Exported, is_dead: bool) -> bool:
        return not (is_dead or entry.unchanged)

    def row(self, entry: Exported) -> Row:
        return self.make(entry.document, entry.parameters)

    def identity(self, entry: Exported) -> tuple[str, ...]:
        return entry.document.name, str(entry.document.update_time)


@dataclass(frozen=True)
class _Named:
    """The names of documents without a row there, refused ones included, which are not missing; or of every one."""

    every: bool

    def takes(self, entry: Exported, is_dead: bool) -> bool:
        return self.every or is_dead or entry.unchanged

    def row(self, entry: Exported) -> Row:
        return Row({DOCUMENT_NAME: entry.document.name}, ())

    def identity(self, entry: Exported) -> tuple[str, ...]:
        return (entry.document.name,)


def _changes(target: ExportTarget, columns: Sequence[Column], typed: bool) -> _Changed:
    return _Changed(ChangelogRows(target.imported, typed=typed).row)


def _flat_rows(
    target: ExportTarget, extracted_at: datetime.datetime, columns: Sequence[Column], typed: bool
) -> _Changed:
    rows = DocumentRows(columns, target.parameters, read_time=target.read_time, extracted_at=extracted_at, typed=typed)
    return _Changed(partial(_row_of_spec, target.spec, rows) if target.spec else rows.row)


def _row_of_spec(spec: RecordSpec, rows: DocumentRows, document: Document, parameters: Mapping[str, str]) -> Row:
    """The row of what a record spec makes of a document."""
    record = spec.with_origin(document.fields, Origin(document.id, parameters))
    return rows.row(document, parameters, spec.flatten(record, document.id))


def _names(every: bool, columns: Sequence[Column], typed: bool) -> _Named:
    return _Named(every)


def _dead_letter(entry: Exported, code: str, message: str, retryable: bool) -> DeadLetter:
    return DeadLetter(
        STEP, code, message, entry.document.to_dict(), entry.key, entry.position, entry.line, retryable=retryable
    )
