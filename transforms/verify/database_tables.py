"""How a table of a database is compared: with the table of BigQuery that export made of it, or with another one.

declared columns ─┬─ those of the table that export made, by their descriptions ─▶ the same cells
                  └─ those that export would make, of both                      ─▶ the same names and types
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from transforms.bigquery.schema import Column
from transforms.errors import UsageError
from transforms.export.source_target import table_columns
from transforms.sql.columns import SourceTable
from transforms.sql.database import Database, Selection
from transforms.sql.given_key import key_of
from transforms.sql.rows import FIXED_COLUMNS
from transforms.verify.bigquery_store import BigQueryStore
from transforms.verify.database_store import DatabaseStore
from transforms.verify.forms import TypedForm
from transforms.verify.ignored import Ignored
from transforms.verify.table_kinds import KnownTable, TableKind

_EXACT = frozenset({"NUMERIC", "BIGNUMERIC"})  # their values have one form


def row_store(database: Database, table: SourceTable, asked: str | None, ignored: Ignored) -> DatabaseStore:
    """The store of a table, with the columns that export would make.

    Args:
      asked: names of the columns of the key, with commas; None for the key that the table declares.

    Raises:
      UsageError: the table has no key, or no such columns, or a row has no value in one of them.
      JobError, TransientError: the server cannot be asked.
    """
    key = key_of(database, table, tuple(asked.split(",")) if asked else (), "--key_column")
    if key != table.key:
        table = replace(table, is_ordered=False)
    columns = table_columns(table.columns)
    form = TypedForm(KnownTable.of((*columns, *FIXED_COLUMNS)), ignored)
    return DatabaseStore(database, Selection(table, key), columns, form)


def matched(
    left: DatabaseStore | BigQueryStore, right: DatabaseStore | BigQueryStore, ignored: Ignored
) -> tuple[DatabaseStore | BigQueryStore, DatabaseStore | BigQueryStore]:
    """Both stores with content of one form.

    Raises:
      UsageError: they have none in common; names the columns.
    """
    if isinstance(left, BigQueryStore):
        return (left, _as_stored(right, left, ignored)) if isinstance(right, DatabaseStore) else (left, right)
    if isinstance(right, BigQueryStore):
        return _as_stored(left, right, ignored), right
    _check_columns(left.columns, right.columns, right.selection.table.label, ignored)
    _check_columns(right.columns, left.columns, left.selection.table.label, ignored)
    return left, right


def _as_stored(rows: DatabaseStore, stored: BigQueryStore, ignored: Ignored) -> DatabaseStore:
    """The rows of a database as a table of BigQuery has them."""
    form = stored.form
    if not isinstance(form, TypedForm) or form.kind is not TableKind.ROWS:
        raise UsageError(
            f"{stored.target.id} was not made by export --source, so its rows and those of "
            f"{rows.selection.table.label} have no form in common; export to a table of its own and compare that one"
        )
    columns = table_columns(rows.selection.table.columns, form.all_columns)
    _check_columns(columns, form.all_columns, stored.target.id, ignored)
    return replace(rows, columns=columns, form=form)


def _check_columns(columns: Sequence[Column], others: Sequence[Column], other: str, ignored: Ignored) -> None:
    """Raises UsageError if another table cannot have the values of some columns."""
    by_name = {column.name.lower(): column for column in others}
    reasons: dict[str, str] = {}
    for column in columns:
        if ignored.below((column.name,)) is None:
            continue
        found = by_name.get(column.name.lower())
        if found is None:
            reasons[column.name] = f"it has no column {column.name}"
        elif not _holds(column, found):
            reasons[column.name] = f"its column {column.name} is {found.form}, not {column.form}"
    if reasons:
        raise UsageError(
            f"{other} cannot be compared: {'; '.join(reasons.values())}. Export again, or pass "
            f"--ignore={','.join(reasons)}"
        )


def _holds(column: Column, other: Column) -> bool:
    """Whether values of both columns are compared in one form."""
    if (column.mode == "REPEATED") != (other.mode == "REPEATED"):
        return False
    return column.type == other.type or {column.type, other.type} <= _EXACT
