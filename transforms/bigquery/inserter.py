"""Streams rows into one BigQuery table with insertAll and gives every row its answer. No Beam.

    rows ─▶ packed (≤ 500 rows, ≤ 9 MiB) ─▶ insertAll ─┬─ accepted
                                               ▲        ├─ refused row ──────────▶ Rejected
                                               │        └─ "stopped" or transient ─┐
                                               └───────── later, full jitter ◀─────┘

Guarantee: `insert` returns only when each row is either acknowledged by BigQuery or in `rejected`. It raises, and then
nothing is known about the rows, when the service stays unavailable (`TransientError`) or when no row can succeed
(`JobError`). Sending the rows again under the same insert ids is always right: BigQuery drops repeated ids for about a
minute, best effort, and a row written twice shows once in the table's `_latest` view.

    inserter = RowInserter(target)
    result = inserter.insert([row.cells for row in rows], insert_ids)
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from google.api_core.exceptions import GoogleAPICallError

from transforms.bigquery.failures import NETWORK_ERRORS, TRANSIENT_REASONS, Failure, causes_untold, failure_of
from transforms.bigquery.insert_all import ENVELOPE_BYTES, InsertAll, entry, request, request_of
from transforms.bigquery.messages import of_row
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import JobError, Kind, TransientError
from transforms.retry import Retry

# https://cloud.google.com/bigquery/quotas#streaming_inserts: 10 MB per request and per row, 500 rows recommended.
MAX_ROWS = 500
MAX_REQUEST_BYTES = 9 * 2**20

# A column that `ensure_table` has just added stays unknown to the streaming back end for some minutes.
_UNKNOWN_COLUMN = "UNKNOWN_COLUMN"
_UNKNOWN_COLUMN_MESSAGE = "no such field"

# So many refusals in a row, all alike and nothing accepted, are the table's fault or the job's, not the rows'.
_ALIKE_ROWS = 20
_ALIKE_REQUESTS = 8


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that BigQuery did not take.

    Attributes:
      index: of the row in the call.
      code: BigQuery's reason in UPPER_SNAKE, such as INVALID; ROW_TOO_LARGE from here.
      message: names the column; BigQuery's own words without the value.
      retryable: the row is fine, the service was not.
    """

    index: int
    code: str
    message: str
    retryable: bool = False


class InsertResult(NamedTuple):
    """The answer to one call: the rows that are not in `rejected` are in the table."""

    accepted: int
    rejected: tuple[Rejected, ...]
    requests: int
    retries: int


class RowInserter:
    """Streams rows into one table; for one thread.

    Args:
      target: the table.
      max_request_bytes: in [1,024, 10,000,000]; BigQuery's own limit is 10 MB.
      timeout_s: of one request.
      retry: of a request or row that failed transiently.
      missing_table_retry: of a table that is not found; the streaming back end learns of a new one with some delay.
      may_all_be_bad: the rows have failed before, so it says nothing of the table that all of them are refused again.
    """

    def __init__(
        self,
        target: BigQueryTarget,
        *,
        max_rows: int = MAX_ROWS,
        max_request_bytes: int = MAX_REQUEST_BYTES,
        timeout_s: float = 60.0,
        retry: Retry = Retry(),  # noqa: B008  # frozen
        missing_table_retry: Retry = Retry(max_attempts=6, initial_s=2.0, max_s=30.0),  # noqa: B008
        may_all_be_bad: bool = False,
    ):
        if not 1 <= max_rows <= 50_000:
            raise ValueError(f"max_rows must be in [1, 50000], got {max_rows}")
        if not 1024 <= max_request_bytes <= 10_000_000:
            raise ValueError(f"max_request_bytes must be in [1024, 10000000], got {max_request_bytes}")
        self._insert = InsertAll(target)
        self._breaker = target.breaker
        self._table = target.id
        self._max_rows = max_rows
        self._max_request_bytes = max_request_bytes
        self._timeout_s = timeout_s
        self._retry = retry
        self._missing_table_retry = replace(missing_table_retry, clock=retry.clock)
        self._may_all_be_bad = may_all_be_bad
        self._table_seen = False

    def insert(self, rows: Sequence[Mapping[str, Any]], insert_ids: Sequence[str]) -> InsertResult:
        """Inserts rows, in as many requests as it takes.

        Args:
          rows: JSON-ready cells by column.
          insert_ids: one per row, deterministic; the same id is the same row.

        Raises:
          TypeError: a cell is not JSON.
          TransientError: the service did not answer well in the attempts allowed.
          OutageError: nobody had an answer for the target's `max_outage_s`.
          JobError: no row can succeed before somebody fixes what the message says.
        """
        if len(rows) != len(insert_ids):
            raise ValueError(f"one insert id per row is needed, got {len(insert_ids)} for {len(rows)} rows")
        call = _Call(rows, insert_ids)
        queue = deque(self._packed(call))
        with causes_untold():
            while queue:
                queue.extendleft(reversed(self._send(call, queue.popleft())))
        check_that_rows_are_at_fault(self._table, len(rows), call.rejected, self._may_all_be_bad)
        return call.result()

    def _packed(self, call: _Call) -> list[list[int]]:
        """Row indices by request; a row that fits no request is rejected by itself."""
        if 0 < len(call.all) <= self._max_rows and len(call.request) < self._max_request_bytes:
            return [call.all]
        requests: list[list[int]] = []
        room = 0
        most = self._max_request_bytes - ENVELOPE_BYTES
        for index, size in enumerate(map(len, call.entries)):
            if size > most:
                call.reject(index, "ROW_TOO_LARGE", _too_large(ENVELOPE_BYTES + size, self._max_request_bytes))
                continue
            if not requests or size > room or len(requests[-1]) == self._max_rows:
                requests.append([])
                room = most
            requests[-1].append(index)
            room -= size
        return requests

    def _send(self, call: _Call, indices: list[int]) -> list[list[int]]:
        """Sends the rows until each has its answer; returns what must be sent in other requests instead."""
        attempts, looks = self._retry.attempts(), self._missing_table_retry.attempts()
        while indices:
            try:
                errors = self._insert_all(call, indices)
            except (GoogleAPICallError, *NETWORK_ERRORS) as error:
                failure = failure_of(error)
                self._breaker.answered(failure.code, failure.kind, failure.text)
                if not (self._may_be_new(failure) and looks.again()):
                    if failure.kind is Kind.JOB:
                        raise JobError(f"BigQuery table {self._table}: {failure.advice}") from error
                    if failure.kind is not Kind.TRANSIENT:
                        return self._halves(call, indices, failure)
                    if not attempts.again(self._breaker.is_down):
                        raise TransientError(
                            f"BigQuery table {self._table}: {failure.text}; gave up after {attempts.made} attempts"
                        ) from error
                call.retries += 1
                continue
            self._table_seen = True
            self._breaker.succeeded()
            again = _sort_out(call, indices, errors)
            culprits_removed = 0 < len(again) < len(indices) and all(f.code == "STOPPED" for f in again.values())
            if again and not culprits_removed and not attempts.again():
                for index, failure in again.items():
                    call.reject(index, failure.code, failure.text, retryable=True)
                return []
            call.retries += bool(again)
            indices = list(again)
        return []

    def _insert_all(self, call: _Call, indices: list[int]) -> list[Any]:
        call.requests += 1
        return self._insert.send(call.request_of(indices), self._timeout_s)

    def _may_be_new(self, failure: Failure) -> bool:
        return failure.status == 404 and "dataset" not in failure.text.lower() and not self._table_seen

    def _halves(self, call: _Call, indices: list[int], failure: Failure) -> list[list[int]]:
        """The request in halves; a lone row that is refused is rejected."""
        if len(indices) > 1:
            middle = len(indices) // 2
            return [indices[:middle], indices[middle:]]
        if failure.kind is not Kind.TOO_LARGE:
            call.refused_requests[failure.text] += 1
        if call.refused_requests[failure.text] >= _ALIKE_REQUESTS and call.accepted == 0:
            raise JobError(f"BigQuery table {self._table}: every request is refused alike: {failure.text}")
        code = "ROW_TOO_LARGE" if failure.kind is Kind.TOO_LARGE else failure.code
        call.reject(indices[0], code, failure.text)
        return []


class _Call:
    """The state of one `insert`."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], insert_ids: Sequence[str]):
        self._rows, self._insert_ids = rows, insert_ids
        self.all = list(range(len(rows)))
        self.accepted = 0
        self.rejected: list[Rejected] = []
        self.requests = 0
        self.retries = 0
        self.refused_requests: Counter[str] = Counter()

    @cached_property
    def request(self) -> bytes:
        """Of all rows. Most calls are one request, whose rows need not be encoded one by one."""
        return request(self._rows, self._insert_ids)

    @cached_property
    def entries(self) -> list[bytes]:
        """Of each row."""
        return list(map(entry, self._rows, self._insert_ids))

    def request_of(self, indices: list[int]) -> bytes:
        """Of some rows."""
        return self.request if indices == self.all else request_of([self.entries[index] for index in indices])

    def reject(self, index: int, code: str, message: str, *, retryable: bool = False) -> None:
        self.rejected.append(Rejected(index, code, message, retryable))

    def result(self) -> InsertResult:
        return InsertResult(
            self.accepted, tuple(sorted(self.rejected, key=lambda row: row.index)), self.requests, self.retries
        )


def _sort_out(call: _Call, indices: Sequence[int], errors: Sequence[Any]) -> dict[int, Failure]:
    """Records what became of the rows of one answered request; returns those to send again, with the reason."""
    again: dict[int, Failure] = {}
    for refused in errors:
        index = indices[refused["index"]]
        error = _decisive(refused["errors"])
        reason = error.get("reason") or "unknown"
        unknown_column = _UNKNOWN_COLUMN_MESSAGE in error.get("message", "").lower()
        code = _UNKNOWN_COLUMN if unknown_column else upper_snake(reason)
        if unknown_column or reason in TRANSIENT_REASONS:
            again[index] = Failure(200, code, _row_message(error), Kind.TRANSIENT)
        else:
            call.reject(index, code, _row_message(error))
    call.accepted += len(indices) - len(errors)
    return again


def _decisive(errors: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """The error that says most: one about the row rather than one about its neighbours."""
    about_the_row = [error for error in errors if error.get("reason") not in TRANSIENT_REASONS]
    return (about_the_row or list(errors) or [{}])[0]


def _row_message(error: Mapping[str, str]) -> str:
    """BigQuery's words on one row, led by the column.

    >>> _row_message({"reason": "invalid", "location": "age", "message": "Could not parse 'x' as an integer"})
    "column age: Could not parse '…' as an integer"
    """
    said = of_row(error.get("message") or error.get("reason") or "no reason given")
    location = error.get("location")
    return f"column {location}: {said.text}" if location else str(said)


def upper_snake(reason: str) -> str:
    """
    >>> upper_snake("backendError"), upper_snake("invalid")
    ('BACKEND_ERROR', 'INVALID')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", reason).upper()


def check_that_rows_are_at_fault(
    table: str, rows: int, rejected: Sequence[Rejected], may_all_be_bad: bool = False
) -> None:
    """Stops the job when BigQuery refuses every one of many rows for one and the same reason."""
    if rows < _ALIKE_ROWS or len(rejected) < rows:
        return
    if len({(row.code, row.message) for row in rejected}) == 1 and rejected[0].code != "ROW_TOO_LARGE":
        first = rejected[0]
        if first.retryable and first.code != _UNKNOWN_COLUMN:
            raise TransientError(f"BigQuery table {table}: no row was taken: {first.message}")
        if may_all_be_bad:
            return
        raise JobError(
            f"BigQuery table {table} refuses every row alike: {first.message}. "
            "Compare the table's schema with the spec; if a column was just added, start again in a few minutes"
        )


def _too_large(size: int, limit: int) -> str:
    return (
        f"the row takes {size:,} bytes in a request, BigQuery takes {limit:,}: leave out or shorten the largest field"
    )
