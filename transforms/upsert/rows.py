"""Rows of BigQuery from records that Firestore has acknowledged, such that no value can fail a row. Plain Python.

    flat values ──┬─ fits its column ──────▶ the column
                  └─ does not fit ─────────▶ _overflow: {"column": value}, named in Row.overflowed
    the record ───── as JSON text ─────────▶ profile

What fits and what a cell looks like: `bigquery/cells.py`.

    encoder = RowEncoder(table_columns(spec))
    cells, overflowed = encoder.row(flat, meta, update_time, record)
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from transforms.batch import DeadLetter
from transforms.bigquery.cells import MISFIT, Converter, converter, json_text
from transforms.bigquery.row_writer import RowsPlan, RowTable
from transforms.bigquery.rows import Row
from transforms.bigquery.schema import OVERFLOW, UPDATE_TIME, Column
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import RecordError
from transforms.records.table import META_PREFIX, PROFILE
from transforms.upsert.entries import Written
from transforms.upsert.forms import AS_IT_CAME, RecordForm

STEP = "InsertRows"


def rows_of_records(
    table: BigQueryTarget,
    columns: Sequence[Column],
    method: str,
    storage_host: str | None = None,
    *,
    may_all_be_bad: bool = False,
    form: RecordForm = AS_IT_CAME,
) -> RowsPlan[Written]:
    """How the rows of records are made and sent; one per entry.

    A record whose row BigQuery refused is a dead letter although its documents stand.
    """
    return RowsPlan(
        (RowTable("rows", table, partial(_RecordRows, form=form), tuple(columns)),),
        method,
        _dead_letter,
        "both documents are in Firestore, the row is missing",
        names_overflow=False,
        may_all_be_bad=may_all_be_bad,
        storage_host=storage_host,
    )


class _RecordRows:
    def __init__(self, columns: Sequence[Column], typed: bool, form: RecordForm):
        self._encoder, self._form = RowEncoder(columns, typed=typed), form

    def takes(self, entry: Written, is_dead: bool) -> bool:
        return not is_dead

    def row(self, entry: Written) -> Row:
        return self._encoder.row(entry.flat, entry.meta, entry.update_time, self._form.row_of(entry.record))

    def identity(self, entry: Written) -> tuple[str, str]:
        return entry.key, str(entry.meta["content_hash"])


def _dead_letter(entry: Written, code: str, message: str, retryable: bool) -> DeadLetter:
    return DeadLetter.of(STEP, entry.record, RecordError(code, message), entry.key, retryable=retryable)


class RowEncoder:
    """Makes rows of one table; built once per worker, as it looks up every column's conversion beforehand.

    Args:
      columns: of the table; those of `_meta`, `update_time`, `profile` and `_overflow` are recognised by name.
      typed: typed cells instead of JSON cells; see `cells.py`.
    """

    def __init__(self, columns: Sequence[Column], *, typed: bool = False):
        self._update_time = converter(Column(UPDATE_TIME, "TIMESTAMP"), typed=typed)
        self._has_profile = any(column.name == PROFILE for column in columns)
        self._conversions: dict[str, Converter] = {}
        self._meta_conversions: list[tuple[str, str, Converter]] = []
        for column in columns:
            convert = converter(column, typed=typed)
            if column.name.startswith(META_PREFIX):
                self._meta_conversions.append((column.name, column.name.removeprefix(META_PREFIX), convert))
            elif column.name not in (UPDATE_TIME, PROFILE, OVERFLOW):
                self._conversions[column.name] = convert

    def row(
        self,
        flat: Mapping[str, Any],
        meta: Mapping[str, Any],
        update_time: datetime.datetime | None,
        record: Any = None,
    ) -> Row:
        """The row of one record. Never raises for what a value is.

        Args:
          flat: values by column; one that has no column goes to `_overflow` too.
          meta: `_meta` of the document, by its own names (`version`, …); names without a column are left out.
          update_time: of the document.
          record: the whole record, for `profile`.
        """
        cells: dict[str, Any] = {}
        overflow: dict[str, Any] = {}
        for name, value in flat.items():
            if value is None:
                continue
            convert = self._conversions.get(name)
            cell = MISFIT if convert is None else convert(value)
            if cell is MISFIT:
                overflow[name] = value
            else:
                cells[name] = cell
        for name, key, convert in self._meta_conversions:
            value = meta.get(key)
            if value is None:
                continue
            cell = convert(value)
            if cell is MISFIT:
                overflow[name] = value
            else:
                cells[name] = cell
        if update_time is not None:
            cell = self._update_time(update_time)
            if cell is MISFIT:
                overflow[UPDATE_TIME] = update_time
            else:
                cells[UPDATE_TIME] = cell
        if record is not None and self._has_profile:
            cells[PROFILE] = json_text(record)
        if not overflow:
            return Row(cells, ())
        cells[OVERFLOW] = json_text(overflow)
        return Row(cells, tuple(map(str, overflow)))
