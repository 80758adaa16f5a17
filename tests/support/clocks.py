"""Clocks that only the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from transforms import retry

STARTED_AT = 1_700_000_000.0


class Clock:
    """Stands still until it is set; `seconds` are those since STARTED_AT."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return STARTED_AT + self.seconds


def no_waiting(
    now: Callable[[], float] = lambda: STARTED_AT, slept: list[float] | None = None, chance: float = 0.0
) -> retry.Clock:
    """A clock by which nothing waits.

    Args:
      now: the time it shows.
      slept: collects the seconds of every wait.
      chance: what every random number is.
    """
    sleep: Callable[[float], None] = (lambda seconds: None) if slept is None else slept.append

    async def asleep(seconds: float) -> None:
        sleep(seconds)
        await asyncio.sleep(0)

    return retry.Clock(now=now, sleep=sleep, random=lambda: chance, asleep=asleep)


class Time:
    """An event loop's time, which only waiting moves.

    Attributes:
      now: seconds, of both clocks.
    """

    def __init__(self) -> None:
        self.now = 1_000.0

    async def asleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        await asyncio.sleep(0)

    @property
    def clock(self) -> retry.Clock:
        return retry.Clock(now=lambda: self.now, monotonic=lambda: self.now, asleep=self.asleep)
