"""A bucket that calls take from and that fills by itself, as providers count requests and tokens.

    capacity ┌───┐ ◀── fills evenly          take: 1 request, 850 tokens      corrected by what the headers say
             │▒▒▒│ ──▶ calls wait while it is empty

Guarantee: nothing waits before somebody has said how large it is.
"""

from __future__ import annotations

from collections.abc import Callable

from transforms.analysis.levels import Level

_WINDOW_S = 60.0  # of limits that do not say when they are reset: all of them are "per minute"
_MIN_RESET_S = 1.0  # some are rounded to seconds


class Bucket:
    """Of one limit.

    Args:
      monotonic: seconds that never go back.
    """

    def __init__(self, monotonic: Callable[[], float]):
        self._monotonic = monotonic
        self._capacity: float | None = None
        self._per_s = 0.0
        self._left = 0.0
        self._at = 0.0

    @classmethod
    def of_minute(cls, monotonic: Callable[[], float], per_minute: float) -> Bucket:
        """One that gives so much in a minute, but not all of it at the beginning."""
        bucket = cls(monotonic)
        bucket._capacity = bucket._left = per_minute / 6
        bucket._per_s, bucket._at = per_minute / _WINDOW_S, monotonic()
        return bucket

    def wait_s(self, amount: float) -> float:
        """Seconds until so much can be taken. More than it ever holds can be once it is full."""
        if self._capacity is None:
            return 0.0
        self._fill()
        lacking = min(amount, self._capacity) - self._left
        return lacking / self._per_s if lacking > 0 and self._per_s > 0 else 0.0

    def take(self, amount: float) -> None:
        """Takes so much; what is given back is negative."""
        self._fill()
        self._left -= amount

    def note(self, level: Level) -> None:
        """Takes over what the provider says. What was taken for calls that it has not counted yet stays taken."""
        if level.limit is None or level.limit <= 0:
            return
        self._fill()
        is_new, self._capacity = self._capacity is None, level.limit
        if is_new or not self._per_s:
            self._per_s = level.limit / _WINDOW_S
        if is_new:
            self._left += level.limit
        if level.remaining is None:
            return
        self._left = min(self._left, level.remaining)
        used = level.limit - level.remaining
        if level.reset_s and used > level.limit / 2:  # of little use the time is mostly rounding
            self._per_s = used / max(level.reset_s, _MIN_RESET_S)

    def _fill(self) -> None:
        now = self._monotonic()
        if self._capacity is not None:
            self._left = min(self._capacity, self._left + (now - self._at) * self._per_s)
        self._at = now
