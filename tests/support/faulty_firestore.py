"""A Firestore that fails as scheduled: a real gRPC server, and a real wire, between a job and the emulator.

    job ──▶ wire (TCP, can be cut) ──▶ FaultyFirestore ──▶ emulator
                                         │ schedule(rpc, ordinal)   a fault, or none: the same for every run of a seed
                                         └ refuse(request)          what the service would never take

Requests and answers pass as the bytes they are. A request that was disturbed twice is left alone, and so is every
fourth in a row of one RPC, so that whoever retries often enough always gets through.

    with FaultyFirestore(firestore_host, seeded(7)) as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.host)
        …
        assert server.injected
"""

from __future__ import annotations

import enum
import hashlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import grpc

from tests.support.wire import Wire
from transforms.firestore.client import RpcError

# What Firestore answers, now and then, to requests with which nothing is wrong.
RETRYABLE = (
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "ABORTED",
    "RESOURCE_EXHAUSTED",
    "INTERNAL",
    "UNKNOWN",
    "CANCELLED",
)
# Those that it may answer although it applied the request.
AMBIGUOUS = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "CANCELLED")

SLOW_S = 0.05

_STREAMS = frozenset({"BatchGetDocuments", "RunQuery", "RunAggregationQuery"})
_MAX_FAULTS_A_REQUEST = 2
_MAX_FAULTS_IN_A_ROW = 3
_UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


class How(enum.Enum):
    """What goes wrong."""

    REFUSED = "an error, and nothing was done"
    UNACKNOWLEDGED = "an error after the request was applied, or halfway through the answer"
    CUT = "the connection breaks before the request is looked at"
    CUT_LATE = "the connection breaks after the request was applied, or halfway through the answer"
    SLOW = "the answer takes a while"


class Fault(NamedTuple):
    """One thing that goes wrong; `code` is the answer where there is one."""

    how: How
    code: str = "UNAVAILABLE"


class Incoming(NamedTuple):
    """A request: its RPC, such as `Commit`, its bytes, and how many of its RPC came before it."""

    rpc: str
    body: bytes
    ordinal: int


Schedule = Callable[[str, int], Fault | None]
Refuse = Callable[[Incoming], RpcError | None]


def never(rpc: str, ordinal: int) -> Fault | None:
    """The schedule of a service that does not fail."""
    return None


def seeded(seed: int, rate: float = 0.3) -> Schedule:
    """Every kind of fault on every RPC; `rate` of the requests are disturbed.

    >>> [seeded(1)("Commit", n) == seeded(1)("Commit", n) for n in range(3)]
    [True, True, True]
    """

    def schedule(rpc: str, ordinal: int) -> Fault | None:
        dice = random.Random(f"{seed}/{rpc}/{ordinal}")
        if dice.random() >= rate:
            return None
        how = dice.choice(list(How))
        return Fault(how, dice.choice(AMBIGUOUS if how is How.UNACKNOWLEDGED else RETRYABLE))

    return schedule


def in_turn(*faults: Fault, every: int = 3) -> Schedule:
    """Every third request of every RPC is disturbed, by one fault after the other.

    >>> schedule = in_turn(Fault(How.CUT), Fault(How.SLOW))
    >>> [fault.how.name if (fault := schedule("Commit", n)) else "" for n in range(6)]
    ['', '', 'CUT', '', '', 'SLOW']
    """
    return lambda rpc, ordinal: faults[ordinal // every % len(faults)] if ordinal % every == every - 1 else None


class FaultyFirestore:
    """Passes requests on to an emulator, except when it does not.

    Args:
      emulator: `host:port`.
      schedule: what goes wrong with which request.
      refuse: called with every request before anything else; what it returns is the answer. It may wait.

    Attributes:
      host: `host:port` for the job, while entered.
      injected: how often which RPC met which fault, as `(rpc, how, code)`; refusals are not counted.
      arrived: how many requests of an RPC came.
      seen: every request, as `(rpc, bytes)`, in the order they came.
    """

    def __init__(self, emulator: str, schedule: Schedule = never, refuse: Refuse | None = None):
        self._emulator, self._schedule, self._refuse = emulator, schedule, refuse
        self.injected: Counter[tuple[str, How, str]] = Counter()
        self.arrived: Counter[str] = Counter()
        self.seen: list[tuple[str, bytes]] = []
        self._disturbed: Counter[bytes] = Counter()
        self._in_a_row: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __enter__(self) -> FaultyFirestore:
        self._channel = grpc.insecure_channel(self._emulator, options=_UNLIMITED)
        self._server = grpc.server(ThreadPoolExecutor(max_workers=16), options=_UNLIMITED)
        self._server.add_generic_rpc_handlers((_Handlers(self._unary, self._stream),))
        self._wire = Wire(self._server.add_insecure_port("127.0.0.1:0"))
        self._server.start()
        self.host = f"127.0.0.1:{self._wire.port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._wire.close()
        self._server.stop(grace=None).wait()
        self._channel.close()

    def _unary(self, rpc: str, method: str, body: bytes, context: Any) -> bytes:
        fault = self._admit(rpc, body, context)
        try:
            answer: bytes = self._channel.unary_unary(method)(body, metadata=_passed_on(context))
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())
        self._spoil(fault, context)
        return answer

    def _stream(self, rpc: str, method: str, body: bytes, context: Any) -> Iterator[bytes]:
        fault = self._admit(rpc, body, context)
        try:
            answers = list(self._channel.unary_stream(method)(body, metadata=_passed_on(context)))
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())
        spoilt = fault is not None and fault.how in (How.UNACKNOWLEDGED, How.CUT_LATE)
        yield from answers[: len(answers) // 2] if spoilt else answers
        self._spoil(fault, context)

    def _admit(self, rpc: str, body: bytes, context: Any) -> Fault | None:
        """The fault that a request meets once it is done. Ends the call if it meets one before."""
        with self._lock:
            request = Incoming(rpc, body, self.arrived[rpc])
            self.arrived[rpc] += 1
            self.seen.append((rpc, body))
        if self._refuse and (refusal := self._refuse(request)):
            context.abort(grpc.StatusCode[refusal.code], refusal.message)
        fault = self._draw(request)
        if fault is None:
            return None
        if fault.how is How.SLOW:
            time.sleep(SLOW_S)
        elif fault.how is How.CUT:
            self._cut(context)
        elif fault.how is How.REFUSED:
            context.abort(grpc.StatusCode[fault.code], "injected before the request was applied")
        return fault

    def _spoil(self, fault: Fault | None, context: Any) -> None:
        if fault is None:
            return
        if fault.how is How.CUT_LATE:
            self._cut(context)
        elif fault.how is How.UNACKNOWLEDGED:
            context.abort(grpc.StatusCode[fault.code], "injected after the request was applied")

    def _draw(self, request: Incoming) -> Fault | None:
        fault = self._schedule(request.rpc, request.ordinal)
        identity = hashlib.sha1(request.rpc.encode() + request.body).digest()
        with self._lock:
            if (
                fault is None
                or self._disturbed[identity] >= _MAX_FAULTS_A_REQUEST
                or self._in_a_row[request.rpc] >= _MAX_FAULTS_IN_A_ROW
            ):
                self._in_a_row[request.rpc] = 0
                return None
            self._disturbed[identity] += 1
            self._in_a_row[request.rpc] += 1
            self.injected[request.rpc, fault.how, fault.code] += 1
        return fault

    def _cut(self, context: Any) -> None:
        self._wire.cut()
        context.abort(grpc.StatusCode.UNAVAILABLE, "the wire was cut")  # nobody hears it


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers every method with bytes."""

    def __init__(self, unary: Callable[..., bytes], stream: Callable[..., Iterator[bytes]]):
        self._unary, self._stream = unary, stream

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = handler_call_details.method
        rpc = method.rpartition("/")[2]
        if rpc in _STREAMS:
            return grpc.unary_stream_rpc_method_handler(lambda body, context: self._stream(rpc, method, body, context))
        return grpc.unary_unary_rpc_method_handler(lambda body, context: self._unary(rpc, method, body, context))


def _passed_on(context: Any) -> list[tuple[str, str]]:
    """The caller's metadata without what describes the caller's own connection."""
    return [(key, value) for key, value in context.invocation_metadata() if not key.startswith(("grpc-", "user-agent"))]
