"""Cuts a table of MySQL or MariaDB into ranges of its key. Plain Python.

    `id` <= 500        `id` > 500 AND `id` <= 900        `id` > 900

A key of one number is cut evenly between its least and its greatest one. Of other keys every n-th is looked up, for
which the server walks over an index of them, as it does to count them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from transforms.sql.columns import SourceColumn, SourceTable
from transforms.sql.database import Part, Position
from transforms.sql.mysql.catalogue import rows
from transforms.sql.mysql.types import literal, quoted
from transforms.sql.statements import parts_between

if TYPE_CHECKING:
    from pymysql.connections import Connection

_FEWEST_ROWS = 20_000  # a part smaller than that costs more than it saves
_INTEGERS = ("INT64", "NUMERIC")


def boundaries(connection: Connection, table: SourceTable, key: Sequence[str], max_parts: int) -> list[Position]:
    """Keys, ascending, that cut a table with an ordered key into ranges of about one size.

    Raises:
      pymysql.Error: the server refuses, or does not answer.
    """
    n_parts = max(1, min(max_parts, table.n_rows // _FEWEST_ROWS))
    columns = table.columns_of(key)
    if n_parts == 1:
        return []
    if len(columns) == 1 and columns[0].type in _INTEGERS and not columns[0].declared.startswith("decimal"):
        name = quoted(key[0])
        ((least, greatest),) = rows(connection, f"SELECT MIN({name}), MAX({name}) FROM {table.relation}")  # noqa: S608
        return [] if least is None or greatest is None else evenly(int(least), int(greatest), n_parts)
    names, texts = ", ".join(map(quoted, key)), ", ".join(_selected(column) for column in columns)
    found: list[Position] = []
    step = table.n_rows // n_parts
    while len(found) < n_parts - 1:
        above = f" WHERE {compared(table, key, '>', found[-1])}" if found else ""
        statement = f"SELECT {texts} FROM {table.relation}{above} ORDER BY {names} LIMIT 1 OFFSET {step}"  # noqa: S608
        row = rows(connection, statement)
        if not row:
            break
        found.append(tuple(map(str, row[0])))
    return found


def evenly(least: int, greatest: int, n_parts: int) -> list[Position]:
    """
    >>> evenly(1, 100, 4), evenly(7, 8, 4)
    ([('25',), ('50',), ('75',)], [('7',)])
    """
    cuts = {least - 1 + (greatest - least + 1) * n // n_parts for n in range(1, n_parts)}
    return [(str(cut),) for cut in sorted(cuts) if cut >= least]


def key_parts(table: SourceTable, key: Sequence[str], cuts: Sequence[Position]) -> list[Part]:
    """The ranges between boundaries.

    >>> table = SourceTable("", "t", (SourceColumn("id", "int(11)", "INT64", "`id`"),), ("id",), "innodb")
    >>> [part.condition for part in key_parts(table, ["id"], [("5",), ("9",)])]
    ['`id` <= 5', '`id` > 5 AND `id` <= 9', '`id` > 9']
    """
    above = [compared(table, key, ">", cut) for cut in cuts]
    return parts_between(above, [compared(table, key, "<=", cut) for cut in cuts])


def compared(table: SourceTable, key: Sequence[str], sign: str, position: Position) -> str:
    """The condition that a row's key is greater than, or at most, another one; in words for which an index is used.

    >>> columns = SourceColumn("a", "int(11)", "INT64", "`a`"), SourceColumn("b", "varchar(9)", "STRING", "`b`")
    >>> table = SourceTable("", "t", columns, ("a", "b"), "innodb")
    >>> compared(table, ["a", "b"], ">", ("1", "x"))
    "(`a` > 1 OR (`a` = 1 AND `b` > _utf8mb4 X'78'))"
    >>> compared(table, ["a", "b"], "<=", ("1", "x"))
    "(`a` < 1 OR (`a` = 1 AND `b` <= _utf8mb4 X'78'))"
    """
    (name, text), *more = zip(key, position, strict=True)
    column, value = quoted(name), literal(table.columns_of([name])[0].declared, text)
    if not more:
        return f"{column} {sign} {value}"
    behind = compared(table, [name for name, _ in more], sign, tuple(text for _, text in more))
    return f"({column} {sign[0]} {value} OR ({column} = {value} AND {behind}))"


def _selected(column: SourceColumn) -> str:
    return f"LOWER(HEX({column.expression}))" if column.type == "BYTES" else column.expression
