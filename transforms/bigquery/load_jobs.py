"""Load jobs: what is wrong when one fails, and a sender that starts them itself. No Beam.

    rows of a batch ──LoadJobSender──▶ load job NAME_0 ─┬─ done
                                                        └─ failed: NAME_1 the next time

BigQuery takes the name of a job only once, so a batch that is sent again finds the job that was begun before and has
its rows once. This is for a few large batches, as a table may have 1,500 load jobs per day; many small ones go through
`load.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from google.api_core.exceptions import Conflict, GoogleAPICallError
from google.cloud import bigquery

from transforms.bigquery.failures import ADVICE, NETWORK_ERRORS, TRANSIENT_REASONS, causes_untold, raised_for
from transforms.bigquery.inserter import InsertResult
from transforms.bigquery.messages import RowMessage, of_request, of_row
from transforms.bigquery.schema import Column
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import FirebeamError, JobError, TransientError
from transforms.files import GCS
from transforms.retry import Retry

_TIMEOUT_S = 600.0
# Jobs for the same rows, should one after the other fail.
_MAX_JOBS = 100

_SHOWN_ERRORS = 3
# The list is shown; and of errors that only say that there are others it is enough to have one.
_LIST = re.compile(r"\s*Please look into the errors?\S* \w+ for more details\.?")
_ONLY_COUNTS = "too many errors"
_OF_FIELD = re.compile(r"\bfield: ([\w.]*\w)")
_FILE = re.compile(r"\bFile: (gs://\S+)\s*$")

_CODES = {"accessDenied": "PERMISSION_DENIED", "notFound": "NOT_FOUND"}
_FIX_COLUMN = (
    "make the column fit in the spec or in the table, or use --bigquery_method=INSERT_ROWS, which makes a dead letter "
    "of every row that does not fit"
)
_OTHER_TABLE = "the columns of the table do not fit these rows; choose another table"


class LoadJobSender:
    """Starts a load job per batch and waits for it; for one thread.

    Args:
      columns: that rows may have.
    """

    def __init__(self, table: BigQueryTarget, columns: Sequence[Column], *, retry: Retry):
        self._client, self._table, self._retry = table.client(), table, retry
        schema = [bigquery.SchemaField(column.name, column.legacy_type, column.mode) for column in columns]
        self._config = bigquery.LoadJobConfig(schema=schema, write_disposition="WRITE_APPEND")

    def send(self, batch_id: str, rows: Sequence[Mapping[str, Any]], insert_ids: Sequence[str] = ()) -> InsertResult:
        """Loads all rows or none; the names of its jobs begin with `batch_id`.

        Args:
          rows: as load jobs want them, see `rows.loadable`.

        Raises:
          TransientError: BigQuery does not answer, or had no time for the job.
          OutageError: it has not answered any request for the table's `max_outage_s`.
          JobError: BigQuery refuses a row, or the job as a whole; says what to fix.
        """
        doing, breaker = f"BigQuery table {self._table.id}", self._table.breaker
        with causes_untold():
            return self._retry.call(
                partial(self._load, batch_id, list(map(dict, rows))),
                catch=(GoogleAPICallError, *NETWORK_ERRORS, TransientError),
                meaning=lambda error, attempts: (
                    error if isinstance(error, TransientError) else raised_for(error, doing, breaker)
                ),
                is_outage=breaker.is_down,
            )

    def _load(self, name: str, rows: list[dict[str, Any]]) -> InsertResult:
        for number in range(_MAX_JOBS):
            job_id = f"{name}_{number}"
            try:
                job: Any = self._client.load_table_from_json(
                    rows, self._table.id, job_id=job_id, job_config=self._config, num_retries=0, timeout=_TIMEOUT_S
                )
            except Conflict:  # an earlier attempt has begun it
                dataset = self._client.get_dataset(f"{self._table.project}.{self._table.dataset}")
                job = self._client.get_job(job_id, location=dataset.location)
                if job.error_result:  # it has loaded nothing, and its name cannot be used again
                    continue
            try:
                job.result(timeout=_TIMEOUT_S)
            except GoogleAPICallError as error:
                if job.error_result:
                    raise failed(job_id, self._table.id, job.error_result, job.errors or (), _OTHER_TABLE) from error
                raise
            self._table.breaker.succeeded()
            return InsertResult(len(rows), (), 1, 0)
        raise JobError(
            f"BigQuery table {self._table.id}: {_MAX_JOBS} load jobs failed, {name}_0 the first; see them in BigQuery"
        )


def failed(
    job_id: str,
    table: str,
    result: Mapping[str, Any],
    errors: Sequence[Mapping[str, Any]],
    fix: str = _FIX_COLUMN,
) -> FirebeamError:
    """The error to raise for a load job that has ended badly.

    Args:
      result: the job's `errorResult`, which often only counts.
      errors: the job's list of errors: the first of them say which file and which column is at fault.
      fix: what to do about rows that do not fit.
    """
    reason = str(result.get("reason"))
    headline = _said(result).text
    details = [text for text in dict.fromkeys(map(_located, (result, *errors))) if _ONLY_COUNTS not in text]
    shown = [headline] * (_ONLY_COUNTS in headline) + details[:_SHOWN_ERRORS] if details else [_located(result)]
    if len(details) > _SHOWN_ERRORS:
        shown.append(f"{len(details) - _SHOWN_ERRORS} more errors")
    problem = f"BigQuery load job {job_id} into table {table} failed: {'; '.join(shown)}"
    if reason in TRANSIENT_REASONS:
        return TransientError(problem)
    return JobError(f"{problem}. To fix it: {ADVICE.get(_CODES.get(reason, ''), fix)}")


def _located(error: Mapping[str, Any]) -> str:
    """One error: the file, the column, what is wrong with it.

    >>> _located({"location": "gs://b/f", "message": "Could not convert value to integer. Field: age; Value: eight"})
    'file gs://b/f, column age: Could not convert value to integer'
    """
    said, named = _said(error), _FILE.search(_message(error))
    file = error.get("location") or (named[1] if named else "")
    column = said.column or (found[1] if (found := _OF_FIELD.search(said.text)) else "")
    places = ([f"file {file}"] if file.startswith(GCS) else []) + ([f"column {column}"] if column else [])
    return f"{', '.join(places)}: {said.text}" if places else said.text


def _said(error: Mapping[str, Any]) -> RowMessage:
    """What is wrong, without values."""
    message = _LIST.sub("", _message(error))
    reason = str(error.get("reason"))
    if reason in _CODES or reason in TRANSIENT_REASONS:
        return RowMessage(of_request(_CODES.get(reason, "UNAVAILABLE"), message))
    return of_row(message)


def _message(error: Mapping[str, Any]) -> str:
    return str(error.get("message") or error.get("reason") or "no reason given")
