"""Sends groups of writes: packs them, keeps several requests on the wire, and finds out what became of each group.

    put ──pack──▶ request ──▶ on the wire ──▶ acknowledged ──────────────────────────▶ Landed
                     ▲                           │ the RPC failed, transiently: later again; then TransientError
                     │                           │ about the job: JobError
                     ├─────────── halves ◀───────┤ refused for its content or its size
                     │                           └ … and alone: ─────────────────────▶ Refused
                     └─ the groups concerned ◀── acknowledged in part: transient status of a single group;
                                                 then, or with any other status: ────▶ Refused
                                                 guarded, and somebody else was first ▶ Conflicted

Plain Python, no Beam. One engine for both RPCs: a `Sender` knows how Commit or BatchWrite is sent and how it answers.

Promises: every group put in comes out exactly once; what was acknowledged is not sent again; groups that share a
document are sent in the order given, the later one when the earlier one is resolved; at most `max_in_flight` requests
are unresolved. An attempt that waits for its time delays nothing but itself.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

from transforms.errors import Kind, TransientError, classify
from transforms.firestore.client import Call, RpcError
from transforms.firestore.outcomes import Conflicted, Landed, Outcome, Refused, Resolved
from transforms.firestore.packing import AtomicGroup, Entry, Request, RequestLimits
from transforms.firestore.qos import QualityOfService
from transforms.firestore.target import FirestoreTarget
from transforms.retry import Retry

T = TypeVar("T")

# The request may have been applied all the same; any other code says that it was not.
_UNCERTAIN = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "CANCELLED"})


class Sender(Protocol):
    """An RPC that takes writes."""

    @property
    def rpc(self) -> str:
        """Its name, for messages."""

    @property
    def target(self) -> FirestoreTarget:
        """Where it sends to."""

    @property
    def is_down(self) -> bool:
        """Whether the service answers nobody just now; then no request is given up before the client gives up all."""

    def send(self, writes: Iterable[bytes], timeout_s: float) -> Call:
        """Starts the RPC."""

    def results(self, response: Any, groups: Sequence[AtomicGroup]) -> Iterator[tuple[Any, ...] | RpcError]:
        """The update times of every group, or why it alone was refused."""


class Outbox(Generic[T]):
    """Sends what is put in.

    Args:
      sender: the RPC.
      limits: of one request and of those on the wire.
      retry: of a request that failed transiently; its clock is this outbox's.
      qos: how fast.
      guarded: the caller reads again after a conflict; otherwise a conflict is a refusal like any other.
      collapse: a group that makes earlier ones pointless replaces one that is not sent yet.

    Raises (every method that sends):
      TransientError: a request as a whole failed `retry.max_attempts` times. What was acknowledged stays written.
      JobError: credentials, permission or database.
    """

    def __init__(
        self,
        sender: Sender,
        limits: RequestLimits,
        retry: Retry,
        qos: QualityOfService,
        *,
        guarded: bool = False,
        collapse: bool = False,
    ):
        self._sender, self._limits, self._retry, self._qos = sender, limits, retry, qos
        self._guarded, self._collapse = guarded, collapse
        self._now, self._sleep = retry.clock.monotonic, retry.clock.sleep
        self._open: Request[T] | None = None
        self._waiting: deque[Request[T]] = deque()
        self._on_the_wire: deque[tuple[Request[T], Call]] = deque()
        self._unresolved: dict[str, Entry[T]] = {}
        self._resolved: list[Resolved[T]] = []
        self.requests = self.retries = 0
        self.throttled_s = 0.0

    def put(self, item: T, group: AtomicGroup) -> None:
        """Accepts one more group; sends a request when one is full."""
        if not self._unresolved.keys().isdisjoint(group.names):
            if self._collapse and group.replaces_earlier and self._supersede(item, group):
                return
            self.flush()
        n_bytes, request = group.n_bytes, self._open
        if request is not None and not request.has_room(len(group.writes), n_bytes, self._limits.max_request_bytes):
            self._close(request)
            request = None
        if request is None:
            request = self._open = Request(min(self._limits.max_writes, self._qos.batch_size()))
        entry = Entry(item, group)
        request.add(entry, n_bytes)
        for name in group.names:
            self._unresolved[name] = entry

    def flush(self) -> None:
        """Sends what is left and waits until everything is resolved."""
        if self._open is not None:
            self._close(self._open)
        while self._waiting or self._on_the_wire:
            self._advance()

    def wait_out(self) -> None:
        """Waits for what is on the wire, whatever becomes of it: for an owner that gives up and starts over.

        A request that lands late could otherwise undo what the same writes, sent again, did meanwhile.
        """
        while self._on_the_wire:
            _, call = self._on_the_wire.popleft()
            with contextlib.suppress(RpcError):  # its groups are sent again in any case
                call.result()

    @property
    def has_resolved(self) -> bool:
        """Whether `take_resolved` would return anything."""
        return bool(self._resolved)

    def take_resolved(self) -> list[Resolved[T]]:
        """What was resolved since the last call."""
        resolved, self._resolved = self._resolved, []
        return resolved

    def _supersede(self, item: T, group: AtomicGroup) -> bool:
        """Replaces an unsent entry of the very same documents, if there is one and the request has room for it."""
        entry = self._unresolved.get(group.names[0])
        if self._open is None or entry is None or entry.group.names != group.names:
            return False
        grows = group.n_bytes - entry.group.n_bytes
        if self._open.n_bytes + grows > self._limits.max_request_bytes or all(
            e is not entry for e in self._open.entries
        ):
            return False
        self._open.replace(entry, item, group)
        return True

    def _close(self, request: Request[T]) -> None:
        self._open = None
        for entry in request.entries:
            entry.closed = True
        while len(self._waiting) + len(self._on_the_wire) >= self._limits.max_in_flight:
            self._advance()
        self._waiting.append(request)
        while self._send_due():
            pass

    def _advance(self) -> None:
        """Sends a request, or takes an answer, or waits until a request may be sent again."""
        if self._send_due():
            return
        if self._on_the_wire:
            self._receive(*self._on_the_wire.popleft())
        else:
            next_request = min(self._waiting, key=lambda request: request.due)
            self._sleep(max(0.0, next_request.due - self._now()))
            next_request.due = 0.0

    def _send_due(self) -> bool:
        if len(self._on_the_wire) >= self._limits.max_in_flight:
            return False
        now = self._now()
        for request in self._waiting:
            if request.due <= now:
                self._waiting.remove(request)
                self._send(request)
                return True
        return False

    def _send(self, request: Request[T]) -> None:
        self.throttled_s += self._qos.admit(request.n_writes)
        request.attempts += 1
        request.sent_at, request.answered_at = self._now(), None
        writes = (write for entry in request.entries for write in entry.group.writes)
        call = self._sender.send(writes, self._limits.timeout_s)
        self.requests += 1

        def answered() -> None:
            request.answered_at = self._now()

        call.when_done(answered)
        self._on_the_wire.append((request, call))

    def _receive(self, request: Request[T], call: Call) -> None:
        try:
            response = call.result()
        except RpcError as error:
            self._take_failure(request, error)
            return
        groups = [entry.group for entry in request.entries]
        busy: list[tuple[Entry[T], RpcError]] = []
        for entry, result in zip(request.entries, self._sender.results(response, groups), strict=True):
            if not isinstance(result, RpcError):
                self._done(entry, Landed(result, request.attempts))
            elif self._kind(result) is Kind.TRANSIENT:
                busy.append((entry, result))
            else:
                self._refuse(entry, result, request.attempts)
        self._learn(request, 1 - len(busy) / len(groups))
        self._retry_busy(request, busy)

    def _retry_busy(self, request: Request[T], busy: list[tuple[Entry[T], RpcError]]) -> None:
        """The groups whose own status was transient: again, without those that landed."""
        for entry, error in busy:
            entry.uncertain |= error.code in _UNCERTAIN
        if request.failures + 1 >= self._retry.max_attempts:
            for entry, error in busy:
                self._refuse(entry, error, request.attempts, retryable=True)
        elif busy:
            self._later(request.part([entry for entry, _ in busy]))

    def _take_failure(self, request: Request[T], error: RpcError) -> None:
        """The RPC as a whole failed, and its code says what that means for its groups."""
        kind = self._kind(error)
        self._learn(request, 0.0 if kind is Kind.TRANSIENT else 1.0)
        alone = len(request.entries) == 1
        if kind is Kind.CONFLICT:
            for entry in request.entries:
                self._done(entry, Conflicted(error.code, error.message, request.attempts))
            return
        if kind is not Kind.TRANSIENT:
            if alone:
                self._refuse(request.entries[0], error, request.attempts)
            else:
                self._waiting.extend(request.halves())
            return
        for entry in request.entries:
            entry.uncertain |= error.code in _UNCERTAIN
        if request.failures + 1 < self._retry.max_attempts or self._sender.is_down:
            # What did not finish in time may do so in halves.
            for part in request.halves() if error.code == "DEADLINE_EXCEEDED" else (request,):
                self._later(part)
        elif error.code != "ABORTED":
            raise TransientError(
                f"Firestore did not take a {self._sender.rpc} of {request.n_writes} writes in {request.attempts} "
                f"attempts; the last answer was {error}"
            )
        elif alone:  # others keep changing the same documents: no outage, but not the group's fault either
            self._refuse(request.entries[0], error, request.attempts, retryable=True)
        else:
            self._waiting.extend(request.halves())

    def _later(self, request: Request[T]) -> None:
        request.failures += 1
        request.due = self._now() + self._retry.delay_s(request.failures)
        self.retries += 1
        self._waiting.append(request)

    def _kind(self, error: RpcError) -> Kind:
        kind = classify(error.code, error.message, guarded=self._guarded)
        if kind is Kind.JOB:
            raise self._sender.target.job_error(error)
        return kind

    def _refuse(self, entry: Entry[T], error: RpcError, attempts: int, *, retryable: bool = False) -> None:
        self._done(entry, Refused(error.code, error.message, attempts, retryable, entry.uncertain))

    def _done(self, entry: Entry[T], outcome: Outcome) -> None:
        for name in entry.group.names:
            self._unresolved.pop(name, None)
        self._resolved.extend(Resolved(item, outcome, True) for item in entry.superseded)
        self._resolved.append(Resolved(entry.item, outcome, False))

    def _learn(self, request: Request[T], accepted: float) -> None:
        answered_at = self._now() if request.answered_at is None else request.answered_at
        self._qos.answered(request.n_writes, accepted, answered_at - request.sent_at)
