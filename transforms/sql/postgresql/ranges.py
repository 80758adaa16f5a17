"""Cuts a table of PostgreSQL into parts: by its blocks, or by its key. Plain Python.

    blocks   ctid >= '(1024,0)' AND ctid < '(2048,0)'
    ranges   "id" > '500'::integer AND "id" <= '900'::integer, between boundaries that a sample of the keys gives

Within a snapshot no row leaves its block, and the server reads just the blocks of a part; from one transaction to the
next a row moves when it is updated, but stays in the range of its key. A part of less than 8 MiB costs more than it
saves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, LiteralString

from transforms.sql.columns import SourceTable
from transforms.sql.database import Part, Position
from transforms.sql.statements import parts_between

if TYPE_CHECKING:
    from psycopg import Connection

_FEWEST_BLOCKS = 1_024
_SAMPLED_PER_PART = 100
_MAX_BOUNDARY_BYTES = 64 * 1024  # the ledger keeps them in one document

_OWN_BLOCKS: LiteralString = """
SELECT CASE WHEN c.relkind = 'r' AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid)
            THEN pg_relation_size(c.oid) / current_setting('block_size')::bigint ELSE 0 END
FROM pg_class c WHERE c.oid = %s::regclass
"""
_ALL_BLOCKS: LiteralString = """
SELECT coalesce(sum(pg_relation_size(t.oid)), 0)::bigint / current_setting('block_size')::bigint FROM (
    SELECT relid::oid AS oid FROM pg_partition_tree(%s::regclass) WHERE isleaf UNION SELECT %s::regclass::oid
) AS t
"""


def block_parts(connection: Connection, table: SourceTable, max_parts: int) -> list[Part]:
    """Ranges of blocks of about one size; one part for what has no blocks of its own, such as a view.

    Raises (as all functions here that take a connection): psycopg.Error.
    """
    return cut_blocks(_number(connection, _OWN_BLOCKS, table.relation), max_parts)


def cut_blocks(n_blocks: int, max_parts: int) -> list[Part]:
    """
    >>> print(*(part.condition for part in cut_blocks(5000, max_parts=3)), sep="; ")
    ctid < '(1666,0)'; ctid >= '(1666,0)' AND ctid < '(3333,0)'; ctid >= '(3333,0)'
    """
    n_parts = _n_parts(n_blocks, max_parts)
    cuts = [f"'({n_blocks * n // n_parts},0)'" for n in range(1, n_parts)]
    return parts_between([f"ctid >= {cut}" for cut in cuts], [f"ctid < {cut}" for cut in cuts])


def boundaries(connection: Connection, table: SourceTable, key: Sequence[str], max_parts: int) -> list[Position]:
    """Keys, ascending, that cut a table with an ordered key into ranges of about one size, as a sample has them."""
    n_blocks = _number(connection, _ALL_BLOCKS, table.relation, table.relation)
    n_parts = _n_parts(n_blocks, max_parts)
    if n_parts == 1:
        return []
    names = ", ".join(map(quoted, key))
    texts = ", ".join(f"({column.expression})::text" for column in table.columns_of(key))
    percent = min(100.0, 100.0 * n_parts * _SAMPLED_PER_PART / max(n_blocks, table.n_rows))
    # A block is read as a whole, so as many blocks as rows are wanted are enough.
    statement = f"""
        SELECT {texts} FROM (
            SELECT DISTINCT ON (tile) * FROM (
                SELECT {names}, ntile({n_parts}) OVER (ORDER BY {names}) AS tile
                FROM {table.relation} TABLESAMPLE SYSTEM ({percent:f}) REPEATABLE (0)
            ) AS tiled ORDER BY tile, {names}
        ) AS firsts ORDER BY tile OFFSET 1"""  # noqa: S608  # names are quoted
    found = [tuple(map(str, row)) for row in connection.execute(statement.encode())]
    n_bytes = sum(len(text.encode("utf-8", "surrogateescape")) for row in found for text in row)
    return found[:: -(-n_bytes // _MAX_BOUNDARY_BYTES) or 1]


def key_parts(table: SourceTable, key: Sequence[str], cuts: Sequence[Position]) -> list[Part]:
    """The ranges between boundaries.

    >>> from transforms.sql.columns import SourceColumn
    >>> table = SourceTable("", "t", (SourceColumn("id", "integer", "INT64", "id"),), ("id",), "r")
    >>> print(*(part.condition for part in key_parts(table, ["id"], [("5",), ("9",)])), sep="; ")
    "id" <= '5'::integer; "id" > '5'::integer AND "id" <= '9'::integer; "id" > '9'::integer
    """
    above = [compared(table, key, ">", cut) for cut in cuts]
    return parts_between(above, [compared(table, key, "<=", cut) for cut in cuts])


def compared(table: SourceTable, key: Sequence[str], sign: str, position: Position) -> str:
    """The condition that a row's key is greater than, or at most, another one.

    >>> from transforms.sql.columns import SourceColumn
    >>> columns = SourceColumn("a", "integer", "INT64", "a"), SourceColumn("b", "text", "STRING", "b")
    >>> print(compared(SourceTable("", "t", columns, ("a", "b"), "r"), ["a", "b"], ">", ("1", "it's")))
    ("a", "b") > ('1'::integer, 'it''s'::text)
    """
    names = [quoted(name) for name in key]
    values = [
        f"{literal(text)}::{column.declared}" for column, text in zip(table.columns_of(key), position, strict=True)
    ]
    if len(names) == 1:
        return f"{names[0]} {sign} {values[0]}"
    return f"({', '.join(names)}) {sign} ({', '.join(values)})"


def quoted(name: str) -> str:
    """A name, as statements have it.

    >>> print(quoted('the "id"!'))
    "the ""id""!"
    """
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def literal(text: str) -> str:
    """A text, as statements have it: a backslash means itself, see `PostgresqlTarget.connect`."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def _n_parts(n_blocks: int, max_parts: int) -> int:
    return max(1, min(max_parts, n_blocks // _FEWEST_BLOCKS))


def _number(connection: Connection, statement: LiteralString, *relations: str) -> int:
    found = connection.execute(statement, relations).fetchone()
    return int(found[0]) if found else 0
