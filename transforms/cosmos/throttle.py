"""A budget of request units per second, so that a job leaves the rest to the application. Plain Python.

wait() ──▶ request ──▶ spend(charge)      what a request costs is known once it is answered: the budget may be overdrawn,
                                          and the next request waits until it is balanced again
"""  # noqa: E501  # a diagram

from __future__ import annotations

import threading

from transforms.retry import Clock

# What may be used at once after a pause, in seconds of the budget.
_BURST_S = 1.0
# Below it, request units are an error of rounding.
_EVEN = 1e-6


class RequestUnits:
    """One budget; for all threads of a process.

    Args:
      per_s: request units per second; None for no bound.
      clock: what it waits by.

    Attributes:
      spent: request units so far.
      waited_s: seconds that requests have waited.
    """

    def __init__(self, per_s: float | None, clock: Clock):
        self._per_s, self._clock, self._lock = per_s, clock, threading.Lock()
        self._left = (per_s or 0.0) * _BURST_S
        self._at = clock.monotonic()
        self.spent = 0.0
        self.waited_s = 0.0

    def wait(self) -> None:
        """Returns once the budget is not overdrawn."""
        while (delay_s := self._lacking_s()) > 0:
            self.waited_s += delay_s
            self._clock.sleep(delay_s)

    def spend(self, charge: float) -> None:
        """Counts what a request has cost."""
        with self._lock:
            self.spent += charge
            if self._per_s is not None:
                self._fill(self._per_s)
                self._left -= charge

    def _lacking_s(self) -> float:
        with self._lock:
            if self._per_s is None:
                return 0.0
            self._fill(self._per_s)
            return -self._left / self._per_s if self._left < -_EVEN else 0.0

    def _fill(self, per_s: float) -> None:
        now = self._clock.monotonic()
        self._left = min(per_s * _BURST_S, self._left + (now - self._at) * per_s)
        self._at = now
