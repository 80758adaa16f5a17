"""One state of a table that several readers share, each in a transaction of its own that began with the others'.

    LOCK TABLES … READ ─▶ every reader: START TRANSACTION WITH CONSISTENT SNAPSHOT ─▶ UNLOCK TABLES
                          ms, while nobody writes to the table                        readers wait to be borrowed

MySQL cannot hand a snapshot from one transaction to another, so the readers of a run are connections of the process
that holds it. Without the right to lock, or where the lock is not had in a few seconds because somebody's transaction
has written to the table and goes on, there is one reader: writers are never made to wait for longer.

A table of an engine without snapshots, such as MyISAM, stays locked while its one reader reads.
"""

from __future__ import annotations

import contextlib
import datetime
import threading
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

from transforms.errors import JobError
from transforms.sql.columns import SourceTable
from transforms.sql.database import Snapshot
from transforms.sql.mysql.catalogue import SNAPSHOTS, VIEW, rows
from transforms.sql.mysql.cursors import greatest, look_at_transactions, moment
from transforms.sql.mysql.failures import LOCK_WAIT_TIMEOUT, NO_RIGHT, explained, number_of
from transforms.sql.mysql.target import MysqlTarget

if TYPE_CHECKING:
    from pymysql.connections import Connection

_LOCK_WAIT_S = 5


class Readers:
    """Connections that share a snapshot; borrowed one at a time, by any thread."""

    def __init__(self, connections: list[Connection]):
        self._free, self._n_left = list(connections), len(connections)
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def borrowed(self) -> Iterator[Connection]:
        """One of them, as soon as one is free. What has lost its server is not used again.

        Raises:
          JobError: none is left.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._free or not self._n_left)
            if not self._free:
                raise JobError("the run's snapshot is gone; run the command again")
            connection = self._free.pop()
        try:
            yield connection
        finally:
            with self._changed:
                if connection.open:
                    self._free.append(connection)
                else:
                    self._n_left -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Ends those that are not borrowed; the others are not given out again."""
        with self._changed:
            for connection in self._free:
                if connection.open:
                    connection.close()
            self._free, self._n_left = [], 0
            self._changed.notify_all()


# Of this process. A snapshot is plain data; its connections cannot be.
_HELD: dict[str, Readers] = {}


class SnapshotHolder:
    """Holds the snapshot of a run: while it is open, readers of this process can take it.

    Args:
      cursor_field: by which incremental runs go.
      max_readers: at most so many, fewer where they cannot be made to see one state.
      lock_wait_s: how long writers may be made to wait.
    """

    def __init__(
        self,
        target: MysqlTarget,
        table: SourceTable,
        cursor_field: str | None,
        max_readers: int,
        lock_wait_s: int = _LOCK_WAIT_S,
    ):
        self._target, self._table, self._cursor_field = target, table, cursor_field
        self._max_readers, self._lock_wait_s = max_readers, lock_wait_s
        self._taken: Snapshot | None = None

    def take(self) -> Snapshot:
        """As `Holder.take`."""
        if self._taken is None:
            with contextlib.ExitStack() as opened, explained(self._target.label):
                self._taken = self._begin(opened)
                opened.pop_all()
        return self._taken

    def close(self) -> None:
        """As `Holder.close`."""
        if self._taken is not None:
            _HELD.pop(self._taken.id).close()
            self._taken = None

    def _begin(self, opened: contextlib.ExitStack) -> Snapshot:
        n_readers = self._max_readers if self._table.kind == SNAPSHOTS else 1
        connections = [opened.enter_context(contextlib.closing(self._target.connect())) for _ in range(n_readers)]
        transactions = look_at_transactions(connections[0])
        with self._locked() if n_readers > 1 else contextlib.nullcontext(False) as is_locked:
            for connection in connections if is_locked else connections[:1]:
                begin(connection, self._table)
            read_time = moment(connections[0])
        if not is_locked:
            for connection in connections[1:]:
                connection.close()
            del connections[1:]
        lag = max(read_time - transactions.oldest, datetime.timedelta(0))
        cursor = greatest(connections[0], self._table, self._cursor_field, lag) if self._cursor_field else None
        snapshot = Snapshot(uuid.uuid4().hex, read_time, transactions.is_blind, cursor, len(connections))
        _HELD[snapshot.id] = Readers(connections)
        return snapshot

    @contextlib.contextmanager
    def _locked(self) -> Iterator[bool]:
        """Keeps writers of the table out; false where that may not be, or not yet."""
        import pymysql

        with contextlib.closing(self._target.connect()) as connection:
            rows(connection, f"SET SESSION lock_wait_timeout = {self._lock_wait_s}")
            try:
                rows(connection, f"LOCK TABLES {self._table.relation} READ")
            except pymysql.Error as error:
                if number_of(error) not in {*NO_RIGHT, LOCK_WAIT_TIMEOUT}:
                    raise
                yield False
                return
            yield True
            rows(connection, "UNLOCK TABLES")


@contextlib.contextmanager
def reader_of(target: MysqlTarget, table: SourceTable, snapshot: Snapshot | None) -> Iterator[Connection]:
    """A connection that reads a table: in a snapshot, or in a transaction that begins now.

    Raises:
      JobError: nobody holds the snapshot, or none of its readers is left.
      pymysql.Error: the server refuses, or does not answer.
    """
    if snapshot is None:
        with contextlib.closing(target.connect()) as connection:
            begin(connection, table)
            yield connection
        return
    readers = _HELD.get(snapshot.id)
    if readers is None:
        raise JobError("the run's snapshot is gone, or in another process; run the command again")
    with readers.borrowed() as connection:
        yield connection


def begin(connection: Connection, table: SourceTable) -> None:
    """Begins to read a table: what is written from now on is not seen.

    Raises:
      JobError: its engine has no snapshots, and it may not be locked either.
      pymysql.Error: the server refuses, or does not answer.
    """
    import pymysql

    if table.kind in (SNAPSHOTS, VIEW):
        rows(connection, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        # From here on the table cannot be altered or emptied by TRUNCATE.
        rows(connection, f"SELECT 1 FROM {table.relation} LIMIT 1")  # noqa: S608  # quoted
        return
    try:
        rows(connection, f"LOCK TABLES {table.relation} READ")
    except pymysql.Error as error:
        if number_of(error) not in NO_RIGHT:
            raise
        raise JobError(
            f"{table.relation} is of the engine {table.kind}, which has no snapshots, so it has to be locked while it "
            "is read; grant LOCK TABLES on its database to the user, or change the engine to InnoDB"
        ) from None
