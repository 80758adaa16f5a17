"""Pages of Cosmos DB's change feed, one feed range after the other, each from where it was applied to.

range 1 ──page──▶ applied ──▶ its continuation        every range has said "nothing more" in one round:
range 2 ──page──▶ applied ──▶ its continuation        everything written before the round began is applied
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from transforms.cosmos.connection import Connection
from transforms.cosmos.feed import LATEST, FeedRange, Position, has_passed, now, page, positions
from transforms.dual.kinds import Kind
from transforms.dual.stored import COSMOS
from transforms.errors import RecordError
from transforms.follow.changes import Changed, Page, Unreadable
from transforms.follow.positions import Saved
from transforms.migrate.documents import is_pending, stamp_of

# A replica that answers may lag behind the write by that much.
_REPLICAS = datetime.timedelta(seconds=1)
# How far `read_to` may be behind before it is looked for.
_LOOK = datetime.timedelta(seconds=2)
_SECOND_US = 1_000_000


@dataclass(frozen=True)
class Part:
    """A range of the feed, and where it goes on; None for the beginning."""

    span: FeedRange
    continuation: str | None


PageOf = Callable[[Sequence[dict[str, Any]]], Page]


class CosmosFeed:
    """The change feed of a container, in one of its modes. For one thread.

    Args:
      parts: where each range goes on.
      saved: keeps them.
      clock: the time of the migration's document.
      page_of: what a page of the feed says.
      mode: of the feed.
      max_items: of a page.
      interval_s: how long to leave the account alone after a round in which there was nothing.
    """

    def __init__(
        self,
        connection: Connection,
        parts: Sequence[Part],
        saved: Saved,
        clock: Callable[[], datetime.datetime],
        page_of: PageOf,
        mode: str = LATEST,
        max_items: int = 100,
        interval_s: float = 0.5,
    ):
        self._connection, self._saved, self._clock = connection, saved, clock
        self._page_of, self._mode = page_of, mode
        self._parts, self._max_items, self._interval_s = list(parts), max_items, interval_s
        self._at = 0
        self._began = self._rested = clock()
        self._is_quiet = True
        self._is_resting = False
        self._read_to: datetime.datetime | None = None
        self._points: tuple[datetime.datetime, list[tuple[Position, ...]]] | None = None

    @property
    def read_to(self) -> datetime.datetime | None:
        """As `Feed.read_to`."""
        return self._read_to

    def next(self) -> Page | None:
        """As `Feed.next`."""
        if self._is_resting and (self._clock() - self._rested).total_seconds() < self._interval_s:
            return None
        self._is_resting = False
        while self._at < len(self._parts):
            if self._at == 0:
                self._began, self._is_quiet = self._clock(), True
            at, part = self._at, self._parts[self._at]
            found = page(self._connection, part.span, part.continuation, mode=self._mode, max_items=self._max_items)
            self._at += 1
            behind = replace(part, continuation=found.continuation)
            if found.items:
                self._is_quiet = False
                return replace(self._page_of(found.items), token=(at, behind))
            self._parts[at] = behind
        self._at = 0
        if not self._is_quiet:
            self._look_how_far()
            return self.next()
        self._read_to, self._points = self._began - _REPLICAS, None
        self._rested, self._is_resting = self._clock(), True
        self._saved.save(self._fields)
        return None

    def applied(self, page: Page) -> None:
        """As `Feed.applied`."""
        at, behind = page.token
        self._parts[at] = behind
        self._saved.save(self._fields)

    def close(self) -> None:
        """As `Feed.close`."""
        self._saved.save(self._fields, at_once=True)

    def _look_how_far(self) -> None:
        """Moves `read_to` on where somebody writes all the time, so that no round is without changes."""
        if self._points is None:
            asked = self._clock()
            if self._read_to is None or asked - self._read_to > _LOOK:
                self._points = asked, [positions(now(self._connection, part.span, self._mode)) for part in self._parts]
            return
        asked, points = self._points
        reached = (positions(part.continuation) for part in self._parts if part.continuation is not None)
        if all(has_passed(each, point) for each, point in zip(reached, points, strict=True)):
            self._read_to, self._points = asked - _REPLICAS, None

    @property
    def _fields(self) -> dict[str, Any]:
        return fields_of(self._parts)


def changes_of(kind: Kind) -> PageOf:
    """What a page of the latest-version feed says: which records have changed."""
    return partial(_changes, kind)


def _changes(kind: Kind, items: Sequence[dict[str, Any]]) -> Page:
    changes, unreadable = [], []
    for item in items:
        try:
            changes.append(Changed(kind.key_of(item), changed_us(item), is_pending(item)))
        except RecordError as error:
            unreadable.append(Unreadable(str(item.get("id", "")), item, error))
    return Page(COSMOS, changes, unreadable)


def changed_us(item: Mapping[str, Any]) -> int:
    """When an item was changed. `_ts` has seconds only; a stamp of the same second says more.

    >>> changed_us({"_ts": 7}), changed_us({"_ts": 7, "_meta": {"stamp": {"time": 7_250_000, "instance": "", "n": 0}}})
    (7000000, 7250000)
    """
    since: int = item["_ts"]
    stamp = stamp_of(item)
    stamped = stamp.time if stamp is not None else 0
    return min(max(since * _SECOND_US, stamped), since * _SECOND_US + _SECOND_US - 1)


def parts_of(fields: Mapping[str, Any]) -> list[Part]:
    """What `CosmosFeed` saved."""
    return [Part(FeedRange(each["low"], each["high"]), each["continuation"]) for each in fields["parts"]]


def fields_of(parts: Sequence[Part]) -> dict[str, Any]:
    """As the ledger keeps them."""
    return {
        "parts": [{"low": part.span.low, "high": part.span.high, "continuation": part.continuation} for part in parts]
    }
