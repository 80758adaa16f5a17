"""What an export of rows of a table, or of files, writes, where, and which columns it has. Plain data."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from transforms.bigquery.schema import Column, TableOptions
from transforms.bigquery.target import BigQueryTarget
from transforms.export.columns import Rename, legal_name
from transforms.export.options import APPEND, IGNORE
from transforms.export.statements import RowNames
from transforms.export.target import staging_table
from transforms.sql.columns import SourceColumn, SourceTable
from transforms.sql.rows import DELETED_AT, EXTRACTED_AT, FIXED_COLUMNS, KEY, READ_TIME

OF_ROWS = RowNames(KEY, READ_TIME, READ_TIME, EXTRACTED_AT, DELETED_AT)
TABLE_OPTIONS = TableOptions(partition_by=None, cluster_by=(KEY,))

_SOURCE_COLUMN = re.compile(r"source column `(.+)`, ", re.DOTALL)


@dataclass(frozen=True)
class SourceTarget:
    """What one run writes, and where.

    Attributes:
      source: what is read, and what it declares.
      key: names of the columns that identify a row.
      table: that is written.
      write, deletes: see `options.py`.
      run_id: of this run of the job, for its staging table.
      read_time: no row is read as of an earlier time.
    """

    source: SourceTable
    key: tuple[str, ...]
    table: BigQueryTarget
    write: str
    deletes: str
    run_id: str
    read_time: datetime.datetime

    @property
    def is_staged(self) -> bool:
        """Whether rows wait in the staging table for the end of the run."""
        return self.write != APPEND

    @property
    def names_all(self) -> bool:
        """Whether the staging table names every row of the source, so that missing ones can be found."""
        return self.deletes != IGNORE

    @property
    def staging(self) -> BigQueryTarget:
        """The run's own table."""
        return staging_table(self.table, self.run_id)


def table_columns(source: Sequence[SourceColumn], existing: Iterable[Column] = ()) -> tuple[Column, ...]:
    """The column of each column of the source, in their order.

    A column that the table has already is found by its description, so a name that had to be changed stays.

    >>> source = [SourceColumn("id", "integer", "INT64", "id"), SourceColumn("full name", "text", "STRING", "n")]
    >>> [column.name for column in table_columns(source)]
    ['id', 'full_name']
    """
    held = _held(existing)
    taken = {column.name.lower() for column in (*FIXED_COLUMNS, *held.values())}
    found = []
    for own in source:
        present = held.get(own.name)
        name = present.name if present else legal_name(own.name, taken)
        taken.add(name.lower())
        found.append(own.column(name))
    return tuple(found)


def held_types(existing: Iterable[Column]) -> dict[str, tuple[str, bool]]:
    """The types that a table has for columns of a source, and whether they are REPEATED, by the source's names.

    >>> held_types(table_columns([SourceColumn("full name", "text", "STRING", "n")]))
    {'full name': ('STRING', False)}
    """
    return {own: (column.type, column.mode == "REPEATED") for own, column in _held(existing).items()}


def misfits(existing: Iterable[Column], wanted: Iterable[Column]) -> list[str]:
    """Why rows of a source cannot go into an existing table; empty if they can.

    >>> wanted = table_columns([SourceColumn("id", "bigint", "INT64", "id")])
    >>> misfits([Column("ID", "STRING"), Column("owner", "STRING", "REQUIRED")], wanted)
    ['column ID is STRING, wanted INT64', 'column owner is REQUIRED, but the source has no such column']
    """
    by_name = {column.name.lower(): column for column in (*wanted, *FIXED_COLUMNS)}
    found = []
    for column in existing:
        own = by_name.get(column.name.lower())
        if own is None:
            if column.mode == "REQUIRED":
                found.append(f"column {column.name} is REQUIRED, but the source has no such column")
        elif (column.type, column.mode == "REPEATED") != (own.type, own.mode == "REPEATED"):
            found.append(f"column {column.name} is {column.form}, wanted {own.form}")
        elif column.mode == "REQUIRED" and own.name not in (KEY, READ_TIME, EXTRACTED_AT):
            found.append(f"column {column.name} is REQUIRED, but a row may have none")
        elif column.name != own.name:
            found.append(f"column {column.name} must be named {own.name}")
    return found


def _held(existing: Iterable[Column]) -> dict[str, Column]:
    return {match[1]: column for column in existing if (match := _SOURCE_COLUMN.match(column.description))}


def renames(source: Sequence[SourceColumn], columns: Sequence[Column]) -> list[Rename]:
    """The columns of the source whose columns could not have their names."""
    return [
        Rename(own.name, column.name) for own, column in zip(source, columns, strict=True) if own.name != column.name
    ]
