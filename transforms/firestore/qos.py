"""How fast to write: the size of the next request, and how long to wait before it.

    every process      QosSettings ──shared()──▶ QualityOfService, one for all its threads and steps
    before a request   batch_size()   writes it may hold: what takes `target_latency_s`, within the budget of one second
                       admit(n)       waits for the budget (ramp-up, max_writes_per_s), then for the throttle
    after it           answered(…)    the server's answer: latency for the size, accepted or not for the throttle

Three rules, each a small class of pure arithmetic that gets the time as an argument:

    BatchSize          shrinks as soon as a request takes longer than the target, grows by a quarter while they do not
    WriteBudget        500 writes/s for the whole job, 50 % more every 5 minutes, divided by the processes that
                       share it; begins at the first write. Source: "Ramping up traffic", Firestore best practices.
    AdaptiveThrottle   holds requests back with probability (requests - 2 accepted) / (requests + 1) of the last two
                       minutes. Source: "Client-Side Throttling", Site Reliability Engineering, chapter 21.

Promise: when a request is sent, the time since the first write has paid for every write sent before it.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from transforms.firestore.limits import MAX_WRITES_PER_COMMIT
from transforms.retry import SYSTEM_CLOCK, Clock

RAMP_UP_WRITES_PER_S = 500.0
RAMP_UP_FACTOR = 1.5
RAMP_UP_INTERVAL_S = 300.0

_THROTTLE_WINDOW_S = 120.0
_THROTTLE_BUCKET_S = 1.0
_OVERLOAD_RATIO = 2.0  # K of the formula: throttle when less than half is accepted
_THROTTLE_WAIT_S = 1.0
_MAX_HELD_S = 30.0  # so that a request is sent at last, and its failure is known
_MIN_WAIT_S = 0.001  # a shorter sleep may be lost in the clock's rounding


@dataclass(frozen=True, slots=True)
class QosSettings:
    """How fast a job may write. Plain data, pickled with the job.

    Attributes:
      max_writes_per_s: of the whole job; None is the ramp-up alone, 0 turns ramp-up and throttling off.
      parallelism: processes that share the budget: workers times SDK processes on each.
      target_latency_s: what a request should take; 0 leaves its size alone.
    """

    max_writes_per_s: float | None = None
    parallelism: int = 1
    target_latency_s: float = 2.0

    def __post_init__(self) -> None:
        if self.max_writes_per_s is not None and not 0 <= self.max_writes_per_s < math.inf:
            raise ValueError(f"max_writes_per_s must be 0 (off) or more, got {self.max_writes_per_s}")
        if self.parallelism < 1:
            raise ValueError(f"parallelism must be at least 1, got {self.parallelism}")
        if self.target_latency_s < 0:
            raise ValueError(f"target_latency_s must be 0 (off) or more, got {self.target_latency_s}")

    @property
    def paced(self) -> bool:
        """Whether there is a budget at all."""
        return self.max_writes_per_s != 0

    def shared(self, scope: str) -> QualityOfService:
        """The one object of this process for these settings and this scope, such as the name of the database."""
        with _lock:
            if (self, scope) not in _shared:
                _shared[self, scope] = QualityOfService(self)
            return _shared[self, scope]


OFF = QosSettings(max_writes_per_s=0, target_latency_s=0)


class QualityOfService:
    """Decides for all threads of a process. Thread-safe.

    Args:
      settings: how fast.
      clock: injected by tests.
    """

    def __init__(
        self,
        settings: QosSettings = OFF,
        clock: Clock = SYSTEM_CLOCK,
    ):
        self._now, self._sleep, self._random = clock.monotonic, clock.sleep, clock.random
        self._lock = threading.Lock()
        self._size = BatchSize(settings.target_latency_s)
        self._budget = WriteBudget(settings.max_writes_per_s, settings.parallelism) if settings.paced else None
        self._throttle = AdaptiveThrottle() if settings.paced else None

    def batch_size(self) -> int:
        """Writes that the next request may hold, in [1, 500]."""
        with self._lock:
            size = self._size.writes
            return size if self._budget is None else min(size, self._budget.per_second(self._now()))

    def admit(self, n_writes: int) -> float:
        """Returns when a request of `n_writes` may be sent, with the seconds it waited for that."""
        if self._budget is None or self._throttle is None:
            return 0.0
        waited = held = 0.0
        while True:
            with self._lock:
                now = self._now()
                wait = self._budget.wait_s(now)
                if wait == 0 and held < _MAX_HELD_S and self._throttle.holds_back(now, self._random):
                    wait = _THROTTLE_WAIT_S
                    held += wait
                if wait == 0:
                    self._budget.spend(n_writes, now)
                    return waited
            wait = max(wait, _MIN_WAIT_S)
            self._sleep(wait)
            waited += wait

    def answered(self, n_writes: int, accepted: float, latency_s: float) -> None:
        """Learns from an answer; `accepted` is the share of the request that the service was not too busy for."""
        with self._lock:
            self._size.learn(n_writes, latency_s, grow=accepted > 0)
            if self._throttle is not None:
                self._throttle.learn(accepted, self._now())


_shared: dict[tuple[QosSettings, str], QualityOfService] = {}
_lock = threading.Lock()


class BatchSize:
    """How many writes a request holds, so that it takes about `target_latency_s`; 0 means always the largest."""

    def __init__(self, target_latency_s: float, largest: int = MAX_WRITES_PER_COMMIT):
        self._target_s, self._largest = target_latency_s, largest
        self.writes = largest

    def learn(self, n_writes: int, latency_s: float, *, grow: bool = True) -> None:
        """Adapts to a request of `n_writes` that took `latency_s`; after a failure it does not grow."""
        if not self._target_s:
            return
        if latency_s > self._target_s:
            self.writes = min(self.writes, max(1, int(n_writes * self._target_s / latency_s)))
        elif grow and n_writes >= self.writes:  # a smaller request says nothing about a larger one
            self.writes = min(self._largest, self.writes + max(1, self.writes // 4))


class WriteBudget:
    """What one of `parallelism` processes may write, by the time since its first write."""

    def __init__(self, max_writes_per_s: float | None, parallelism: int):
        self._most = math.inf if max_writes_per_s is None else max_writes_per_s
        self._parallelism = parallelism
        self._began: float | None = None
        self._paid_until = -math.inf

    def rate(self, now: float) -> float:
        """Writes per second at this time.

        >>> budget = WriteBudget(None, parallelism=2)
        >>> budget.spend(1, now=0.0)
        >>> budget.rate(299.0), budget.rate(300.0), budget.rate(600.0)
        (250.0, 375.0, 562.5)
        """
        intervals = 0 if self._began is None else int((now - self._began) // RAMP_UP_INTERVAL_S)
        ramp = RAMP_UP_WRITES_PER_S * RAMP_UP_FACTOR ** min(intervals, 100)
        return min(ramp, self._most) / self._parallelism

    def per_second(self, now: float) -> int:
        """Writes that fit into the budget of one second, and at least one."""
        return max(1, int(self.rate(now)))

    def wait_s(self, now: float) -> float:
        """How long until everything spent so far is paid for."""
        return max(0.0, self._paid_until - now)

    def spend(self, n_writes: int, now: float) -> None:
        """Records a request that is sent now."""
        if self._began is None:
            self._began = now
        self._paid_until = max(self._paid_until, now) + n_writes / self.rate(now)


class AdaptiveThrottle:
    """Delays requests that an overloaded service would refuse anyway."""

    def __init__(self) -> None:
        self._buckets: deque[list[float]] = deque()  # [begin, requests, accepted], oldest first

    def probability(self, now: float) -> float:
        """How likely the next request is held back."""
        while self._buckets and self._buckets[0][0] <= now - _THROTTLE_WINDOW_S:
            self._buckets.popleft()
        requests = sum(bucket[1] for bucket in self._buckets)
        accepted = sum(bucket[2] for bucket in self._buckets)
        return max(0.0, (requests - _OVERLOAD_RATIO * accepted) / (requests + 1))

    def holds_back(self, now: float, random: Callable[[], float]) -> bool:
        """Draws. A request held back counts as one; one that is sent counts when its answer is there, not before, or
        those on the wire would look refused."""
        held = random() < self.probability(now)
        if held:
            self._bucket(now)[1] += 1
        return held

    def learn(self, accepted: float, now: float) -> None:
        """Counts a request and the share of it that the service accepted, in [0, 1]."""
        bucket = self._bucket(now)
        bucket[1] += 1
        bucket[2] += accepted

    def _bucket(self, now: float) -> list[float]:
        if not self._buckets or now >= self._buckets[-1][0] + _THROTTLE_BUCKET_S:
            self._buckets.append([now, 0.0, 0.0])
        return self._buckets[-1]
