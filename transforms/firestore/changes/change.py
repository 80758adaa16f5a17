"""A change of a document, in words that do not depend on where it was observed.

    added       the document is new in the listened query
    modified    it was there before and has another version
    removed     it is gone: deleted, or it only left the filter of the query

A change is a difference of two states, not an event: several writes between two snapshots are one change.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Literal, TypeAlias

from transforms.firestore.documents import Document

ADDED: Literal["added"] = "added"
MODIFIED: Literal["modified"] = "modified"
REMOVED: Literal["removed"] = "removed"
ChangeKind: TypeAlias = Literal["added", "modified", "removed"]


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one document.

    Attributes:
      kind: ADDED also for a document of which nobody knows whether it was in the query before.
      path: of the document, in its database.
      document: as it is now; None if it was removed.
      update_time: the version of the document; of one that was removed, the last version that is known, or None.
      read_time: of the snapshot that shows the change.
      deleted: of one that was removed, whether the document itself is gone. False if it only left the query.
    """

    kind: ChangeKind
    path: str
    document: Document | None
    update_time: datetime.datetime | None
    read_time: datetime.datetime
    deleted: bool = False

    @property
    def n_bytes(self) -> int:
        """Size of the document on the wire; 0 if it was removed."""
        return self.document.n_bytes if self.document else 0
