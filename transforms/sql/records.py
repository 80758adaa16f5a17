"""Rows of tables of databases as records: plain values that say the same as the server's text. Plain Python.

    declared                     in the record
    integers                     int
    numeric, any precision       string, every digit kept
    floating point               float; infinities and NaN, too
    boolean                      bool
    timestamp                    aware datetime in UTC, microseconds; without a zone as UTC
    date, time                   ISO string
    bytes                        bytes
    JSON                         the value
    array of one dimension       list
    everything else, and every value that its column of BigQuery could not hold: the server's text
    NULL                         None

The same rules as for Parquet, see `inputs/formats/arrow_values.py`.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Sequence
from typing import Any

from transforms.bigquery.cells import MISFIT
from transforms.bigquery.schema import Column
from transforms.sql.columns import SourceColumn
from transforms.sql.database import Fields, ItemsOf
from transforms.sql.rows import as_unicode, column_converter

_EPOCH = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
_TEXTS = frozenset({"NUMERIC", "BIGNUMERIC", "DATE", "TIME"})


class TableRecords:
    """Makes records of the rows of one table; built once per worker.

    >>> columns = [SourceColumn("id", "bigint", "INT64", "id"), SourceColumn("n", "numeric", "BIGNUMERIC", "n")]
    >>> TableRecords(columns, lambda texts: []).value(["7", "1.50"])
    {'id': 7, 'n': '1.50'}

    Args:
      source: the columns, in the order of the fields.
      items_of: see `Database.items`.
    """

    def __init__(self, source: Sequence[SourceColumn], items_of: ItemsOf):
        self._columns = [(column.name, _converter(column, items_of)) for column in source]

    def value(self, fields: Fields) -> dict[str, Any]:
        """The record of one row. Never raises for what a value is."""
        return {
            name: None if text is None else convert(text)
            for (name, convert), text in zip(self._columns, fields, strict=True)
        }


def _converter(own: SourceColumn, items_of: ItemsOf) -> Callable[[str], Any]:
    if own.type in _TEXTS and not own.is_array:
        return str
    mode = "REPEATED" if own.is_array else "NULLABLE"
    of_cell: Callable[[Any], Any] = _OF_CELL.get(own.type, lambda cell: cell)
    convert = column_converter(own, Column(own.name, own.type, mode), items_of, typed=True)

    def value(text: str) -> Any:
        if own.is_array and own.type in _TEXTS and (items := items_of([text])[0]) is not None:
            return items
        cell = convert(text)
        if cell is MISFIT:
            return as_unicode(text)
        return [of_cell(item) for item in cell] if own.is_array else of_cell(cell)

    return value


def _utc(cell: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(cell).replace(tzinfo=datetime.timezone.utc)


_OF_CELL: dict[str, Callable[[Any], Any]] = {
    "TIMESTAMP": lambda cell: _EPOCH + datetime.timedelta(microseconds=cell),
    "DATETIME": _utc,
    "JSON": json.loads,
}
