"""Load jobs for a BigQuery table, through Beam's own `WriteToBigQuery`.

    rows ─▶ files under temp_location ─▶ load jobs ─▶ their ids

This is the cheapest way into a table, and memory stays flat. A load job writes all of its rows or none, and each row at
least once; the table's `_latest` view shows it once. For an answer per row use another method, see `senders.py`.

    load_jobs = rows | "LoadRows" >> LoadRows(target, columns, temp_location="gs://bucket/tmp")
"""

import time
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

import apache_beam as beam
from apache_beam.internal.http_client import get_new_http
from apache_beam.io.gcp.bigquery import BigQueryDisposition, WriteToBigQuery
from apache_beam.io.gcp.internal.clients.bigquery import BigqueryV2
from apache_beam.options.pipeline_options import GoogleCloudOptions
from apache_beam.pvalue import AsSingleton, PCollection
from google_auth_httplib2 import AuthorizedHttp

from transforms.bigquery.load_jobs import failed
from transforms.bigquery.schema import Column
from transforms.bigquery.senders import check_temp_location
from transforms.bigquery.target import BigQueryTarget


class LoadRows(beam.PTransform[PCollection[dict[str, Any]], PCollection[str]]):
    """Appends rows to an existing table.

    In: rows as load jobs want them, see `rows.loadable`. Out: the ids of load jobs. Delivery: at least once. Parallel:
    files. Fails: one bad row fails the job, with a JobError that names file and column.

    Args:
      target: the table; `ensure_table` has made it.
      columns: of the table; or a side input, for a table whose columns only the job finds out.
      temp_location: gs:// folder; default: the pipeline's --temp_location.
    """

    def __init__(
        self,
        target: BigQueryTarget,
        columns: Sequence[Column] | AsSingleton,
        *,
        temp_location: str | None = None,
    ):
        super().__init__()
        self.target = target
        self.columns = columns if isinstance(columns, AsSingleton) else tuple(columns)
        self.temp_location = temp_location

    def expand(self, rows: PCollection[dict[str, Any]]) -> PCollection[str]:
        temp_location = self.temp_location or rows.pipeline.options.view_as(GoogleCloudOptions).temp_location
        check_temp_location(temp_location)
        loaded = rows | "LoadFiles" >> WriteToBigQuery(
            table=f"{self.target.project}:{self.target.dataset}.{self.target.table}",
            **self._schema(),
            method=WriteToBigQuery.Method.FILE_LOADS,
            create_disposition=BigQueryDisposition.CREATE_NEVER,
            write_disposition=BigQueryDisposition.WRITE_APPEND,
            custom_gcs_temp_location=temp_location,
            test_client=LoadJobClient(self.target),
        )
        load_jobs: PCollection[str] = loaded.destination_load_jobid_pairs | "NameLoadJob" >> beam.MapTuple(_job_id)
        return load_jobs

    def _schema(self) -> dict[str, Any]:
        if isinstance(self.columns, AsSingleton):
            return {"schema": _schema_of_columns, "schema_side_inputs": (self.columns,)}
        # The dict itself would do, but makes Beam warn about each JSON column.
        return {"schema": partial(_schema_of, beam_schema(self.columns))}


class LoadJobClient:
    """Beam's client of BigQuery, which knows emulators and accounts and says why a job failed; Beam itself does none.

    Picklable, as it connects when it is first used in a worker.

    Args:
      target: the table that is loaded.
    """

    test_clock = staticmethod(time.time)  # Beam asks a client that is handed to it for the time

    def __init__(self, target: BigQueryTarget):
        self._target = target

    def __reduce__(self) -> "tuple[type[LoadJobClient], tuple[BigQueryTarget]]":
        return LoadJobClient, (self._target,)

    @cached_property
    def _apitools(self) -> Any:
        return BigqueryV2(
            url=f"{self._target.url}/bigquery/v2/",
            get_credentials=False,  # the connection has them
            http=AuthorizedHttp(self._target.google_credentials(), http=get_new_http()),
            response_encoding="utf8",
        )

    @property
    def datasets(self) -> Any:
        return self._apitools.datasets

    @property
    def jobs(self) -> "_Jobs":
        return _Jobs(self._apitools.jobs, self._target.id)

    @property
    def tables(self) -> Any:
        return self._apitools.tables


class _Jobs:
    """The methods of jobs that Beam calls while it loads files."""

    def __init__(self, jobs: Any, table: str):
        self._jobs, self._table = jobs, table
        self.Insert = jobs.Insert

    def Get(self, request: Any) -> Any:  # noqa: N802  # apitools' name
        """Raises JobError or TransientError for a job that failed, of which Beam would show the reason only."""
        job = self._jobs.Get(request)
        if job.status.state == "DONE" and job.status.errorResult:
            errors = [_error(error) for error in job.status.errors]
            raise failed(request.jobId, self._table, _error(job.status.errorResult), errors)
        return job


def _error(error: Any) -> dict[str, str | None]:
    """An apitools ErrorProto."""
    return {"reason": error.reason, "location": error.location, "message": error.message}


def beam_schema(columns: Sequence[Column]) -> dict[str, list[dict[str, Any]]]:
    """Columns as Beam takes them.

    >>> beam_schema([Column("tags", "STRING", "REPEATED"), Column("age", "INT64")])["fields"][1]
    {'name': 'age', 'type': 'INTEGER', 'mode': 'NULLABLE'}
    """
    return {"fields": [_beam_field(column) for column in columns]}


def _beam_field(column: Column) -> dict[str, Any]:
    field = {"name": column.name, "type": column.legacy_type, "mode": column.mode}
    return {**field, "fields": [_beam_field(member) for member in column.fields]} if column.fields else field


def _schema_of(schema: dict[str, Any], _: Any) -> dict[str, Any]:
    """The schema, whatever the destination."""
    return schema


def _schema_of_columns(_: Any, columns: Sequence[Column]) -> dict[str, Any]:
    """The schema of a table whose columns come as a side input."""
    return beam_schema(columns)


def _job_id(_: str, job: Any) -> str:
    return str(job.jobId)
