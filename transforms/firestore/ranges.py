"""Ranges of document names: what is read apart, shuffled instead of documents, and cut while it is read.

    all names:   ─────────[a─────────b)[b───────c)[c───────────
                                        ▲    ╎
                              last read ┘    └ cut here: the rest is read elsewhere

A bound lies just before or just after a name, so that a range can begin after the last document without inventing a
name for what comes next. Bounds are paths in the database, in the order of `document_order`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from transforms.firestore.document_order import fraction_below, name_between, sort_key

MAX_RANGES = 10_000


@dataclass(frozen=True, slots=True)
class Bound:
    """A place between two names: just before `path`, or just after it, still before whatever lies below it."""

    path: str
    after: bool = False

    @property
    def key(self) -> tuple[tuple[object, ...], bool]:
        """Bounds sorted by this are in order; so is a document, by the key of the bound before it."""
        return sort_key(self.path), self.after


@dataclass(frozen=True, slots=True)
class NameRange:
    """All names from `start` to `end`.

    Attributes:
      start, end: None for no bound.
      busy_until: nothing was found from this name on when the range was planned. Only a hint of where to cut a range
        that has no end: documents beyond it are read all the same.
      shared_segments: how many segments every name begins with alike, 3 in users/ada/posts. No cut lies elsewhere.
    """

    start: Bound | None = None
    end: Bound | None = None
    busy_until: str | None = None
    shared_segments: int = 0

    def contains(self, path: str) -> bool:
        """Whether the document of this path lies in the range."""
        key = Bound(path).key
        return (self.start is None or self.start.key <= key) and (self.end is None or key < self.end.key)

    def split(self, position: str | None, fraction: float) -> tuple[NameRange, NameRange] | None:
        """Cuts the range somewhere behind `position`; None where it cannot be cut.

        Args:
          position: the last document that was read; None for none yet.
          fraction: of the rest, which part to keep, in [0, 1]; 0 keeps nothing but what was read.

        Returns:
          The part to keep, and the rest: disjoint, and together the range.
        """
        cut = self._cut(position, fraction)
        if cut is None or (self.end is not None and cut.key >= self.end.key):
            return None
        return replace(self, end=cut), replace(self, start=cut)

    def fraction_done(self, position: str | None) -> float:
        """About which part of the range lies below `position`, in [0, 1]."""
        if position is None or self.start is None:
            return 0.0
        return fraction_below(position, self.start.path, self._expected_end(), self.shared_segments)

    def _cut(self, position: str | None, fraction: float) -> Bound | None:
        if fraction <= 0:
            return None if position is None else Bound(position, after=True)
        low = position if position is not None else self.start.path if self.start else None
        if low is None or fraction >= 1:
            return None  # nobody knows yet where the names begin
        high = self._expected_end()
        if high is not None and sort_key(low) >= sort_key(high):
            return None
        middle = name_between(low, high, fraction, self.shared_segments)
        return None if middle is None else Bound(middle)

    def _expected_end(self) -> str | None:
        return self.end.path if self.end else self.busy_until


EVERY_NAME = NameRange()


def ranges_between(
    cuts: Iterable[str], every_name: NameRange = EVERY_NAME, busy_until: str | None = None
) -> list[NameRange]:
    """N different names, in any order, as the N + 1 ranges they cut `every_name` into; the last has the hint.

    >>> [(each.start and each.start.path, each.end and each.end.path) for each in ranges_between(["u/m", "u/c"])]
    [(None, 'u/c'), ('u/c', 'u/m'), ('u/m', None)]
    """
    bounds = [Bound(path) for path in sorted(set(cuts), key=sort_key)]
    pairs = zip([None, *bounds], [*bounds, None], strict=True)
    ranges = [replace(every_name, start=start, end=end) for start, end in pairs]
    return [*ranges[:-1], replace(ranges[-1], busy_until=busy_until)]
