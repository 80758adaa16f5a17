"""Batches over time: at most 300 bins of one width, whatever the length of the run. Pure functions.

    |  5 s |  5 s |  5 s |  …      as many bins as there is time, each with what ended in it

The width is one that people count in. Bins begin at multiples of it, so a bin that is over never changes.
"""

from __future__ import annotations

import bisect
import datetime
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

MAX_POINTS = 300

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_WIDTHS_S = (
    *(1, 2, 5, 10, 15, 30),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 7, 14, 30, 90, 365)),
)


class Timeline(NamedTuple):
    """Bins of time.

    Attributes:
      first_s: where the first one begins, in seconds since 1970.
      width_s: of each.
      n: how many.
      end_s: until when anything is known, which is in the last bin.
    """

    first_s: int
    width_s: int
    n: int
    end_s: float

    @classmethod
    def over(cls, start: datetime.datetime, end: datetime.datetime, max_points: int = MAX_POINTS) -> Timeline:
        """The narrowest bins of which there are not too many.

        >>> noon = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
        >>> [Timeline.over(noon, noon + datetime.timedelta(seconds=s))[1:3] for s in (0, 299, 300, 86_400)]
        [(1, 1), (1, 300), (2, 151), (300, 289)]
        """
        start_s, end_s = start.timestamp(), max(start, end).timestamp()
        for width_s in _WIDTHS_S:
            first_s = math.floor(start_s / width_s) * width_s
            n = math.floor((end_s - first_s) / width_s) + 1
            if n <= max_points:
                return cls(first_s, width_s, n, end_s)
        width_s = math.ceil((end_s - start_s) / (max_points - 1))
        return cls(math.floor(start_s), width_s, max_points, end_s)

    def bin_of(self, at: datetime.datetime) -> int:
        """In which bin a time is; times beside them are in the first or the last."""
        return min(self.n - 1, max(0, int((at.timestamp() - self.first_s) // self.width_s)))

    def begins(self, bin_number: int) -> datetime.datetime:
        """When a bin begins."""
        return datetime.datetime.fromtimestamp(self.first_s + bin_number * self.width_s, datetime.timezone.utc)

    def sums(self, counted: Iterable[tuple[datetime.datetime, float]]) -> list[float]:
        """How much there is of what has a time, per bin."""
        found = [0.0] * self.n
        for at, n in counted:
            found[self.bin_of(at)] += n
        return found

    def per_s(self, counted: Iterable[tuple[datetime.datetime, float]]) -> list[float]:
        """How much per second; the last bin is as long as it has lasted, but at least half a bin."""
        found = [n / self.width_s for n in self.sums(counted)]
        lasted = min(1.0, max(0.5, (self.end_s - self.first_s) / self.width_s - (self.n - 1)))
        return [*found[:-1], found[-1] / lasted]

    def active(self, spans: Iterable[tuple[datetime.datetime, datetime.datetime]]) -> list[int]:
        """How many spans of time each bin has a part of.

        >>> noon = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
        >>> a, b, c = (noon + datetime.timedelta(seconds=s) for s in (0, 2, 4))
        >>> Timeline.over(a, c).active([(a, b), (b, c)])
        [1, 1, 2, 1, 1]
        """
        changes = [0] * (self.n + 1)
        for start, end in spans:
            changes[self.bin_of(start)] += 1
            changes[self.bin_of(end) + 1] -= 1
        return list(itertools.accumulate(changes))[: self.n]

    def quantiles(
        self, measured: Iterable[tuple[datetime.datetime, float]], shares: Sequence[float]
    ) -> list[list[float | None]]:
        """Quantiles of what was measured in each bin, a list per share; None for a bin that has nothing."""
        found: list[list[float]] = [[] for _ in range(self.n)]
        for at, value in measured:
            bisect.insort(found[self.bin_of(at)], value)
        return [[quantile(values, share) for values in found] for share in shares]


def quantile(values: Sequence[float], share: float) -> float | None:
    """The nearest rank of sorted values; None if there are none.

    >>> quantile([1, 2, 3, 4], 0.5), quantile([1, 2, 3, 4], 0.95), quantile([], 0.5)
    (2, 4, None)
    """
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else None
