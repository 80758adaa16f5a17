"""Queries and statements with named parameters. No Beam.

rows = query(client, "SELECT name FROM `acme.people.users` WHERE age > @age", {"age": 21})
changed = execute(client, "DELETE FROM `acme.people.users` WHERE age > @age", {"age": 21}).affected
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from google.cloud import bigquery

from transforms.bigquery.failures import RETRY, ask
from transforms.breaker import CircuitBreaker
from transforms.errors import TransientError
from transforms.retry import Retry

if TYPE_CHECKING:
    from transforms.bigquery.client import BigQueryClient

T = TypeVar("T")

_TIMEOUT_S = 60.0  # of a request; a job may take longer
_FIRST_POLL_S, _LAST_POLL_S = 0.1, 5.0
_LATE = 1 / 8  # of a job's time: so much later than it ends it may be asked about
_NO_RETRY: Any = None  # the client library's own would hide errors and double ours
_MAX_JOB_S = 6 * 3600.0  # https://cloud.google.com/bigquery/quotas#query_jobs
_TYPES: dict[type, str] = {str: "STRING", int: "INT64", float: "FLOAT64", datetime.datetime: "TIMESTAMP"}


class Executed(NamedTuple):
    """What a statement did.

    Attributes:
      affected: rows inserted, changed or deleted.
    """

    affected: int


def query(
    client: BigQueryClient, sql: str, parameters: Mapping[str, Any] | None = None, retry: Retry = RETRY
) -> list[tuple[Any, ...]]:
    """All rows of a query's result, which must be small.

    Raises:
      JobError: BigQuery refuses it; says what to fix.
      TransientError: BigQuery does not answer.
      OutageError: it has not answered any request for the target's `max_outage_s`.
    """

    def read() -> list[tuple[Any, ...]]:
        job = _finished(_start(client, sql, parameters), client.breaker, retry, _MAX_JOB_S)
        return _answer(job, lambda: [tuple(row.values()) for row in _result(job)], client.breaker, retry)

    return ask(read, "BigQuery query", client.breaker, retry)


def number(client: BigQueryClient, sql: str, parameters: Mapping[str, Any] | None = None) -> int:
    """The one number that a query's result is. Raises as `query`."""
    ((found,),) = query(client, sql, parameters)
    return int(found)


def execute(
    client: BigQueryClient,
    sql: str,
    parameters: Mapping[str, Any] | None = None,
    retry: Retry = RETRY,
    max_job_s: float = _MAX_JOB_S,
) -> Executed:
    """Executes a statement that may be executed twice. Raises as `query`."""

    def run() -> Executed:
        job = _finished(_start(client, sql, parameters), client.breaker, retry, max_job_s)
        _answer(job, lambda: _result(job), client.breaker, retry)
        return Executed(int(job.num_dml_affected_rows or 0))

    return ask(run, "BigQuery statement", client.breaker, retry)


def drop(client: BigQueryClient, table: str, retry: Retry = RETRY) -> None:
    """Removes a table, if there is one. Raises as `query`."""
    ask(
        lambda: client.delete_table(table, not_found_ok=True, retry=_NO_RETRY, timeout=_TIMEOUT_S),
        f"BigQuery table {table}",
        client.breaker,
        retry,
    )


def _start(client: BigQueryClient, sql: str, parameters: Mapping[str, Any] | None) -> bigquery.QueryJob:
    config = bigquery.QueryJobConfig(
        query_parameters=[_parameter(name, value) for name, value in (parameters or {}).items()]
    )
    return client.query(sql, job_config=config, retry=_NO_RETRY, job_retry=None, timeout=_TIMEOUT_S)


def _finished(job: bigquery.QueryJob, breaker: CircuitBreaker, retry: Retry, max_job_s: float) -> bigquery.QueryJob:
    """The job when it has ended, well or badly. While BigQuery does not answer it is asked again about the same job."""
    waited_s, pause_s, name = 0.0, _FIRST_POLL_S, f"BigQuery job {job.job_id}"
    while not ask(lambda: job.done(retry=_NO_RETRY, timeout=_TIMEOUT_S), name, breaker, retry):
        if waited_s >= max_job_s:
            raise TransientError(f"{name} has not ended after {max_job_s / 3600:g} hours")
        retry.clock.sleep(pause_s)
        waited_s += pause_s
        pause_s = min(max(_FIRST_POLL_S, waited_s * _LATE), _LAST_POLL_S)
    return job


def _answer(job: bigquery.QueryJob, read: Callable[[], T], breaker: CircuitBreaker, retry: Retry) -> T:
    """What a job that has ended answers. While BigQuery does not answer it is asked again, not done again."""
    return read() if job.error_result else ask(read, f"BigQuery job {job.job_id}", breaker, retry)


def _result(job: bigquery.QueryJob) -> Any:
    return job.result(timeout=_TIMEOUT_S, retry=_NO_RETRY, job_retry=None)


def _parameter(name: str, value: Any) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return bigquery.ArrayQueryParameter(name, _TYPES[type(value[0])] if value else "STRING", list(value))
    return bigquery.ScalarQueryParameter(name, _TYPES[type(value)], value)
