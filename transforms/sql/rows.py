"""Rows of a table of a database as rows of BigQuery: each value in its column, or in `_overflow` as the server's text.

fields, text or None ──┬─ fit ──────────▶ cells
                       ├─ do not ───────▶ _overflow: {"column": text}
                       └─ of the key ───▶ _key
the run ────────────────▶ _read_time, _extracted_at
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from transforms.bigquery.cells import MISFIT, json_text
from transforms.bigquery.rows import Row
from transforms.bigquery.schema import OVERFLOW, Column
from transforms.errors import JobError
from transforms.sql.cells import TextConverter, text_converter
from transforms.sql.columns import SourceColumn
from transforms.sql.database import Fields, ItemsOf, Selection

KEY, READ_TIME, EXTRACTED_AT, DELETED_AT = "_key", "_read_time", "_extracted_at", "_deleted_at"


# What every table of rows has beside the source's own columns.
FIXED_COLUMNS = (
    Column(KEY, "STRING", description="the row's key: the value of its one column, or a JSON array of several"),
    Column(READ_TIME, "TIMESTAMP", description="the moment as of which the row was read; the row's version"),
    Column(EXTRACTED_AT, "TIMESTAMP", description="when the run began that wrote the row"),
    Column(DELETED_AT, "TIMESTAMP", description="moment as of which the row was found missing"),
    Column(OVERFLOW, "JSON", description="values that do not fit their columns, as the source's text, by column"),
)
# In staging tables only: rows of a batch that another one has taken the place of are not merged.
BATCH = "_batch"
BATCH_COLUMN = Column(BATCH, "STRING")

_NUMBER_WITH_ZEROS = re.compile(r"-?[0-9]+\.[0-9]*0")


class TableRows:
    """Makes the rows of one table; built once per worker.

    Args:
      source: the source's columns, in the order of the fields.
      columns: of BigQuery, one for each of them.
      items_of: an array's text; see `Database.items`.
      typed: typed cells instead of JSON cells; see `bigquery/cells.py`.
    """

    def __init__(
        self,
        source: Sequence[SourceColumn],
        columns: Sequence[Column],
        items_of: ItemsOf,
        *,
        typed: bool,
    ):
        self._columns = [
            (at, column.name, own.name, column_converter(own, column, items_of, typed=typed))
            for at, (own, column) in enumerate(zip(source, columns, strict=True))
        ]

    def row(self, key: str, fields: Fields, beside: Mapping[str, Any]) -> Row:
        """The row of one row. Never raises for what a value is.

        Args:
          key: of `KeyOf`.
          fields: the server's text; None for NULL.
          beside: cells that all rows of a batch have.
        """
        cells: dict[str, Any] = {KEY: key, **beside}
        overflow: dict[str, str] = {}
        for at, name, own, convert in self._columns:
            text = fields[at]
            if text is None:
                continue
            cell = convert(text)
            if cell is MISFIT:
                overflow[own] = text
            else:
                cells[name] = cell
        if overflow:
            cells[OVERFLOW] = json_text(overflow)
        return Row(cells, tuple(sorted(overflow)))


class KeyOf:
    """Names a row by its key.

    >>> KeyOf(("id",), [(0, False)])(["7", "a"]), KeyOf(("a", "b"), [(0, False), (1, True)])(["x", "1.50"])
    ('7', '["x","1.5"]')

    Args:
      names: of the key's columns.
      places: where each stands among the fields, and whether its numbers may have zeros at their end.
    """

    def __init__(self, names: Sequence[str], places: Sequence[tuple[int, bool]]):
        self._names, self._places = names, places

    @classmethod
    def of(cls, selection: Selection) -> KeyOf:
        """Of the fields of a table's rows."""
        return cls(selection.key, list(zip(selection.key_places, map(_has_zeros, selection.key_columns), strict=True)))

    @classmethod
    def of_positions(cls, selection: Selection) -> KeyOf:
        """Of the texts of a key."""
        return cls(selection.key, list(enumerate(map(_has_zeros, selection.key_columns))))

    def __call__(self, fields: Fields) -> str:
        """The key of a row.

        Raises:
          JobError: a column of the key is NULL.
        """
        texts = []
        for name, (at, may_have_zeros) in zip(self._names, self._places, strict=True):
            text = fields[at]
            if text is None:
                raise JobError(
                    f"column {name} of the key is NULL in a row, so it does not identify rows; pass --key=COLUMN,… "
                    "with columns that are never NULL and unique together"
                )
            # The same number may be written with more zeros after an update, and is the same key.
            if may_have_zeros and _NUMBER_WITH_ZEROS.fullmatch(text):
                text = text.rstrip("0").rstrip(".")
            texts.append(text)
        if len(texts) == 1:
            return as_unicode(texts[0])
        return orjson.dumps([as_unicode(text) for text in texts]).decode()


def _has_zeros(column: SourceColumn) -> bool:
    return column.type.endswith("NUMERIC")


def as_unicode(text: str) -> str:
    """Bytes that are not UTF-8 stand in text as lone surrogates, which have no place in BigQuery."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def column_converter(own: SourceColumn, column: Column, items_of: ItemsOf, *, typed: bool) -> TextConverter:
    convert = text_converter(column, typed=typed)
    if own.is_single:
        convert = _singles(convert)
    return _items(convert, items_of) if own.is_array else convert


def _singles(convert: TextConverter) -> TextConverter:
    """Reads numbers as the server holds them, in 32 bits: 0.1 is 0.10000000149011612."""

    def of_single(text: str) -> Any:
        return convert(repr(struct.unpack("f", struct.pack("f", float(text)))[0]))

    return of_single


def _items(convert: TextConverter, items_of: ItemsOf) -> TextConverter:
    """Makes an array's cell of its text."""

    def of_array(text: str) -> Any:
        items = items_of(text)
        if items is None:
            return MISFIT
        cells = [convert(item) for item in items]
        return MISFIT if any(cell is MISFIT for cell in cells) else cells

    return of_array
