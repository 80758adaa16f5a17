"""How late changes are applied: percentiles of the last minute, and the age of what still waits."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

WINDOW_S = 60.0
_MAX_KEPT = 100_000


class Lag:
    """Seconds from change to repair, of the changes of the last minute. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: deque[tuple[float, float]] = deque(maxlen=_MAX_KEPT)
        self._waiting_since: float | None = None

    def add(self, now_s: float, changed_s: float) -> None:
        """A change was applied."""
        with self._lock:
            self._seen.append((now_s, max(0.0, now_s - changed_s)))

    def waits(self, oldest_s: float | None) -> None:
        """When the oldest change was made that is known and not applied; None if there is none."""
        with self._lock:
            self._waiting_since = oldest_s

    def age_s(self, now_s: float) -> float:
        """Seconds that the oldest change waits; 0 if none does."""
        with self._lock:
            return 0.0 if self._waiting_since is None else max(0.0, now_s - self._waiting_since)

    def percentiles(self, now_s: float) -> dict[str, float | None]:
        """Of the last minute, in milliseconds; None without changes."""
        with self._lock:
            lags = sorted(lag for at, lag in self._seen if now_s - at < WINDOW_S)
        return {"p50_ms": percentile(lags, 0.5), "p99_ms": percentile(lags, 0.99)}


def behind_s(age_s: float, waits: str, read_to_s: float | None, now_s: float) -> float | None:
    """How far the job is behind; None while nobody knows.

    Args:
      age_s: of the oldest change that it knows and has not applied.
      waits: why it cannot go on; empty if it can. Then there may be changes that it does not know.
      read_to_s: up to when all changes are applied; None before that was known.

    >>> behind_s(0.0, "", 90.0, 100.0), behind_s(0.0, "no answer", 90.0, 100.0), behind_s(0.0, "", None, 100.0)
    (0.0, 10.0, None)
    """
    if read_to_s is None:
        return None
    return max(age_s, now_s - read_to_s) if waits else age_s


def percentile(ascending: Sequence[float], share: float) -> float | None:
    """The value that this share does not exceed, in milliseconds.

    >>> percentile([0.1, 0.2, 0.4], 0.5), percentile([], 0.5)
    (200.0, None)
    """
    if not ascending:
        return None
    return round(ascending[min(len(ascending) - 1, int(share * len(ascending)))] * 1000, 1)
