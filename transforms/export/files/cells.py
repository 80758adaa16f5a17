"""A value of a file as the cell of its column, such that it fits exactly or not at all.

cell of CSV ─── says the same as the column's type? ──▶ cell, or MISFIT
value of JSON or Parquet ─── is of the column's type? ──▶ cell, or MISFIT
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson

from transforms.bigquery.cells import MISFIT, converter
from transforms.bigquery.schema import Column
from transforms.export.files.csv_types import BITS, VALUES, fits
from transforms.sql.cells import text_converter
from transforms.sql.rows import as_unicode

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


def in_overflow(value: Any) -> Any:
    r"""A misfit as `_overflow` keeps it: JSON that would not be the same in BigQuery is kept as text.

    >>> in_overflow({"a": [1, 2**70]}), in_overflow(["\ud800"]), in_overflow("\ud800"), in_overflow(2**70)
    ('{"a": [1, 1180591620717411303424]}', '["\\ud800"]', '\\ud800', 1180591620717411303424)
    """
    if isinstance(value, str):
        return as_unicode(value)
    if not isinstance(value, (dict, list)) or _is_exact(value):
        return value
    try:
        return json.dumps(value, default=str)
    except RecursionError:
        return value


def _if_exact(convert: Converter) -> Converter:
    return lambda value: convert(value) if _is_exact(value) else MISFIT


def _is_exact(value: Any) -> bool:
    """Whether JSON of BigQuery has the same value: without lone surrogates, longer integers and deep nesting."""
    try:
        # What is not a type of JSON has a form of its own there.
        orjson.dumps(value, default=lambda other: None, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, RecursionError):
        return False
    return True


def _of_value(column: Column, typed: bool) -> Converter:
    if column.type not in _AS_TEXT:
        of_any = converter(column, typed=typed)
        return _if_exact(of_any) if column.type == "JSON" else of_any
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
