"""Repairs a record by the rules of `dual`, until both stores have answered. Thread-safe.

    steps of transforms/dual/repairs.py ──requests──▶ the two stores
        │ a pending write is about to be overwritten ──▶ first a dead letter
        └ a store failed ──▶ transient: once more, later; refused: a dead letter, and on with the next

A repair has a time limit, so that none that began before a change of the primary goes on behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol, TypeVar

from transforms.dual.kinds import Key
from transforms.dual.protocol import Steps
from transforms.dual.repairs import CONTENDED, Repaired
from transforms.dual.stored import Answer, Failed, Found, Read, Request, Stored, Write
from transforms.retry import SYSTEM_CLOCK, Clock

T = TypeVar("T")

_LATE = Failed("the repair took longer than its time limit")


class Store(Protocol):
    """One of the two stores. Thread-safe."""

    def answer(self, key: Key, request: Request, timeout_s: float) -> Answer:
        """Does what a request asks, within this time; a failure is a value."""


class LostWrites(Protocol):
    """Where acknowledged writes that lose are kept, and records that a store refuses."""

    def lost(self, key: Key, stored: Stored) -> None:
        """Kept before it is overwritten."""

    def refused(self, key: Key, failed: Failed, stored: Stored | None) -> None:
        """A record that the other store does not take, or that cannot be read."""


class Counts:
    """By name. Thread-safe."""

    def __init__(self) -> None:
        self._lock, self._counts = Lock(), Counter[str]()

    def add(self, name: str, n: int = 1) -> None:
        """Counts n."""
        with self._lock:
            self._counts[name] += n

    def all(self) -> dict[str, int]:
        """By name."""
        with self._lock:
            return dict(self._counts)


@dataclass
class Repairing:
    """What drives repairs.

    Attributes:
      stores: by name.
      losers: keeps what is lost or refused.
      counts: of what was done, by the words of `Repaired.done`.
      limit_s: how long a repair may take, asked for when it begins.
    """

    stores: Mapping[str, Store]
    losers: LostWrites
    limit_s: Callable[[], float]
    counts: Counts = field(default_factory=Counts)
    clock: Clock = SYSTEM_CLOCK

    def read(self, key: Key, store: str) -> Stored | Failed | None:
        """What a store has of a record now."""
        answer = self.stores[store].answer(key, Read(store, needs_content=True), self.limit_s())
        if isinstance(answer, Found):
            return answer.stored
        return answer if isinstance(answer, Failed) else Failed(CONTENDED)

    def run(self, key: Key, steps: Steps[Repaired], source: Stored | None = None) -> Failed | None:
        """Drives a repair to its end.

        Args:
          source: the change that is repaired, for the dead letter if it is refused.

        Returns:
          What failed, so that it has to be done again; None if it is done, or never can be.
        """
        done = self.drive(key, steps)
        failed = done.failed
        if failed is not None and failed.refused:
            self.refuse(key, failed, source)
            return None
        if failed is None:
            self.counts.add(done.done)
        return failed

    def refuse(self, key: Key, failed: Failed, source: Stored | None = None) -> None:
        """Keeps a record as a dead letter that never can be repaired."""
        self.losers.refused(key, failed, source)
        self.counts.add("refused")

    def drive(self, key: Key, steps: Steps[T]) -> T:
        """Answers the requests of steps from the stores; returns what they say."""
        ends_s = self.clock.monotonic() + self.limit_s()
        answer: Answer | None = None
        while True:
            try:
                request = next(steps) if answer is None else steps.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = self._answer(key, request, ends_s - self.clock.monotonic())

    def _answer(self, key: Key, request: Request, left_s: float) -> Answer:
        if left_s <= 0:
            return _LATE
        if isinstance(request, Write) and (lost := _lost_by(request)) is not None:
            self.losers.lost(key, lost)
            self.counts.add("lost")
        return self.stores[request.store].answer(key, request, left_s)


def _lost_by(write: Write) -> Stored | None:
    """The pending write that another one is about to replace, if it is one."""
    over = write.over
    is_lost = over is not None and over.is_pending and over.stamp != write.draft.stamp
    return over if is_lost else None
