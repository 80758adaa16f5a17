"""Distinguishes an outage from a few failed requests, for all requests of a process together. Plain Python.

    closed ──N failures in a row──▶ open: requests go on, spaced by their own back-off, however often they failed
       ▲                              │                │
       └────────── any success ───────┘                └─ nothing succeeded for max_outage_s: OutageError, the job stops

While it is closed, a request that fails is given up after its own bounded attempts. While it is open, nothing is known
to be wrong with any request, so none is given up before all are: an outage drains no input into dead letters.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from transforms.errors import Kind, OutageError

_FAILURES_TO_OPEN = 5

# Statuses of a service that is not there for anybody, other than those about a single document, table or request.
_OUTAGE_CODES = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "RESOURCE_EXHAUSTED"})


class CircuitBreaker:
    """Thread-safe.

    Args:
      service: its name, for the message.
      max_outage_s: how long nothing may succeed, in seconds.
      now: seconds, monotonic; injected by tests.
    """

    def __init__(self, service: str, max_outage_s: float, now: Callable[[], float] = time.monotonic):
        if max_outage_s < 0:
            raise ValueError(f"max_outage_s must not be negative, got {max_outage_s}")
        self._service, self._max_outage_s, self._now = service, max_outage_s, now
        self._lock = threading.Lock()
        self._failures = 0
        self._first_failed_at = 0.0

    def is_down(self) -> bool:
        """Whether so many requests failed in a row that the service must be down: the breaker is open."""
        return self._failures >= _FAILURES_TO_OPEN

    def answered(self, code: str, kind: Kind, message: str) -> None:
        """A request failed: either nobody is there, or somebody has answered it.

        Args:
          code: canonical gRPC code name, such as `UNAVAILABLE`.
          kind: what it says about the request.
          message: the service's own text.

        Raises:
          OutageError: as `failed`.
        """
        if kind is Kind.TRANSIENT and code in _OUTAGE_CODES:
            self.failed(f"{code}: {message}")
        else:
            self.succeeded()

    def succeeded(self) -> None:
        """A request was answered, well or badly: the service is there."""
        self._failures = 0

    def failed(self, reason: str) -> None:
        """A request failed transiently.

        Raises:
          OutageError: nothing has succeeded for `max_outage_s`.
        """
        with self._lock:
            if not self._failures:
                self._first_failed_at = self._now()
            self._failures += 1
            outage_s = self._now() - self._first_failed_at
        if self.is_down() and outage_s >= self._max_outage_s:
            raise OutageError(
                f"{self._service} has not answered for {outage_s:.0f} s, the last time with {reason}; no record was "
                "given up for it: run the same command again when it is back"
            )


_breakers: dict[tuple[str, float], CircuitBreaker] = {}
_lock = threading.Lock()


def breaker_of(service: str, max_outage_s: float) -> CircuitBreaker:
    """The breaker of this process for a service; the same one for every caller.

    >>> breaker_of("BigQuery (acme)", 300) is breaker_of("BigQuery (acme)", 300)
    True
    """
    with _lock:
        return _breakers.setdefault((service, max_outage_s), CircuitBreaker(service, max_outage_s))
