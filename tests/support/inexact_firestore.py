"""A Firestore whose Listen is as inexact as an emulator's. All its other answers are exact.

what a stream sends ─▶ RESET, some documents as they were so long ago, CURRENT, NO_CHANGE now ─▶ what it sends
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.support.direct_firestore import DirectCall, DirectFirestore
from transforms.firestore.changes.times import from_micros
from transforms.firestore.changes.watch import TARGET_ID
from transforms.testing import responses


class Inexact(NamedTuple):
    """A snapshot that is not what was there at the read time it names.

    Attributes:
      age_us: how old it is at that time.
      missing: paths of documents that it leaves out: messages of several snapshots were mixed.
    """

    age_us: int = 0
    missing: frozenset[str] = frozenset()


class InexactFirestore(DirectFirestore):
    """Sends inexact snapshots.

    Attributes:
      inexact: those that come next.
      n_queries: how many queries were answered.
    """

    def __init__(self, *retention: Any):
        super().__init__(*retention)
        self.inexact: list[Inexact] = []
        self.n_queries = 0

    def run_query(self, parent: str, query: Any, timeout_s: float, read_time: Any = None) -> Iterator[Any]:
        self.n_queries += 1
        return super().run_query(parent, query, timeout_s, read_time)

    def listen(self, request: Any, timeout_s: float) -> Any:
        return _Call(self, super().listen(request, timeout_s), request.add_target.query)

    def snapshot_of(self, query: Any, inexact: Inexact) -> list[Any]:
        """The messages of an inexact snapshot."""
        now_us = self.stored.read_time_us()
        read_time = from_micros(now_us - inexact.age_us)
        answers = super().run_query(query.parent, query.structured_query, 1, read_time)
        documents = [answer.document for answer in answers if answer.HasField("document")]
        missing = {self.target.document_name(path) for path in inexact.missing}
        return [
            responses.target_change(responses.RESET, [TARGET_ID]),
            *(responses.document_change(each, [TARGET_ID]) for each in documents if each.name not in missing),
            responses.target_change(responses.CURRENT, [TARGET_ID], read_time_us=now_us),
            responses.target_change(responses.NO_CHANGE, read_time_us=now_us),
        ]


class _Call(Iterator[Any]):
    def __init__(self, server: InexactFirestore, call: DirectCall, query: Any):
        self._server, self._call, self._query = server, call, query
        self._waiting: deque[Any] = deque()

    def cancel(self) -> None:
        self._call.cancel()

    def __next__(self) -> Any:
        if not self._waiting and self._server.inexact:
            self._waiting.extend(self._server.snapshot_of(self._query, self._server.inexact.pop(0)))
        return self._waiting.popleft() if self._waiting else next(self._call)
