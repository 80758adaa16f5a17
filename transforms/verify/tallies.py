"""Count and order-free hash of the documents of a range, and where to cut a range that has too many. Plain Python.

entries ─▶ count, Σ hash mod 2^128   the same for the same documents in any order; one that is there twice shows
        ─▶ seen, by key              while there are at most `max_keys` of them
        ─▶ a sample of the keys      the 64 whose digests are smallest: the same in both stores, spread evenly
"""

from __future__ import annotations

import datetime
import hashlib
import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from transforms.firestore.document_order import sort_key
from transforms.verify.entries import HASH_BITS, Entry

_MODULUS = 2**HASH_BITS
_SAMPLE_KEYS = 64


@dataclass(slots=True)
class Seen:
    """All copies of one document: how many, the sum of their hashes, the newest update time."""

    copies: int = 0
    total: int = 0
    update_time: datetime.datetime | None = None

    def add(self, content_hash: int, update_time: datetime.datetime | None) -> None:
        """Counts one more copy."""
        self.copies += 1
        self.total = (self.total + content_hash) % _MODULUS
        if update_time is not None and (self.update_time is None or update_time > self.update_time):
            self.update_time = update_time

    def holds_as(self, other: Seen) -> bool:
        """Whether both are as many copies of the same content."""
        return (self.copies, self.total) == (other.copies, other.total)


class Tally:
    """What is remembered of a range: a few numbers, and at most `max_keys` keys with their hashes.

    Args:
      max_keys: more different keys than these are not kept but sampled.
    """

    def __init__(self, max_keys: int):
        self.all = Seen()
        self._by_key: dict[str, Seen] | None = {}
        self._max_keys = max_keys
        self._smallest: list[tuple[int, str]] = []  # a heap of the sampled keys, the greatest digest on top
        self._sampled: set[str] = set()

    @classmethod
    def of(cls, entries: Iterable[Entry], max_keys: int) -> Tally:
        """The tally of a range."""
        tally = cls(max_keys)
        for entry in entries:
            tally.add(entry)
        return tally

    def add(self, entry: Entry) -> None:
        """Counts a document."""
        content_hash = entry.content_hash
        self.all.add(content_hash, entry.update_time)
        if self._by_key is not None:
            seen = self._by_key.get(entry.key)
            if seen is not None:
                seen.add(content_hash, entry.update_time)
                return
            if len(self._by_key) < self._max_keys:
                self._by_key[entry.key] = seen = Seen()
                seen.add(content_hash, entry.update_time)
                return
            for key in self._by_key:
                self._sample(key)
            self._by_key = None
        self._sample(entry.key)

    @property
    def by_key(self) -> dict[str, Seen] | None:
        """Every document; None if there were too many."""
        return self._by_key

    def cuts(self) -> list[str]:
        """Some of the keys, none of them the first, in order; at least one if there were too many keys to keep."""
        return sorted(self._sampled, key=sort_key)[1:]

    def _sample(self, key: str) -> None:
        if key in self._sampled:
            return
        digest = -int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
        if len(self._smallest) < _SAMPLE_KEYS:
            heapq.heappush(self._smallest, (digest, key))
        elif (digest, key) > self._smallest[0]:
            self._sampled.remove(heapq.heapreplace(self._smallest, (digest, key))[1])
        else:
            return
        self._sampled.add(key)
