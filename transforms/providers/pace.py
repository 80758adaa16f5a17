"""How often one host is asked: `Retry-After` holds for all requests to it, and few of them are answered 429.

    enter ─▶ request ─▶ its status ─▶ leave
      │ waits while the host has asked for it, and while one more 429 could be too many

Guarantee: never 10 answers of 429 within 5 minutes. Bright Data blocks an address after 25, until its support lifts
that (docs.brightdata.com, scrapers, error codes). After a few the rest of the 5 minutes is waited out. Creates stop
earlier than questions: a queue that is full must not keep anybody from asking what has become of the batches in it.
"""

from __future__ import annotations

import asyncio
import email.utils
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from transforms.retry import Clock

TOO_MANY_REQUESTS = 429
WINDOW_S = 300.0
_MAX_REFUSED = 9  # within the window, if all requests under way are refused as well
_FEW_REFUSED = 5  # after which none is sent until the first of them is older than the window
_FEW_REFUSED_CREATES = 3  # after which no create is
MAX_WAIT_S = 3_600.0  # of a Retry-After; one that is longer is a mistake, or nothing that a job can wait for


class Pace:
    """Of one host. To be used in one event loop."""

    def __init__(self, clock: Clock):
        self._clock = clock
        self._not_before = 0.0  # monotonic
        self._refused = deque[float]()
        self._under_way = 0
        self._left = asyncio.Event()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Waits until a request may be sent; it is over once its status is known."""
        await self._wait()
        self._under_way += 1
        turn = Turn()
        try:
            yield turn
        finally:
            self._under_way -= 1
            self._note(turn)
            self._left.set()

    def is_too_early_to_create(self) -> bool:
        """Whether one more create that is refused would be one too many."""
        self._forget()
        return len(self._refused) >= _FEW_REFUSED_CREATES

    async def _wait(self) -> None:
        waited_until = 0.0
        while True:
            until = self._free_at()
            if until > max(waited_until, self._clock.monotonic()):
                # One wait for each time, so that a clock of a test that stands still ends the loop.
                await self._clock.asleep(until - self._clock.monotonic())
                waited_until = until
            elif self._under_way and self._under_way + len(self._refused) >= _MAX_REFUSED:
                self._left.clear()
                await self._left.wait()
            else:
                return

    def _free_at(self) -> float:
        self._forget()
        window = self._refused[0] + WINDOW_S if len(self._refused) >= _FEW_REFUSED else 0.0
        return max(self._not_before, window)

    def _forget(self) -> None:
        while self._refused and self._refused[0] <= self._clock.monotonic() - WINDOW_S:
            self._refused.popleft()

    def _note(self, turn: Turn) -> None:
        now = self._clock.monotonic()
        if turn.status == TOO_MANY_REQUESTS:
            self._refused.append(now)
        if turn.retry_after_s:
            self._not_before = max(self._not_before, now + min(turn.retry_after_s, MAX_WAIT_S))


class Turn:
    """What became of one request.

    Attributes:
      status: of its answer; 0 while there is none.
      retry_after_s: as the answer asks for.
    """

    def __init__(self) -> None:
        self.status = 0
        self.retry_after_s = 0.0


def retry_after_s(headers: Mapping[str, str], now: float) -> float:
    """Seconds that an answer asks to wait; 0 if it does not. Source: RFC 9110, 10.2.3; milliseconds as OpenAI has them.

    Args:
      now: seconds since the epoch.

    >>> retry_after_s({"Retry-After": "7"}, 0), retry_after_s({"Retry-After": "Thu, 01 Jan 1970 00:01:00 GMT"}, 20)
    (7.0, 40.0)
    """
    milliseconds = _number(headers.get("Retry-After-Ms", ""))
    if milliseconds is not None:
        return milliseconds / 1_000
    text = headers.get("Retry-After", "")
    seconds = _number(text)
    if seconds is not None:
        return seconds
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
