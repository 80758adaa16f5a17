"""Packs writes into Commits, keeps several on the wire, and finds the one at fault when a Commit is refused.

    groups ──pack──▶ request ──Commit──▶ acknowledged ─────────────▶ Landed
                        ▲                     │ transient: wait, send again, bounded; then TransientError
                        │                     │ about the job: JobError
                        └──── halves ◀────────┤ refused for its content or its size
                                              └ … and alone: ─────▶ Refused

Plain Python, no Beam: a DoFn, a command or a test may own one. The groups are taken from an iterator, so that the next
request is encoded while the last ones are on the wire. Every group has exactly one outcome, in the order given.
"""

from __future__ import annotations

import random as _random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from transforms.errors import JobError, Kind, TransientError, classify
from transforms.firestore.client import Call, FirestoreClient, RpcError
from transforms.firestore.limits import MAX_WRITES_PER_COMMIT
from transforms.firestore.values import timestamp
from transforms.retry import RetryPolicy

# Bytes of a request beside its writes: the database's name, and tag and length of every write.
_REQUEST_OVERHEAD_BYTES = 1_024
_WRITE_OVERHEAD_BYTES = 6

# So many groups refused alike, and none landed, is no coincidence: it is the job that is wrong.
_MIN_ALIKE = 10


class AtomicGroup(NamedTuple):
    """Serialised `Write`s that land together or not at all."""

    writes: tuple[bytes, ...]

    @property
    def n_bytes(self) -> int:
        """What the group adds to a request."""
        return sum(len(write) + _WRITE_OVERHEAD_BYTES for write in self.writes)


class Landed(NamedTuple):
    """A group that Firestore acknowledged; `update_times` of its documents, in the order of its writes."""

    update_times: tuple[Any, ...]
    attempts: int


class Refused(NamedTuple):
    """A group that Firestore refused for its own content."""

    code: str
    message: str
    attempts: int


@dataclass(frozen=True)
class CommitLimits:
    """What one Commit may hold and how many may be on the wire.

    Attributes:
      max_writes: writes in a Commit, in [1, 500].
      max_request_bytes: bytes of a Commit; larger ones are refused by the service after they were sent.
      max_in_flight: Commits on the wire at once, in [1, 64].
      timeout_s: deadline of one Commit.
    """

    max_writes: int = MAX_WRITES_PER_COMMIT
    max_request_bytes: int = 4 * 1024 * 1024
    max_in_flight: int = 3
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        if not 1 <= self.max_writes <= MAX_WRITES_PER_COMMIT:
            raise ValueError(f"max_writes must be in [1, {MAX_WRITES_PER_COMMIT}], got {self.max_writes}")
        if self.max_request_bytes < 64 * 1024:
            raise ValueError(f"max_request_bytes must be at least 65,536, got {self.max_request_bytes:,}")
        if not 1 <= self.max_in_flight <= 64:
            raise ValueError(f"max_in_flight must be in [1, 64], got {self.max_in_flight}")
        if self.timeout_s <= 0:
            raise ValueError(f"timeout_s must be positive, got {self.timeout_s}")


@dataclass
class _Request:
    """Some groups of the input, by their positions, that are sent as one Commit."""

    groups: list[tuple[int, AtomicGroup]] = field(default_factory=list)
    n_writes: int = 0
    n_bytes: int = _REQUEST_OVERHEAD_BYTES
    attempts: int = 0

    def add(self, position: int, group: AtomicGroup) -> None:
        self.groups.append((position, group))
        self.n_writes += len(group.writes)
        self.n_bytes += group.n_bytes

    def halves(self) -> Iterator[_Request]:
        middle = len(self.groups) // 2
        for part in (self.groups[:middle], self.groups[middle:]):
            half = _Request(attempts=self.attempts)
            for position, group in part:
                half.add(position, group)
            yield half


class CommitReport(NamedTuple):
    """One outcome for every group, in the order given, and how many requests were sent a second time or more."""

    outcomes: list[Landed | Refused]
    retries: int


class Committer:
    """Commits atomic groups of writes.

    Args:
      client: where to.
      limits: what one Commit may hold.
      retry: how a transient failure is repeated.
      sleep, random: injected by tests.
    """

    def __init__(
        self,
        client: FirestoreClient,
        limits: CommitLimits | None = None,
        retry: RetryPolicy | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = _random.random,
    ):
        self._client = client
        self._limits = limits or CommitLimits()
        self._retry = retry or RetryPolicy()
        self._sleep, self._random = sleep, random

    def commit(self, groups: Iterable[AtomicGroup]) -> CommitReport:
        """Commits every group and says what became of each.

        Raises:
          TransientError: a request failed `retry.max_attempts` times. What was acknowledged before stays written.
          JobError: credentials, permission or database; or every group was refused alike.
        """
        run = _Run(self._client, self._limits, self._retry, self._sleep, self._random)
        for request in _pack(groups, self._limits):
            run.enqueue(request)
        report = run.finish()
        _refuse_unanimous(report.outcomes)
        return report


def _pack(groups: Iterable[AtomicGroup], limits: CommitLimits) -> Iterator[_Request]:
    """Requests that hold as many groups as fit; a group larger than a request has one to itself."""
    request = _Request()
    for position, group in enumerate(groups):
        full = request.n_writes + len(group.writes) > limits.max_writes
        if request.groups and (full or request.n_bytes + group.n_bytes > limits.max_request_bytes):
            yield request
            request = _Request()
        request.add(position, group)
    if request.groups:
        yield request


class _Run:
    """The requests of one `commit`: waiting, on the wire (oldest first), and the outcomes so far."""

    def __init__(
        self,
        client: FirestoreClient,
        limits: CommitLimits,
        retry: RetryPolicy,
        sleep: Callable[[float], None],
        random: Callable[[], float],
    ):
        self._client, self._limits, self._retry, self._sleep, self._random = client, limits, retry, sleep, random
        self._waiting: deque[_Request] = deque()
        self._on_the_wire: deque[tuple[_Request, Call]] = deque()
        self._outcomes: dict[int, Landed | Refused] = {}
        self._retries = 0

    def enqueue(self, request: _Request) -> None:
        """Returns once the request is on the wire; settles older ones to make room for it."""
        self._waiting.append(request)
        while self._waiting:
            self._send_or_settle()

    def finish(self) -> CommitReport:
        """Waits for every answer."""
        while self._waiting or self._on_the_wire:
            self._send_or_settle()
        return CommitReport([self._outcomes[position] for position in range(len(self._outcomes))], self._retries)

    def _send_or_settle(self) -> None:
        if self._waiting and len(self._on_the_wire) < self._limits.max_in_flight:
            request = self._waiting.popleft()
            request.attempts += 1
            writes = (write for _, group in request.groups for write in group.writes)
            self._on_the_wire.append((request, self._client.commit(writes, self._limits.timeout_s)))
        else:
            self._settle_oldest()

    def _settle_oldest(self) -> None:
        request, call = self._on_the_wire.popleft()
        try:
            response = call.result()
        except RpcError as error:
            self._settle_failure(request, error)
            return
        results = iter(response.write_results)
        for position, group in request.groups:
            times = tuple(_update_time(next(results), response) for _ in group.writes)
            self._outcomes[position] = Landed(times, request.attempts)

    def _settle_failure(self, request: _Request, error: RpcError) -> None:
        kind = classify(error.code, error.message)
        if kind is Kind.JOB:
            raise self._client.target.job_error(error)
        if kind is Kind.TRANSIENT:
            self._again(request, error)
        elif len(request.groups) > 1:
            self._waiting.extend(request.halves())
        else:
            ((position, _),) = request.groups
            self._outcomes[position] = Refused(error.code, error.message, request.attempts)

    def _again(self, request: _Request, error: RpcError) -> None:
        if request.attempts >= self._retry.max_attempts:
            raise TransientError(
                f"Firestore did not take a Commit of {request.n_writes} writes in {request.attempts} attempts; "
                f"the last answer was {error}"
            )
        self._sleep(self._retry.delay_s(request.attempts, self._random))
        self._retries += 1
        self._waiting.append(request)


def _update_time(result: Any, response: Any) -> Any:
    """The time of a document's version; Firestore leaves it out where the Commit's own time says it."""
    moment = result.update_time if result.HasField("update_time") else response.commit_time
    return timestamp(moment.seconds, moment.nanos)


def _refuse_unanimous(outcomes: list[Landed | Refused]) -> None:
    """Raises JobError if every group was refused, for one reason, and they are too many for a coincidence."""
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    if len(refusals) == len(outcomes) >= _MIN_ALIKE and len({refusal.code for refusal in refusals}) == 1:
        first = refusals[0]
        raise JobError(
            f"Firestore refused all {len(outcomes)} writes of a batch alike, so it is not the records that are wrong: "
            f"{first.code}: {first.message}"
        )
