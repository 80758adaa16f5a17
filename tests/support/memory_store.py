"""A store of verify that holds its documents in memory, in any order."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable, Iterator, Sequence

from transforms.firestore.ranges import NameRange
from transforms.verify.entries import Entry


class MemoryStore:
    """Entries in a list; counts how many it has in hand at once.

    Args:
      entries: all of them, duplicates included.
      seed: of the order in which they come.
      before_refetch: called before documents are read again.
    """

    bytes_scanned = 0

    def __init__(self, entries: Sequence[Entry], seed: int = 0, before_refetch: Callable[[], None] = lambda: None):
        self.held = list(entries)
        self.asked: list[Sequence[str]] = []
        self.n_read = 0
        self._chance, self._before_refetch = random.Random(seed), before_refetch

    def as_of(self, read_time: datetime.datetime) -> MemoryStore:
        return self

    def ranges(self, max_ranges: int) -> list[NameRange]:
        return [NameRange()]

    def entries(self, span: NameRange) -> Iterator[Entry]:
        found = [entry for entry in self.held if span.contains(entry.key)]
        self._chance.shuffle(found)
        self.n_read += len(found)
        return iter(found)

    def refetch(self, keys: Sequence[str]) -> Iterator[Entry]:
        self._before_refetch()
        self.asked.append(keys)
        return iter([entry for entry in self.held if entry.key in keys])
