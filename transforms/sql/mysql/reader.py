"""Reads parts of a table of MySQL or MariaDB: rows as they come, values as the server writes them. Plain Python.

    Selection, Part ──read_part──▶ Chunk, Chunk, …: fields of rows, in the server's own text; octets in hexadecimal

Within a snapshot that somebody holds all parts are of one state. Without one, a part is a transaction of its own: it
begins by comparing the table with how it was described, and can be read on behind any row of it. The server does not
say how many rows it has sent, so it is asked to count them in the same transaction.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from itertools import islice
from typing import TYPE_CHECKING

from transforms.errors import FirebeamError, JobError
from transforms.sql.database import Chunk, Part, Position, Selection, Snapshot
from transforms.sql.mysql.catalogue import check_unchanged, rows
from transforms.sql.mysql.cursors import moment
from transforms.sql.mysql.failures import INTERRUPTED, explained, number_of
from transforms.sql.mysql.ranges import compared
from transforms.sql.mysql.row_text import row_reader
from transforms.sql.mysql.snapshot import reader_of
from transforms.sql.mysql.target import MysqlTarget
from transforms.sql.mysql.types import quoted
from transforms.sql.statements import clauses

if TYPE_CHECKING:
    from pymysql.connections import Connection

    from transforms.sql.mysql.packets import Rows

_ROWS_PER_CHUNK = 256
_CUT_SHORT = "1301"  # ER_WARN_ALLOWED_PACKET_OVERFLOWED: a function gave NULL for a text that was too long


def statements(selection: Selection, part: Part, behind: Position | None = None) -> tuple[str, str]:
    """What reads a part, and what counts its rows. A marked selection's first field says if the row is wanted whole.

    >>> from transforms.sql.columns import SourceColumn, SourceTable
    >>> columns = SourceColumn("id", "int(11)", "INT64", "`id`"), SourceColumn("name", "text", "STRING", "`name`")
    >>> table = SourceTable("", "`t`", columns, ("id",), "innodb")
    >>> for each in statements(Selection(table, ("id",), "n > 7"), Part(0, "`id` <= 9")): print(each)
    SELECT `id`, `name` FROM `t` WHERE (`id` <= 9) AND (n > 7)
    SELECT COUNT(*) FROM `t` WHERE (`id` <= 9) AND (n > 7)
    >>> statements(Selection(table, ("id",), "n > 7", names_all=True), Part(0))[0]
    'SELECT (n > 7) IS TRUE, `id`, CASE WHEN n > 7 THEN `name` END FROM `t`'
    >>> statements(Selection(table, ("id",), in_order=True), Part(0), ("7",))[0]
    'SELECT `id`, `name` FROM `t` WHERE (`id` > 7) ORDER BY `id`'
    """
    table = selection.table
    of = clauses(selection, part, compared(table, selection.key, ">", behind) if behind is not None else "", quoted)
    of_part = f"FROM {table.relation}{of.where}"
    return f"SELECT {of.expressions} {of_part}{of.order}", f"SELECT COUNT(*) {of_part}"


def read_part(
    target: MysqlTarget, selection: Selection, part: Part, snapshot: Snapshot | None, behind: Position | None
) -> Generator[Chunk, None, None]:
    """As `Database.read`."""
    reading, counting = statements(selection, part, behind)
    fields_of, received = row_reader(selection), 0
    with explained(target.label), reader_of(target, selection.table, snapshot) as connection:
        if snapshot is None:
            read_time = moment(connection)
            check_unchanged(connection, target, selection.table)
        else:
            read_time = snapshot.read_time
        with contextlib.closing(_payloads(target, connection, reading)) as payloads:
            while chunk := list(islice(payloads, _ROWS_PER_CHUNK)):
                received += len(chunk)
                yield Chunk(read_time, [fields_of(row) for row in chunk], list(map(len, chunk)))
        ((counted,),) = rows(connection, counting)
    if int(counted or 0) != received:
        raise JobError(f"{target.label}: {received:,} rows came of {counted} that the server counts; run it again")


def _payloads(target: MysqlTarget, connection: Connection, statement: str) -> Generator[bytes, None, None]:
    """The rows of an answer; if they are not read to the end, the server is asked not to send the rest."""
    from transforms.sql.mysql.packets import Rows

    answer = Rows(connection, statement)
    try:
        yield from answer
    except GeneratorExit:
        _end(target, connection, answer)
        raise
    if answer.n_warnings and any(code == _CUT_SHORT for _, code, _ in rows(connection, "SHOW WARNINGS")):
        raise JobError(
            f"{target.label}: the text of a value is longer than the server's max_allowed_packet; raise that beyond "
            "the longest geometry"
        )


def _end(target: MysqlTarget, connection: Connection, answer: Rows) -> None:
    """Ends a statement whose rows are not wanted any more, but not the transaction, whose snapshot others may read."""
    import pymysql

    from transforms.sql.mysql.packets import drop

    try:
        with contextlib.closing(target.connect()) as other:
            rows(other, f"KILL QUERY {connection.thread_id()}")
        for _ in answer:
            pass
    except FirebeamError:
        drop(connection)
    except pymysql.Error as error:
        if number_of(error) != INTERRUPTED:
            drop(connection)
