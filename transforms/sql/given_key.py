"""Checks a key that a flag names, before anything is read."""

from __future__ import annotations

from collections.abc import Sequence

from transforms.errors import UsageError
from transforms.sql.columns import SourceTable
from transforms.sql.database import Database
from transforms.sql.names import closest


def check_key(database: Database, table: SourceTable, key: Sequence[str], flag: str) -> None:
    """Raises UsageError unless the table has the columns, and every row a value in each of them.

    Whether the values are unique shows only when all of them were read.

    Args:
      flag: that names the columns, for messages.

    Raises (too): JobError, TransientError, if the server cannot be asked.
    """
    names = [column.name for column in table.columns]
    for name in key:
        if name not in names:
            raise UsageError(f"{flag}: {table.relation} has no column {name}{closest(name, names)}")
    may_be_null = [each.name for each in table.columns if each.name in key and not each.is_never_null]
    if may_be_null and database.has_null(table, may_be_null):
        raise UsageError(
            f"{flag}: a row of {table.relation} has no value in {' or '.join(may_be_null)}, so the key does not "
            "identify it; name columns that are never NULL and unique together"
        )
