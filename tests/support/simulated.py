"""An event loop's time in which many wait at once: the one who waits shortest is woken first, and no time passes."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Coroutine
from itertools import count
from typing import Any

from transforms import retry

_IDLE_ROUNDS = 20  # of the loop, after which everybody waits


class Simulation:
    """Runs what only waits by its clock.

    Attributes:
      now: seconds, of both clocks.
    """

    def __init__(self, chance: float = 0.5) -> None:
        self.now = 1_000.0
        self._wakes: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()
        self.clock = retry.Clock(
            now=lambda: self.now, monotonic=lambda: self.now, asleep=self.asleep, random=lambda: chance
        )

    async def asleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._wakes, (self.now + max(0.0, seconds), next(self._order), woken))
        await woken

    def run(self, *all_of_them: Coroutine[Any, Any, Any]) -> list[Any]:
        """Their results."""

        async def until_done() -> list[Any]:
            tasks = asyncio.gather(*all_of_them)
            while not tasks.done():
                for _ in range(_IDLE_ROUNDS):
                    await asyncio.sleep(0)
                if self._wakes and not tasks.done():
                    self.now, _, woken = heapq.heappop(self._wakes)
                    if not woken.done():
                        woken.set_result(None)
            return await tasks

        return asyncio.run(until_done())
