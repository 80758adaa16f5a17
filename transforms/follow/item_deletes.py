"""Items that were deleted past DualStore while Cosmos DB is primary: their documents go, too.

    feed of all versions and deletes ──▶ page of deletes ──waits for earlier writes──▶ documents deleted
            │ it no longer reaches back so far
            ▼
    begun again at this moment, and keys are compared once

A delete waits until no write can be under way that began before it: a document that comes after it would stay. That
holds while the primary changes, too: a document that Firestore has accepted as the primary is not a copy.
"""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from transforms.cosmos.feed import Change, TooOldError
from transforms.dual.stored import COSMOS, Failed
from transforms.errors import TransientError
from transforms.follow.changes import Feed, Page
from transforms.follow.cosmos_feed import PageOf
from transforms.migrate.copies import Copies
from transforms.migrate.delete_feed import delete_copies, deletes_in

_CONTENDED = Failed("others write documents whose items were deleted")


class ItemDeletes:
    """Deletes documents. Thread-safe.

    Args:
      copies: the documents.
      count: adds to the counters.
    """

    def __init__(self, copies: Copies, count: Callable[[str, int], None]):
        self._copies, self._count = copies, count

    def follow(self, deleted: Change) -> Failed | None:
        """Deletes the document of an item that is gone. Returns what failed; None if it is done, or nothing is to do.

        Raises:
          JobError: as `Copies`.
        """
        try:
            n_deleted, contended = delete_copies(self._copies, [deleted])
        except TransientError as error:
            return Failed(str(error))
        if n_deleted:
            self._count("documents_deleted", n_deleted)
        return _CONTENDED if contended else None


def deletes_of(key_paths: Sequence[str]) -> PageOf:
    """What a page of the feed of all versions and deletes says: which items were deleted."""
    return partial(_deletes, key_paths)


def _deletes(key_paths: Sequence[str], entries: Sequence[dict[str, Any]]) -> Page:
    # An item that was deleted twice is looked at once.
    deletes = {(each.id, repr(each.key)): each for each in deletes_in(entries, key_paths)}
    return Page(COSMOS, (), deleted=tuple(deletes.values()))


class DeletesFeed:
    """The deletes of a container, each once no write of an application can be under way that began before it.

    Args:
      open_feed: the feed of all versions and deletes, from where it was applied to.
      begin_anew: has the next `open_feed` begin at this moment, and what was deleted before it looked for.
      clock: the time of the migration's document.
      writes_end_s: how long a write may take.
    """

    def __init__(
        self,
        open_feed: Callable[[], Feed],
        begin_anew: Callable[[], None],
        clock: Callable[[], datetime.datetime],
        writes_end_s: Callable[[], float],
    ):
        self._open_feed, self._begin_anew = open_feed, begin_anew
        self._clock, self._writes_end_s = clock, writes_end_s
        self._feed = open_feed()
        self._held: Page | None = None

    @property
    def read_to(self) -> datetime.datetime | None:
        """As `Feed.read_to`."""
        return self._feed.read_to

    def next(self) -> Page | None:
        """As `Feed.next`."""
        if self._held is None:
            try:
                self._held = self._feed.next()
            except TooOldError:
                self._begin_anew()
                self._feed = self._open_feed()
        page = self._held
        if page is None or not self._is_old_enough(page):
            return None
        self._held = None
        return page

    def applied(self, page: Page) -> None:
        """As `Feed.applied`."""
        self._feed.applied(page)

    def close(self) -> None:
        """As `Feed.close`."""
        self._feed.close()

    def _is_old_enough(self, page: Page) -> bool:
        latest = max((each.ts for each in page.deleted), default=None)
        # A time in whole seconds may be up to one second later.
        return latest is None or latest + 1 + self._writes_end_s() <= self._clock().timestamp()


class JoinedFeeds:
    """Several feeds of one store, in turn. For one thread."""

    def __init__(self, *feeds: Feed):
        self._feeds = deque(feeds)

    @property
    def read_to(self) -> datetime.datetime | None:
        """As `Feed.read_to`: of the one that is furthest behind."""
        reached = [feed.read_to for feed in self._feeds]
        return None if None in reached else min(time for time in reached if time is not None)

    def next(self) -> Page | None:
        """As `Feed.next`."""
        for _ in range(len(self._feeds)):
            feed = self._feeds[0]
            self._feeds.rotate(-1)
            if (page := feed.next()) is not None:
                return replace(page, token=(feed, page))
        return None

    def applied(self, page: Page) -> None:
        """As `Feed.applied`."""
        feed, own = page.token
        feed.applied(own)

    def close(self) -> None:
        """As `Feed.close`."""
        for feed in self._feeds:
            feed.close()
