"""A row on its way into BigQuery, whoever makes it. No Beam.

A row is a dict of cells; a missing or None value is absent. What fits a column and what a cell looks like: `cells.py`.
JSON columns hold JSON text, as insertAll and the Storage Write API want them; `loadable` turns them into what load jobs
want.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from transforms.bigquery.schema import Column


class Row(NamedTuple):
    """One row.

    Attributes:
      cells: by column; see `cells.py`.
      overflowed: the columns whose values went to `_overflow`.
    """

    cells: dict[str, Any]
    overflowed: tuple[str, ...]


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
