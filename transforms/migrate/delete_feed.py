"""Documents whose items are gone: found in Cosmos DB's feed of all versions and deletes. Plain Python.

    a run begins     points of every range ──▶ kept in the ledger, before the first item is read
    everything is    behind the points: delete, delete, … ──▶ documents that are copies of these items
    copied                                                        │ each item is read again
                                                                  ▼
                                              deleted, unless somebody has written the document meanwhile

Whatever the copy has read was there after the points, so no delete is missed. The next run begins at the points of this
one. A delete that an item of the same key has followed leaves the document, and so does reading the feed twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from transforms.cosmos.connection import Connection
from transforms.cosmos.feed import (
    ALL_VERSIONS,
    DELETE,
    Change,
    FeedRange,
    TooOldError,
    change_of,
    feed_ranges,
    has_passed,
    is_of,
    now,
    page,
    positions,
)
from transforms.errors import TransientError
from transforms.migrate.copies import Copies, item_text
from transforms.migrate.deletes import DeleteScan

# How often documents are read again that others write while they are deleted.
_MAX_ROUNDS = 10


class DeletePoint(NamedTuple):
    """A range of the feed, and a continuation of all versions and deletes in it."""

    span: FeedRange
    continuation: str

    def as_fields(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        return {"low": self.span.low, "high": self.span.high, "continuation": self.continuation}

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> DeletePoint:
        """What the ledger keeps."""
        return cls(FeedRange(fields["low"], fields["high"]), fields["continuation"])


@dataclass(frozen=True)
class DeletePlan:
    """Where a run reads deletes from.

    Attributes:
      points: behind everything that there was when the run began; a later run, or `follow`, begins there.
      begins: where this run begins: at the points of the run before, if there was one.
      compares: whether nobody knows what was deleted before `begins`, so that keys have to be compared.
    """

    points: tuple[DeletePoint, ...]
    begins: tuple[DeletePoint, ...]
    compares: bool

    def as_fields(self) -> dict[str, Any]:
        """As the ledger keeps it with the run."""
        points, begins = ([each.as_fields() for each in part] for part in (self.points, self.begins))
        return {"points": points, "begins": begins, "compares": self.compares}

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> DeletePlan:
        """What the ledger keeps."""
        points, begins = (tuple(map(DeletePoint.of, fields[name])) for name in ("points", "begins"))
        return cls(points, begins, fields["compares"])

    def behind(self, before: DeletePlan | None, connection: Connection, *, is_done: bool) -> DeletePlan:
        """This plan, for a run that goes on from the run before.

        Args:
          is_done: whether that run has found all deletes before its own points.
        """
        if before is None or not all(is_of(connection, each.continuation) for each in before.points):
            return self
        return DeletePlan(self.points, *before.left(is_done=is_done))

    def left(self, *, is_done: bool) -> tuple[tuple[DeletePoint, ...], bool]:
        """Where to go on from, and whether keys have to be compared as well. Argument as in `behind`."""
        return (self.points, False) if is_done else (self.begins, self.compares)


def delete_points(connection: Connection) -> tuple[DeletePoint, ...]:
    """Where the feed is at this moment. Raises NoVersionsError, JobError, TransientError."""
    return tuple(DeletePoint(span, now(connection, span, ALL_VERSIONS)) for span in feed_ranges(connection))


def deletes_in(entries: Sequence[Mapping[str, Any]], key_paths: Sequence[str]) -> list[Change]:
    """The deletes of a page."""
    changes = (change_of(dict(entry), key_paths) for entry in entries)
    return [each for each in changes if each.kind == DELETE]


class Deletion(NamedTuple):
    """What became of deletes.

    Attributes:
      n_deleted: documents.
      contended: deletes whose documents others have written meanwhile, so that they have to be looked at again.
    """

    n_deleted: int
    contended: list[Change]


def delete_copies(copies: Copies, deletes: Sequence[Change]) -> Deletion:
    """Deletes the copies of items that were deleted, and are still.

    Raises:
      JobError, TransientError: as `Copies`.
    """
    wanted = {item_text(each.id, each.key): each for each in deletes}
    found = copies.of(sorted({each.id for each in deletes}))
    gone = [each for each in found if copies.item_of(each) in wanted and copies.is_gone(each)]
    are_deleted = copies.delete(gone)
    left = [each for each, is_deleted in zip(gone, are_deleted, strict=True) if not is_deleted]
    return Deletion(sum(are_deleted), [wanted[copies.item_of(each)] for each in left])


@dataclass(frozen=True)
class DeleteFeed:
    """Deletes the documents of items that were deleted; picklable, to be called once everything is copied.

    Attributes:
      begins: where to read from.
      scan: what to do if the account no longer keeps what comes behind that; and which documents are meant.
    """

    begins: tuple[DeletePoint, ...]
    scan: DeleteScan = field(kw_only=True)

    def __call__(self) -> Mapping[str, Any]:
        """How many deletes were read, and how many documents deleted; or what the scan says.

        Raises:
          JobError: the container was created again; as `DeleteScan` if the feed no longer reaches back far enough.
          TransientError: a request failed too often.
        """
        copies = self.scan.copies()
        n_read = n_deleted = 0
        try:
            for deletes in self._pages(copies.key_paths):
                n_read += len(deletes)
                n_deleted += self._delete(copies, deletes)
        except TooOldError:
            return self.scan()
        return {"deletes_read": n_read, "documents_deleted": n_deleted}

    def _pages(self, key_paths: Sequence[str]) -> Iterator[list[Change]]:
        """Deletes up to now, page by page."""
        connection = self.scan.container.connect()
        for span, behind in self.begins:
            goal = positions(now(connection, span, ALL_VERSIONS))
            while True:
                found = page(connection, span, behind, mode=ALL_VERSIONS)
                yield deletes_in(found.items, key_paths)
                behind = found.continuation
                if found.is_last or has_passed(positions(behind), goal):
                    break

    def _delete(self, copies: Copies, deletes: list[Change]) -> int:
        n_deleted = 0
        for _ in range(_MAX_ROUNDS):
            done, deletes = delete_copies(copies, deletes)
            n_deleted += done
            if not deletes:
                return n_deleted
        raise TransientError(f"others keep writing documents of {self.scan.collection} whose items were deleted")
