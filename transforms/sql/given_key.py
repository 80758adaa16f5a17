"""The key of rows: the one that a flag names, checked before anything is read, or the one that the table declares."""

from __future__ import annotations

from collections.abc import Sequence

from transforms.errors import UsageError
from transforms.sql.columns import SourceTable
from transforms.sql.database import Database
from transforms.sql.names import check_columns


def key_of(database: Database, table: SourceTable, asked: tuple[str, ...], flag: str) -> tuple[str, ...]:
    """Names of the columns that identify a row: those asked for, or those that the table declares.

    Raises:
      UsageError: no key is asked for and none is declared, or one of its columns is not there or has no value.
      JobError, TransientError: the server cannot be asked.
    """
    if asked:
        _check(database, table, asked, flag)
    key = asked or table.key
    if not key:
        raise UsageError(
            f"{table.relation} has no primary key; pass {flag}=COLUMN,… with columns that are never NULL and unique "
            "together"
        )
    return key


def _check(database: Database, table: SourceTable, key: Sequence[str], flag: str) -> None:
    """Raises UsageError unless the table has the columns, and every row a value in each of them.

    Whether the values are unique shows only when all of them were read.

    Args:
      flag: that names the columns, for messages.

    Raises (too): JobError, TransientError, if the server cannot be asked.
    """
    check_columns(flag, table.relation, key, table.names)
    may_be_null = [each.name for each in table.columns if each.name in key and not each.is_never_null]
    if may_be_null and database.has_null(table, may_be_null):
        raise UsageError(
            f"{flag}: a row of {table.relation} has no value in {' or '.join(may_be_null)}, so the key does not "
            "identify it; name columns that are never NULL and unique together"
        )
