"""The rows of BigQuery that changes become: of the flat table, of the changelog, or both. Plain Python.

    added, modified ──▶ the document's row, as export makes it: the same state has the same row, and the same event id
    removed         ──▶ a row that ends it: deleted_at, or a DELETE, whose version is later than any the document had

Rows are appended, so a batch that comes again is there twice and shows once in the `_latest` view.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from transforms.batch import DeadLetter
from transforms.bigquery.row_writer import RowsPlan, RowTable
from transforms.bigquery.rows import Row
from transforms.bigquery.schema import Column
from transforms.bigquery.target import BigQueryTarget
from transforms.export.changelog import CHANGELOG_COLUMNS, ChangelogRows
from transforms.export.columns import fixed_columns
from transforms.export.document_rows import DocumentRows
from transforms.export.layouts import changelog_table, flat_table
from transforms.firestore.changes.change import Change
from transforms.listen.entries import Changed, refused
from transforms.retry import Retry

STEP = "WriteRows"

_ROWS, _CHANGES = "rows", "changes"
_MICROSECOND = datetime.timedelta(microseconds=1)


@dataclass(frozen=True)
class ChangeTables:
    """Where the rows of changes go.

    Attributes:
      table: as the user named it.
      layout: see `export/options.py`.
      parameters: names of the path parameters.
      prefix: of the full names of documents, `projects/P/databases/D/documents/`.
    """

    table: BigQueryTarget
    layout: str
    parameters: tuple[str, ...]
    prefix: str

    @property
    def flat(self) -> BigQueryTarget | None:
        """The table of typed rows."""
        return flat_table(self.table, self.layout)

    @property
    def changelog(self) -> BigQueryTarget | None:
        """The table of changes."""
        return changelog_table(self.table, self.layout)


def rows_of_changes(
    tables: ChangeTables,
    columns: Sequence[Column],
    started_at: datetime.datetime,
    method: str,
    storage_host: str | None = None,
    retry: Retry = Retry(),  # noqa: B008 - frozen
) -> RowsPlan[Changed]:
    """How the rows of changes are made and sent.

    Args:
      columns: of the flat table.
      started_at: when the run began, `extracted_at` of its rows.
    """
    found = []
    if tables.changelog:
        found.append(RowTable(_CHANGES, tables.changelog, partial(_changes, tables), CHANGELOG_COLUMNS))
    if tables.flat:
        found.append(RowTable(_ROWS, tables.flat, partial(_flat, tables, started_at), tuple(columns)))
    return RowsPlan(tuple(found), method, _dead_letter, storage_host=storage_host, retry=retry)


def ended_at(change: Change) -> datetime.datetime:
    """The version of the row that ends a removed document: later than all that it had, earlier than any it gets again.

    That is when it was seen to be gone.
    """
    seen_at = change.read_time
    return seen_at if change.update_time is None else max(seen_at, change.update_time + _MICROSECOND)


class _Rows:
    def takes(self, entry: Changed, is_dead: bool) -> bool:
        return not is_dead

    def identity(self, entry: Changed) -> tuple[str, ...]:
        return entry.key, entry.change.kind, str(entry.position)


class _ChangelogMaker(_Rows):
    def __init__(self, tables: ChangeTables, typed: bool):
        self._tables, self._rows = tables, ChangelogRows(imported=False, typed=typed)

    def row(self, entry: Changed) -> Row:
        change = entry.change
        if change.document is not None:
            return self._rows.row(change.document, entry.parameters)
        name, since = self._tables.prefix + entry.key, ended_at(change)
        return self._rows.removed(name, change.update_time, change.read_time, since, entry.parameters)


class _FlatMaker(_Rows):
    def __init__(self, tables: ChangeTables, started_at: datetime.datetime, columns: Sequence[Column], typed: bool):
        fixed = {column.name for column in fixed_columns(tables.parameters)}
        self._tables = tables
        self._rows = DocumentRows(columns, tables.parameters, fixed=fixed, extracted_at=started_at, typed=typed)
        self._time = self._rows.time

    def row(self, entry: Changed) -> Row:
        change = entry.change
        if change.document is not None:
            row = self._rows.row(change.document, entry.parameters, entry.record)
        else:
            since = ended_at(change)
            row = self._rows.removed(self._tables.prefix + entry.key, change.read_time, since, entry.parameters)
        row.cells["read_time"] = self._time(change.read_time)
        return row


def _changes(tables: ChangeTables, columns: Sequence[Column], typed: bool) -> _ChangelogMaker:
    return _ChangelogMaker(tables, typed)


def _flat(tables: ChangeTables, started_at: datetime.datetime, columns: Sequence[Column], typed: bool) -> _FlatMaker:
    return _FlatMaker(tables, started_at, columns, typed)


def _dead_letter(entry: Changed, code: str, message: str, retryable: bool) -> DeadLetter:
    return refused(entry, STEP, code, message, retryable=retryable)
