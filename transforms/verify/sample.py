"""A random sample of one store's documents, compared with the other store. Plain Python.

left ──all keys──▶ n of them, each as likely ──▶ Sampled(left), Sampled(right)      only these are read and compared

What n equal documents prove is said in `largest_share`: of documents that the left store has. Those that only the right
one has are in no sample.
"""

from __future__ import annotations

import datetime
import heapq
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from transforms.firestore.ranges import NameRange
from transforms.verify.cosmos_store import CosmosStore
from transforms.verify.entries import Entry, Store

CONFIDENCE = 0.95

_KEYS_PER_REQUEST = 100


@dataclass
class Sampled:
    """Some documents of a store, as they are now.

    Attributes:
      store: that has them.
      keys: which.
    """

    store: Store
    keys: tuple[str, ...]

    @property
    def bytes_scanned(self) -> int:
        """As `Store`."""
        return self.store.bytes_scanned

    def as_of(self, read_time: datetime.datetime) -> Sampled:
        """As `Store`; a sample is read as it is."""
        return self

    def ranges(self, max_ranges: int) -> list[NameRange]:
        """As `Store`."""
        return [NameRange()]

    def entries(self, span: NameRange) -> Iterator[Entry]:
        """As `Store`."""
        wanted = [key for key in self.keys if span.contains(key)]
        for first in range(0, len(wanted), _KEYS_PER_REQUEST):
            yield from self.store.refetch(wanted[first : first + _KEYS_PER_REQUEST])

    def refetch(self, keys: Sequence[str]) -> Iterator[Entry]:
        """As `Store`."""
        return self.store.refetch(keys)


def sampled(left: Store, right: Store, n: int, chance: random.Random) -> tuple[Sampled, Sampled]:
    """Both stores with the same sample of the left one's documents; all of them if there are no more than n.

    Reads all keys of the left store: of a container only those, of other stores whole documents.
    """
    keys = left.keys() if isinstance(left, CosmosStore) else (entry.key for entry in left.entries(NameRange()))
    chosen = tuple(sorted({*choose(keys, n, chance)}))  # items of several partitions may have one id
    return Sampled(left, chosen), Sampled(right, chosen)


def choose(keys: Iterable[str], n: int, chance: random.Random) -> list[str]:
    """n of the keys, each set of n as likely as any other.

    >>> len(choose(map(str, range(1000)), 10, random.Random(1)))
    10
    """
    return [key for _, key in heapq.nsmallest(n, ((chance.random(), key) for key in keys))]


def largest_share(n_equal: int) -> float:
    """The share of documents that may differ although n of a random sample were equal, with a confidence of 95 %.

    >>> f"{largest_share(3000):.4%}"
    '0.0998%'
    """
    return 1.0 - (1 - CONFIDENCE) ** (1 / n_equal) if n_equal else 1.0
