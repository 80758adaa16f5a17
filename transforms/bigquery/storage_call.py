"""The state of one `StorageWriter.insert`. No Beam."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any

from transforms.bigquery.inserter import InsertResult, Rejected
from transforms.bigquery.storage_failures import Meaning, Refusal
from transforms.bigquery.storage_streams import BatchStream


class AppendCall:
    """Rows on their way, by their indices in the call; a request is a list of them.

    Attributes:
      exact: the batch's own stream; None for the default stream.
      serialised: the rows that can be sent.
      queue: requests to be sent, in the order of their rows.
      in_flight: requests without an answer, in the order in which they were sent.
      trouble: what has to be waited out before anything else is sent.
      in_doubt: nobody knows where the stream ends.
      blamed: rows refused while that is in doubt: one that the stream turns out to have is not rejected.
      troubles: refusals since a request was last accepted.
      refused_requests: lone rows refused without a word about rows, by reason.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], exact: BatchStream | None):
        self.rows, self.exact = rows, exact
        self.serialised: dict[int, bytes] = {}
        self.queue: deque[list[int]] = deque()
        self.in_flight: deque[list[int]] = deque()
        self.trouble: Refusal | None = None
        self.in_doubt = False
        self.blamed: dict[int, Rejected] = {}
        self.troubles: Counter[Meaning] = Counter()
        self.refused_requests: Counter[str] = Counter()
        self.accepted = self.requests = self.retries = 0
        self.rejected: dict[int, Rejected] = dict(exact.position.rejected) if exact else {}

    def next_offset(self) -> int | None:
        """Where the next request's first row must stand in the batch's stream."""
        return self.exact.acknowledged + sum(map(len, self.in_flight)) if self.exact else None

    def accept(self, request: list[int]) -> None:
        """Records rows that BigQuery has acknowledged."""
        self.accepted += len(request)
        self.troubles.clear()
        if self.exact:
            self.exact.acknowledged += len(request)

    def reject(self, row: Rejected) -> None:
        """Records a row that will never be written."""
        self.rejected[row.index] = row
        if self.exact:
            self.exact.position.rejected[row.index] = row

    def blame(self, request: list[int], blamed: Mapping[int, Rejected]) -> list[int]:
        """Takes note of rows of a request that BigQuery refused; returns those of it that remain to be sent."""
        if self.exact:
            self.blamed.update(blamed)
            return request
        self.rejected.update(blamed)
        return [index for index in request if index not in blamed]

    def resolve(self, written: int) -> None:
        """Accepts the first rows of the queue, which turned out to be written; rejects the others that are blamed."""
        waiting = [index for request in self.queue for index in request]
        self.accepted += written
        done = set(waiting[:written])
        for row in self.blamed.values():
            if row.index not in done:
                self.reject(row)
                done.add(row.index)
        self.blamed.clear()
        requests = ([index for index in request if index not in done] for request in self.queue)
        self.queue = deque(request for request in requests if request)
        self.in_doubt = False

    def result(self) -> InsertResult:
        return InsertResult(
            self.accepted, tuple(row for _, row in sorted(self.rejected.items())), self.requests, self.retries
        )
