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
from itertools import repeat
from typing import Any, cast

import orjson

from transforms.bigquery.cells import MISFIT, json_text
from transforms.bigquery.rows import Row
from transforms.bigquery.schema import OVERFLOW, Column
from transforms.errors import JobError
from transforms.sql.cells import TextConverter, text_converter
from transforms.sql.column_cells import whole_column
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
    """Makes the rows of one table; built once per worker. Column by column, which takes a third
    of the time.

    Args:
      source: with the columns in the order of the fields.
      columns: of BigQuery, one for each of them.
      items_of: see `Database.items`.
      typed: typed cells instead of JSON cells; see `bigquery/cells.py`.
    """

    def __init__(self, source: SourceTable, columns: Sequence[Column], items_of: ItemsOf, *, typed: bool):
        self._names = [column.name for column in columns]
        self._columns = [
            _Column(own, column, items_of, is_unicode=source.is_unicode, typed=typed)
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
        absent: list[tuple[str, int]] = []
        for name, own, texts in zip(self._names, self._columns, zip(*rows, strict=True), strict=True):
            cells, is_absent = own.cells(texts)
            for at in is_absent:
                absent.append((name, at))
                if (text := texts[at]) is not None:
                    overflow.setdefault(at, {})[own.name] = text
            columns.append(cells)
        names = (KEY, *self._names, *beside)
        values = zip(keys, *columns, *map(repeat, beside.values()))  # noqa: B905  # or endless
        made = list(map(dict, map(zip, repeat(names), values)))
        for name, at in absent:
            del made[at][name]
        for at, overflowing in overflow.items():
            made[at][OVERFLOW] = json_text(overflowing)
        return [Row(cells, tuple(sorted(overflow[at])) if at in overflow else ()) for at, cells in enumerate(made)]


class _Column:
    """Makes the cells of one column.

    Attributes:
      name: of the source's column.
    """

    def __init__(self, own: SourceColumn, column: Column, items_of: ItemsOf, *, is_unicode: bool, typed: bool):
        self.name = own.name
        self._of_all = whole_column(own, column, items_of, is_unicode=is_unicode, typed=typed)
        self._of_one = column_converter(own, column, items_of, typed=typed)

    def cells(self, texts: Sequence[str | None]) -> tuple[Sequence[Any], Sequence[int]]:
        """A cell for each text, None for NULL and for a text that does not fit; and where those are."""
        is_full = all(texts) or None not in texts  # the former is faster, but not for empty texts
        present = cast("Sequence[str]", texts) if is_full else [text for text in texts if text is not None]
        cells = self._of_all(present) if present else present
        if cells is not None and is_full:
            return cells, ()
        if cells is None:
            cells = [None if (cell := self._of_one(text)) is MISFIT else cell for text in present]
        if not is_full:
            left = iter(cells)
            cells = [None if text is None else next(left) for text in texts]
        return cells, [at for at, cell in enumerate(cells) if cell is None]


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

    def all(self, rows: Sequence[Fields]) -> list[str]:
        """The keys of rows. Raises JobError as for one."""
        if self._only is not None:
            texts = [fields[self._only] for fields in rows]
            if (found := [text for text in texts if text]) and len(found) == len(rows) and "".join(found).isascii():
                return found
        return list(map(self, rows))

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


def _singles(convert: TextConverter) -> TextConverter:
    """Reads numbers as the server holds them, in 32 bits: 0.1 is 0.10000000149011612."""

    def of_single(text: str) -> Any:
        return convert(repr(struct.unpack("f", struct.pack("f", float(text)))[0]))

    return of_single


def _items(convert: TextConverter, items_of: ItemsOf) -> TextConverter:
    """Makes an array's cell of its text."""

    def of_array(text: str) -> Any:
        (items,) = items_of([text])
        if items is None:
            return MISFIT
        cells = [convert(item) for item in items]
        return MISFIT if MISFIT in cells else cells

    return of_array
