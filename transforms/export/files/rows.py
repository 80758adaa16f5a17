"""Records of files as rows of a table: each value in its column, or in `_overflow` as it is.

Batch[Record] ──rows_of_batch──▶ Batch[FileRow] ──rows_of_files──▶ rows
                  key, fields                     cells, _overflow
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from transforms.batch import Batch, DeadLetter, Home, Record, input_id_of
from transforms.bigquery.cells import MISFIT, converter, json_text
from transforms.bigquery.row_writer import RowsPlan, RowTable
from transforms.bigquery.rows import Row
from transforms.bigquery.schema import OVERFLOW, Column
from transforms.errors import RecordError
from transforms.export.files.cells import in_overflow, value_converter
from transforms.export.rows import ROWS, STEP
from transforms.export.source_target import SourceTarget
from transforms.export.streams import streams_of
from transforms.ledger.entry import LedgerEntry
from transforms.sql.columns import SourceColumn
from transforms.sql.rows import EXTRACTED_AT, FIXED_COLUMNS, KEY, READ_TIME, KeyOf


class FileRow(NamedTuple):
    """A row on its way into BigQuery.

    Attributes:
      key: of `_key`.
      position, line, home: as in `Record`.
      fields: in the order of the columns; None for none.
      unchanged: never: whether a row has changed is BigQuery's to say.
    """

    key: str
    position: int
    fields: tuple[Any, ...]
    line: int | None
    home: Home | None
    unchanged: bool = False


def rows_of_batch(batch: Batch[Record], columns: Sequence[SourceColumn], key: Sequence[str]) -> Batch[FileRow]:
    """The batch with its records as rows; one without a value of the key is a dead letter.

    Args:
      key: names of the columns that identify a row; without any, a row is identified by its place in its file.
    """
    if not batch.entries:  # a file of nothing that can be read has no columns either
        return batch.then((), ())
    names = [column.name for column in columns]
    places = {column.name: at for at, column in enumerate(columns)}
    key_of = KeyOf(key, [(at, columns[places[name]].type.endswith("NUMERIC")) for at, name in enumerate(key)])
    rows, unfit = [], []
    for record in batch.entries:
        value = record.value
        own = [value.get(name) for name in key]
        if None in own:
            message = (
                f"column {key[own.index(None)]} of the key is empty; pass --key=COLUMN,… with columns that never are"
            )
            unfit.append(DeadLetter.of(STEP, record, RecordError("MISSING_KEY", message)))
            continue
        if own:
            name = key_of([each if isinstance(each, str) else json_text(each) for each in own])
        else:
            name = f"{input_id_of(batch.home_of(record).batch_id)}-{record.position}"
        rows.append(FileRow(name, record.position, tuple(map(value.get, names)), record.line, record.home))
    return batch.then(rows, unfit)


def rows_of_files(
    target: SourceTarget,
    columns: tuple[Column, ...],
    of_csv: bool,
    extracted_at: datetime.datetime,
    method: str,
    ledger: LedgerEntry,
    storage_host: str | None = None,
) -> RowsPlan[FileRow]:
    """How the rows of an export of files are made and sent.

    Args:
      columns: one for each of the files', in their order.
      of_csv: whether values are cells of CSV.
      extracted_at: of all rows.
      ledger: keeps the streams of batches, for STORAGE_WRITE_EXACTLY_ONCE.
    """
    written = target.staging if target.is_staged else target.table
    maker = partial(_Rows, target, columns, of_csv, extracted_at)
    return RowsPlan(
        (RowTable(ROWS, written, maker, (*columns, *FIXED_COLUMNS)),),
        method,
        partial(_dead_letter, tuple(column.name for column in target.source.columns)),
        storage_host=storage_host,
        streams=streams_of(ledger, method),
    )


class _Rows:
    def __init__(
        self,
        target: SourceTarget,
        own: Sequence[Column],
        of_csv: bool,
        extracted_at: datetime.datetime,
        columns: Sequence[Column],
        typed: bool,
    ):
        time = converter(Column(READ_TIME, "TIMESTAMP"), typed=typed)
        self._of_run = {READ_TIME: time(target.read_time), EXTRACTED_AT: time(extracted_at)}
        self._read_time = target.read_time.isoformat()
        self._columns = [
            (source.name, column.name, value_converter(column, of_csv=of_csv, typed=typed))
            for source, column in zip(target.source.columns, own, strict=True)
        ]

    def takes(self, entry: FileRow, is_dead: bool) -> bool:
        return not is_dead

    def row(self, entry: FileRow) -> Row:
        cells: dict[str, Any] = {KEY: entry.key, **self._of_run}
        overflow: dict[str, Any] = {}
        for (own, name, convert), value in zip(self._columns, entry.fields, strict=True):
            if value is None:
                continue
            cell = convert(value)
            if cell is MISFIT:
                overflow[own] = in_overflow(value)
            else:
                cells[name] = cell
        if overflow:
            cells[OVERFLOW] = json_text(overflow)
        return Row(cells, tuple(sorted(overflow)))

    def identity(self, entry: FileRow) -> tuple[str, ...]:
        return entry.key, self._read_time


def _dead_letter(names: tuple[str, ...], entry: FileRow, code: str, message: str, retryable: bool) -> DeadLetter:
    original = {name: value for name, value in zip(names, entry.fields, strict=True) if value is not None}
    return DeadLetter(
        STEP, code, message, original, entry.key, entry.position, entry.line, retryable=retryable, home=entry.home
    )
