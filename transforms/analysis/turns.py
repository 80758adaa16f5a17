"""Who goes next: of all who wait, the one who asked first, also after it was refused and has come again.

    enter ─▶ nobody waits, and there is room ─────────────────────────▶ through
       └───▶ waits ─▶ one of those who wait leads: lets the first through, as soon as there is room for it ─▶ …

One waits by the clock for all; whoever leads hands that on when its own turn has come, or when it is cancelled.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from transforms.retry import Clock

T = TypeVar("T")


@dataclass(order=True)
class _Waiter(Generic[T]):
    place: int
    wants: T = field(compare=False)
    may_go: bool = field(default=False, compare=False)
    is_gone: bool = field(default=False, compare=False)
    woken: asyncio.Event = field(default_factory=asyncio.Event, compare=False)


class Turns(Generic[T]):
    """To be used in one event loop.

    Args:
      is_full: whether nobody may go before somebody leaves.
      free_at: monotonic seconds at which there is room for somebody, as things are.
      admit: somebody goes.
      leave: somebody who was admitted has not gone after all.
    """

    def __init__(
        self,
        clock: Clock,
        is_full: Callable[[], bool],
        free_at: Callable[[T], float],
        admit: Callable[[T], None],
        leave: Callable[[T], None],
    ):
        self._clock, self._is_full, self._free_at, self._admit, self._leave = clock, is_full, free_at, admit, leave
        self._waiters: list[_Waiter[T]] = []
        self._leader: _Waiter[T] | None = None
        self._left = asyncio.Event()
        self._since, self._waited_s = 0.0, 0.0
        self._n_waiting = 0

    async def enter(self, place: int, wants: T) -> None:
        """Waits for its turn.

        Args:
          place: who has a lower one goes first.
        """
        if not self._waiters and self._is_free(wants, 0.0):
            self._admit(wants)
            return
        mine = _Waiter(place, wants)
        heapq.heappush(self._waiters, mine)
        try:
            with self._waiting():
                while not mine.may_go:
                    if self._leader is None:
                        await self._lead(mine)
                    else:
                        await mine.woken.wait()
                        mine.woken.clear()
        except BaseException:
            mine.is_gone = True
            if mine.may_go:
                self._leave(wants)
            raise

    def somebody_left(self) -> None:
        """There may be room again."""
        self._left.set()

    def waited_s(self) -> float:
        """Seconds in which somebody waited since the last time this was asked; of several at once, once."""
        now = self._clock.monotonic()
        waited = self._waited_s + (now - self._since if self._n_waiting else 0.0)
        self._waited_s, self._since = 0.0, now
        return waited

    async def _lead(self, mine: _Waiter[T]) -> None:
        self._leader = mine
        waited_until = 0.0
        try:
            while not mine.may_go:
                first = self._first() or mine
                if self._is_free(first.wants, waited_until):
                    self._let_through(first)
                elif self._is_full():
                    self._left.clear()
                    await self._left.wait()
                else:
                    # One wait for each time, so that a clock of a test that stands still ends the loop.
                    waited_until = self._free_at(first.wants)
                    await self._clock.asleep(waited_until - self._clock.monotonic())
        finally:
            self._leader, mine.is_gone = None, True
            if successor := self._first():
                successor.woken.set()

    def _let_through(self, first: _Waiter[T]) -> None:
        heapq.heappop(self._waiters)
        self._admit(first.wants)
        first.may_go = True
        first.woken.set()

    def _first(self) -> _Waiter[T] | None:
        while self._waiters and self._waiters[0].is_gone:
            heapq.heappop(self._waiters)
        return self._waiters[0] if self._waiters else None

    def _is_free(self, wants: T, waited_until: float) -> bool:
        return not self._is_full() and self._free_at(wants) <= max(waited_until, self._clock.monotonic())

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        if not self._n_waiting:
            self._since = self._clock.monotonic()
        self._n_waiting += 1
        try:
            yield
        finally:
            self._n_waiting -= 1
            if not self._n_waiting:
                self._waited_s += self._clock.monotonic() - self._since
