"""Reads parts of a table of PostgreSQL by COPY. Plain Python.

Selection, Part ──read_part──▶ Chunk, Chunk, …: fields of rows, in the server's own text

Within a snapshot that somebody holds all parts are of one state. Without one, a part is a transaction of its own: it
begins by comparing the table with how it was described, and can be read on behind any row of it.
"""

from __future__ import annotations

import datetime
from collections.abc import Generator
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

from transforms.errors import JobError
from transforms.sql.database import Chunk, Part, Position, Selection, Snapshot
from transforms.sql.postgresql.catalogue import NO_ENCODING, check_unchanged
from transforms.sql.postgresql.copy_text import rows_of
from transforms.sql.postgresql.failures import explained
from transforms.sql.postgresql.ranges import compared, quoted
from transforms.sql.postgresql.snapshot import begin
from transforms.sql.postgresql.target import PostgresqlTarget
from transforms.sql.statements import clauses

if TYPE_CHECKING:
    from psycopg import Connection

_ROWS_PER_CHUNK = 256


def statement(selection: Selection, part: Part, behind: Position | None = None) -> str:
    """COPY of a part. Of a marked selection the first field says whether the row is wanted whole.

    >>> from transforms.sql.columns import SourceColumn, SourceTable
    >>> columns = SourceColumn("id", "integer", "INT64", "id"), SourceColumn("name", "text", "STRING", "name")
    >>> table = SourceTable("", "t", columns, ("id",), "r")
    >>> statement(Selection(table, ("id",), "age(xmin) < 7"), Part(0, "ctid < '(9,0)'"))
    "COPY (SELECT id, name FROM t WHERE (ctid < '(9,0)') AND (age(xmin) < 7)) TO STDOUT"
    >>> statement(Selection(table, ("id",), "n > 7", names_all=True), Part(0))
    'COPY (SELECT (n > 7) IS TRUE, id, CASE WHEN n > 7 THEN name END FROM t) TO STDOUT'
    >>> print(statement(Selection(table, ("id",), in_order=True), Part(0), ("7",)))
    COPY (SELECT id, name FROM t WHERE ("id" > '7'::integer) ORDER BY "id") TO STDOUT
    """
    table = selection.table
    of = clauses(selection, part, compared(table, selection.key, ">", behind) if behind is not None else "", quoted)
    # Names and expressions are quoted by the server, and so are the values in conditions.
    return f"COPY (SELECT {of.expressions} FROM {table.relation}{of.where}{of.order}) TO STDOUT"  # noqa: S608


def read_part(
    target: PostgresqlTarget, selection: Selection, part: Part, snapshot: Snapshot | None, behind: Position | None
) -> Generator[Chunk, None, None]:
    """As `Database.read`."""
    with closing(target.connect()) as connection, explained(target.label):
        begin(connection, selection.table)
        if snapshot is None:
            read_time = _read_time(connection)
            check_unchanged(connection, target, selection.table)
        else:
            connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshot.id}'".encode())
            read_time = snapshot.read_time
        if not selection.table.is_unicode:
            # As UTF-8 the server would refuse a row whose text is in some other encoding.
            connection.execute(f"SET client_encoding = '{NO_ENCODING}'".encode())
        cursor, received = connection.cursor(), 0
        with cursor.copy(statement(selection, part, behind).encode("utf-8", "surrogateescape")) as copied:
            lines = iter(copied)
            while chunk := list(islice(lines, _ROWS_PER_CHUNK)):
                received += len(chunk)
                yield Chunk(read_time, rows_of(chunk), list(map(len, chunk)))
        if cursor.rowcount != received:  # the server's own count, in the command's tag
            raise JobError(
                f"{target.label}: {received:,} rows came of {cursor.rowcount:,} that the server sent; run it again"
            )


def _read_time(connection: Connection) -> datetime.datetime:
    found = connection.execute("SELECT clock_timestamp()").fetchone()
    assert found is not None, "a function has one row"
    read_time: datetime.datetime = found[0]
    return read_time
