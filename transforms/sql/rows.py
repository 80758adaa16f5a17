"""Rows of a table of a database as rows of BigQuery: each value in its column, or in `_overflow` as the server's text.

fields, text or None ──┬─ fit ──────────▶ cells
                       ├─ do not ───────▶ _overflow: {"column": text}
                       └─ of the key ───▶ _key
the run ────────────────▶ _read_time, _extracted_at
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Any

import orjson

from transforms.bigquery.cells import MISFIT, json_text
from transforms.bigquery.rows import Row
from transforms.bigquery.schema import OVERFLOW, Column
from transforms.errors import JobError
from transforms.sql.cells import SURE_DIGITS, TextConverter, text_converter
from transforms.sql.columns import SourceColumn, SourceTable
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
    """Makes the rows of one table; built once per worker. Column by column, which takes half the time of row by row.

    Args:
      source: with the columns in the order of the fields.
      columns: of BigQuery, one for each of them.
      items_of: an array's text; see `Database.items`.
      typed: typed cells instead of JSON cells; see `bigquery/cells.py`.
    """

    def __init__(self, source: SourceTable, columns: Sequence[Column], items_of: ItemsOf, *, typed: bool):
        self._names = [column.name for column in columns]
        self._own_names = [own.name for own in source.columns]
        self._cells_of = [
            _cells_of(own, column, items_of, is_unicode=source.is_unicode, typed=typed)
            for own, column in zip(source.columns, columns, strict=True)
        ]

    def rows(self, keys: Sequence[str], rows: Sequence[Fields], beside: Mapping[str, Any]) -> list[Row]:
        """The rows of some rows. Never raises for what a value is.

        Args:
          keys: of `KeyOf`, one for each.
          rows: the server's text; None for NULL.
          beside: cells that all have.
        """
        if not rows:
            return []
        overflow: dict[int, dict[str, str]] = {}
        columns: list[Sequence[Any]] = []
        has_null = False
        for texts, own, cells_of in zip(zip(*rows, strict=True), self._own_names, self._cells_of, strict=True):
            cells = cells_of(texts)
            if cells is not texts and MISFIT in cells:
                for at, cell in enumerate(cells):
                    if cell is MISFIT:
                        overflow.setdefault(at, {})[own] = texts[at]
                cells = [None if cell is MISFIT else cell for cell in cells]
            columns.append(cells)
            has_null = has_null or None in cells
        names = (KEY, *self._names, *beside)
        values = zip(keys, *columns, *map(repeat, beside.values()))  # noqa: B905  # or endless
        if has_null:
            made = [{name: cell for name, cell in zip(names, row, strict=True) if cell is not None} for row in values]
        else:
            made = [dict(zip(names, row, strict=True)) for row in values]
        for at, overflowing in overflow.items():
            made[at][OVERFLOW] = json_text(overflowing)
        return [Row(cells, tuple(sorted(overflow[at])) if at in overflow else ()) for at, cells in enumerate(made)]


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
        # Most keys are one column whose text is the key.
        self._only = places[0][0] if len(places) == 1 and not places[0][1] else None

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
        if self._only is not None and (only := fields[self._only]) is not None and only.isascii():
            return only
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
    """What makes a cell of a column's text."""
    convert = text_converter(column, typed=typed)
    if own.is_single:
        convert = _singles(convert)
    return _items(convert, items_of) if own.is_array else convert


def _cells_of(
    own: SourceColumn, column: Column, items_of: ItemsOf, *, is_unicode: bool, typed: bool
) -> Callable[[Sequence[str | None]], Sequence[Any]]:
    """What makes the cells of a column of texts; gives the texts themselves where they are the cells."""
    if is_unicode and own.type == "STRING" and not own.is_array:
        return lambda texts: texts
    convert = column_converter(own, column, items_of, typed=typed)

    def cells_of(texts: Sequence[str | None]) -> Sequence[Any]:
        return [None if text is None else convert(text) for text in texts]

    if column.type == "INT64" and not own.is_array:
        return lambda texts: _small_integers(texts) or cells_of(texts)
    return cells_of


def _small_integers(texts: Sequence[Any]) -> list[int]:
    """Of texts that are all there and short; empty if they are not.

    >>> _small_integers(("1", "-20")), _small_integers(("1", None)), _small_integers(("9223372036854775807",))
    ([1, -20], [], [])
    """
    if None in texts or max(map(len, texts)) > SURE_DIGITS:
        return []
    return list(map(int, texts))


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
        return MISFIT if MISFIT in cells else cells

    return of_array
