"""Lets a runner interrupt a group of streams between two batches, and give half of them to somebody else.

    claim (stream, position) ──▶ the batch before that position is handed out
             │
             ├─ try_split(0): nothing is claimed any more; all streams continue elsewhere, at what was claimed last
             └─ try_split(0.5): half of the streams continue elsewhere, the others here

A position is claimed before its batch leaves, and a batch whose claim is refused stays where it is.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from apache_beam.io.iobase import RestrictionProgress, RestrictionTracker
from apache_beam.transforms.core import RestrictionProvider

from transforms.firestore.changes.positions import Position


@dataclass(frozen=True, slots=True)
class GroupPositions:
    """Streams, by id, and the position of each; None for one that begins with a snapshot."""

    positions: tuple[tuple[str, Position | None], ...]


class Claim(NamedTuple):
    """Of the batch before a position; `is_end` says that the stream ends there."""

    stream_id: str
    position: Position | None
    is_end: bool = False


class GroupTracker(RestrictionTracker):
    """Tracks the streams of one group. A claim of None ends all of them."""

    def __init__(self, restriction: GroupPositions):
        self._positions = dict(restriction.positions)
        self._n_ended = 0

    def current_restriction(self) -> GroupPositions:
        """The streams that are still this one's, at what was claimed last."""
        return GroupPositions(tuple(self._positions.items()))

    def current_progress(self) -> RestrictionProgress:
        """In streams: none of them ends by itself."""
        return RestrictionProgress(completed=self._n_ended, remaining=len(self._positions))

    def try_claim(self, claim: Claim | None) -> bool:
        """Whether the batch may be handed out: the stream is still this one's."""
        if claim is None:
            self._n_ended += len(self._positions)
            self._positions.clear()
            return True
        if claim.stream_id not in self._positions:
            return False
        if claim.is_end:
            del self._positions[claim.stream_id]
            self._n_ended += 1
        else:
            self._positions[claim.stream_id] = claim.position
        return True

    def try_split(self, fraction_of_remainder: float) -> tuple[GroupPositions, GroupPositions] | None:
        """Gives streams away: all of them for 0, else half; None where there is none to give."""
        n_kept = 0 if fraction_of_remainder <= 0 else (len(self._positions) + 1) // 2
        streams = list(self._positions.items())
        given = streams[n_kept:]
        if not given:
            return None
        self._positions = dict(streams[:n_kept])
        return self.current_restriction(), GroupPositions(tuple(given))

    def check_done(self) -> bool:
        """Raises ValueError if streams were neither ended nor given away."""
        if self._positions:
            raise ValueError(f"streams were left without an end: {', '.join(self._positions)}")
        return True

    def is_bounded(self) -> bool:
        """Streams of changes have no end."""
        return False


class GroupProvider(RestrictionProvider):
    """The streams of an element that has `streams` and `positions`."""

    def initial_restriction(self, element: Any) -> GroupPositions:
        """Every stream where it is to begin."""
        begin = dict(element.positions)
        ids = (stream.stream_id for stream in element.streams)
        return GroupPositions(tuple((stream_id, begin.get(stream_id)) for stream_id in ids))

    def create_tracker(self, restriction: GroupPositions) -> GroupTracker:
        """A tracker of its own for every part of the group."""
        return GroupTracker(restriction)

    def restriction_size(self, element: Any, restriction: GroupPositions) -> float:
        """By the number of streams."""
        return float(len(restriction.positions))

    def truncate(self, element: Any, restriction: GroupPositions) -> None:
        """A pipeline that is drained ends its streams."""
        return
