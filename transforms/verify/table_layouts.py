"""How a BigQuery table is compared: which column names the document, which row counts, what is compared. No Beam.

    a changelog         `data` of the newest change
    a table of ingest   `profile`, by the column of which the `_latest` view shows each value once
    rows of a database  one column per column, by _key
    any other           one column per field, by document_name, document_id or `--key_column`

What it is, `table_kinds.py` says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from google.api_core.exceptions import NotFound

from transforms.bigquery.failures import ask
from transforms.bigquery.queries import query
from transforms.bigquery.schema import UPDATE_TIME, Column
from transforms.bigquery.tables import existing_columns
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import UsageError
from transforms.export.changelog import DELETE
from transforms.export.columns import DELETED_AT, DOCUMENT_ID, DOCUMENT_NAME
from transforms.records.table import DELETED_AT_COLUMN, META_PREFIX, PROFILE
from transforms.sql import rows
from transforms.verify.bigquery_store import BigQueryStore, RowVersions
from transforms.verify.forms import RecordForm, TableForm, TypedForm, change_data_of, profile_of
from transforms.verify.ignored import Ignored
from transforms.verify.table_kinds import KnownTable, TableKind

# Of rows of one version: what decides in the `_latest` views.
_TIES = {
    TableKind.EXPORT: (DELETED_AT, "read_time", "extracted_at"),
    TableKind.INGEST: (f"{META_PREFIX}version", f"{META_PREFIX}updated_at"),
}
_DOCUMENTS = "/documents/"
_LATEST = "_latest"
_PARTITION = re.compile(r"PARTITION BY `(\w+)`")
_ONCE: dict[str, Any] = {"retry": None, "timeout": 60.0}  # the client library's own retries would hide errors


class _Key(NamedTuple):
    """The column that names documents, and what all its values begin with."""

    column: str
    prefix: str = ""


def table_store(
    target: BigQueryTarget, *, by_path: bool, ignored: Ignored, key_column: str | None = None
) -> BigQueryStore:
    """The store of a table, found out from its columns; a few requests.

    Args:
      by_path: whether keys are paths rather than ids.
      ignored: fields that are not compared.
      key_column: names the documents, where it is not the table's own way of naming them.

    Raises:
      UsageError: the table cannot be compared in this way; says what to pass.
      JobError, TransientError: the dataset is missing, access is refused, or there is no answer.
    """
    columns = _described(target, existing_columns(target))
    if not columns:
        raise UsageError(f"there is no BigQuery table {target.id}; name one that is there")
    table = KnownTable.of(columns, key_column)
    forms = {column.name: column.form for column in columns}
    key = _Key(key_column) if key_column else _key_of(target, table, by_path)
    if forms.get(key.column) not in ("STRING", "STRING NOT NULL"):
        found = ", ".join(column.name for column in columns if column.form.startswith("STRING"))
        raise UsageError(f"{target.id} has no STRING column {key.column}; pass --key_column, one of {found or 'none'}")
    _check_named(target, key.column)
    return BigQueryStore(target, _versions(table, key), _form(table, ignored))


def _check_named(target: BigQueryTarget, key: str) -> None:
    """Raises UsageError if some rows name no document: nobody could say whether the other store has those."""
    sql = f"SELECT COUNTIF(`{key}` IS NULL) FROM `{target.id}`"  # noqa: S608  # both are names, not values
    ((unnamed,),) = query(target.client(), sql)
    if unnamed:
        raise UsageError(
            f"{unnamed:,} rows of {target.id} have no {key}, so nobody can say which documents they are; remove them, "
            "or compare a view without them"
        )


def names_paths(target: BigQueryTarget) -> bool:
    """Whether a table knows the paths of its documents. Raises JobError or TransientError."""
    return KnownTable.of(_described(target, existing_columns(target))).names_paths


def _described(target: BigQueryTarget, columns: Sequence[Column]) -> tuple[Column, ...]:
    """The columns; those of a `_latest` view as its table describes them, because a view has no descriptions."""
    base = target.table.removesuffix(_LATEST)
    if base == target.table or any(column.description for column in columns):
        return tuple(columns)
    of_table = {column.name: column for column in existing_columns(replace(target, table=base))}
    return tuple(of_table.get(column.name, column) for column in columns)


def _versions(table: KnownTable, key: _Key) -> RowVersions:
    names = {column.name for column in table.columns}
    if table.kind is TableKind.ROWS:  # as the `_latest` view has them
        version, deleted_at = f"`{rows.READ_TIME}`", f"`{rows.DELETED_AT}`"
        order = (version, deleted_at, f"`{rows.EXTRACTED_AT}`")
        return RowVersions(key.column, key.column, key.prefix, version, order, f"{deleted_at} IS NOT NULL")
    name = DOCUMENT_NAME if table.names_paths else key.column
    version = f"`{UPDATE_TIME}`" if UPDATE_TIME in table.own else ""
    if table.kind is TableKind.CHANGELOG:
        version = f"COALESCE({version}, `timestamp`)" if version else "`timestamp`"
        is_deleted = f"`operation` = '{DELETE}'"
        ties = ("`event_id`",) if "event_id" in names else ()
        return RowVersions(key.column, name, key.prefix, version, (version, is_deleted, *ties), is_deleted)
    if not version:
        return RowVersions(key.column, name, key.prefix)
    is_deleted = f"`{DELETED_AT}` IS NOT NULL" if DELETED_AT in table.own else ""
    if table.kind is TableKind.INGEST and DELETED_AT_COLUMN in names:
        is_deleted = f"`{DELETED_AT_COLUMN}` IS NOT NULL"
    newest = (version, *(f"`{column}`" for column in _TIES[table.kind] if column in names))
    return RowVersions(key.column, name, key.prefix, version, newest, is_deleted)


def _form(table: KnownTable, ignored: Ignored) -> TableForm:
    if table.kind is TableKind.CHANGELOG:
        return RecordForm("data", change_data_of, ignored)
    if table.kind is TableKind.INGEST:
        return RecordForm(PROFILE, profile_of, ignored)
    return TypedForm(table, ignored)


def _key_of(target: BigQueryTarget, table: KnownTable, by_path: bool) -> _Key:
    if by_path and not table.names_paths:
        raise UsageError(
            f"{target.id} has no column {DOCUMENT_NAME}, so the paths of its documents are not known; pass "
            "--match_by=id, or --key_column=COLUMN if another column has the paths"
        )
    if table.names_paths and (by_path or DOCUMENT_ID in table.own):
        return _key_of_names(target, by_path)
    if DOCUMENT_ID in table.own:
        return _Key(DOCUMENT_ID)
    if table.kind is TableKind.ROWS:
        return _Key(rows.KEY)
    if table.kind is TableKind.INGEST and (key := _key_of_latest_view(target)):
        return _Key(key)
    raise UsageError(
        f"{target.id} has no column {DOCUMENT_ID}, as tables of export have; pass --key_column=COLUMN, the one that "
        "has the ids of the documents"
    )


def _key_of_names(target: BigQueryTarget, by_path: bool) -> _Key:
    """The full name without what all full names begin with, if possible, because tables are clustered by it.

    Between two texts of one beginning, in the order of bytes, every text begins alike: the first and the last will do.
    """
    slashes = f"LENGTH(`{DOCUMENT_NAME}`) - LENGTH(REPLACE(`{DOCUMENT_NAME}`, '/', ''))"
    sql = f"SELECT MIN(`{DOCUMENT_NAME}`), MAX(`{DOCUMENT_NAME}`), MIN({slashes}), MAX({slashes})"
    ((first, last, fewest, most),) = query(target.client(), f"{sql} FROM `{target.id}`")
    if first is None:
        return _Key(DOCUMENT_NAME if by_path else DOCUMENT_ID)
    collection = f"{first.rpartition('/')[0]}/"
    if not by_path:
        return _Key(DOCUMENT_NAME, collection) if last.startswith(collection) and fewest == most else _Key(DOCUMENT_ID)
    database = f"{first.partition(_DOCUMENTS)[0]}{_DOCUMENTS}"
    if _DOCUMENTS not in first and _DOCUMENTS not in last:
        return _Key(DOCUMENT_NAME)  # paths already
    if not (first.startswith(database) and last.startswith(database)):
        raise UsageError(
            f"{target.id} has documents of several databases, {first.partition(_DOCUMENTS)[0]} and "
            f"{last.partition(_DOCUMENTS)[0]}; compare a view of one of them, or pass --match_by=id"
        )
    return _Key(DOCUMENT_NAME, database)


def _key_of_latest_view(target: BigQueryTarget) -> str | None:
    """The column of which the `_latest` view shows each value once; None if there is no such view."""
    client = target.client()
    view = target if target.table.endswith(_LATEST) else target.latest

    def view_query() -> str:
        try:
            return client.get_table(view.id, **_ONCE).view_query or ""
        except NotFound:
            return ""

    found = _PARTITION.search(ask(view_query, f"BigQuery view {view.id}", view.breaker))
    return found[1] if found else None
