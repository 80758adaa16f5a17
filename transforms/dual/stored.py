"""A document as either store has it, and what the protocol asks of a store. Plain data.

    protocol ──Read, Write, Remove──▶ driver ──▶ a store
             ◀──Found, Written, Conflict, Failed──

The protocol never calls a store: it yields requests and is sent answers, so that a synchronous application, an event
loop, the repairing job and a test all run the same decisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

from transforms.migrate.documents import Stamp

COSMOS, FIRESTORE = "cosmos", "firestore"
STORES = (COSMOS, FIRESTORE)

Content: TypeAlias = Mapping[str, Any]


def other(store: str) -> str:
    """
    >>> other("cosmos")
    'firestore'
    """
    return FIRESTORE if store == COSMOS else COSMOS


class Version(NamedTuple):
    """A version that a store gave a document.

    Attributes:
      time: microseconds since the epoch: Firestore's update_time, or Cosmos DB's `_ts`, which has seconds only.
      tag: Cosmos DB's `_etag`; empty in Firestore, whose times differ.
    """

    time: int
    tag: str = ""

    def is_newer_than(self, other: Version) -> bool | None:
        """Of two versions of one document; None if they are of one second of Cosmos DB and cannot be told apart.

        >>> Version(2).is_newer_than(Version(1)), Version(1, "a").is_newer_than(Version(1, "b"))
        (True, None)
        """
        if self == other:
            return False
        return None if self.time == other.time else self.time > other.time


@dataclass(frozen=True)
class Stored:
    """A document, or the tombstone of one.

    Attributes:
      content: of the document; None for a tombstone. Empty where it was read without its content.
      version: that its store gave it.
      stamp: of the write that made it; without one, the time of its version.
      copied: the version of the other store's document of which it is a copy; None if it is not known to be one.
      is_pending: whether the other store may lack it.
      kept: what else its store wants to know when it is overwritten, such as when it was created.
    """

    content: Content | None
    version: Version
    stamp: Stamp
    copied: Version | None = None
    is_pending: bool = False
    kept: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def is_tombstone(self) -> bool:
        """Whether the document was deleted."""
        return self.content is None

    def is_same_write(self, other: Stored) -> bool:
        """Whether both are copies of one write. Equal content alone is not enough: somebody wrote it again."""
        return self.stamp == other.stamp and self.content == other.content

    def as_copy(self) -> Draft:
        """The draft that makes the other store's document a copy of this one."""
        return Draft(self.content, self.stamp, self.version)

    def without_mark(self, copied: Version | None) -> Draft:
        """The draft that says that the other store has it as well."""
        return Draft(self.content, self.stamp, copied)


@dataclass(frozen=True)
class Draft:
    """What is to be written, as `Stored`."""

    content: Content | None
    stamp: Stamp
    copied: Version | None = None
    is_pending: bool = False

    def alone(self, copied: Version | None) -> Draft:
        """The draft for a store that is the only one to accept the write."""
        return replace(self, copied=copied, is_pending=True)


@dataclass(frozen=True)
class Read:
    """Asks for a document.

    Attributes:
      needs_content: whether more is wanted than versions, stamp and mark.
    """

    store: str
    needs_content: bool = False


@dataclass(frozen=True)
class Write:
    """Asks for a write.

    Attributes:
      over: what was found there; None if there was nothing, or nobody looked.
      is_guarded: whether it is written only if the store still has what was found.
    """

    store: str
    draft: Draft
    over: Stored | None
    is_guarded: bool = True


@dataclass(frozen=True)
class Remove:
    """Asks for a tombstone to be removed if it is still of this version."""

    store: str
    found: Stored


Request: TypeAlias = Read | Write | Remove


@dataclass(frozen=True)
class Found:
    """A store's answer to Read; None if there is neither document nor tombstone."""

    stored: Stored | None


@dataclass(frozen=True)
class Written:
    """The store accepted it. The version is None after Remove."""

    version: Version | None


@dataclass(frozen=True)
class Conflict:
    """The document is not what was expected; nothing was written."""


@dataclass(frozen=True)
class Failed:
    """The store did not answer well: it may be down, and a write may have been applied all the same.

    Attributes:
      reason: in a few words, without payload.
      refused: the UPPER_SNAKE reason if the store refuses this very document; a retry would meet the same answer.
    """

    reason: str
    refused: str = ""


Answer: TypeAlias = Found | Written | Conflict | Failed
