"""The change feed of a container as a source of batches, a page each. Plain Python; the transform is in `read.py`.

    feed ranges ──plan_feed──▶ FeedPart, FeedPart, …   each with the point that its range had reached when the run began
    FeedPart ──FeedSource──▶ Batch[Record], …          from the beginning, or behind the last page that is complete

Latest version from the beginning is the copy and the catch-up in one reading: each live item once in its newest
version, then changes, in order. A part ends when it has passed its point, so a copy ends although items are written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transforms.batch import Batch, Record
from transforms.cosmos.connection import Connection
from transforms.cosmos.feed import FeedPage, FeedRange, Position, feed_ranges, has_passed, now, page, positions
from transforms.cosmos.target import CosmosTarget
from transforms.migrate.documents import is_tombstone

_INPUT_DIGITS = 12
# Request units are counted in hundredths, so that sums are exact.
UNITS_SCALE = 100


@dataclass(frozen=True)
class FeedPart:
    """One range of a feed, on its way to a point.

    Attributes:
      number: of the part in its run.
      span: the range.
      until: a continuation behind all that the range held when the run began.
    """

    number: int
    span: FeedRange
    until: str

    @property
    def goal(self) -> tuple[Position, ...]:
        """The point, as sequence numbers."""
        return positions(self.until)

    def as_fields(self) -> dict[str, Any]:
        """As the ledger keeps it with the run."""
        return {"low": self.span.low, "high": self.span.high, "until": self.until}


def plan_feed(connection: Connection) -> tuple[FeedPart, ...]:
    """The parts of a container's feed, and the points they have reached. Raises JobError, TransientError."""
    spans = feed_ranges(connection)
    return tuple(FeedPart(number, span, now(connection, span)) for number, span in enumerate(spans))


def parts_of(kept: Sequence[Mapping[str, Any]]) -> tuple[FeedPart, ...]:
    """The parts that the ledger kept with a run."""
    return tuple(
        FeedPart(number, FeedRange(each["low"], each["high"]), each["until"]) for number, each in enumerate(kept)
    )


def input_id(location: str) -> str:
    """What the ids of all batches of a container begin with.

    >>> input_id("cosmos://school/attempts")
    '9fa497777d72'
    """
    return hashlib.sha256(location.encode()).hexdigest()[:_INPUT_DIGITS]


def from_the_beginning(part: str) -> tuple[int, str]:
    """As `FeedSource.read_before`, where nothing is known of a part."""
    return 0, ""


@dataclass(frozen=True)
class FeedSource:
    """Reads parts of a container's feed; picklable.

    Attributes:
      target: the container.
      max_items: of a page; the service ends one before at 4 MB.
      is_stopping: whether to begin no further page.
      read_before: of a part: how many batches have ids already, and the continuation behind those that are done, empty
        for none.
    """

    target: CosmosTarget
    max_items: int
    is_stopping: Callable[[], bool]
    read_before: Callable[[str], tuple[int, str]] = from_the_beginning

    def batches(self, partition: FeedPart) -> Iterator[Batch[Record]]:
        """Reads a part page by page. See `Source.batches`."""
        connection, goal = self.target.connect(), partition.goal
        name = f"{input_id(self.target.label)}-{partition.number:05d}"
        number, behind = self.read_before(name)
        at = _sum_of(positions(behind)) if behind else 0
        while not self.is_stopping():
            found = page(connection, partition.span, behind or None, max_items=self.max_items)
            behind, before, at = found.continuation, at, _sum_of(positions(found.continuation))
            if found.items:
                yield self._batch(f"{name}-{number:05d}", found, max(at - before, 0))
                number += 1
            if found.is_last or has_passed(positions(behind), goal):
                return

    def _batch(self, batch_id: str, found: FeedPage, numbers: int) -> Batch[Record]:
        # A tombstone of DualStore is not an item: what compares keys finds that it is not there.
        items = [item for item in found.items if not is_tombstone(item)]
        records = tuple(Record(item.get("_lsn", position), item) for position, item in enumerate(items))
        counts = {
            "request_units": round(found.charge * UNITS_SCALE),
            "items_with_ttl": sum("ttl" in item for item in items),
        }
        label = self.target.label
        return Batch(
            batch_id, label, len(records), records, bytes_read=numbers, counts=counts, behind=found.continuation
        )


def sequence_numbers(parts: Iterable[FeedPart]) -> int:
    """How many sequence numbers there are before the points of all parts: what progress is counted in."""
    return sum(_sum_of(part.goal) for part in parts)


def _sum_of(reached: Iterable[Position]) -> int:
    return sum(position.lsn for position in reached)
