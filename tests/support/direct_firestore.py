"""The scripted server's Firestore without gRPC and without threads: everything happens when a client asks for it.

A Listen stream never waits. When it has sent everything, the next message is what has been committed since, and the
present read time. So a test decides between any two messages what happens next, the same in every run.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from transforms import retry
from transforms.breaker import CircuitBreaker
from transforms.firestore import messages
from transforms.firestore.client import RpcError
from transforms.firestore.documents import Document
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import encode_fields
from transforms.testing.documents import Documents, Retention
from transforms.testing.listen_stream import ListenStream, Manners
from transforms.testing.resume import Tokens
from transforms.testing.service import Service

EVERYTHING = Retention(10**9, 0, forgets=False)


class Time:
    """Seconds since 1970 that pass only when somebody waits."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.clock = retry.Clock(self.__call__, self.__call__, self.sleep, lambda: 0.5)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class DirectFirestore:
    """What `FirestoreClient` offers, as far as streams of changes need it.

    Attributes:
      time: of the server and of the client.
      tokens: of the server, whose memory can be taken.
      refusals: causes of REMOVE for the next targets: code and message.
      cuts: after how many messages, and by which code, the next streams end.
      stale: names of documents that are sent in an outdated version first.
      requests: the `ListenRequest`s.
    """

    def __init__(self, retention: Retention = EVERYTHING):
        self.time = Time()
        self.target = FirestoreTarget("law")
        self.breaker = CircuitBreaker("Firestore", 300, self.time)
        self.stored = Documents(self.time, retention)
        self.tokens = Tokens(self.stored)
        self.manners = Manners()
        self.refusals: list[RpcError | None] = []
        self.cuts: list[tuple[int, str] | None] = []
        self.stale: list[str] = []
        self.requests: list[Any] = []
        self.streams: list[ListenStream] = []
        self.calls: list[DirectCall] = []
        self._rpcs = Service(self.stored, 128, lambda write, name, own: own).rpcs

    def put(self, path: str, **fields: Any) -> None:
        write = messages.Write()
        write.update.name = self.target.document_name(path)
        encode_fields(fields, write.update.fields)
        self.stored.commit([write])

    def delete(self, path: str) -> None:
        self.stored.commit([messages.Write(delete=self.target.document_name(path))])

    def documents(self, read_time: datetime.datetime | None = None) -> dict[str, Document]:
        at_us = None if read_time is None else round(read_time.timestamp() * 1e6)
        return {document.path: document for document in map(Document, self.stored.all(at_us))}

    def run_query(self, parent: str, query: Any, timeout_s: float, read_time: Any = None) -> Iterator[Any]:
        return self._answer("RunQuery", read_time, parent=parent, structured_query=query)

    def aggregate(self, parent: str, aggregation: Any, timeout_s: float, read_time: Any = None) -> Iterator[Any]:
        return self._answer("RunAggregationQuery", read_time, parent=parent, structured_aggregation_query=aggregation)

    def batch_get(self, names: Any, mask: Any, timeout_s: float, read_time: Any = None) -> Iterator[Any]:
        mask = messages.DocumentMask(field_paths=mask) if mask else None
        return self._answer("BatchGetDocuments", read_time, database=self.target.name, documents=names, mask=mask)

    def listen(self, request: Any, timeout_s: float) -> DirectCall:
        self.requests.append(request)
        stream = ListenStream(self.stored, self.tokens, self.manners, self._affect, self.time())
        stream.add(request.add_target, self.stored.read_time_us(), self._stale_names())
        self.streams.append(stream)
        self.calls.append(DirectCall(self, stream, self.cuts.pop(0) if self.cuts else None))
        return self.calls[-1]

    def cut_now(self, code: str) -> None:
        """Ends the last stream before its next message."""
        self.calls[-1].cut(code)

    def snapshot(self, stream: ListenStream) -> None:
        """Everything up to now is sent to a stream."""
        stream.snapshot(self.stored.read_time_us(), self._stale_names(), is_announced=True)

    def _stale_names(self) -> list[str]:
        stale, self.stale = [self.target.document_name(path) for path in self.stale], []
        return stale

    def _affect(self, target: Any, own: Iterator[Any]) -> Iterator[Any]:
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal is not None:
            raise refusal
        yield from own

    def _answer(self, rpc: str, read_time: Any, **members: Any) -> Iterator[Any]:
        request = self._rpcs[rpc].request(**members)
        if read_time is not None:
            request.read_time.FromDatetime(read_time)
        return self._rpcs[rpc].answer(request)


class DirectCall(Iterator[Any]):
    """A stream of Listen; `cut` ends it at the next message."""

    def __init__(self, server: DirectFirestore, stream: ListenStream, cut: tuple[int, str] | None):
        self._server, self._stream, self._messages = server, stream, stream.messages()
        self._left, self._code = cut if cut else (None, "")

    def cancel(self) -> None:
        self.cut("CANCELLED")

    def cut(self, code: str) -> None:
        self._left, self._code = 0, code

    def __next__(self) -> Any:
        if self._left == 0:
            raise RpcError(self._code, "the stream was cut")
        if self._left is not None:
            self._left -= 1
        if not self._stream.n_waiting():
            self._server.time.sleep(0.001)
            self._server.snapshot(self._stream)
        return next(self._messages)
