"""What a stream of changes hands out: a batch of changes, and the position behind it."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from transforms.firestore.changes.change import Change
from transforms.firestore.changes.limits import Limits
from transforms.firestore.changes.positions import Position


class StreamState(enum.Enum):
    """How a stream is."""

    COMPARING = "comparing"
    LIVE = "live"
    PAUSED = "paused"
    DEGRADED = "degraded"
    RECONNECTING = "reconnecting"
    FAILED = "failed"


class Again(NamedTuple):
    """What is handed out once more, because a sink refused it.

    Attributes:
      batch_id: under which it was refused.
      n_changes: how many changes that were; those of the batch are the ones that are still true.
      attempts: how often each was tried, by path.
      run: tells this attempt from all others.
    """

    batch_id: str
    n_changes: int
    attempts: Mapping[str, int]
    run: str


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """Some changes of one stream, often none.

    Attributes:
      stream_id: of the stream.
      changes: of each snapshot sorted by version and path, removals last; of a comparison by path. No path twice.
      position: behind these changes: it may be saved once every sink has answered for them, and for those before. None
        for a stream that failed before it had one.
      read_time: of the snapshot that has them, of several the last one.
      state: of the stream.
      reason: of a state that somebody should know about: what happened, what to do.
      announced: paths that belong into the journal before a sink sees the changes.
      save_now: the position must be saved before the next batch reaches a sink.
      again: of a batch that is handed out once more; its position is that of the stream.
      n_snapshots: how many snapshots have the changes: several if the stream is late.
    """

    stream_id: str
    changes: tuple[Change, ...]
    position: Position | None
    read_time: datetime.datetime
    state: StreamState
    reason: str = ""
    announced: tuple[str, ...] = ()
    save_now: bool = False
    again: Again | None = None
    n_snapshots: int = 1

    @property
    def n_bytes(self) -> int:
        """Size of the documents."""
        return sum(change.n_bytes for change in self.changes)


def n_together(batches: Iterable[ChangeBatch], max_changes: int, max_bytes: int) -> int:
    """How many of the first batches of a stream can be handed out as one: at least one.

    They are pieces of a snapshot, or snapshots that follow each other. A second change of a document begins another
    batch, so that a sink has to look at each document once.
    """
    first: ChangeBatch | None = None
    paths: set[str] = set()
    n = n_changes = n_bytes = 0
    for batch in batches:
        n_changes, n_bytes = n_changes + len(batch.changes), n_bytes + batch.n_bytes
        of_batch = {change.path for change in batch.changes}
        first = first or batch
        is_alike = batch.state is first.state and not (first.save_now or batch.save_now)
        fits = n_changes <= max_changes and n_bytes <= max_bytes and paths.isdisjoint(of_batch)
        if n and not (is_alike and fits):
            break
        paths |= of_batch
        n += 1
    return n


def joined(batches: Sequence[ChangeBatch]) -> ChangeBatch:
    """Batches that follow each other as one, at the position behind them."""
    if len(batches) == 1:
        return batches[0]
    return replace(
        batches[-1],
        changes=tuple(change for batch in batches for change in batch.changes),
        announced=tuple(path for batch in batches for path in batch.announced),
        n_snapshots=len({batch.read_time for batch in batches if batch.changes}) or 1,
    )


def cut(changes: Sequence[Change], limits: Limits) -> Iterator[tuple[Change, ...]]:
    """Changes in batches within the limits; at least one batch, perhaps empty.

    >>> [len(batch) for batch in cut([], Limits(2))]
    [0]
    """
    batch: list[Change] = []
    n_bytes = 0
    for change in changes:
        if batch and (len(batch) >= limits.changes or n_bytes + change.n_bytes > limits.n_bytes):
            yield tuple(batch)
            batch, n_bytes = [], 0
        batch.append(change)
        n_bytes += change.n_bytes
    yield tuple(batch)
