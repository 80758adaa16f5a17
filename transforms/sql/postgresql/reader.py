"""Reads parts of a table of PostgreSQL by COPY, all in one snapshot. Plain Python.

    SourceTable ──plan_parts──▶ Part, Part, … ──read_part──▶ fields of rows, the server's own text

A part of a table is a range of its blocks: within one snapshot no row moves, ranges of blocks are of one size whatever
the keys are, and the server reads just these. What has no blocks of its own, a view or a partitioned table, is one
part.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

from transforms.errors import JobError
from transforms.sql.columns import SourceTable
from transforms.sql.postgresql.copy_text import fields_of
from transforms.sql.postgresql.failures import explained
from transforms.sql.postgresql.target import PostgresqlTarget

_NO_ENCODING = "SQL_ASCII"
_FEWEST_BLOCKS = 1_024  # 8 MiB: a part smaller than that costs more than it saves


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that one reader reads from beginning to end.

    Attributes:
      index: counted from 0.
      start, end: blocks; None for those before the first and behind the last.
    """

    index: int
    start: int | None = None
    end: int | None = None

    @property
    def condition(self) -> str:
        """In SQL; empty for all rows.

        >>> Part(1, 1024).condition, Part(0).condition
        ("ctid >= '(1024,0)'", '')
        """
        bounds = ((">=", self.start), ("<", self.end))
        return " AND ".join(f"ctid {sign} '({block},0)'" for sign, block in bounds if block is not None)


@dataclass(frozen=True)
class Selection:
    """What is read of every row.

    Attributes:
      relation: quoted.
      expressions: of the fields, in their order.
      condition: of the rows that are wanted whole; empty for all.
      names_all: whether of the other rows the key is wanted.
      key_places: where the fields of the key stand.
    """

    relation: str
    expressions: tuple[str, ...]
    condition: str = ""
    names_all: bool = False
    key_places: tuple[int, ...] = ()

    def statement(self, part: Part) -> str:
        """COPY of a part. With `names_all` the first field says whether the row is wanted whole.

        >>> Selection("t", ("id", "name"), "age(xmin) < 7").statement(Part(0, None, 9))
        "COPY (SELECT id, name FROM t WHERE ctid < '(9,0)' AND (age(xmin) < 7)) TO STDOUT"
        >>> Selection("t", ("id", "name"), "n > 7", True, (0,)).statement(Part(0))
        'COPY (SELECT (n > 7) IS TRUE, id, CASE WHEN n > 7 THEN name END FROM t) TO STDOUT'
        """
        conditions, expressions = [part.condition] if part.condition else [], list(self.expressions)
        if self.condition and self.names_all:
            expressions = [
                text if at in self.key_places else f"CASE WHEN {self.condition} THEN {text} END"
                for at, text in enumerate(expressions)
            ]
            expressions.insert(0, f"({self.condition}) IS TRUE")
        elif self.condition:
            conditions.append(f"({self.condition})" if conditions else self.condition)
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        # Names and expressions are quoted by the server, and so are the values in conditions.
        return f"COPY (SELECT {', '.join(expressions)} FROM {self.relation}{where}) TO STDOUT"  # noqa: S608


def plan_parts(table: SourceTable, most: int) -> list[Part]:
    """Parts of about one size, at most `most` of them.

    >>> plan_parts(SourceTable("", "t", (), (), "r", n_blocks=5000), most=2)
    [Part(index=0, start=None, end=2500), Part(index=1, start=2500, end=None)]
    """
    n_parts = max(1, min(most, table.n_blocks // _FEWEST_BLOCKS))
    cuts: list[int | None] = [None, *(table.n_blocks * n // n_parts for n in range(1, n_parts)), None]
    return [Part(n, cuts[n], cuts[n + 1]) for n in range(n_parts)]


def read_part(
    target: PostgresqlTarget, selection: Selection, part: Part, snapshot_id: str
) -> Generator[tuple[Sequence[str | None], int], None, None]:
    """The fields of every row of a part, and how many bytes they had.

    Raises:
      JobError: the snapshot is gone, the table has changed, or fewer rows came than the server says it sent.
      TransientError: the server was restarted, or the connection broke.
    """
    with closing(target.connect()) as connection, explained(target.label):
        if connection.info.parameter_status("server_encoding") == _NO_ENCODING:
            # As UTF-8 the server would refuse a row whose text is in some other encoding.
            connection.execute(f"SET client_encoding = '{_NO_ENCODING}'".encode())
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshot_id}'".encode())
        cursor, received = connection.cursor(), 0
        with cursor.copy(selection.statement(part).encode()) as copied:
            for line in copied:
                received += 1
                yield fields_of(bytes(line)), len(line)
        if cursor.rowcount != received:  # the server's own count, in the command's tag
            raise JobError(
                f"{target.label}: {received:,} rows came of {cursor.rowcount:,} that the server sent; run it again"
            )
