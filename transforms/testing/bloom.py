"""The Bloom filter of an `ExistenceFilter`: a client asks it which of its documents are still there.

    name ──MD5──▶ h1, h2: two 64-bit numbers, little-endian ──▶ bit (h1 + i · h2 mod 2⁶⁴) mod bits, for each i < hashes

Bits are counted from the least significant one of the first byte. It never denies a name that it holds; it may affirm
others, the more the fewer bits a name has. Source: `ExistenceFilter` and `BloomFilter` in the Firestore RPC reference;
firebase/firebase-js-sdk, pull request 6897. It shares no code with the connector's reader of such filters.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection
from typing import Any


def fill(bloom: Any, names: Collection[str], bits_per_name: float) -> None:
    """Fills a protobuf `BloomFilter` with full names of documents."""
    n_hashes = max(1, round(bits_per_name * math.log(2)))  # as many as make the fewest mistakes
    n_bits = max(1, round(len(names) * bits_per_name)) if names else 0
    bitmap = bytearray((n_bits + 7) // 8)
    for name in names:
        digest = hashlib.md5(name.encode(), usedforsecurity=False).digest()
        first, step = int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")
        for i in range(n_hashes):
            bit = (first + i * step) % 2**64 % n_bits
            bitmap[bit // 8] |= 1 << bit % 8
    bloom.bits.bitmap, bloom.bits.padding, bloom.hash_count = bytes(bitmap), len(bitmap) * 8 - n_bits, n_hashes
