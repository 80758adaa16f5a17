"""What statements that read a part of a table have in common, whatever the server. Plain Python.

Names, expressions and conditions come quoted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from transforms.sql.database import Part, Selection


class Clauses(NamedTuple):
    """A statement that reads a part is SELECT `expressions` FROM the table, and the other two clauses, if any."""

    expressions: str
    where: str
    order: str


def clauses(selection: Selection, part: Part, behind: str, quoted: Callable[[str], str]) -> Clauses:
    """What is selected of a part. Of a marked selection the first field says whether the row is wanted whole; of others
    all fields but the key are NULL.

    Args:
      behind: the condition on rows with a greater key than those that were read; empty for all.
      quoted: a name, as the server's statements have it.
    """
    expressions = [column.expression for column in selection.table.columns]
    conditions = [part.condition, behind]
    if selection.is_marked:
        expressions = [
            text if at in selection.key_places else f"CASE WHEN {selection.condition} THEN {text} END"
            for at, text in enumerate(expressions)
        ]
        expressions.insert(0, f"({selection.condition}) IS TRUE")
    else:
        conditions.append(selection.condition)
    given = " AND ".join(f"({condition})" for condition in conditions if condition)
    order = ", ".join(map(quoted, selection.key)) if selection.in_order else ""
    return Clauses(", ".join(expressions), f" WHERE {given}" if given else "", f" ORDER BY {order}" if order else "")


def parts_between(above: Sequence[str], up_to: Sequence[str]) -> list[Part]:
    """The parts between cuts, of which there is one more.

    >>> [part.condition for part in parts_between(["id > 5", "id > 9"], ["id <= 5", "id <= 9"])]
    ['id <= 5', 'id > 5 AND id <= 9', 'id > 9']

    Args:
      above, up_to: for each cut the condition on rows behind it, and on the others.
    """
    bounds = zip(["", *above], [*up_to, ""], strict=True)
    return [Part(n, " AND ".join(filter(None, both))) for n, both in enumerate(bounds)]
