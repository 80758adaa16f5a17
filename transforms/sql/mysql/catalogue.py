"""Reads what a table of MySQL or MariaDB declares: its columns, their types, its key, about how many rows it has.

Tables, partitioned tables and views can be read. What the server hides from the user is asked for by a SELECT that
reads nothing, so that a column is never left out because nobody granted it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from transforms.errors import JobError, UsageError
from transforms.sql.columns import SourceColumn, SourceTable
from transforms.sql.database import Cursor
from transforms.sql.mysql.failures import NO_RIGHT, number_of
from transforms.sql.mysql.target import MysqlTarget, is_mariadb
from transforms.sql.mysql.types import GEOMETRIES, MysqlType, can_range, quoted, source_column
from transforms.sql.names import closest

if TYPE_CHECKING:
    from pymysql.connections import Connection

VIEW = "view"
SNAPSHOTS = "innodb"  # the engine whose tables have snapshots; MySQL's and MariaDB's own
Row = tuple["str | None", ...]

_TABLES = """
SELECT table_name, table_type, engine, table_rows FROM information_schema.tables
WHERE table_schema = %s AND LOWER(table_name) = LOWER(%s)
"""
_NAMES = """
SELECT CONCAT(table_schema, '.', table_name) FROM information_schema.tables
WHERE table_schema NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys') LIMIT 10000
"""
_COLUMNS = """
SELECT column_name, data_type, column_type, COALESCE(numeric_precision, 0), COALESCE(numeric_scale, 0),
    is_nullable = 'NO'
FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position
"""
# By the schema: whether it is MariaDB's.
_REFERENCE_SYSTEMS = {
    True: """
        SELECT g_geometry_column, srid FROM information_schema.geometry_columns
        WHERE g_table_schema = %s AND g_table_name = %s
    """,
    False: """
        SELECT column_name, srs_id FROM information_schema.columns
        WHERE table_schema = %s AND table_name = %s AND srs_id IS NOT NULL
    """,
}
_CHECKS = """
SELECT check_clause FROM information_schema.check_constraints
WHERE constraint_schema = %s AND table_name = %s AND check_clause LIKE 'json_valid(%%'
"""
# Prefixes and expressions do not identify a row; a NULL may be in many.
_KEYS = """
SELECT index_name, column_name, nullable = '' AND sub_part IS NULL AND column_name IS NOT NULL
FROM information_schema.statistics WHERE table_schema = %s AND table_name = %s AND non_unique = 0
ORDER BY index_name <> 'PRIMARY', index_name, seq_in_index
"""
_CURSOR = """
SELECT EXISTS (
    SELECT 1 FROM information_schema.statistics AS s WHERE s.table_schema = c.table_schema
    AND s.table_name = c.table_name AND s.column_name = c.column_name AND s.seq_in_index = 1
)
FROM information_schema.columns AS c WHERE c.table_schema = %s AND c.table_name = %s AND c.column_name = %s
"""


def describe(connection: Connection, target: MysqlTarget, flag: str) -> SourceTable:
    """What a table declares.

    Args:
      flag: names the table, for messages.

    Raises:
      UsageError: there is no such table, or it may not be read.
      pymysql.Error: the server refuses, or does not answer.
    """
    name, kind, n_rows = _found(connection, target, flag)
    relation = f"{quoted(target.database)}.{quoted(name)}"
    _check_right(connection, relation, flag)
    columns = _columns(connection, target.database, name)
    key = _key(connection, target.database, name)
    by_name = {column.name: column for column in columns}
    is_ordered = kind != VIEW and bool(key) and all(can_range(by_name[each].declared) for each in key)
    return SourceTable(target.label, relation, columns, key, kind, n_rows, is_ordered)


def check_unchanged(connection: Connection, target: MysqlTarget, table: SourceTable) -> None:
    """Compares a table with how it was described before.

    Raises:
      JobError: it is another one by now, or its columns are.
      pymysql.Error: the server refuses, or does not answer.
    """
    present = {column.name: column for column in _columns(connection, target.database, _name_in(table.relation))}
    if tuple(present.values()) == table.columns:
        return
    changed = [each.name for each in table.columns if present.get(each.name) != each]
    names = ", ".join(changed or [name for name in present if table.column(name) is None]) or "their order"
    raise JobError(f"{target.label}: the table has changed during the run: {names}; run the command with --restart")


def cursor(connection: Connection, target: MysqlTarget, table: SourceTable, column: str) -> Cursor:
    """A column of times as a cursor. Raises pymysql.Error."""
    if table.kind == VIEW:
        return Cursor(column, is_indexed=False)
    ((has_index,),) = rows(connection, _CURSOR, target.database, _name_in(table.relation), column)
    if has_index == "1":
        return Cursor(column, is_indexed=True)
    return Cursor(
        column,
        is_indexed=False,
        warning=f"no index begins with {column}, so the server looks at all rows for those that have changed: CREATE "
        f"INDEX {quoted(f'by_{column}')} ON {table.relation} ({quoted(column)})",
    )


def has_null(connection: Connection, table: SourceTable, names: Sequence[str]) -> bool:
    """Whether a row has no value in one of some columns; a scan where no index finds it. Raises pymysql.Error."""
    conditions = " OR ".join(f"{quoted(name)} IS NULL" for name in names)
    return bool(rows(connection, f"SELECT 1 FROM {table.relation} WHERE {conditions} LIMIT 1"))  # noqa: S608  # quoted


def rows(connection: Connection, statement: str, *parameters: str) -> list[Row]:
    """What a statement answers, as the server's text. Raises pymysql.Error."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return [
            tuple(None if value is None else value.decode("utf-8", "surrogateescape") for value in row)
            for row in cursor.fetchall()
        ]


def _found(connection: Connection, target: MysqlTarget, flag: str) -> tuple[str, str, int]:
    """A table's own name, its kind, and about how many rows it has."""
    found = rows(connection, _TABLES, target.database, target.table)
    exact = [row for row in found if row[0] == target.table]
    if not exact and found and rows(connection, "SELECT @@lower_case_table_names")[0][0] != "0":
        exact = found[:1]
    if not exact:
        raise UsageError(f"{flag}: there is no table {target.database}.{target.table}{_closest(connection, target)}")
    name, table_type, engine, n_rows = exact[0]
    kind = VIEW if "VIEW" in str(table_type) else str(engine).lower()
    return str(name), kind, int(n_rows or 0)


def _closest(connection: Connection, target: MysqlTarget) -> str:
    names = [str(name) for (name,) in rows(connection, _NAMES)]
    if not names:
        return (
            f", or its user sees none; grant it: GRANT SELECT ON {quoted(target.database)}.{quoted(target.table)} "
            f"TO {_user(connection)}"
        )
    elsewhere = [name for name in names if name.partition(".")[2] == target.table]
    return closest(f"{target.database}.{target.table}", elsewhere or names, 0.0 if elsewhere else 0.6)


def _check_right(connection: Connection, relation: str, flag: str) -> None:
    import pymysql

    try:
        rows(connection, f"SELECT * FROM {relation} LIMIT 0")  # noqa: S608  # quoted
    except pymysql.Error as error:
        if number_of(error) not in NO_RIGHT:
            raise
        user = _user(connection)
        raise UsageError(
            f"{flag}: {user} may not read all of {relation}; grant it: GRANT SELECT ON {relation} TO {user}"
        ) from None


def _user(connection: Connection) -> str:
    name, _, host = str(rows(connection, "SELECT CURRENT_USER()")[0][0]).rpartition("@")
    return f"'{name}'@'{host}'"


def _columns(connection: Connection, database: str, table: str) -> tuple[SourceColumn, ...]:
    of_mariadb = is_mariadb(connection)
    checks = {clause for (clause,) in rows(connection, _CHECKS, database, table)} if of_mariadb else set()
    found, present = [], rows(connection, _COLUMNS, database, table)
    has_geometry = any(type_ in GEOMETRIES for _, type_, *_ in present)  # to look for nothing takes long
    of_geometry = rows(connection, _REFERENCE_SYSTEMS[of_mariadb], database, table) if has_geometry else []
    systems = {row[0]: row[1] for row in of_geometry}
    for name, type_, declared, precision, scale, is_never_null in present:
        own = MysqlType(
            str(type_),
            str(declared),
            int(precision or 0),
            int(scale or 0),
            is_json=f"json_valid({quoted(str(name))})" in checks,
            srid=int(systems.get(name) or 0),
        )
        found.append(replace(source_column(str(name), own, is_mariadb=of_mariadb), is_never_null=is_never_null == "1"))
    return tuple(found)


def _key(connection: Connection, database: str, table: str) -> tuple[str, ...]:
    """The primary key; else the unique index with the fewest columns, of those whose columns are never NULL."""
    indexes: dict[str, list[tuple[str, bool]]] = {}
    for index, column, identifies in rows(connection, _KEYS, database, table):
        indexes.setdefault(str(index), []).append((str(column), identifies == "1"))
    usable = [columns for columns in indexes.values() if all(identifies for _, identifies in columns)]
    if not usable:
        return ()
    best = usable[0] if "PRIMARY" in indexes else min(usable, key=len)
    return tuple(name for name, _ in best)


def _name_in(relation: str) -> str:
    return relation.rpartition(".`")[2].removesuffix("`").replace("``", "`")
