"""Follows the primary's feed for as long as a migration lasts: the loop. One thread, with helpers that repair records.

    phase ──▶ which feeds ──▶ page ──▶ every record of it repaired ──▶ its rows ──▶ position moves on ──▶ …
                               │            └ a store does not answer: the page waits, and is tried again
                               └ in between: pending writes, old tombstones, the end of a change of the primary

Guarantee: a position moves on only when both stores hold what was changed before it, or a later write, or a dead letter
names it, and BigQuery, if it gets rows, has those. Whatever is done twice changes nothing, so a job that is killed goes
on where its positions were saved.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from transforms.cosmos.feed import Change as ItemChange
from transforms.dual.kinds import Key
from transforms.dual.repairs import forget, repair, resolve
from transforms.dual.stored import STORES, Failed
from transforms.errors import JobError, TransientError
from transforms.follow.changes import Changed, Feed, Gone, Page, Unreadable
from transforms.follow.lag import Lag
from transforms.follow.phase import Course, PhaseReader
from transforms.follow.removals import Removals
from transforms.follow.repairing import Repairing
from transforms.retry import SYSTEM_CLOCK, Clock, Retry

# azure-cosmos keeps ten connections; the feed and searches need some of them.
_WORKERS = 8
_LOOK_S = 0.1
_LATER = Failed("the phase is about to change")
_US = 1_000_000


class Search(Protocol):
    """Finds records in a store. Raises (every method): JobError, TransientError."""

    def pending(self) -> list[Key]:
        """Those that this store alone has accepted."""

    def tombstones(self, before_us: int) -> list[Key]:
        """Tombstones with stamps before a time."""


@dataclass(frozen=True)
class Settings:
    """How the loop behaves.

    Attributes:
      pending_every_s: how often pending writes are searched for; those that a feed shows are resolved at once.
      forget_every_s: how often old tombstones are searched for.
      page_s: how long after it was read a page is applied at most, for `older_writes_end_s` of tombstones.
      max_outage_s: a store that fails for longer ends the job.
    """

    pending_every_s: float = 10.0
    forget_every_s: float = 30.0
    page_s: float = 60.0
    max_outage_s: float = 300.0


@dataclass
class Parts:
    """What the loop is made of.

    Attributes:
      open_feed: opens the feed of a store, for what the job goes by.
      unreadable: keeps a change that is not one of a record.
      finish: ends a change that is drained; gets what the job goes by, and up to when each store is applied.
      others: done now and then, if it is time: comparison of keys.
      rows: writes the rows of a page that is repaired. Raises TransientError, JobError.
      deleted: follows an item that was deleted; returns what failed.
    """

    repairing: Repairing
    phases: PhaseReader
    open_feed: Callable[[str, Course], Feed]
    searches: Mapping[str, Search]
    removals: Removals
    unreadable: Callable[[Unreadable], None]
    finish: Callable[[Course, Mapping[str, datetime.datetime | None]], None]
    others: Callable[[Course], None] = lambda _: None
    rows: Callable[[Page], None] = lambda _: None
    deleted: Callable[[ItemChange], Failed | None] = lambda _: None


class Follower:
    """Runs until it is asked to stop.

    Attributes:
      lag: of changes.
      waits: why nothing is repaired just now; empty if something is, or nothing is to do.
      pending: how many pending writes were found last and could not be resolved.
    """

    def __init__(self, parts: Parts, settings: Settings | None = None, clock: Clock = SYSTEM_CLOCK):
        self._parts, self._settings, self._clock = parts, settings or Settings(), clock
        self._retry = Retry(initial_s=0.2, max_s=5.0, clock=clock)
        self._feeds: dict[str, Feed] = {}
        self._due: dict[str, float] = {}
        self._failing_since: float | None = None
        self._failures = 0
        self._stop = threading.Event()
        self.lag, self.waits, self.pending = Lag(), "", 0
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="follow")

    def stop(self) -> None:
        """Ends the loop; from any thread. What is being repaired is finished."""
        self._stop.set()

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stop.is_set()

    def run(self) -> None:
        """Follows. Raises JobError, after a store has failed for too long or for what somebody has to correct."""
        try:
            while not self._stop.is_set():
                course = self._parts.phases.course()
                if not course.is_known:
                    self._failed(course.waits)
                    continue
                if course.waits:
                    self.waits = course.waits
                    self._stop.wait(_LOOK_S)
                    continue
                try:
                    is_busy = self._follow(course)
                    self._look_around(course)
                except TransientError as error:
                    self._failed(str(error))
                    continue
                self._succeeded()
                if not is_busy:
                    self._stop.wait(_LOOK_S)
        finally:
            self._pool.shutdown()
            for feed in self._feeds.values():
                feed.close()

    def read_to(self) -> dict[str, datetime.datetime | None]:
        """Up to when the changes of each store are applied; None for one that is not followed."""
        return {store: feed.read_to if (feed := self._feeds.get(store)) else None for store in STORES}

    # Pages.

    def _follow(self, course: Course) -> bool:
        for store in [store for store in self._feeds if store not in course.sources]:
            self._feeds.pop(store).close()
        is_busy = False
        for store in course.sources:
            if store not in self._feeds:
                self._feeds[store] = self._parts.open_feed(store, course)
            page = self._feeds[store].next()
            if page is not None:
                is_busy = True
                if self._apply(page) and self._write_rows(page):
                    self._feeds[store].applied(page)
        return is_busy

    def _apply(self, page: Page) -> bool:
        """Whether all of a page is applied; False if the job is to stop before."""
        for each in page.unreadable:
            self._parts.unreadable(each)
            self._parts.repairing.counts.add("unreadable")
        left: list[Changed | Gone | ItemChange] = [*page.changes, *page.gone, *page.deleted]
        while left and not self._stop.is_set():
            oldest = min((each.changed_us for each in left if isinstance(each, Changed)), default=None)
            self.lag.waits(None if oldest is None else oldest / _US)
            if page.source not in self._parts.phases.course().sources:
                return False
            outcomes = list(self._pool.map(self._apply_one, left, [page.source] * len(left)))
            failed = [(each, outcome) for each, outcome in zip(left, outcomes, strict=True) if outcome is not None]
            left = [each for each, _ in failed]
            reasons = {outcome.reason for _, outcome in failed}
            if reasons and reasons != {_LATER.reason}:
                self._failed(min(reasons - {_LATER.reason}))
            elif reasons:
                self._stop.wait(_LOOK_S)
            else:
                self._succeeded()
        if not left:
            self.lag.waits(None)
        return not left

    def _write_rows(self, page: Page) -> bool:
        """Whether the rows of a page are written; False if the job is to stop before."""
        while not self._stop.is_set():
            try:
                self._parts.rows(page)
            except TransientError as error:
                self._failed(str(error))
                continue
            self._succeeded()
            return True
        return False

    def _apply_one(self, change: Changed | Gone | ItemChange, source: str) -> Failed | None:
        course, repairing = self._parts.phases.course(), self._parts.repairing
        if course.waits or source not in course.sources:
            return _LATER
        if isinstance(change, Gone):
            return self._parts.removals.follow(change, course.view)
        if isinstance(change, ItemChange):
            return self._parts.deleted(change)
        stored = repairing.read(change.key, source)
        failed = None
        if isinstance(stored, Failed) and stored.refused:
            repairing.refuse(change.key, stored)
        elif isinstance(stored, Failed):
            failed = stored
        elif stored is not None:
            failed = repairing.run(change.key, repair(source, stored, course.view), stored)
        if failed is None:
            self.lag.add(self._parts.phases.now().timestamp(), change.changed_us / _US)
        return failed

    # What is done in between.

    def _look_around(self, course: Course) -> None:
        self._parts.finish(course, self.read_to())
        if not course.sources:
            return
        if self._is_due("pending", self._settings.pending_every_s):
            self._resolve(course)
        if not course.view.by_stamp and self._is_due("forget", self._settings.forget_every_s):
            self._forget(course)
        self._parts.others(course)

    def _resolve(self, course: Course) -> None:
        n_left = 0
        for store in STORES:
            steps = ((key, store) for key in self._parts.searches[store].pending())
            n_left += sum(outcome is not None for outcome in self._all(self._resolve_one, steps))
        self.pending = n_left

    def _resolve_one(self, found: tuple[Key, str]) -> Failed | None:
        key, store = found
        course = self._parts.phases.course()
        if course.waits:
            return _LATER
        return self._parts.repairing.run(key, resolve(store, course.view))

    def _forget(self, course: Course) -> None:
        """Removes tombstones that are older than every write and every page can be."""
        state = course.state
        ends_s = state.put_timeout_s + state.lease_s + self._settings.page_s
        now_us = int(self._parts.phases.now().timestamp() * _US)
        before_us = now_us - int(ends_s * _US)
        keys = {key for store in STORES for key in self._parts.searches[store].tombstones(before_us)}
        for key in keys:
            if self._stop.is_set():
                return
            self._parts.repairing.run(key, forget(course.view, now_us, ends_s))

    def _all(
        self, one: Callable[[tuple[Key, str]], Failed | None], found: Iterable[tuple[Key, str]]
    ) -> list[Failed | None]:
        return list(self._pool.map(one, found))

    def _is_due(self, what: str, every_s: float) -> bool:
        now_s = self._clock.monotonic()
        if now_s < self._due.get(what, now_s):
            return False
        self._due[what] = now_s + every_s
        return True

    # Outages.

    def _failed(self, reason: str) -> None:
        """Waits before the next attempt. Raises JobError if this goes on for too long."""
        now_s = self._clock.monotonic()
        self._failing_since = now_s if self._failing_since is None else self._failing_since
        self._failures += 1
        self.waits = reason
        if now_s - self._failing_since > self._settings.max_outage_s:
            raise JobError(
                f"a store has not answered for {self._settings.max_outage_s:.0f} s: {reason}; once it does, the same "
                "command goes on where this one stopped"
            )
        self._stop.wait(self._retry.delay_s(min(self._failures, 10)))

    def _succeeded(self) -> None:
        self._failing_since, self._failures, self.waits = None, 0, ""
