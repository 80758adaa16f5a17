"""The Bloom filter by which Firestore says which documents a listened query still has.

It answers "certainly not" or "probably" for a document's full name, so a listener that knows names finds most deletes
that the service has forgotten, without a read. Source: `BloomFilter` and `ExistenceFilter` in the Firestore RPC
reference.

    MD5 of the name ─▶ two little-endian uint64: h1, h2
    bit number i of hash_count: (h1 + i · h2 mod 2⁶⁴) mod n_bits, the least significant bit of a byte first
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Any

_UINT64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class BloomFilter:
    """A set of names that may hold more than it should, and never less.

    Attributes:
      bitmap: its bits.
      n_bits: how many of them count.
      hash_count: how many bits each name has.
    """

    bitmap: bytes
    n_bits: int
    hash_count: int

    @classmethod
    def of(cls, message: Any) -> BloomFilter | None:
        """From a protobuf `BloomFilter`; None for one that says nothing, or nothing sensible."""
        bits = message.bits
        n_bits = len(bits.bitmap) * 8 - bits.padding
        if not bits.bitmap or not 0 <= bits.padding <= 7 or message.hash_count <= 0:
            return None
        return cls(bits.bitmap, n_bits, message.hash_count)

    def may_contain(self, name: str) -> bool:
        """False if the name is certainly not in the set.

        Args:
          name: of a document, `projects/P/databases/D/documents/PATH`.
        """
        first, second = _hashes(name)
        for number in range(self.hash_count):
            bit = ((first + number * second) & _UINT64) % self.n_bits
            if not self.bitmap[bit >> 3] >> (bit & 7) & 1:
                return False
        return True


def _hashes(name: str) -> tuple[int, int]:
    digest = hashlib.md5(name.encode(), usedforsecurity=False).digest()
    first, second = struct.unpack("<QQ", digest)
    return first, second
