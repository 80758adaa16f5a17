# ruff: noqa: S608 - names of tables and columns are checked where they come from; values are parameters
"""The SQL of an export. Pure functions; each statement is atomic, and done again changes nothing.

staging ──merge──▶ table            the newer update_time wins; what is missing in the source is marked or removed
staging ──replace──▶ table          all rows of before go, in the same statement
staging, latest ──log_deletes──▶ changelog
"""

from __future__ import annotations

from collections.abc import Sequence

from transforms.bigquery.schema import UPDATE_TIME, Column
from transforms.bigquery.target import BigQueryTarget
from transforms.export.changelog import DELETE
from transforms.export.columns import DELETED_AT, DOCUMENT_ID, DOCUMENT_NAME
from transforms.export.options import IGNORE, MARK

# A row of a staging table that only names a document has no extracted_at.
_IS_ROW = "extracted_at IS NOT NULL"
_NEWEST = f"ROW_NUMBER() OVER (PARTITION BY `{DOCUMENT_NAME}` ORDER BY `{UPDATE_TIME}` DESC, extracted_at DESC) = 1"


def latest_rows(table: BigQueryTarget) -> str:
    """The newest row of every document that is not gone, of a flat table."""
    return (
        f"SELECT *\nFROM (\n  SELECT *\n  FROM `{table.id}`\n  WHERE TRUE\n  QUALIFY ROW_NUMBER() OVER (PARTITION BY "
        f"`{DOCUMENT_NAME}` ORDER BY `{UPDATE_TIME}` DESC, `{DELETED_AT}` DESC, `read_time` DESC, `extracted_at` DESC) "
        f"= 1\n)\nWHERE `{DELETED_AT}` IS NULL"
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


def merge(table: BigQueryTarget, staging: BigQueryTarget, columns: Sequence[Column], deletes: str) -> str:
    """Merges staged rows. Parameters: @scope and, unless deletes are ignored, @read_time.

    A run with an earlier read time than another one before it must not undo what that one found: a row is gone only if
    its version is not later than the read time, and a row marked as gone comes back only if it was read later.
    """
    names = [column.name for column in columns]
    updated = ", ".join(f"`{name}` = s.`{name}`" for name in names if name != DOCUMENT_NAME)
    statement = (
        f"MERGE `{table.id}` AS t\n"
        f"USING (\n  SELECT *\n  FROM `{staging.id}`\n  WHERE TRUE\n  QUALIFY {_NEWEST}\n) AS s\n"
        f"ON t.`{DOCUMENT_NAME}` = s.`{DOCUMENT_NAME}`\n"
        f"WHEN MATCHED AND s.{_IS_ROW} AND (t.`{UPDATE_TIME}` IS NULL OR s.`{UPDATE_TIME}` > t.`{UPDATE_TIME}` "
        f"OR (t.`{DELETED_AT}` IS NOT NULL AND s.`{UPDATE_TIME}` = t.`{UPDATE_TIME}`)) "
        f"AND (t.`{DELETED_AT}` IS NULL OR t.`{DELETED_AT}` < s.`read_time`) "
        f"THEN UPDATE SET {updated}\n"
        f"WHEN NOT MATCHED AND s.{_IS_ROW} THEN INSERT ({_listed(names)}) VALUES ({_listed(names, 's.')})"
    )
    if deletes == IGNORE:
        return statement
    known = f"(t.`{UPDATE_TIME}` IS NULL OR t.`{UPDATE_TIME}` <= @read_time)"
    gone = f"t.`{DELETED_AT}` IS NULL AND {known} AND REGEXP_CONTAINS(t.`{DOCUMENT_NAME}`, @scope)"
    action = f"UPDATE SET `{DELETED_AT}` = @read_time" if deletes == MARK else "DELETE"
    return f"{statement}\nWHEN NOT MATCHED BY SOURCE AND {gone} THEN {action}"


def replace(table: BigQueryTarget, staging: BigQueryTarget, columns: Sequence[Column]) -> str:
    """Replaces all rows by the staged ones."""
    names = [column.name for column in columns]
    return (
        f"MERGE `{table.id}` AS t\nUSING (\n  SELECT *\n  FROM `{staging.id}`\n  WHERE {_IS_ROW}\n  QUALIFY {_NEWEST}\n"
        ") AS s\nON FALSE\nWHEN NOT MATCHED BY SOURCE THEN DELETE\n"
        f"WHEN NOT MATCHED THEN INSERT ({_listed(names)}) VALUES ({_listed(names, 's.')})"
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


def count_staged(staging: BigQueryTarget) -> str:
    """How many documents the staging table names."""
    return f"SELECT COUNT(DISTINCT `{DOCUMENT_NAME}`) FROM `{staging.id}`"


def count_living(table: BigQueryTarget) -> str:
    """How many documents the table's latest view shows in the export's scope. Parameter: @scope."""
    return f"SELECT COUNT(*) FROM `{table.latest.id}` WHERE REGEXP_CONTAINS(`{DOCUMENT_NAME}`, @scope)"


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
