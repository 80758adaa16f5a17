"""What comes out of the writing transforms. Plain, frozen, picklable."""

from __future__ import annotations

import datetime
from typing import NamedTuple, TypeAlias

from transforms.firestore.operations import Operation

Element: TypeAlias = Operation | tuple[Operation, ...]


class WrittenDocument(NamedTuple):
    """A write that Firestore acknowledged.

    Attributes:
      path: of the document.
      update_time: its version; the old one where the write changed nothing, None where BatchWrite deleted it.
      attempts: how often the write was sent.
      superseded: not sent, because a later write of the same document replaces it; the times are of that one.
    """

    path: str
    update_time: datetime.datetime | None
    attempts: int
    superseded: bool = False


class FailedWrite(NamedTuple):
    """A write, or an atomic group, that did not land; complete enough to be put into the same transform again.

    Attributes:
      path: of the document; of a group, its first, and the message names the one at fault if that is known.
      code: Firestore's, or of the check that it failed: `INVALID_ID`, `DOCUMENT_TOO_LARGE`, `NESTED_ARRAY`, …
      message: says what to do; names fields, never shows values.
      attempts: how often it was sent; 0 if a check stopped it.
      retryable: nothing is wrong with it; the same write may land later.
      write: the element itself.
    """

    path: str
    code: str
    message: str
    attempts: int
    retryable: bool
    write: Element


WriteOutcome: TypeAlias = WrittenDocument | FailedWrite
