"""One state of a table that many readers share, and from where the next incremental run is to begin.

    other transactions ─ looked at ─▶ lag          BEGIN, lock, export ─▶ snapshot ─▶ readers: SET TRANSACTION SNAPSHOT
                          before                     held until the run ends

**A cursor that skips nothing.** A row that is committed after the snapshot may carry a time from before it: the time at
which its transaction began. So the next run begins where the oldest transaction that was open at the snapshot began:
at the greatest value seen, less the age of that transaction. The transactions are looked at before the snapshot is
taken; one that begins later has a later time. Those of other users are hidden from users without pg_read_all_stats, and
those of the primary from a replica; then only `--lookback_s` bounds what may be missed, and `is_blind` says so.

**xmin.** Every row has the number of the transaction that wrote it. All below the snapshot's xmin were over by then, so
the next run reads the rows with that number or a later one: exact, whatever columns there are, but a scan.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, LiteralString

from transforms.sql.columns import SourceTable
from transforms.sql.database import Snapshot
from transforms.sql.postgresql.failures import explained
from transforms.sql.postgresql.target import PostgresqlTarget

if TYPE_CHECKING:
    from psycopg import Connection

XMIN = "xmin"
_LOCKABLE = ("r", "p")

_OPEN: LiteralString = """
WITH open AS (
    SELECT xact_start AS began FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
      AND backend_type NOT IN ('autovacuum worker', 'walsender')
    UNION ALL
    SELECT prepared FROM pg_prepared_xacts WHERE database = current_database()
)
SELECT least(clock_timestamp(), (SELECT min(began) FROM open)),
       pg_is_in_recovery() OR EXISTS (
           SELECT FROM pg_stat_activity WHERE datname = current_database() AND query = '<insufficient privilege>'
       )
"""
_EXPORT: LiteralString = """
SELECT pg_export_snapshot(), clock_timestamp(), pg_snapshot_xmin(pg_current_snapshot())::text
"""
_MAX_AGE = 2**31 - 10_000_000  # numbers of transactions are compared by 31 bits


class SnapshotHolder:
    """Holds the snapshot of a run: while it is open, every reader can take it. Connects when it is first asked."""

    def __init__(self, target: PostgresqlTarget, table: SourceTable, cursor_field: str | None = None):
        self._target, self._table, self._cursor_field = target, table, cursor_field
        self._connection: Connection | None = None
        self._taken: Snapshot | None = None

    def take(self) -> Snapshot:
        """The snapshot; the same one each time.

        Raises:
          JobError, TransientError: the server refuses, or does not answer.
        """
        if self._taken is None:
            self._connection = self._target.connect()
            with explained(self._target.label):
                self._taken = self._export(self._connection)
        return self._taken

    def close(self) -> None:
        """Gives the snapshot up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = self._taken = None

    def _export(self, connection: Connection) -> Snapshot:
        oldest, is_blind = _row(connection, _OPEN)
        begin(connection, self._table)
        snapshot_id, read_time, horizon = _row(connection, _EXPORT)
        lag = max(read_time - oldest, datetime.timedelta(0))
        cursor = horizon if self._cursor_field == XMIN else self._greatest(connection, read_time, lag)
        return Snapshot(snapshot_id, read_time, is_blind, cursor)

    def _greatest(self, connection: Connection, read_time: datetime.datetime, lag: datetime.timedelta) -> str | None:
        column = self._table.column(self._cursor_field) if self._cursor_field else None
        if column is None:
            return None
        from psycopg import sql

        field = sql.Identifier(column.name)
        # A time of a wrong clock would hide all that is written until then.
        greatest = sql.SQL("max({})").format(field)
        if column.type == "TIMESTAMP":
            greatest = sql.SQL("least(max({}), {})").format(field, sql.Literal(read_time))
        statement = sql.SQL(
            "SELECT CASE WHEN max({}) IS NOT NULL THEN ({} - {}::interval)::text END FROM {} WHERE isfinite({})"
        ).format(field, greatest, sql.Literal(lag), sql.SQL(_as_is(self._table.relation)), field)
        (cursor,) = _row(connection, statement)
        return None if cursor is None else str(cursor)


def begin(connection: Connection, table: SourceTable) -> None:
    """Begins a transaction that reads; its first statement with a result takes its snapshot.

    Raises:
      psycopg.Error: the server refuses, or does not answer.
    """
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    if table.kind in _LOCKABLE:  # before the snapshot, or a TRUNCATE could come between
        connection.execute(f"LOCK TABLE {table.relation} IN ACCESS SHARE MODE".encode())


def beyond(connection: Connection, table: SourceTable, field: str, cursor: str, lookback_s: int) -> str:
    """The condition on rows that may have changed since the run that left a cursor; empty if that may be all rows.

    Rows without a time are always among them.

    Raises:
      psycopg.Error: the server refuses, or does not answer.
    """
    from psycopg import sql

    if field == XMIN:
        current, horizon = int(_row(connection, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text")[0]), int(cursor)
        # A server that was restored counts anew, and a very old number looks like a new one.
        if not horizon <= current < horizon + _MAX_AGE:
            return ""
        return f"age(xmin) <= age('{horizon % 2**32}'::xid)"
    declared = next(column.declared for column in table.columns if column.name == field)
    since = sql.SQL("({} IS NULL OR {} >= {}::{} - {}::interval)").format(
        sql.Identifier(field),
        sql.Identifier(field),
        sql.Literal(cursor),
        sql.SQL(_as_is(declared)),
        sql.Literal(datetime.timedelta(seconds=lookback_s)),
    )
    return since.as_string(connection)


def _as_is(text: str) -> LiteralString:
    """Quoted by the server itself, or a name of its catalogue."""
    return text


def _row(connection: Connection, statement: Any) -> tuple[Any, ...]:
    found = connection.execute(statement).fetchone()
    assert found is not None, "an aggregate has one row"
    return tuple(found)
