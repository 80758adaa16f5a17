"""Pages of changes, as every feed gives them. Plain data.

A position is saved only once all changes before it are applied: a page that is read again changes nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from transforms.cosmos.feed import Change as ItemChange
from transforms.dual.kinds import Key
from transforms.errors import RecordError


class Changed(NamedTuple):
    """A record of which a feed gave a change; what its store has of it is read when it is repaired.

    Attributes:
      changed_us: when it was changed, in microseconds since the epoch, as far as the feed says.
      is_pending: whether only this store has accepted it.
    """

    key: Key
    changed_us: int
    is_pending: bool = False


class Unreadable(NamedTuple):
    """A change that cannot be one of a record of ours.

    Attributes:
      record_id: of the document or item.
      original: what the feed gave.
    """

    record_id: str
    original: dict[str, Any]
    why: RecordError


class Gone(NamedTuple):
    """A document that was removed from Firestore, perhaps by DualStore, which leaves a tombstone.

    Attributes:
      document_id: of the document.
      seen_at: a read time at which it may still be read.
      removed_at: of the snapshot that lacks it.
    """

    document_id: str
    seen_at: datetime.datetime | None
    removed_at: datetime.datetime


@dataclass(frozen=True)
class Page:
    """Some changes of one store.

    Attributes:
      source: the store.
      changes: to be repaired in the other one.
      unreadable: to be kept as dead letters.
      gone: documents that were removed.
      deleted: items that were deleted.
      token: for the feed that gave the page.
    """

    source: str
    changes: Sequence[Changed]
    unreadable: Sequence[Unreadable] = ()
    gone: Sequence[Gone] = ()
    deleted: Sequence[ItemChange] = ()
    token: Any = None


class Feed(Protocol):
    """The changes of one store. For one thread."""

    @property
    def read_to(self) -> datetime.datetime | None:
        """Up to when every change has been applied, by the clock of the migration's document; None if not known."""

    def next(self) -> Page | None:
        """The next page; None if there is nothing now. Raises JobError, TransientError."""

    def applied(self, page: Page) -> None:
        """Everything of the page, and of those before it, is applied."""

    def close(self) -> None:
        """Ends what runs beside, and saves how far it is."""
