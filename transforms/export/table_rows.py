"""The rows of an export of a table of a database: what of a row goes to which table. Plain Python.

Batch[TableRow] ─┬─ read whole ──▶ its row
                 └─ only named ──▶ its key, where missing rows are looked for
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from transforms.batch import DeadLetter
from transforms.bigquery.cells import converter
from transforms.bigquery.row_writer import RowsPlan, RowTable
from transforms.bigquery.rows import Row
from transforms.bigquery.schema import Column
from transforms.export.rows import NAMES, ROWS, STEP
from transforms.export.source_target import SourceTarget
from transforms.export.streams import streams_of
from transforms.inputs.tables import Page, TableRow
from transforms.ledger.entry import LedgerEntry
from transforms.sql.database import ItemsOf
from transforms.sql.rows import BATCH, BATCH_COLUMN, EXTRACTED_AT, FIXED_COLUMNS, KEY, READ_TIME, TableRows

_NAME_COLUMNS = (FIXED_COLUMNS[0], BATCH_COLUMN)


def rows_of_table(
    target: SourceTarget,
    columns: tuple[Column, ...],
    items_of: ItemsOf,
    extracted_at: datetime.datetime,
    method: str,
    ledger: LedgerEntry,
    storage_host: str | None = None,
) -> RowsPlan[TableRow]:
    """How the rows of an export of a table are made and sent.

    Args:
      columns: one for each of the source's, in their order.
      items_of: see `Database.items`. Picklable.
      extracted_at: of all rows.
      ledger: keeps the streams of batches, for STORAGE_WRITE_EXACTLY_ONCE.
    """
    written = target.staging if target.is_staged else target.table
    of_rows = (*columns, *FIXED_COLUMNS, *([BATCH_COLUMN] if target.is_staged else ()))
    tables = [RowTable(ROWS, written, partial(_rows, target, columns, items_of, extracted_at), of_rows)]
    if target.names_all:
        tables.append(RowTable(NAMES, target.staging, _names, _NAME_COLUMNS))
    return RowsPlan(
        tuple(tables),
        method,
        partial(_dead_letter, tuple(column.name for column in target.source.columns)),
        storage_host=storage_host,
        streams=streams_of(ledger, method),
    )


class _Whole:
    """A row of every row that was read whole; those of a batch are made when the first one is asked for.

    Args:
      beside: the cells that all rows of a page have.
    """

    def __init__(self, rows: TableRows, beside: Callable[[Page], dict[str, Any]]):
        self._rows, self._beside = rows, beside
        self._page: Page | None = None
        self._made: list[Row] = []
        self._read_time = ""

    def takes(self, entry: TableRow, is_dead: bool) -> bool:
        return not (is_dead or entry.unchanged)

    def row(self, entry: TableRow) -> Row:
        page = entry.page
        if page is not self._page:
            self._made = self._rows.rows(page.keys, page.rows, self._beside(page))
            self._page, self._read_time = page, page.read_time.isoformat()
        return self._made[entry.place]

    def identity(self, entry: TableRow) -> tuple[str, ...]:
        return entry.key, self._read_time


class _Named:
    """The keys of rows without a row there, refused ones included, which are not missing."""

    def takes(self, entry: TableRow, is_dead: bool) -> bool:
        return is_dead or entry.unchanged

    def row(self, entry: TableRow) -> Row:
        return Row({KEY: entry.key, BATCH: entry.page.batch_id}, ())

    def identity(self, entry: TableRow) -> tuple[str, ...]:
        return (entry.key,)


def _rows(
    target: SourceTarget,
    own: Sequence[Column],
    items_of: ItemsOf,
    extracted_at: datetime.datetime,
    columns: Sequence[Column],
    typed: bool,
) -> _Whole:
    time = converter(Column(READ_TIME, "TIMESTAMP"), typed=typed)
    extracted_at_cell = time(extracted_at)

    def beside(page: Page) -> dict[str, Any]:
        cells = {READ_TIME: time(page.read_time), EXTRACTED_AT: extracted_at_cell}
        return {**cells, BATCH: page.batch_id} if target.is_staged else cells

    return _Whole(TableRows(target.source, own, items_of, typed=typed), beside)


def _names(columns: Sequence[Column], typed: bool) -> _Named:
    return _Named()


def _dead_letter(names: tuple[str, ...], entry: TableRow, code: str, message: str, retryable: bool) -> DeadLetter:
    original = dict(zip(names, entry.fields, strict=True))
    return DeadLetter(STEP, code, message, original, entry.key, entry.position, retryable=retryable)
