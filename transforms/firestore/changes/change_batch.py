"""What a stream of changes hands out: a batch of changes, and the position behind it."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterator, Mapping, Sequence
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
      changes: sorted by version and path, removals last; of a comparison by path.
      position: behind these changes: it may be saved once every sink has answered for them, and for those before. None
        for a stream that failed before it had one.
      read_time: of the snapshot that has them.
      state: of the stream.
      reason: of a state that somebody should know about: what happened, what to do.
      announced: paths that belong into the journal before a sink sees the changes.
      save_now: the position must be saved before the next batch reaches a sink.
      again: of a batch that is handed out once more; its position is that of the stream.
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


def joined(earlier: ChangeBatch, later: ChangeBatch, max_changes: int, limits: Limits) -> ChangeBatch | None:
    """Two pieces of one snapshot as one batch; None if they are of two, or together too large."""
    if earlier.save_now or later.save_now or not (earlier.changes and later.changes):
        return None
    if (earlier.state, earlier.read_time) != (later.state, later.read_time):
        return None
    changes = earlier.changes + later.changes
    if len(changes) > max_changes or sum(change.n_bytes for change in changes) > limits.n_bytes:
        return None
    return replace(later, changes=changes, announced=earlier.announced + later.announced)


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
