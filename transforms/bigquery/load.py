"""Big loads into a BigQuery table through Beam's own `WriteToBigQuery`.

    FILE_LOADS         rows ─▶ Parse JSON columns ─▶ files under temp_location ─▶ load jobs ─▶ load_jobs
    STREAMING_INSERTS  rows ─▶ shuffle ─▶ insertAll ─▶ rejected

Rows are the cells of `rows.RowEncoder`; both methods end in the same table contents. FILE_LOADS is the cheaper one, in
flat memory, and takes all rows or none; STREAMING_INSERTS holds every row in a shuffle. Both write each row at least
once; the table's `_latest` view shows it once. For an answer a row inside a step of one's own, use
`inserter.RowInserter`.

    result = rows | "LoadRows" >> LoadRows(target, columns, "FILE_LOADS", temp_location="gs://bucket/tmp")
"""

from collections.abc import Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.io.gcp.bigquery import BigQueryDisposition, WriteToBigQuery
from apache_beam.io.gcp.bigquery_tools import RetryStrategy
from apache_beam.options.pipeline_options import GoogleCloudOptions
from apache_beam.pvalue import AsSingleton, PCollection
from apache_beam.typehints.decorators import no_annotations
from google.api_core.exceptions import from_http_status

from transforms.bigquery.emulator import EmulatorClient
from transforms.bigquery.failures import raised_for, without_values
from transforms.bigquery.inserter import upper_snake
from transforms.bigquery.rows import json_columns, loadable
from transforms.bigquery.schema import Column
from transforms.bigquery.tables import BigQueryTarget
from transforms.errors import Kind, UsageError, classify, code_of_http

METHODS = ("FILE_LOADS", "STREAMING_INSERTS")

# Beam's own back-off doubles from 0.2 s to at most 1,500 s and by default goes on for 10,000 rounds: 12 are 7 minutes.
_MAX_STREAMING_RETRIES = 12


class RejectedRow(NamedTuple):
    """A row that BigQuery did not take: BigQuery's reason in UPPER_SNAKE, and its words without the value."""

    row: dict[str, Any]
    code: str
    message: str


class LoadResult(NamedTuple):
    """What came of the rows.

    Attributes:
      rejected: PCollection[RejectedRow]; empty with FILE_LOADS, where one bad row fails the job.
      load_jobs: PCollection[str], the ids of started load jobs; empty with STREAMING_INSERTS.
    """

    rejected: PCollection[RejectedRow]
    load_jobs: PCollection[str]


class LoadRows(beam.PTransform[PCollection[dict[str, Any]], LoadResult]):
    """Appends rows to an existing table.

    In: rows as dicts of cells. Out: `LoadResult`. Delivery: at least once. Parallel: files, or shuffled batches.
    Fails: a request that fails as a whole rejects no rows; it fails the bundle with what to fix, a passing failure only
    once bounded retries have run out.

    Args:
      target: the table; `ensure_table` has made it.
      columns: of the table; with FILE_LOADS also a side input, for a table whose columns only the job finds out. Rows
        are then expected as load jobs want them, see `rows.loadable`.
      method: FILE_LOADS or STREAMING_INSERTS.
      temp_location: gs:// folder for FILE_LOADS; None takes the pipeline's --temp_location.
    """

    def __init__(
        self,
        target: BigQueryTarget,
        columns: Sequence[Column] | AsSingleton,
        method: str = "FILE_LOADS",
        *,
        temp_location: str | None = None,
    ):
        super().__init__()
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
        if isinstance(columns, AsSingleton) and method != "FILE_LOADS":
            raise ValueError(f"{method} needs the table's columns before the job starts")
        self.target = target
        self.columns = columns if isinstance(columns, AsSingleton) else tuple(columns)
        self.method = method
        self.temp_location = temp_location

    @no_annotations  # type: ignore[untyped-decorator]  # Beam warns of every output that is several collections
    def expand(self, rows: PCollection[dict[str, Any]]) -> LoadResult:
        if self.method == "FILE_LOADS":
            return self._load_files(rows)
        return self._stream(rows)

    def _load_files(self, rows: PCollection[dict[str, Any]]) -> LoadResult:
        pipeline = rows.pipeline
        temp_location = self.temp_location or pipeline.options.view_as(GoogleCloudOptions).temp_location
        check_temp_location(temp_location)
        if not isinstance(self.columns, AsSingleton):
            rows = rows | "ParseJsonColumns" >> beam.Map(loadable, json_columns(self.columns))
        result = rows | "LoadFiles" >> self._write(custom_gcs_temp_location=temp_location)
        load_jobs = result.destination_load_jobid_pairs | "NameLoadJob" >> beam.MapTuple(_job_id)
        return LoadResult(_nothing(pipeline, "NoRejectedRows", RejectedRow), load_jobs)

    def _stream(self, rows: PCollection[dict[str, Any]]) -> LoadResult:
        result = rows | "StreamRows" >> self._write(
            insert_retry_strategy=RetryStrategy.RETRY_ON_TRANSIENT_ERROR,
            max_retries=_MAX_STREAMING_RETRIES,
            ignore_unknown_columns=False,
        )
        rejected = result.failed_rows_with_errors | "SortOutRejectedRows" >> beam.MapTuple(rejected_row)
        return LoadResult(rejected, _nothing(rows.pipeline, "NoLoadJobs", str))

    def _write(self, **options: Any) -> WriteToBigQuery:
        return WriteToBigQuery(
            table=f"{self.target.project}:{self.target.dataset}.{self.target.table}",
            **self._schema(),
            method=self.method,
            create_disposition=BigQueryDisposition.CREATE_NEVER,
            write_disposition=BigQueryDisposition.WRITE_APPEND,
            test_client=EmulatorClient(self.target) if self.target.emulator else None,
            **options,
        )

    def _schema(self) -> dict[str, Any]:
        if isinstance(self.columns, AsSingleton):
            return {"schema": _schema_of_columns, "schema_side_inputs": (self.columns,)}
        # The dict itself would do, but makes Beam warn about each JSON column.
        return {"schema": partial(_schema_of, beam_schema(self.columns))}


def beam_schema(columns: Sequence[Column]) -> dict[str, list[dict[str, Any]]]:
    """Columns as Beam takes them.

    >>> beam_schema([Column("tags", "STRING", "REPEATED"), Column("age", "INT64")])["fields"][1]
    {'name': 'age', 'type': 'INTEGER', 'mode': 'NULLABLE'}
    """
    return {"fields": [_beam_field(column) for column in columns]}


def _beam_field(column: Column) -> dict[str, Any]:
    field = {"name": column.name, "type": column.legacy_type, "mode": column.mode}
    return {**field, "fields": [_beam_field(member) for member in column.fields]} if column.fields else field


def check_temp_location(temp_location: str | None) -> None:
    """Refuses what load jobs cannot read from.

    >>> check_temp_location(None)
    Traceback (most recent call last):
    transforms.errors.UsageError: FILE_LOADS needs --temp_location=gs://BUCKET/FOLDER, got None; or use --bigquery_method=INSERT_ROWS
    """  # noqa: E501  # the message is one line
    if not temp_location or not temp_location.startswith("gs://"):
        raise UsageError(
            f"FILE_LOADS needs --temp_location=gs://BUCKET/FOLDER, got {temp_location}; "
            "or use --bigquery_method=INSERT_ROWS"
        )


def rejected_row(destination: str, row: dict[str, Any], errors: Sequence[Mapping[str, str]] | str) -> RejectedRow:
    """One of Beam's failed rows, unless it is the request or the job that failed.

    >>> rejected_row("p:d.t", {}, [{"reason": "invalid", "location": "age", "message": "no such field: age."}]).message
    'column age: no such field: age.'
    >>> rejected_row("p:d.t", {}, [{"reason": "Forbidden", "message": "Access Denied"}]) # doctest: +ELLIPSIS
    Traceback (most recent call last):
    transforms.errors.JobError: BigQuery table p:d.t: Access Denied. To fix it: grant roles/bigquery.dataEditor on ...
    """
    if isinstance(errors, str):  # found by Beam, before any request
        return RejectedRow(row, "ROW_TOO_LARGE", errors)
    error = errors[0]
    reason, message = error.get("reason") or "unknown", error.get("message") or ""
    if (status := _STATUSES.get(reason)) is not None:
        # Beam hands a failed request on as if each of its rows had failed, with HTTP's words for a reason.
        limited = status == HTTPStatus.FORBIDDEN and ("quota" in message.lower() or "rate limit" in message.lower())
        code = code_of_http(status, "quotaExceeded" if limited else "")
        if limited or classify(code, message) is not Kind.RECORD:
            details = [{"reason": "quotaExceeded"}] if limited else []
            raise raised_for(from_http_status(status, message, errors=details), f"BigQuery table {destination}")
        return RejectedRow(row, code, without_values(message))
    location = error.get("location")
    text = without_values(message) or reason
    return RejectedRow(row, upper_snake(reason), f"column {location}: {text}" if location else text)


_STATUSES = {status.phrase: status.value for status in HTTPStatus if status >= HTTPStatus.BAD_REQUEST}


def _schema_of(schema: dict[str, Any], _: Any) -> dict[str, Any]:
    """The schema, whatever the destination."""
    return schema


def _schema_of_columns(_: Any, columns: Sequence[Column]) -> dict[str, Any]:
    """The schema of a table whose columns come as a side input."""
    return beam_schema(columns)


def _job_id(_: str, job: Any) -> str:
    return str(job.jobId)


def _nothing(pipeline: Any, label: str, element_type: Any) -> PCollection[Any]:
    nothing: PCollection[Any] = pipeline | label >> beam.Create([]).with_output_types(element_type)
    return nothing
