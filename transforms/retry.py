"""The one retry loop: how often a request is sent, how long it waits in between, by which clock.

    Retry(max_attempts, …, clock)
      .call(request, …)    sends until it succeeds, or its failure is not transient, or attempts run out
      .acall(request, …)   the same in an event loop
      .attempts()          the same bookkeeping for a loop with more than one reason to go round
      .delay_s(failures)   for whoever schedules several requests at once
  within_s             a request that someone waits for is given up once its time would not suffice

Waits are bounded, exponential and of full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015). A
service that is up and says how long to wait (`TransientError.retry_after_s`) is obeyed, up to a sum.
Every request has one such layer: the retries of client libraries are switched off.
"""

from __future__ import annotations

import math
import random as _random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from transforms.errors import FirebeamError, TransientError

# A service that says "now" to everybody would be asked in a loop.
_MIN_TOLD_S = 0.001

E = TypeVar("E", bound=Exception)
T = TypeVar("T")


# A function of this module, so that a Clock pickles by name and not with the generator's state.
def _chance() -> float:
    return _random.random()


async def _asleep(seconds: float) -> None:
    import asyncio  # commands that never wait in an event loop do without it

    await asyncio.sleep(seconds)


@dataclass(frozen=True)
class Clock:
    """Time, sleep and randomness. Tests inject another one.

    Attributes:
      now: seconds since the epoch.
      monotonic: seconds that never go back.
      sleep: waits for seconds.
      asleep: waits for seconds in an event loop.
      random: returns [0, 1).
    """

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = _chance
    asleep: Callable[[float], Awaitable[None]] = _asleep


SYSTEM_CLOCK = Clock()


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Retry:
    """How often a request is sent, and by which clock. Plain data; picklable with the default clock.

    Attributes:
      max_attempts: how often a request is sent at most, the first time included; in [1, 100].
      initial_s: upper bound of the first wait, in seconds.
      max_s: upper bound of every wait, in seconds.
      clock: what it waits by.
      max_told_s: how long a request waits altogether because the service says so, in seconds. Such waits count as no
        attempts.

    With the defaults a request is given up after at most 0.5 + 1 + 2 + 4 + 8 + 16 + 30 s of waiting, half of that on
    average.
    """

    max_attempts: int = 8
    initial_s: float = 0.5
    max_s: float = 30.0
    clock: Clock = SYSTEM_CLOCK
    max_told_s: float = 300.0

    def __post_init__(self) -> None:
        if not 1 <= self.max_attempts <= 100:
            raise ValueError(f"max_attempts must be in [1, 100], got {self.max_attempts}")
        if not 0 <= self.initial_s <= self.max_s:
            raise ValueError(f"initial_s must be in [0, max_s={self.max_s}], got {self.initial_s}")

    def delay_s(self, failures: int) -> float:
        """Seconds to wait after so many failures, counted from 1.

        >>> Retry(initial_s=0.5, max_s=30, clock=Clock(random=lambda: 0.5)).delay_s(3)
        1.0
        """
        # The exponent is bounded so that a large number of failures cannot overflow a float.
        return self.clock.random() * min(self.max_s, self.initial_s * 2.0 ** min(failures - 1, 64))

    def attempts(self, within_s: float = math.inf) -> Attempts:
        """Counts the attempts of one request, which begins now; after these seconds it is not sent again."""
        return Attempts(self, within_s)

    def call(
        self,
        request: Callable[[], T],
        *,
        catch: type[E] | tuple[type[E], ...],
        meaning: Callable[[E, int], FirebeamError],
        is_outage: Callable[[], bool] = _never,
        within_s: float = math.inf,
    ) -> T:
        """The result of `request`, which is sent again while it fails transiently.

        Args:
          request: sends once; may be called again.
          catch: what a failed request raises; anything else passes through.
          meaning: of a failure and the number of attempts made: a TransientError, or what to raise at once.
          is_outage: whether nobody is answered just now; then the request is not given up, whoever sends it says when
            an outage has lasted too long.
          within_s: how long after the first time it may be sent at most.

        Raises:
          TransientError: the last attempt allowed failed as well.
          FirebeamError: what `meaning` made of a failure that is not transient.

        >>> answers = iter([KeyError("busy"), 7])
        >>> def request():
        ...     answer = next(answers)
        ...     if isinstance(answer, KeyError):
        ...         raise answer
        ...     return answer
        >>> no_waiting = Retry(clock=Clock(sleep=lambda seconds: None))
        >>> no_waiting.call(request, catch=KeyError, meaning=lambda error, made: TransientError(str(error)))
        7
        """
        attempts = self.attempts(within_s)
        while True:
            try:
                return request()
            except catch as error:
                meant = meaning(error, attempts.made)
                if not isinstance(meant, TransientError):
                    raise meant from error
                if not attempts.again(is_outage, meant.retry_after_s):
                    raise meant from error

    async def acall(
        self,
        request: Callable[[], Awaitable[T]],
        *,
        catch: type[E] | tuple[type[E], ...],
        meaning: Callable[[E, int], FirebeamError],
        is_outage: Callable[[], bool] = _never,
        within_s: float = math.inf,
    ) -> T:
        """As `call`, in an event loop."""
        attempts = self.attempts(within_s)
        while True:
            try:
                return await request()
            except catch as error:
                meant = meaning(error, attempts.made)
                if not isinstance(meant, TransientError):
                    raise meant from error
                if not await attempts.again_async(is_outage, meant.retry_after_s):
                    raise meant from error


class Attempts:
    """The attempts of one request.

    Attributes:
      made: how many, the one under way included.
    """

    def __init__(self, retry: Retry, within_s: float = math.inf):
        self._retry = retry
        self._told_s = 0.0
        self._ends_s = retry.clock.monotonic() + within_s
        self.made = 1

    def again(self, is_outage: Callable[[], bool] = _never, told_s: float | None = None) -> bool:
        """Counts a failure. Waits and returns True if the request may be sent once more; else returns False.

        Args:
          told_s: how long the service asks to wait.
        """
        delay_s = self.again_after_s(is_outage, told_s)
        if delay_s is not None:
            self._retry.clock.sleep(delay_s)
        return delay_s is not None

    async def again_async(self, is_outage: Callable[[], bool] = _never, told_s: float | None = None) -> bool:
        """As `again`, in an event loop."""
        delay_s = self.again_after_s(is_outage, told_s)
        if delay_s is not None:
            await self._retry.clock.asleep(delay_s)
        return delay_s is not None

    def again_after_s(self, is_outage: Callable[[], bool] = _never, told_s: float | None = None) -> float | None:
        """As `again` for who waits by other means: seconds to wait; None if the request may not be sent once more."""
        delay_s = self._told(told_s) if told_s is not None else self._next(is_outage)
        if delay_s is None or self._retry.clock.monotonic() + delay_s >= self._ends_s:
            return None
        return delay_s

    def _told(self, told_s: float) -> float | None:
        delay_s = max(told_s, _MIN_TOLD_S)
        self._told_s += delay_s
        return delay_s if self._told_s <= self._retry.max_told_s else None

    def _next(self, is_outage: Callable[[], bool]) -> float | None:
        if self.made >= self._retry.max_attempts and not is_outage():
            return None
        delay_s = self._retry.delay_s(self.made)
        self.made += 1
        return delay_s
