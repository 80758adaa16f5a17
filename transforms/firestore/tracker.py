"""Lets a runner take away the rest of a range of names while its beginning is still being read.

    claim "users/ada" ──▶ read it ──▶ claim "users/bob" ──▶ …      each claim is below the range's end, or refused
                                 ▲
             try_split(0.5) ─────┘  the end moves to a name between "users/ada" and the old end

A document is read by whoever claims it, and the ranges of all claims are disjoint, so a split neither loses a document
nor reads one twice, wherever it falls. A split is arithmetic on names; the part taken away may hold no document.
"""

from typing import Any

from apache_beam.io.iobase import RestrictionProgress, RestrictionTracker
from apache_beam.transforms.core import RestrictionProvider

from transforms.firestore.ranges import Bound, NameRange


class NameRangeTracker(RestrictionTracker):
    """Tracks one range. Claims are document paths in ascending order, and at last None: nothing is left to be read."""

    def __init__(self, span: NameRange):
        self._span = span
        self._end_key = span.end.key if span.end else None
        self._position: str | None = None
        self._position_key: tuple[tuple[object, ...], bool] | None = None
        self._finished = False

    def current_restriction(self) -> NameRange:
        """The range as the last split left it."""
        return self._span

    def current_progress(self) -> RestrictionProgress:
        """By arithmetic on names."""
        done = 1.0 if self._finished else self._span.fraction_done(self._position)
        return RestrictionProgress(fraction=done)

    def try_claim(self, position: str | None) -> bool:
        """Whether the document of this path is still this range's to be read; None claims that it is done.

        Raises:
          ValueError: the document comes before the last one. A split would then lose documents.
        """
        if position is None:
            self._finished = True
            return True
        key = Bound(position).key
        if self._position_key is not None and key <= self._position_key:
            raise ValueError(f"documents must come in order of their names; {position} is behind {self._position}")
        if self._end_key is not None and key >= self._end_key:
            self._finished = True
            return False
        self._position, self._position_key = position, key
        return True

    def try_split(self, fraction_of_remainder: float) -> tuple[NameRange, NameRange] | None:
        """Gives the rest of the range away; None where nothing is left or no name to cut at is known."""
        parts = None if self._finished else self._span.split(self._position, fraction_of_remainder)
        if parts is None:
            return None
        kept, rest = parts
        self._span, self._end_key = kept, kept.end.key if kept.end else None
        return kept, rest

    def check_done(self) -> bool:
        """Raises ValueError if the reader stopped before the end of the range."""
        if not self._finished:
            raise ValueError(f"the range was not read to its end: {self._span}")
        return True

    def is_bounded(self) -> bool:
        """Every range ends."""
        return True


class NameRangeProvider(RestrictionProvider):
    """The range of an element that has a `span`."""

    def initial_restriction(self, element: Any) -> NameRange:
        """The range that was planned."""
        span: NameRange = element.span
        return span

    def create_tracker(self, restriction: NameRange) -> NameRangeTracker:
        """A tracker of its own for every part of the range."""
        return NameRangeTracker(restriction)

    def restriction_size(self, element: Any, restriction: NameRange) -> float:
        """All ranges count alike: they were planned to hold about the same."""
        return 1.0
