"""What a BigQuery table is to a comparison: which column names the document, which row counts, what is compared.

    document_name, operation, data      a changelog of export, or of Firebase's extension: `data` of the newest change
    _meta_content_hash, profile         a table of ingest: `profile`
    document_id or document_name        a flat table of export, or any other with one column a field

No Beam. A table whose columns say none of this needs `--key_column`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from transforms.bigquery.document_columns import DELETED_AT, DOCUMENT_ID, DOCUMENT_NAME
from transforms.bigquery.schema import META_PREFIX, PROFILE, UPDATE_TIME, Column, sql_type
from transforms.bigquery.tables import TIE_BREAK, BigQueryTarget, Patience
from transforms.errors import UsageError
from transforms.verify.bigquery_store import BigQueryStore, RowVersions
from transforms.verify.forms import RecordForm, TableForm, TypedForm, change_data_of, profile_of
from transforms.verify.ignored import Ignored

_CHANGELOG = frozenset({DOCUMENT_NAME, "operation", "data"})
_TIES = ("read_time", "extracted_at", "timestamp", "event_id", *TIE_BREAK)
_DOCUMENTS = "/documents/"
_PARTITION = re.compile(r"PARTITION BY `(\w+)`")
# The client library's own retries would hide errors for up to ten minutes.
_ONCE: dict[str, Any] = {"retry": None, "timeout": 60.0}


def table_store(
    target: BigQueryTarget, *, by_path: bool, ignored: Ignored, key_column: str | None = None
) -> BigQueryStore:
    """The store of a table, found out from its columns; two or three requests.

    Args:
      by_path: whether keys are paths rather than ids.
      ignored: fields that are not compared.
      key_column: names the documents, where it is not the table's own way of naming them.

    Raises:
      UsageError: the table cannot be compared in this way; says what to pass.
      JobError, TransientError: there is no such table, or no answer.
    """
    columns = read_columns(target)
    by_name = {column.name: column for column in columns}
    key = key_column or _key_of(target, by_name, by_path)
    if key not in by_name or by_name[key].type != "STRING" or by_name[key].mode == "REPEATED":
        found = ", ".join(column.name for column in columns if column.type == "STRING" and column.mode != "REPEATED")
        raise UsageError(f"{target.id} has no STRING column {key}; pass --key_column, one of {found or 'none'}")
    is_changelog = by_name.keys() >= _CHANGELOG
    deleted = "`operation` = 'DELETE'" if is_changelog else ""
    if not is_changelog and DELETED_AT in by_name:
        deleted = f"`{DELETED_AT}` IS NOT NULL"
    versions = RowVersions(
        key,
        _prefix(target, key) if by_path and key == DOCUMENT_NAME else "",
        UPDATE_TIME if UPDATE_TIME in by_name else "timestamp" if is_changelog else None,
        tuple(name for name in _TIES if name in by_name),
        deleted,
    )
    return BigQueryStore(target, versions, _form(columns, by_name, ignored))


def read_columns(target: BigQueryTarget) -> tuple[Column, ...]:
    """The columns of a table or view. Raises as `table_store`."""
    patience = Patience()
    client = target.client()
    table = patience.through(lambda: client.get_table(target.id, **_ONCE), f"BigQuery table {target.id}")
    return tuple(map(_column, table.schema))


def names_paths(columns: Sequence[Column]) -> bool:
    """Whether a table knows the paths of its documents."""
    return any(column.name == DOCUMENT_NAME for column in columns)


def _key_of(target: BigQueryTarget, by_name: Mapping[str, Column], by_path: bool) -> str:
    if by_path and DOCUMENT_NAME not in by_name:
        raise UsageError(
            f"{target.id} has no column {DOCUMENT_NAME}, so the paths of its documents are not known; pass "
            "--match_by=id, or --key_column=COLUMN if another column has the paths"
        )
    if by_path:
        return DOCUMENT_NAME
    if DOCUMENT_ID in by_name:
        return DOCUMENT_ID
    if _is_of_ingest(by_name) and (key := _key_of_latest_view(target)):
        return key
    raise UsageError(
        f"{target.id} has no column {DOCUMENT_ID}, as tables of export have; pass --key_column=COLUMN, the one that "
        "has the ids of the documents"
    )


def _key_of_latest_view(target: BigQueryTarget) -> str | None:
    """The column of which the `_latest` view shows each value once; None if there is no such view."""
    client = target.client()
    view = target if target.table.endswith("_latest") else target.latest

    def query() -> str:
        try:
            return client.get_table(view.id, **_ONCE).view_query or ""
        except NotFound:
            return ""

    found = _PARTITION.search(Patience().through(query, f"BigQuery view {view.id}"))
    return found[1] if found else None


def _is_of_ingest(by_name: Mapping[str, Column]) -> bool:
    return PROFILE in by_name and f"{META_PREFIX}content_hash" in by_name


def _form(columns: Sequence[Column], by_name: Mapping[str, Column], ignored: Ignored) -> TableForm:
    if by_name.keys() >= _CHANGELOG:
        return RecordForm("data", change_data_of, ignored)
    if _is_of_ingest(by_name):
        return RecordForm(PROFILE, profile_of, ignored)
    return TypedForm(columns, ignored)


def _prefix(target: BigQueryTarget, key: str) -> str:
    """What all full names begin with: `projects/P/databases/D/documents/`; empty if there are no rows.

    Between two texts of one beginning, in the order of bytes, every text begins alike: the first and the last will do.
    """
    sql = f"SELECT MIN(`{key}`) AS first, MAX(`{key}`) AS last FROM `{target.id}`"  # noqa: S608  # both are names, not values
    client = target.client()
    found = Patience().through(lambda: list(client.query(sql, **_ONCE).result(**_ONCE)), f"BigQuery table {target.id}")
    first, last = found[0].values()
    if first is None:
        return ""
    prefixes: set[str] = {name.partition(_DOCUMENTS)[0] + _DOCUMENTS for name in (first, last) if _DOCUMENTS in name}
    if not prefixes:
        return ""  # paths already
    if len(prefixes) > 1 or not (_DOCUMENTS in first and _DOCUMENTS in last):
        raise UsageError(
            f"{target.id} has documents of several databases, {first.partition(_DOCUMENTS)[0]} and "
            f"{last.partition(_DOCUMENTS)[0]}; compare a view of one of them, or pass --match_by=id"
        )
    return prefixes.pop()


def _column(field: bigquery.SchemaField) -> Column:
    members = tuple(map(_column, field.fields))
    return Column(field.name, sql_type(field.field_type), field.mode or "NULLABLE", field.description or "", members)
