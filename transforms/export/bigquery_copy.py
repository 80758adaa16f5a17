# ruff: noqa: S608 - names of tables and columns are checked where they come from; values are parameters
"""A table of BigQuery into another one, by one statement; no row passes through a worker. Plain Python.

source ──provide──▶ the table and its columns ──CopyTable──▶ counted, MERGE, counted again ──▶ results
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from transforms.bigquery.queries import execute, number, query
from transforms.bigquery.schema import Column, TableOptions, schema_difference
from transforms.bigquery.tables import ensure_table, existing_columns
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import JobError
from transforms.export.options import REMOVE, REPLACE

if TYPE_CHECKING:
    from transforms.bigquery.client import BigQueryClient

CURSOR_TYPES = ("TIMESTAMP", "DATETIME")
NO_KEYS = ("JSON", "STRUCT", "GEOGRAPHY")  # types of which values are not compared

_UNPARTITIONED = TableOptions(partition_by=None, cluster_by=())


@dataclass(frozen=True)
class Copy:
    """What is copied where. Plain data.

    Attributes:
      source, table: from which table or view to which table.
      columns: of the source.
      key: names of the columns that identify a row; empty where all rows are replaced.
      write, deletes: see `options.py`.
      cursor: column of times by which an incremental run goes; None for all rows.
      since: where it begins, ISO 8601; None for the beginning.
    """

    source: BigQueryTarget
    table: BigQueryTarget
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    write: str
    deletes: str
    cursor: Column | None = None
    since: str | None = None

    def rows(self, until: str | None) -> tuple[str, dict[str, Any]]:
        """The source's rows as a query, and its parameters.

        Args:
          until: the greatest value of the cursor that is read.
        """
        listed = ", ".join(f"`{column.name}`" for column in self.columns)
        bounds = {name: value for name, value in (("since", self.since), ("until", until)) if value is not None}
        conditions = ""
        if self.cursor and bounds:
            name, signs = self.cursor.name, {"since": ">=", "until": "<="}
            within = " AND ".join(f"`{name}` {signs[bound]} CAST(@{bound} AS {self.cursor.type})" for bound in bounds)
            conditions = f" WHERE `{name}` IS NULL OR ({within})"
        return f"SELECT {listed} FROM `{self.source.id}`{conditions}", bounds

    def statement(self, rows: str) -> str:
        """The statement that writes the rows of a query; done again it changes nothing."""
        names = [column.name for column in self.columns]
        listed, values = ", ".join(f"`{name}`" for name in names), ", ".join(f"s.`{name}`" for name in names)
        merge = f"MERGE `{self.table.id}` AS t\nUSING ({rows}) AS s\n"
        insert = f"WHEN NOT MATCHED THEN INSERT ({listed}) VALUES ({values})"
        delete = "WHEN NOT MATCHED BY SOURCE THEN DELETE"
        if self.write == REPLACE:
            return f"{merge}ON FALSE\n{delete}\n{insert}"
        updates = ", ".join(f"`{name}` = s.`{name}`" for name in names if name not in self.key)
        update = f"WHEN MATCHED THEN UPDATE SET {updates}\n" if updates else ""
        remove = f"\n{delete}" if self.deletes == REMOVE else ""
        return f"{merge}ON {self.same_key}\n{update}{insert}{remove}"

    @property
    def same_key(self) -> str:
        """Whether a row t of the table and a row s of the source are one."""
        return " AND ".join(f"t.`{name}` = s.`{name}`" for name in self.key)


def provide(copy: Copy) -> None:
    """Makes the table, or adds the columns it lacks.

    Raises:
      JobError: the dataset is missing, access is refused, or a column has another type.
      TransientError: BigQuery does not answer.
    """
    client = copy.table.client()
    present = existing_columns(copy.table, client=client)
    # What is REQUIRED there cannot be added here, and does not have to be.
    wanted = [replace(column, mode=column.mode.replace("REQUIRED", "NULLABLE")) for column in copy.columns]
    own = {column.name.lower(): column for column in present}
    as_here = [replace(column, mode=own.get(column.name.lower(), column).mode) for column in wanted]
    as_here = [
        replace(here, mode=column.mode) if "REPEATED" in (here.mode, column.mode) else here
        for here, column in zip(as_here, wanted, strict=True)
    ]
    if conflicts := schema_difference(present, as_here).conflicts:
        raise JobError(
            f"BigQuery table {copy.table.id} cannot hold rows of {copy.source.id}: {'; '.join(conflicts)}. Export to "
            "another table; a column's type is never changed"
        )
    ensure_table(copy.table, as_here, _UNPARTITIONED, client=client)


@dataclass(frozen=True)
class CopyTable:
    """The one act of a copy; picklable. May be done again: it changes nothing then.

    Attributes:
      copy: of what.
      cursor_of: what the cursor is good for; kept beside it.
    """

    copy: Copy
    cursor_of: str

    def __call__(self) -> dict[str, Any]:
        """Copies, and compares both sides.

        Raises:
          JobError: a statement is refused, the key does not identify rows, or rows are missing.
          TransientError: BigQuery does not answer.
        """
        copy, client = self.copy, self.copy.table.client()
        rows, bounds = copy.rows(None)
        until = self._greatest(client, rows, bounds)
        rows, bounds = copy.rows(until)
        read = number(client, f"SELECT COUNT(*) FROM ({rows})", bounds)
        if copy.key:
            self._check_key(client, rows, bounds, read)
        changed = execute(client, copy.statement(rows), bounds).affected
        self._check_there(client, rows, bounds, read)
        latest = number(client, f"SELECT COUNT(*) FROM `{copy.table.id}`", {})
        results: dict[str, Any] = {"rows_read": read, "rows_changed": changed, "rows_latest": latest}
        if cursor := until or copy.since:
            results |= {"cursor": cursor, "_cursor_of": self.cursor_of}
        return results

    def _greatest(self, client: BigQueryClient, rows: str, bounds: Mapping[str, Any]) -> str | None:
        if self.copy.cursor is None:
            return None
        ((greatest,),) = query(client, f"SELECT MAX(`{self.copy.cursor.name}`) FROM ({rows})", bounds)
        return greatest.isoformat() if isinstance(greatest, datetime.datetime) else None

    def _check_key(self, client: BigQueryClient, rows: str, bounds: Mapping[str, Any], read: int) -> None:
        listed = ", ".join(f"`{name}`" for name in self.copy.key)
        never_null = " AND ".join(f"`{name}` IS NOT NULL" for name in self.copy.key)
        distinct = f"SELECT COUNT(*) FROM (SELECT DISTINCT {listed} FROM ({rows}) WHERE {never_null})"
        if (there := number(client, distinct, bounds)) != read:
            raise JobError(
                f"{self.copy.source.id} has {read:,} rows, but {', '.join(self.copy.key)} only {there:,} values: it "
                "does not identify rows; pass --key=COLUMN,… with columns that are never NULL and unique together"
            )

    def _check_there(self, client: BigQueryClient, rows: str, bounds: Mapping[str, Any], read: int) -> None:
        copy = self.copy
        count = f"SELECT COUNT(*) FROM `{copy.table.id}`"
        if copy.write != REPLACE:
            count = f"SELECT COUNT(*) FROM ({rows}) AS s JOIN `{copy.table.id}` AS t ON {copy.same_key}"
        there = number(client, count, bounds if copy.write != REPLACE else {})
        # The source may have changed since it was counted; what was copied is one state of it.
        if there != read and there != (now := number(client, f"SELECT COUNT(*) FROM ({rows})", bounds)):
            raise JobError(
                f"BigQuery table {copy.table.id} has {there:,} rows of {now:,} in {copy.source.id}; something writes "
                "to one of them: run the command again"
            )
