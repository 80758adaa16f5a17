"""The BigQuery table a job writes to: how it is made and kept up to date. No Beam.

    target = BigQueryTarget.parse("acme:people.candidates", services)
    columns = table_columns(spec)
    ensure_table(target, columns, table_options(spec, columns))
    ensure_latest_view(target, latest_rows(target, "candidate_id"))

`ensure_table` and `ensure_latest_view` do nothing when done again; two jobs may do them at once. A dataset is made only
when a location is given, because its location can never be changed afterwards.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from google.api_core.exceptions import Conflict, NotFound, PreconditionFailed
from google.cloud import bigquery

from transforms.bigquery.failures import RETRY, ask
from transforms.bigquery.schema import Column, TableOptions, schema_difference, sql_type
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import JobError
from transforms.retry import Retry

if TYPE_CHECKING:
    from transforms.bigquery.client import BigQueryClient

# The client library's own retries would hide errors for up to ten minutes and double ours.
_RPC: dict[str, Any] = {"retry": None, "timeout": 60.0}
# How often a change is tried again when somebody else changes the table at the same time.
_MAX_RACES = 5


class Ensured(NamedTuple):
    """What `ensure_table` has done: nothing, when `created` is False and `added` is empty."""

    created: bool
    added: tuple[str, ...]


def ensure_table(
    target: BigQueryTarget,
    columns: Sequence[Column],
    options: TableOptions,
    *,
    dataset_location: str | None = None,
    kept: datetime.timedelta | None = None,
    client: BigQueryClient | None = None,
    retry: Retry = RETRY,
) -> Ensured:
    """Makes the table, or adds the columns it lacks; never changes or drops one, nor the layout of an existing table.

    Args:
      dataset_location: where to make the dataset if it is missing, such as `EU`; None: a missing dataset is an error.
      kept: how long a new table is kept; None for as long as the dataset says.

    Raises:
      JobError: the dataset is missing, access is refused, or a column has another type; says how to fix it.
      TransientError: BigQuery does not answer.
    """
    connected = client or target.client()

    def ensure() -> Ensured:
        for _ in range(_MAX_RACES):
            # Conflicts: somebody else made or changed the table in between, so look again.
            with contextlib.suppress(Conflict, PreconditionFailed):
                return _ensure_once(connected, target, columns, options, dataset_location, kept)
        raise JobError(f"BigQuery table {target.id} was changed by somebody else {_MAX_RACES} times over; start again")

    return ask(ensure, f"BigQuery table {target.id}", target.breaker, retry)


def ensure_latest_view(
    target: BigQueryTarget, query: str, *, client: BigQueryClient | None = None, retry: Retry = RETRY
) -> BigQueryTarget:
    """Makes the `<table>_latest` view of a query on the table, or brings it up to date; returns where it is.

    Raises:
      JobError: there is a table of that name, or access is refused.
      TransientError: BigQuery does not answer.
    """
    connected = client or target.client()
    ask(lambda: _ensure_view_once(connected, target, query), f"BigQuery view {target.latest.id}", target.breaker, retry)
    return target.latest


def existing_columns(
    target: BigQueryTarget, *, client: BigQueryClient | None = None, retry: Retry = RETRY
) -> tuple[Column, ...]:
    """The columns of the table; none if there is no such table yet.

    Raises:
      JobError: the dataset is missing, or access is refused.
      TransientError: BigQuery does not answer.
    """
    connected = client or target.client()

    def look() -> tuple[Column, ...]:
        try:
            return tuple(_column(field) for field in connected.get_table(target.id, **_RPC).schema)
        except NotFound:
            _ensure_dataset(connected, target, None)
            return ()

    return ask(look, f"BigQuery table {target.id}", target.breaker, retry)


def dataset_location(target: BigQueryTarget, *, client: BigQueryClient | None = None, retry: Retry = RETRY) -> str:
    """Where the table's dataset is, such as `EU`. Raises as `existing_columns`."""
    connected = client or target.client()

    def look() -> str:
        _ensure_dataset(connected, target, None)
        dataset = connected.get_dataset(bigquery.DatasetReference(target.project, target.dataset), **_RPC)
        return str(dataset.location or "").upper()

    return ask(look, f"BigQuery dataset {target.project}:{target.dataset}", target.breaker, retry)


def _ensure_once(
    client: BigQueryClient,
    target: BigQueryTarget,
    columns: Sequence[Column],
    options: TableOptions,
    dataset_location: str | None,
    kept: datetime.timedelta | None,
) -> Ensured:
    try:
        present = client.get_table(target.id, **_RPC)
    except NotFound:
        table = _new_table(target, columns, options)
        if kept is not None:
            table.expires = datetime.datetime.now(datetime.timezone.utc) + kept
        try:
            client.create_table(table, **_RPC)
        except NotFound:
            _ensure_dataset(client, target, dataset_location)
            client.create_table(table, **_RPC)
        return Ensured(True, tuple(column.name for column in columns))
    if present.table_type != "TABLE":
        raise JobError(
            f"BigQuery {target.id} is a {present.table_type.lower()}; rows need a table: choose another name"
        )
    difference = schema_difference([_column(field) for field in present.schema], columns)
    if difference.conflicts:
        raise JobError(
            f"BigQuery table {target.id} does not fit the spec: {'; '.join(difference.conflicts)}. "
            "Rename the fields in the spec, or write to a new table; a column's type is never changed"
        )
    if difference.added or difference.widened:
        widened = {column.name: _field(column) for column in difference.widened}
        as_wanted = (widened.get(field.name, field) for field in present.schema)
        present.schema = [*as_wanted, *map(_field, difference.added)]
        client.update_table(present, ["schema"], **_RPC)  # guarded by the ETag
    return Ensured(False, tuple(column.name for column in (*difference.added, *difference.widened)))


def _ensure_view_once(client: BigQueryClient, target: BigQueryTarget, query: str) -> None:
    try:
        present = client.get_table(target.latest.id, **_RPC)
    except NotFound:
        view = bigquery.Table(target.latest.id)
        view.view_query = query
        client.create_table(view, exists_ok=True, **_RPC)
        return
    if present.table_type != "VIEW":
        raise JobError(f"BigQuery {target.latest.id} is not a view: rename or drop it, or choose another table")
    base = client.get_table(target.id, **_RPC)
    # A view keeps the columns that `SELECT *` meant when it was saved.
    if present.view_query != query or len(present.schema) != len(base.schema):
        present.view_query = query
        with contextlib.suppress(PreconditionFailed):  # another job has just brought it up to date
            client.update_table(present, ["view_query"], **_RPC)


def _ensure_dataset(client: BigQueryClient, target: BigQueryTarget, location: str | None) -> None:
    dataset = bigquery.DatasetReference(target.project, target.dataset)
    try:
        client.get_dataset(dataset, **_RPC)
    except NotFound:
        if location is None:
            raise JobError(
                f"BigQuery dataset {target.project}:{target.dataset} does not exist. Make it where the data should "
                f"live: bq --location=EU mk --dataset {target.project}:{target.dataset}"
            ) from None
        wanted = bigquery.Dataset(dataset)
        wanted.location = location
        client.create_dataset(wanted, exists_ok=True, **_RPC)


def _new_table(target: BigQueryTarget, columns: Sequence[Column], options: TableOptions) -> bigquery.Table:
    table = bigquery.Table(target.id, schema=[_field(column) for column in columns])
    if options.partition_by:
        table.time_partitioning = bigquery.TimePartitioning(type_=options.partition_unit, field=options.partition_by)
    if options.cluster_by:
        table.clustering_fields = list(options.cluster_by)
    return table


def _field(column: Column) -> bigquery.SchemaField:
    return bigquery.SchemaField(
        column.name,
        column.legacy_type,
        column.mode,
        description=column.description,
        fields=[_field(member) for member in column.fields],
    )


def _column(field: bigquery.SchemaField) -> Column:
    members = tuple(_column(member) for member in field.fields)
    return Column(field.name, sql_type(field.field_type), field.mode or "NULLABLE", field.description or "", members)
