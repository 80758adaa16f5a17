"""Reads what a table of PostgreSQL declares: its columns, their types, its key, how large it is.

Tables, partitioned tables, views, materialised views and foreign tables can be read. A table that others inherit from
has rows that its own indexes do not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, LiteralString

from transforms.errors import JobError, UsageError
from transforms.sql.columns import SourceColumn, SourceTable
from transforms.sql.database import Cursor
from transforms.sql.names import closest
from transforms.sql.postgresql.failures import explained
from transforms.sql.postgresql.ranges import quoted
from transforms.sql.postgresql.target import PostgresqlTarget
from transforms.sql.postgresql.types import PgType, source_column

if TYPE_CHECKING:
    from psycopg import Connection

_RELATION: LiteralString = """
SELECT c.oid, c.relkind::text, has_table_privilege(c.oid, 'SELECT'),
       format('%%I.%%I', n.nspname, c.relname), greatest(c.reltuples, 0)::bigint,
       c.relkind IN ('r', 'm') AND EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""
_NAMES: LiteralString = """
SELECT n.nspname || '.' || c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
LIMIT 10000
"""
_COLUMNS: LiteralString = """
SELECT attname, quote_ident(attname), format_type(atttypid, atttypmod), atttypid, atttypmod,
    attnotnull AND NOT EXISTS (
        SELECT FROM pg_constraint
        WHERE conrelid = attrelid AND contype = 'n' AND conkey[1] = attnum AND NOT convalidated
    )
FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_TYPES: LiteralString = """
SELECT oid, typname, typtype::text, typcategory::text, typelem, typbasetype, typtypmod, typdelim::text
FROM pg_type WHERE oid = ANY(%s)
"""
NO_ENCODING = "SQL_ASCII"
_INDEXED = "rpm"  # tables, partitioned tables, materialised views

# Columns whose text the server reads back as the same value.
_COMPARABLE = frozenset(
    {"INT64", "NUMERIC", "BIGNUMERIC", "FLOAT64", "BOOL", "STRING", "BYTES", "DATE", "DATETIME", "TIME", "TIMESTAMP"}
)
_CURSOR: LiteralString = """
SELECT EXISTS (
    SELECT FROM pg_index i
    WHERE i.indrelid = a.attrelid AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] = a.attnum
)
FROM pg_attribute a WHERE a.attrelid = %s::regclass AND a.attname = %s
"""
# The primary key; else a unique index of columns that are never NULL, the one with the fewest.
_KEY: LiteralString = """
SELECT ARRAY(
    SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE k.place <= i.indnkeyatts ORDER BY k.place
)
FROM pg_index i
WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
  AND NOT EXISTS (
    SELECT FROM unnest(i.indkey) AS k(attnum)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE NOT a.attnotnull
  )
ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid LIMIT 1
"""


def describe(connection: Connection, target: PostgresqlTarget, flag: str) -> SourceTable:
    """What a table declares.

    Args:
      flag: names the table, for messages.

    Raises:
      UsageError: there is no such table, or it has no columns.
      JobError: it may not be read.
      TransientError: the server does not answer.
    """
    with explained(target.label):
        found = connection.execute(_RELATION, (target.schema, target.table)).fetchone()
        if found is None:
            raise UsageError(f"{flag}: there is no table {target.schema}.{target.table}{_closest(connection, target)}")
        oid, kind, may_read, relation, n_rows, has_children = found
        if not may_read:
            raise UsageError(
                f"{flag}: {connection.info.user} may not read {relation}; grant it: "
                f"GRANT SELECT ON {relation} TO {connection.info.user}"
            )
        columns = _columns(connection, oid)
        key = connection.execute(_KEY, (oid,)).fetchone()
    if not columns:
        raise UsageError(f"{flag}: {relation} has no columns")
    names = tuple(key[0]) if key else ()
    is_unicode = connection.info.parameter_status("server_encoding") != NO_ENCODING
    is_ordered = (
        bool(names)
        and not has_children
        and all(column.type in _COMPARABLE and not column.is_array for column in columns if column.name in names)
    )
    return SourceTable(target.label, relation, columns, names, kind, int(n_rows), is_ordered, is_unicode)


def cursor(connection: Connection, table: SourceTable, column: SourceColumn) -> Cursor:
    """A column of times as a cursor. Raises psycopg.Error."""
    found = connection.execute(_CURSOR, (table.relation, column.name)).fetchone()
    if table.kind not in _INDEXED:
        return Cursor(column.name, is_indexed=False)
    if found and found[0]:
        return Cursor(column.name, is_indexed=True)
    return Cursor(
        column.name,
        is_indexed=False,
        warning=f"no index begins with {column.name}, so the server looks at all rows for those that have changed: "
        f"CREATE INDEX ON {table.relation} ({quoted(column.name)})",
    )


def has_null(connection: Connection, table: SourceTable, names: Sequence[str]) -> bool:
    """Whether a row has no value in one of some columns; a scan where no index finds it. Raises psycopg.Error."""
    conditions = " OR ".join(f"{quoted(name)} IS NULL" for name in names)
    statement = f"SELECT EXISTS (SELECT FROM {table.relation} WHERE {conditions})"  # noqa: S608  # quoted
    found = connection.execute(statement.encode()).fetchone()
    return bool(found and found[0])


def check_unchanged(connection: Connection, target: PostgresqlTarget, table: SourceTable) -> None:
    """Compares a table with how it was described before.

    Raises:
      JobError: it is another one by now, or its columns are.
      psycopg.Error: the server refuses, or does not answer.
    """
    found = connection.execute(_RELATION, (target.schema, target.table)).fetchone()
    columns = _columns(connection, found[0]) if found else ()
    if columns == table.columns:
        return
    present = {column.name: column for column in columns}
    changed = [each.name for each in table.columns if present.get(each.name) != each]
    names = ", ".join(changed or [name for name in present if table.column(name) is None]) or "their order"
    raise JobError(f"{target.label}: the table has changed during the run: {names}; run the command with --restart")


def _closest(connection: Connection, target: PostgresqlTarget) -> str:
    names = [str(name) for (name,) in connection.execute(_NAMES)]
    elsewhere = [name for name in names if name.partition(".")[2] == target.table]
    return closest(f"{target.schema}.{target.table}", elsewhere or names, 0.0 if elsewhere else 0.6)


def _columns(connection: Connection, oid: int) -> tuple[SourceColumn, ...]:
    found = connection.execute(_COLUMNS, (oid,)).fetchall()
    types: dict[int, PgType] = {}
    wanted = {int(row[3]) for row in found}
    while wanted := wanted - types.keys() - {0}:
        rows: list[tuple[Any, ...]] = connection.execute(_TYPES, (list(wanted),)).fetchall()
        types |= {int(row[0]): PgType(*row) for row in rows}
        wanted = {each for type_ in types.values() for each in (type_.element, type_.base)}
    return tuple(
        replace(source_column(name, quoted, declared, type_id, modifier, types), is_never_null=is_never_null)
        for name, quoted, declared, type_id, modifier, is_never_null in found
    )
