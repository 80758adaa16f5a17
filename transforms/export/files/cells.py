"""A value of a file as the cell of its column, such that it fits exactly or not at all.

cell of CSV ─── says the same as the column's type? ──▶ cell, or MISFIT
value of JSON or Parquet ─── is of the column's type? ──▶ cell, or MISFIT
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from transforms.bigquery.cells import MISFIT, converter
from transforms.bigquery.schema import Column
from transforms.export.files.csv_types import BITS, VALUES, fits
from transforms.sql.cells import text_converter

Converter = Callable[[Any], Any]

_AS_TEXT = frozenset({"NUMERIC", "BIGNUMERIC", "DATE", "DATETIME", "TIME"})


def value_converter(column: Column, *, of_csv: bool, typed: bool) -> Converter:
    """What turns a value into a cell of the column, or into MISFIT.

    >>> number = value_converter(Column("n", "INT64"), of_csv=True, typed=False)
    >>> number("7"), number("007") is MISFIT
    (7, True)
    >>> numbers = value_converter(Column("n", "NUMERIC", "REPEATED"), of_csv=False, typed=False)
    >>> numbers(["1.50", 2]), numbers([None]) is MISFIT, numbers("1") is MISFIT
    (['1.50', '2'], True, True)

    Args:
      of_csv: whether values are cells of CSV rather than values of a type of their own.
      typed: typed cells instead of JSON cells; see `bigquery/cells.py`.

    Raises:
      ValueError: no cell can be made for such a column.
    """
    one = replace(column, mode="NULLABLE")
    convert = _of_text(one, typed) if of_csv else _of_value(one, typed)
    if column.mode != "REPEATED":
        return convert
    if column.type == "JSON":
        return lambda value: MISFIT

    def of_items(value: Any) -> Any:
        if not isinstance(value, list):
            return MISFIT
        cells = [convert(item) for item in value]
        return MISFIT if any(cell is MISFIT for cell in cells) else cells

    return of_items


def _of_value(column: Column, typed: bool) -> Converter:
    if column.type not in _AS_TEXT:
        return converter(column, typed=typed)
    of_text = text_converter(column, typed=typed)
    is_number = column.type.endswith("NUMERIC")

    def convert(value: Any) -> Any:
        if isinstance(value, str):
            return of_text(value)
        if isinstance(value, datetime.datetime) and value.tzinfo is None and column.type == "DATETIME":
            return of_text(value.isoformat(" "))
        return of_text(str(value)) if is_number and isinstance(value, int) and not isinstance(value, bool) else MISFIT

    return convert


def _of_text(column: Column, typed: bool) -> Converter:
    bit = BITS.get(column.type)
    if bit is None:  # a column that the table has already
        return converter(column, typed=typed)
    convert = text_converter(column, typed=typed) if column.type in _AS_TEXT else converter(column, typed=typed)
    value_of = VALUES.get(column.type, str)
    return lambda cell: convert(value_of(cell)) if fits(cell) & bit else MISFIT
