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
        self.troubles: Counter[Meaning] = Counter()
        self.refused_requests: Counter[str] = Counter()
        self.accepted = self.requests = self.retries = 0
        self.rejected: dict[int, Rejected] = dict(exact.position.rejected) if exact else {}

    def next_offset(self) -> int | None:
        """Where the next request's first row must stand in the batch's stream."""
        return self.exact.acknowledged + sum(map(len, self.in_flight)) if self.exact else None

    def accept(self, request: list[int]) -> None:
        """Books rows that BigQuery has acknowledged."""
        self.accepted += len(request)
        self.troubles.clear()
        if self.exact:
            self.exact.acknowledged += len(request)

    def reject(self, index: int, code: str, message: str) -> None:
        """Books a row that will never be written."""
        self.rejected[index] = Rejected(index, code, message)
        if self.exact:
            self.exact.position.rejected[index] = self.rejected[index]

    def accept_queued(self, count: int) -> None:
        """Books the first rows of the queue, which turned out to be written."""
        self.accepted += count
        while count:
            request = self.queue.popleft()
            if len(request) > count:
                self.queue.appendleft(request[count:])
            count -= min(count, len(request))

    def result(self) -> InsertResult:
        return InsertResult(
            self.accepted, tuple(row for _, row in sorted(self.rejected.items())), self.requests, self.retries
        )
