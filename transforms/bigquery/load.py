"""Load jobs for a BigQuery table, through Beam's own `WriteToBigQuery`.

    rows ─▶ files under temp_location ─▶ load jobs ─▶ their ids

This is the cheapest way into a table, and memory stays flat. A load job writes all of its rows or none, and each row at
least once; the table's `_latest` view shows it once. For an answer per row use another method, see `senders.py`.

    load_jobs = rows | "LoadRows" >> LoadRows(target, columns, temp_location="gs://bucket/tmp")
"""

import json
import time
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import apache_beam as beam
from apache_beam.internal.http_client import get_new_http
from apache_beam.io.gcp.bigquery import BigQueryDisposition, WriteToBigQuery
from apache_beam.io.gcp.internal.clients.bigquery import BigqueryV2
from apache_beam.options.pipeline_options import GoogleCloudOptions
from apache_beam.pvalue import AsSingleton, PCollection
from apitools.base.py.exceptions import HttpError
from google.api_core.exceptions import GoogleAPICallError, ServiceUnavailable, from_http_status
from google_auth_httplib2 import AuthorizedHttp
from httplib2 import HttpLib2Error

from transforms.bigquery.failures import RETRY, ask, failure_of
from transforms.bigquery.load_jobs import failed
from transforms.bigquery.schema import Column
from transforms.bigquery.senders import check_temp_location
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import Kind
from transforms.retry import Retry


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
            table=self.target.name,
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
      retry: of every request.
    """

    test_clock = staticmethod(time.time)  # Beam asks a client that is handed to it for the time

    def __init__(self, target: BigQueryTarget, retry: Retry = RETRY):
        self._target, self._retry = target, retry

    def __reduce__(self) -> "tuple[type[LoadJobClient], tuple[BigQueryTarget, Retry]]":
        return LoadJobClient, (self._target, self._retry)

    @cached_property
    def _apitools(self) -> Any:
        client = BigqueryV2(
            url=f"{self._target.url}/bigquery/v2/",
            get_credentials=False,  # the connection has them
            http=AuthorizedHttp(self._target.google_credentials(), http=get_new_http()),
            response_encoding="utf8",
        )
        client.num_retries = 1  # in all: `_Asked` retries
        return client

    @property
    def datasets(self) -> "_Asked":
        return _Asked(self._apitools.datasets, self._target, self._retry)

    @property
    def jobs(self) -> "_Jobs":
        return _Jobs(self._apitools.jobs, self._target, self._retry)

    @property
    def tables(self) -> "_Asked":
        return _Asked(self._apitools.tables, self._target, self._retry)


class _Asked:
    """The methods of one part of BigQuery's API, which wait while it is away."""

    def __init__(self, api: Any, target: BigQueryTarget, retry: Retry):
        self._api, self._target, self._retry = api, target, retry

    def __getattr__(self, method: str) -> Callable[..., Any]:
        """Raises HttpError for what BigQuery refuses, which Beam understands; TransientError and OutageError."""
        send = getattr(self._api, method)

        def send_once(*args: Any, **options: Any) -> Any:
            try:
                return send(*args, **options)
            except HttpError as error:
                meant = _api_error(error)
                if failure_of(meant).kind is not Kind.TRANSIENT:
                    self._target.breaker.succeeded()
                    raise
                raise meant from error
            except (HttpLib2Error, OSError) as error:
                raise ServiceUnavailable(f"no answer from BigQuery ({type(error).__name__})") from error

        doing, breaker = f"BigQuery table {self._target.id}", self._target.breaker
        return lambda *args, **options: ask(partial(send_once, *args, **options), doing, breaker, self._retry)


class _Jobs(_Asked):
    """The methods of jobs that Beam calls while it loads files."""

    def Get(self, request: Any) -> Any:  # noqa: N802  # apitools' name
        """Raises JobError or TransientError for a job that failed, of which Beam would show the reason only."""
        job = self.__getattr__("Get")(request)
        if job.status.state == "DONE" and job.status.errorResult:
            errors = [_error(error) for error in job.status.errors]
            raise failed(request.jobId, self._target.id, _error(job.status.errorResult), errors)
        return job


def _api_error(error: HttpError) -> GoogleAPICallError:
    """A failed request as Google's other client raises it."""
    try:
        told = json.loads(error.content)["error"]
        message, errors = told["message"], told.get("errors", ())
    except (ValueError, KeyError, TypeError):
        message, errors = "no reason given", ()
    return from_http_status(error.status_code, message, errors=errors)


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
