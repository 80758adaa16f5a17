"""Leaves a store alone that does not answer, so that callers do not wait for it each time. Thread-safe.

    asked ──N failures in a row──▶ skipped for a while ──▶ one request looks again ──answered──▶ asked
                                        ▲                          │
                                        └──────── failed ──────────┘

`transforms/breaker.py` says when a job must stop. An application never stops: it skips.
"""

from __future__ import annotations

import threading

from transforms.retry import SYSTEM_CLOCK, Clock

FAILURES_TO_SKIP = 5


class Outages:
    """Of one store.

    Args:
      skip_s: how long it is left alone before one request looks again.
    """

    def __init__(self, skip_s: float = 5.0, clock: Clock = SYSTEM_CLOCK):
        self._skip_s, self._clock = skip_s, clock
        self._lock = threading.Lock()
        self._failures = 0
        self._skipped_until = 0.0

    def may_ask(self) -> bool:
        """Whether a request may be sent; while the store is skipped, one per `skip_s`."""
        with self._lock:
            if self._failures < FAILURES_TO_SKIP:
                return True
            now = self._clock.monotonic()
            if now < self._skipped_until:
                return False
            self._skipped_until = now + self._skip_s
            return True

    def answered(self, *, is_up: bool) -> None:
        """Records whether a request was answered, well or badly."""
        with self._lock:
            self._failures = 0 if is_up else self._failures + 1
            if self._failures == FAILURES_TO_SKIP:
                self._skipped_until = self._clock.monotonic() + self._skip_s
