"""Rows for BigQuery from flat records, such that no value can fail a row. No Beam.

    flat values ──┬─ fits its column ──────▶ the column
                  └─ does not fit ─────────▶ _overflow: {"column": value}, named in Row.overflowed
    the record ───── as JSON text ─────────▶ profile

A row is a dict of cells; a missing or None value is absent. What fits and what a cell looks like: `cells.py`. JSON
columns hold JSON text, as insertAll wants them (`loadable` turns them into what load jobs want).

    encoder = RowEncoder(table_columns(spec))
    cells, overflowed = encoder.row(flat, meta, update_time, record)
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from transforms.bigquery.cells import MISFIT, Converter, converter, json_text
from transforms.bigquery.schema import META_PREFIX, OVERFLOW, PROFILE, UPDATE_TIME, Column


class Row(NamedTuple):
    """One row.

    Attributes:
      cells: by column; see `cells.py`.
      overflowed: the columns whose values went to `_overflow`.
    """

    cells: dict[str, Any]
    overflowed: tuple[str, ...]


class RowEncoder:
    """Makes rows of one table; built once a worker, as it looks up every column's conversion beforehand.

    Args:
      columns: of the table; those of `_meta`, `update_time`, `profile` and `_overflow` are recognised by name.
    """

    def __init__(self, columns: Sequence[Column]):
        self._update_time = converter(Column(UPDATE_TIME, "TIMESTAMP"))
        self._has_profile = any(column.name == PROFILE for column in columns)
        self._conversions: dict[str, Converter] = {}
        self._meta_conversions: list[tuple[str, str, Converter]] = []
        for column in columns:
            convert = converter(column)
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


def insert_id(*parts: str) -> str:
    """Deterministic insert id: the same row sent again within a minute or so is dropped by BigQuery.

    >>> insert_id("ada", "1f", "batch-1") == insert_id("ada", "1f", "batch-1") != insert_id("ada1", "f", "batch-1")
    True
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(b"%d:%b" % (len(encoded), encoded))
    return digest.hexdigest()


def loadable(cells: Mapping[str, Any], columns: Sequence[Column]) -> dict[str, Any]:
    """The row as a load job wants it: there a JSON column takes a JSON value, and text would stay text.

    Args:
      columns: those that `json_columns` finds.

    >>> columns = [Column("profile", "JSON"), Column("_overflow", "JSON")]
    >>> loadable({"id": "ada", "profile": '{"skills": ["go"]}'}, columns)
    {'id': 'ada', 'profile': {'skills': ['go']}}
    """
    return {**cells, **{each.name: _loadable(cells[each.name], each) for each in columns if each.name in cells}}


def json_columns(columns: Iterable[Column]) -> tuple[Column, ...]:
    """The columns that hold JSON, and those whose members do; of these the members that matter only.

    >>> struct = Column("a", "STRUCT", fields=(Column("b", "JSON"), Column("c", "INT64")))
    >>> [column.form for column in json_columns([struct, Column("d", "STRING")])]
    ['STRUCT<b JSON>']
    """
    members = ((column, json_columns(column.fields)) for column in columns)
    return tuple(replace(column, fields=found) for column, found in members if found or column.type == "JSON")


def _loadable(cell: Any, column: Column) -> Any:
    if isinstance(cell, list):
        return [_loadable(item, column) for item in cell]
    return loadable(cell, column.fields) if column.fields else orjson.loads(cell)
