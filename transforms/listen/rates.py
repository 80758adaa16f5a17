"""How many changes per minute streams may hand out, alone and together, and how unused rates are lent.

    stream, 200 per minute ──┬── 140 used in the last minute
                             ├──  30 lent to streams that are late    at most half of its rate, while it has nothing
                             └──  30 left

Guarantees, over every sliding minute: a stream hands out at most its own rate and what it borrows; streams with a rate
hand out at most the sum of their rates, or of the overall rate if that is larger; all streams together hand out at most
the overall rate. A rate that is lent is whole again a minute after its owner has something to hand out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping

MINUTE_S = 60.0

# So that the first changes of a stream that was quiet do not wait for those it has lent its rate to.
_LENT_AT_MOST = 0.5
# Of the overall rate, only for streams of the highest priority: they do not wait until others have caught up.
_RESERVED = 0.1


class SlidingMinute:
    """What happened in the last minute."""

    def __init__(self) -> None:
        self._counted: deque[tuple[float, int]] = deque()
        self._sum = 0

    def add(self, now_s: float, n: int) -> None:
        """Counts n; times never go back."""
        if n:
            self._counted.append((now_s, n))
            self._sum += n

    def sum(self, now_s: float) -> int:
        """How many in the last minute."""
        while self._counted and now_s - self._counted[0][0] >= MINUTE_S:
            self._sum -= self._counted.popleft()[1]
        return self._sum


class Rates:
    """Not thread-safe.

    Args:
      per_minute: of the streams that have a rate, by id.
      overall: of all streams together; None for any number.
      first: streams of the highest priority, if there are others beside them.
      lends: whether unused rates are lent.
    """

    def __init__(
        self,
        per_minute: Mapping[str, int],
        overall: int | None = None,
        first: Collection[str] = (),
        *,
        lends: bool = True,
    ):
        self._per_minute, self._overall, self._lends = dict(per_minute), overall, lends
        self._first = frozenset(first)
        self._reserved = int((overall or 0) * _RESERVED) if self._first else 0
        self._used: dict[str, SlidingMinute] = {}
        self._lent: dict[str, SlidingMinute] = {}
        self._borrowed: dict[str, SlidingMinute] = {}
        # What the overall rate has beyond the sum of the others belongs to nobody, so it is lent as well.
        self._surplus = max(0, (overall or 0) - sum(self._per_minute.values())) if self._per_minute else 0
        self._surplus_lent, self._all, self._used_by_first = SlidingMinute(), SlidingMinute(), SlidingMinute()

    def own(self, stream_id: str, now_s: float) -> int | None:
        """How many changes of its own rate a stream may hand out now; None for any number."""
        rate = self._per_minute.get(stream_id)
        if rate is None:
            return None
        return max(0, rate - self._own_used(stream_id, now_s) - self._sum(self._lent, stream_id, now_s))

    def lendable(self, stream_id: str, busy: Collection[str], now_s: float) -> int:
        """How many a stream could borrow now beside its own; those that are busy lend nothing."""
        return sum(n for _, n in self._lenders(stream_id, busy, now_s)) if self._lends else 0

    def overall(self, stream_id: str, now_s: float) -> int | None:
        """How many of the overall rate are left for a stream; None for any number."""
        if self._overall is None:
            return None
        left = self._overall - self._all.sum(now_s)
        if stream_id not in self._first:
            left -= max(0, self._reserved - self._used_by_first.sum(now_s))
        return max(0, left)

    def add(self, stream_id: str, n: int, busy: Collection[str], now_s: float) -> None:
        """The stream has handed out n changes, with what it borrowed from those that are not busy."""
        own = self.own(stream_id, now_s)
        if own is not None and n > own:
            self._borrow(stream_id, n - own, busy, now_s)
        self._of(self._used, stream_id).add(now_s, n)
        self._all.add(now_s, n)
        if stream_id in self._first:
            self._used_by_first.add(now_s, n)

    def used(self, stream_id: str, now_s: float) -> int:
        """How many changes a stream handed out in the last minute."""
        return self._sum(self._used, stream_id, now_s)

    def borrowed(self, stream_id: str, now_s: float) -> int:
        """How many of them were of unused rates of others."""
        return self._sum(self._borrowed, stream_id, now_s)

    def may_pass(self, stream_id: str, n: int, now_s: float) -> bool:
        """Whether n changes are part of what is reserved, so that they may pass others that wait."""
        return stream_id in self._first and self._used_by_first.sum(now_s) + n <= self._reserved

    def most(self) -> int:
        """How many changes can be handed out at once at all; what comes in a larger piece is counted afterwards."""
        return 10**9 if self._overall is None else self._overall - self._reserved

    def piece(self, stream_id: str) -> int | None:
        """In how many changes at a time a stream is best handed out; None if its rate does not matter.

        Small enough to spread a rate over its minute, and to fit into what is not reserved.

        >>> Rates({"a": 50}).piece("a"), Rates({}, 1000).piece("a"), Rates({"a": 1}).piece("a")
        (4, 83, 1)
        """
        rates = [rate for rate in (self._per_minute.get(stream_id), self._overall) if rate is not None]
        return max(1, min(rates) // 12) if rates else None

    def _lenders(self, borrower: str, busy: Collection[str], now_s: float) -> Iterable[tuple[str | None, int]]:
        """Who lends how much; None is nobody's rate."""
        for stream_id, rate in self._per_minute.items():
            if stream_id != borrower and stream_id not in busy:
                lent = self._sum(self._lent, stream_id, now_s)
                lendable = min(rate - self._own_used(stream_id, now_s), int(rate * _LENT_AT_MOST)) - lent
                if lendable > 0:
                    yield stream_id, lendable
        surplus = self._surplus - self._surplus_lent.sum(now_s)
        if surplus > 0:
            yield None, surplus

    def _borrow(self, stream_id: str, n: int, busy: Collection[str], now_s: float) -> None:
        self._of(self._borrowed, stream_id).add(now_s, n)
        for lender, lendable in self._lenders(stream_id, busy, now_s):
            part = min(n, lendable)
            (self._surplus_lent if lender is None else self._of(self._lent, lender)).add(now_s, part)
            n -= part

    def _own_used(self, stream_id: str, now_s: float) -> int:
        return self.used(stream_id, now_s) - self.borrowed(stream_id, now_s)

    def _sum(self, minutes: Mapping[str, SlidingMinute], stream_id: str, now_s: float) -> int:
        minute = minutes.get(stream_id)
        return minute.sum(now_s) if minute is not None else 0

    @staticmethod
    def _of(minutes: dict[str, SlidingMinute], stream_id: str) -> SlidingMinute:
        return minutes.setdefault(stream_id, SlidingMinute())
