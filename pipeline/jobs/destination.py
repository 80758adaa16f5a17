"""Where ingest sends its records, by its flags; a replay sends those of its dead letters to the same place."""

from __future__ import annotations

from dataclasses import replace

from pipeline.jobs.ingest_flags import Config
from pipeline.specs import read_spec
from transforms.bigquery.row_writer import RowsPlan
from transforms.bigquery.storage_target import StorageTarget
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import UsageError
from transforms.firestore.packing import RequestLimits
from transforms.firestore.target import FirestoreTarget
from transforms.records.spec import RecordSpec
from transforms.records.table import table_columns, table_options
from transforms.services import Services
from transforms.upsert.destination import Destination
from transforms.upsert.entries import Written
from transforms.upsert.forms import AS_IT_CAME, RecordForm
from transforms.upsert.layout import Layout, PairLayout, SingleLayout
from transforms.upsert.modes import VERSIONED
from transforms.upsert.rows import rows_of_records

# Below the service's own limit, which counts the request's envelope as well.
_SHARE_OF_REQUEST = 0.9


def destination(config: Config, services: Services, *, failed_before: bool = False) -> Destination:
    """Where a config sends its records.

    Args:
      config: the flags.
      services: where they are and as whom to reach them.
      failed_before: the records have failed before, so it says nothing of the job that all of a batch fail again.

    Raises:
      UsageError: what is wrong with which flag.
    """
    if config.keep_versions and config.upsert != VERSIONED:
        raise UsageError(f"--keep_versions needs --upsert={VERSIONED}, got {config.upsert}")
    spec, firestore = replace(read_spec(config.spec), escapes_ids=config.escapes_ids), config.firestore(services)
    layout = _layout(firestore, spec, config)
    limits = request_limits(firestore, config.max_in_flight, config.max_request_bytes, failed_before=failed_before)
    to_table = config.bigquery_table, config.bigquery_method
    rows = rows_to(*to_table, spec, services, config.max_outage_s, failed_before=failed_before)
    return Destination(spec, layout, limits, rows, config.retry, config.max_writes_per_s)


def _layout(firestore: FirestoreTarget, spec: RecordSpec, config: Config) -> Layout:
    how = (spec.schema_version, config.upsert, config.keep_versions)
    if spec.flat_collection is None:
        return SingleLayout(firestore, spec.full_collection, *how)
    return PairLayout(firestore, spec.full_collection, spec.flat_collection, *how)


def request_limits(
    firestore: FirestoreTarget, max_in_flight: int, max_request_bytes: int | None = None, *, failed_before: bool
) -> RequestLimits:
    """How records are packed into Commits.

    Args:
      max_request_bytes: None for what the service takes.
      failed_before: as in `destination`.
    """
    return RequestLimits(
        max_request_bytes=max_request_bytes or int(firestore.max_request_bytes * _SHARE_OF_REQUEST),
        max_in_flight=max_in_flight,
        stop_at_refused_alike=None if failed_before else RequestLimits.stop_at_refused_alike,
    )


def rows_to(
    table: str | None,
    method: str,
    spec: RecordSpec,
    services: Services,
    max_outage_s: float,
    *,
    form: RecordForm = AS_IT_CAME,
    shows_deletes: bool = False,
    failed_before: bool = False,
) -> RowsPlan[Written] | None:
    """How the rows of a spec's records are made and sent; None without a table.

    Args:
      form, shows_deletes: as in `Destination`.
      failed_before: as in `destination`.

    Raises:
      UsageError: the table is not named well, or BigQuery does not have what the spec asks for.
    """
    if table is None:
        return None
    target = BigQueryTarget.parse(table, services, max_outage_s)
    storage_host = StorageTarget.host_for(method, target, services)
    columns = table_columns(spec, shows_deletes=shows_deletes)
    table_options(spec, columns)  # refuses options that BigQuery does not have, while it is still free to do so
    rows = rows_of_records(target, columns, method, storage_host, form=form)
    return replace(rows, may_all_be_bad=failed_before)
