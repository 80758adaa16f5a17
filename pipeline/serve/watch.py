"""Reads what people look at, once for all of them, and tells each what is new.

    page, page, page ──▶ Topic "jobs" ─────┐                        ┌─ every refresh_s while something runs and anybody
    page, page ────────▶ Topic "ingest-1" ─┴─one reader, in turn────┤  looks; every 30 s else
                                                                    └─ at once, where what is known is older than that

Twenty who look at a job cost the ledger what one does. A ledger that is out of reach is said, and asked again later.
"""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from transforms.errors import FirebeamError, UsageError
from transforms.retry import SYSTEM_CLOCK, Clock

_LOG = logging.getLogger(__name__)

QUIET_S = 30.0
# Jobs that were looked at last are remembered, with all their batches.
_MAX_TOPICS = 16

# Reads one topic, in a thread; raises UsageError if there is no such thing.
Read = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class State:
    """What is known of a topic.

    Attributes:
      document: as it was read last; None before that.
      trouble: why it could not be read since; empty if it could.
      number: of the reading.
      is_running: whether anything changes.
    """

    document: Mapping[str, Any] | None = None
    trouble: str = ""
    number: int = 0
    is_running: bool = True


class Topic:
    """One thing that people look at: the jobs, or a job.

    Args:
      read: blocks while it reads the ledger.
      is_running: whether what was read still changes.
      refresh_s: between two readings while somebody looks.
    """

    def __init__(
        self, read: Read, is_running: Callable[[Mapping[str, Any]], bool], refresh_s: float, clock: Clock = SYSTEM_CLOCK
    ):
        self._read, self._is_running, self._refresh_s, self._clock = read, is_running, refresh_s, clock
        self._reading = asyncio.Lock()
        self._changed = asyncio.Condition()
        self._read_at_s: float | None = None
        self._task: asyncio.Task[None] | None = None
        self.state = State()
        self.viewers = 0

    async def fresh(self) -> State:
        """What is known, read now if that is too old.

        Raises:
          UsageError: there is no such thing.
        """
        async with self._reading:
            if self._read_at_s is None or self._clock.monotonic() - self._read_at_s >= self._interval_s:
                await self._refresh()
        return self.state

    async def newer(self, number: int) -> State:
        """Waits until there has been another reading than that of a number; reads as long as somebody waits."""
        self.viewers += 1
        if self._task is None:
            self._task = asyncio.create_task(self._keep_fresh())
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: self.state.number > number)
            return self.state
        finally:
            self.viewers -= 1

    async def close(self) -> None:
        """Ends its readings."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    @property
    def _interval_s(self) -> float:
        return self._refresh_s if self.state.is_running else max(QUIET_S, self._refresh_s)

    async def _keep_fresh(self) -> None:
        while self.viewers:
            since = self._clock.monotonic() - (self._read_at_s or 0.0) if self._read_at_s is not None else QUIET_S
            await asyncio.sleep(max(0.0, self._interval_s - since))
            async with self._reading:
                try:
                    await self._refresh()
                except UsageError as gone:
                    await self._say(State(self.state.document, str(gone), self.state.number + 1, is_running=False))
        self._task = None

    async def _refresh(self) -> None:
        self._read_at_s = self._clock.monotonic()
        number = self.state.number + 1
        try:
            document = await asyncio.to_thread(self._read)
        except UsageError:
            raise
        except FirebeamError as error:
            _LOG.debug("the ledger cannot be read: %s", error)
            await self._say(State(self.state.document, f"The ledger cannot be read: {error}", number))
        else:
            await self._say(State(document, "", number, self._is_running(document)))

    async def _say(self, state: State) -> None:
        self.state = state
        async with self._changed:
            self._changed.notify_all()


@dataclass
class Topics:
    """Those that were looked at last.

    Args:
      make: a topic, by its name.
    """

    make: Callable[[str], Topic]
    _kept: collections.OrderedDict[str, Topic] = field(default_factory=collections.OrderedDict)

    def of(self, name: str) -> Topic:
        """A topic; one that nobody looks at may be forgotten for it."""
        if name not in self._kept:
            self._kept[name] = self.make(name)
            for other in [each for each, topic in self._kept.items() if not topic.viewers and each != name]:
                if len(self._kept) <= _MAX_TOPICS:
                    break
                del self._kept[other]
        self._kept.move_to_end(name)
        return self._kept[name]

    def forget(self, name: str) -> None:
        """Drops one that turned out not to exist."""
        self._kept.pop(name, None)

    async def close(self) -> None:
        """Ends all readings."""
        for topic in self._kept.values():
            await topic.close()
