"""Queries and statements with named parameters. No Beam.

rows = query(client, "SELECT name FROM `acme.people.users` WHERE age > @age", {"age": 21})
changed = execute(client, "DELETE FROM `acme.people.users` WHERE age > @age", {"age": 21}).affected
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from google.cloud import bigquery

from transforms.bigquery.tables import Patience
from transforms.errors import TransientError

T = TypeVar("T")

_TIMEOUT_S = 60.0  # of a request; a job may take longer
_FIRST_POLL_S, _LAST_POLL_S = 0.1, 5.0
_NO_RETRY: Any = None  # the client library's own would hide errors and double ours
_PATIENCE = Patience()
_TYPES: dict[type, str] = {str: "STRING", int: "INT64", float: "FLOAT64", datetime.datetime: "TIMESTAMP"}


class Executed(NamedTuple):
    """What a statement did.

    Attributes:
      affected: rows inserted, changed or deleted.
    """

    affected: int


def query(
    client: bigquery.Client, sql: str, parameters: Mapping[str, Any] | None = None, patience: Patience = _PATIENCE
) -> list[tuple[Any, ...]]:
    """All rows of a query's result, which must be small.

    Raises:
      JobError: BigQuery refuses it; says what to fix.
      TransientError: BigQuery does not answer.
    """

    def ask() -> list[tuple[Any, ...]]:
        job = _finished(_start(client, sql, parameters), patience)
        return _told(job, lambda: [tuple(row.values()) for row in _result(job)], patience)

    return patience.through(ask, "BigQuery query")


def execute(
    client: bigquery.Client, sql: str, parameters: Mapping[str, Any] | None = None, patience: Patience = _PATIENCE
) -> Executed:
    """Executes a statement that may be executed twice. Raises as `query`."""

    def run() -> Executed:
        job = _finished(_start(client, sql, parameters), patience)
        _told(job, lambda: _result(job), patience)
        return Executed(int(job.num_dml_affected_rows or 0))

    return patience.through(run, "BigQuery statement")


def drop(client: bigquery.Client, table: str, patience: Patience = _PATIENCE) -> None:
    """Removes a table, if there is one. Raises as `query`."""
    patience.through(
        lambda: client.delete_table(table, not_found_ok=True, retry=_NO_RETRY, timeout=_TIMEOUT_S),
        f"BigQuery table {table}",
    )


def _start(client: bigquery.Client, sql: str, parameters: Mapping[str, Any] | None) -> bigquery.QueryJob:
    config = bigquery.QueryJobConfig(
        query_parameters=[_parameter(name, value) for name, value in (parameters or {}).items()]
    )
    return client.query(sql, job_config=config, retry=_NO_RETRY, job_retry=None, timeout=_TIMEOUT_S)


def _finished(job: bigquery.QueryJob, patience: Patience) -> bigquery.QueryJob:
    """The job when it has ended, well or badly. While BigQuery does not answer it is asked again about the same job."""
    waited_s, pause_s = 0.0, _FIRST_POLL_S
    while not patience.through(lambda: job.done(retry=_NO_RETRY, timeout=_TIMEOUT_S), f"BigQuery job {job.job_id}"):
        if waited_s >= patience.max_job_s:
            raise TransientError(f"BigQuery job {job.job_id} has not ended after {patience.max_job_s / 3600:g} hours")
        patience.retry.clock.sleep(pause_s)
        waited_s += pause_s
        pause_s = min(2 * pause_s, _LAST_POLL_S)
    return job


def _told(job: bigquery.QueryJob, ask: Callable[[], T], patience: Patience) -> T:
    """What a job that has ended has to say. While BigQuery does not answer it is asked again, not done again."""
    return ask() if job.error_result else patience.through(ask, f"BigQuery job {job.job_id}")


def _result(job: bigquery.QueryJob) -> Any:
    return job.result(timeout=_TIMEOUT_S, retry=_NO_RETRY, job_retry=None)


def _parameter(name: str, value: Any) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return bigquery.ArrayQueryParameter(name, _TYPES[type(value[0])] if value else "STRING", list(value))
    return bigquery.ScalarQueryParameter(name, _TYPES[type(value)], value)
