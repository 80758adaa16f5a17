# ruff: noqa: S608 - names of tables and columns are checked where they come from; values are parameters
"""The SQL of an export. Pure functions; each statement is atomic, and done again changes nothing.

staging ──merge──▶ table            the newer update_time wins; what is missing in the source is marked or removed
staging ──replace──▶ table          all rows of before go, in the same statement
staging, latest ──log_deletes──▶ changelog
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from transforms.bigquery.schema import UPDATE_TIME, Column
from transforms.bigquery.target import BigQueryTarget
from transforms.export.changelog import DELETE
from transforms.export.columns import DELETED_AT, DOCUMENT_ID, DOCUMENT_NAME
from transforms.export.options import IGNORE, MARK
from transforms.sql.rows import BATCH


class RowNames(NamedTuple):
    """The columns that every row has, by what they say.

    Attributes:
      key: what a row is of.
      version: the later one wins.
      read_time: as of when it was read.
      extracted_at: when it was made; a row of a staging table that only names what it is of has none.
      deleted_at: as of when it was found missing.
      replaced: parameter with the batches whose rows in a staging table do not count; empty for none.
    """

    key: str = DOCUMENT_NAME
    version: str = UPDATE_TIME
    read_time: str = "read_time"
    extracted_at: str = "extracted_at"
    deleted_at: str = DELETED_AT
    replaced: str = ""

    @property
    def is_row(self) -> str:
        """Whether a row of a staging table is more than a name."""
        return f"{self.extracted_at} IS NOT NULL"

    @property
    def and_counts(self) -> str:
        """And that a row of a staging table counts."""
        return f" AND `{BATCH}` NOT IN UNNEST(@{self.replaced})" if self.replaced else ""

    @property
    def newest(self) -> str:
        """The one staged row of a key that counts."""
        order = f"`{self.version}` DESC, {self.extracted_at} DESC"
        return f"ROW_NUMBER() OVER (PARTITION BY `{self.key}` ORDER BY {order}) = 1"


OF_DOCUMENTS = RowNames()


def latest_rows(table: BigQueryTarget, names: RowNames = OF_DOCUMENTS) -> str:
    """The newest row of every key that is not gone, of a flat table."""
    return (
        f"SELECT *\nFROM (\n  SELECT *\n  FROM `{table.id}`\n  WHERE TRUE\n  QUALIFY ROW_NUMBER() OVER (PARTITION BY "
        f"`{names.key}` ORDER BY `{names.version}` DESC, `{names.deleted_at}` DESC, `{names.read_time}` DESC, "
        f"`{names.extracted_at}` DESC) = 1\n)\nWHERE `{names.deleted_at}` IS NULL"
    )


def latest_changes(table: BigQueryTarget) -> str:
    """The newest change of every document that is not gone, of a changelog. update_time decides; timestamp where a row
    of the extension's has none."""
    return (
        f"SELECT *\nFROM (\n  SELECT *\n  FROM `{table.id}`\n  WHERE TRUE\n  QUALIFY ROW_NUMBER() OVER (PARTITION BY "
        f"`{DOCUMENT_NAME}` ORDER BY COALESCE(`{UPDATE_TIME}`, `timestamp`) DESC, `operation` = '{DELETE}' DESC, "
        "`event_id` DESC) = 1\n"
        f")\nWHERE `operation` != '{DELETE}'"
    )


def merge(
    table: BigQueryTarget,
    staging: BigQueryTarget,
    columns: Sequence[Column],
    deletes: str,
    names: RowNames = OF_DOCUMENTS,
) -> str:
    """Merges staged rows. Parameters: unless deletes are ignored, @scope, which keys the run is about, and @read_time.

    A run with an earlier read time than another one before it must not undo what that one found: a row is gone only if
    its version is not later than the read time, and a row marked as gone comes back only if it was read later.
    """
    key, version, deleted_at = names.key, names.version, names.deleted_at
    listed = [column.name for column in columns]
    updated = ", ".join(f"`{name}` = s.`{name}`" for name in listed if name != key)
    statement = (
        f"MERGE `{table.id}` AS t\n"
        f"USING (\n  SELECT *\n  FROM `{staging.id}`\n  WHERE TRUE{names.and_counts}\n  "
        f"QUALIFY {names.newest}\n) AS s\nON t.`{key}` = s.`{key}`\n"
        f"WHEN MATCHED AND s.{names.is_row} AND (t.`{version}` IS NULL OR s.`{version}` > t.`{version}` "
        f"OR (t.`{deleted_at}` IS NOT NULL AND s.`{version}` = t.`{version}`)) "
        f"AND (t.`{deleted_at}` IS NULL OR t.`{deleted_at}` < s.`{names.read_time}`) "
        f"THEN UPDATE SET {updated}\n"
        f"WHEN NOT MATCHED AND s.{names.is_row} THEN INSERT ({_listed(listed)}) VALUES ({_listed(listed, 's.')})"
    )
    if deletes == IGNORE:
        return statement
    known = f"(t.`{version}` IS NULL OR t.`{version}` <= @read_time)"
    gone = f"t.`{deleted_at}` IS NULL AND {known} AND REGEXP_CONTAINS(t.`{key}`, @scope)"
    action = f"UPDATE SET `{deleted_at}` = @read_time" if deletes == MARK else "DELETE"
    return f"{statement}\nWHEN NOT MATCHED BY SOURCE AND {gone} THEN {action}"


def replace(
    table: BigQueryTarget, staging: BigQueryTarget, columns: Sequence[Column], names: RowNames = OF_DOCUMENTS
) -> str:
    """Replaces all rows by the staged ones."""
    listed = [column.name for column in columns]
    return (
        f"MERGE `{table.id}` AS t\nUSING (\n  SELECT *\n  FROM `{staging.id}`\n  WHERE {names.is_row}"
        f"{names.and_counts}\n  QUALIFY {names.newest}\n) AS s\nON FALSE\nWHEN NOT MATCHED BY SOURCE THEN DELETE\n"
        f"WHEN NOT MATCHED THEN INSERT ({_listed(listed)}) VALUES ({_listed(listed, 's.')})"
    )


def log_deletes(changelog: BigQueryTarget, staging: BigQueryTarget) -> str:
    """Appends a DELETE for every document that the changelog shows and the export did not find. Parameters: @scope and
    @read_time."""
    columns = ("timestamp", "event_id", DOCUMENT_NAME, "operation", DOCUMENT_ID, "path_params", UPDATE_TIME)
    return (
        f"INSERT INTO `{changelog.id}` ({_listed(columns)})\n"
        f"SELECT @read_time, TO_HEX(MD5(CONCAT(l.`{DOCUMENT_NAME}`, '{DELETE}', CAST(@read_time AS STRING)))), "
        f"l.`{DOCUMENT_NAME}`, '{DELETE}', l.`{DOCUMENT_ID}`, l.`path_params`, @read_time\n"
        f"FROM `{changelog.latest.id}` AS l\n"
        f"LEFT JOIN (SELECT DISTINCT `{DOCUMENT_NAME}` FROM `{staging.id}`) AS s USING (`{DOCUMENT_NAME}`)\n"
        f"WHERE s.`{DOCUMENT_NAME}` IS NULL AND COALESCE(l.`{UPDATE_TIME}`, l.`timestamp`) <= @read_time "
        f"AND REGEXP_CONTAINS(l.`{DOCUMENT_NAME}`, @scope)"
    )


def count_staged(staging: BigQueryTarget, names: RowNames = OF_DOCUMENTS) -> str:
    """How many keys the staging table names."""
    return f"SELECT COUNT(DISTINCT `{names.key}`) FROM `{staging.id}` WHERE TRUE{names.and_counts}"


def count_living(table: BigQueryTarget, names: RowNames = OF_DOCUMENTS) -> str:
    """How many rows the table's latest view shows in the export's scope. Parameter: @scope."""
    return f"SELECT COUNT(*) FROM `{table.latest.id}` WHERE REGEXP_CONTAINS(`{names.key}`, @scope)"


def held_versions(table: BigQueryTarget) -> str:
    """The versions that a table holds of some documents. Parameters: @names, and the @first and the @last of them, by
    which a table that is clustered by name finds its blocks."""
    return (
        f"SELECT `{DOCUMENT_NAME}`, MAX(`{UPDATE_TIME}`) FROM `{table.latest.id}`\n"
        f"WHERE `{DOCUMENT_NAME}` BETWEEN @first AND @last AND `{DOCUMENT_NAME}` IN UNNEST(@names)\n"
        f"GROUP BY `{DOCUMENT_NAME}`"
    )


def _listed(names: Sequence[str], prefix: str = "") -> str:
    return ", ".join(f"{prefix}`{name}`" for name in names)
