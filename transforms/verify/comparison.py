"""Two stores, one range of keys: which documents they do not hold alike. Plain Python.

    range ─▶ count and hash, left and right ── equal ──▶ done: every document is read once
                     │ they differ
                     ├─ too many keys ─▶ cut into smaller ranges, each read again
                     └─ few enough ────▶ the keys that differ ─▶ read again, both sides ─▶ Difference, or set aside

A difference counts when both sides, read again, still hold what they held before and it is still not the same. A
document that has changed since the run began is set aside: which of its versions the other store should have, nobody
can say. Memory is bounded by `max_keys` keys with their hashes a side, and the content of 100 documents a side.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from transforms.firestore.document_order import sort_key
from transforms.firestore.ranges import Bound, NameRange
from transforms.verify.differences import Difference
from transforms.verify.entries import Entry, Store
from transforms.verify.tallies import Seen, Tally

# As many documents as Firestore reads by name in one request.
REFETCHED_KEYS = 100
_NOTHING = Seen()


@dataclass(slots=True)
class Compared:
    """What a comparison has found so far, in documents.

    Attributes:
      equal: held alike.
      differing: by kind of difference.
      changed: set aside, because they changed during the run.
      read_left, read_right: documents read, those that were read again included.
      bytes_scanned: bytes that both stores were made to read, as far as those cost.
    """

    equal: int = 0
    differing: dict[str, int] = field(default_factory=dict)
    changed: int = 0
    read_left: int = 0
    read_right: int = 0
    bytes_scanned: int = 0

    def add(self, other: Compared) -> None:
        """Adds what was found elsewhere."""
        self.equal += other.equal
        for kind, n in other.differing.items():
            self.differing[kind] = self.differing.get(kind, 0) + n
        self.changed += other.changed
        self.read_left += other.read_left
        self.read_right += other.read_right
        self.bytes_scanned += other.bytes_scanned

    @property
    def documents(self) -> int:
        """All that were compared, each once, whichever side has it."""
        return self.equal + sum(self.differing.values()) + self.changed


class Comparison:
    """Compares ranges of two stores, one after the other.

    Args:
      left, right: the stores.
      since: when the run began; documents changed later do not count. None where that does not matter.
      max_keys: maximum number of keys per range and side that are compared one by one.
      is_to_stop: asked before every range that a range is cut into.
      let_settle: called before the documents of a range that differ are read again; waits where one store is the
        other's copy and some seconds behind it.
    """

    def __init__(
        self,
        left: Store,
        right: Store,
        since: datetime.datetime | None,
        max_keys: int,
        is_to_stop: Callable[[], bool] = lambda: False,
        let_settle: Callable[[], None] = lambda: None,
    ):
        self._left, self._right, self._since, self._max_keys = left, right, since, max_keys
        self._is_to_stop, self._let_settle = is_to_stop, let_settle
        self.found = Compared()

    def differences(self, span: NameRange) -> Iterator[Difference]:
        """The documents of a range that the stores do not hold alike, range by range in Firestore's order.

        Raises:
          StoppedError: the run was asked to stop before the range was done.
        """
        ranges = [span]
        while ranges:
            if self._is_to_stop():
                raise StoppedError
            part = ranges.pop()
            left, right = self._tally(self._left, part), self._tally(self._right, part)
            self.found.read_left += left.all.copies
            self.found.read_right += right.all.copies
            if left.all.holds_as(right.all):
                self.found.equal += left.all.copies
            elif left.by_key is None or right.by_key is None:
                ranges += reversed(smaller(part, left, right, self._max_keys))
            else:
                yield from self._compare(left.by_key, right.by_key)

    def _tally(self, store: Store, span: NameRange) -> Tally:
        return Tally.of(store.entries(span), self._max_keys)

    def _compare(self, left: dict[str, Seen], right: dict[str, Seen]) -> Iterator[Difference]:
        keys = left.keys() | right.keys()
        differing = [key for key in keys if not left.get(key, _NOTHING).holds_as(right.get(key, _NOTHING))]
        self.found.equal += len(keys) - len(differing)
        differing.sort(key=sort_key)
        if differing:
            self._let_settle()
        for first in range(0, len(differing), REFETCHED_KEYS):
            some = differing[first : first + REFETCHED_KEYS]
            lefts, rights = self._refetched(self._left, some), self._refetched(self._right, some)
            self.found.read_left += sum(map(len, lefts.values()))
            self.found.read_right += sum(map(len, rights.values()))
            for key in some:
                before = left.get(key, _NOTHING), right.get(key, _NOTHING)
                yield from self._resolved(key, before, lefts.get(key, []), rights.get(key, []))

    def _refetched(self, store: Store, keys: Sequence[str]) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = {}
        for entry in store.refetch(keys):
            found.setdefault(entry.key, []).append(entry)
        return found

    def _resolved(
        self, key: str, before: tuple[Seen, Seen], left: list[Entry], right: list[Entry]
    ) -> Iterator[Difference]:
        now = _seen(left), _seen(right)
        if now[0].holds_as(now[1]):
            self.found.equal += 1
        elif now != before or self._is_new(now[0]) or self._is_new(now[1]):
            self.found.changed += 1
        else:
            difference = Difference.of(key, left, right)
            self.found.differing[difference.kind] = self.found.differing.get(difference.kind, 0) + 1
            yield difference

    def _is_new(self, seen: Seen) -> bool:
        return self._since is not None and seen.update_time is not None and seen.update_time > self._since


class StoppedError(Exception):
    """The run was asked to stop."""


def smaller(span: NameRange, left: Tally, right: Tally, max_keys: int) -> list[NameRange]:
    """A range of too many keys as at least two smaller ones that together are the same, in order."""
    larger = max((tally for tally in (left, right) if tally.by_key is None), key=lambda tally: tally.all.copies)
    cuts = larger.cuts()
    wanted = min(len(cuts), max(1, 2 * larger.all.copies // max_keys))  # parts that are likely to be small enough
    chosen = [cuts[number * len(cuts) // wanted] for number in range(wanted)]
    bounds = [span.start, *map(Bound, chosen), span.end]
    return [NameRange(start, end) for start, end in itertools.pairwise(bounds)]


def _seen(entries: list[Entry]) -> Seen:
    seen = Seen()
    for entry in entries:
        seen.add(entry.content_hash, entry.update_time)
    return seen
