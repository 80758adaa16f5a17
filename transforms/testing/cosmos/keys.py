"""Partition keys: which values an item has, and where they lie in the space of effective keys. Plain Python.

    {"paths": ["/tenant", "/user"], "kind": "MultiHash"} + item ──▶ ("t1", "u7") ──MurmurHash3──▶ "2A81…"
                                                                                     first byte 00 … 3F

Only version 2 of the hash is imitated, which all containers of the past years have. The client computes the same
keys for `feed_range_from_partition_key` and for prefixes of hierarchical keys.
"""

from __future__ import annotations

import functools
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

UNDEFINED: dict[str, Any] = {}  # as the key's header has it
LOWEST, HIGHEST = "", "FF"

_MASK = (1 << 64) - 1


def key_values(item: Mapping[str, Any], paths: Sequence[str]) -> list[Any]:
    """The values of an item's partition key.

    >>> key_values({"a": {"b": 1}}, ["/a/b", "/c"])
    [1, {}]
    """
    values = []
    for path in paths:
        value: Any = item
        for name in path.strip("/").split("/"):
            value = value.get(name, UNDEFINED) if isinstance(value, Mapping) else UNDEFINED
        values.append(UNDEFINED if isinstance(value, (Mapping, list)) else value)
    return values


def key_text(values: Sequence[Any]) -> str:
    """One text per key, whatever JSON form the client chose for it."""
    return json.dumps([float(each) if type(each) is int else each for each in values])


def effective_key(values: Sequence[Any], kind: str) -> str:
    """The effective key, as hexadecimal digits.

    >>> effective_key(["a"], "Hash") == effective_key(["a"], "MultiHash"), len(effective_key(["a", "b"], "MultiHash"))
    (True, 64)
    """
    return _effective_key(key_text(values), kind)


@functools.lru_cache(100_000)
def _effective_key(text: str, kind: str) -> str:
    encoded = [_for_hashing(value) for value in json.loads(text)]
    return "".join(map(_hashed, encoded)) if kind == "MultiHash" else _hashed(b"".join(encoded))


def _for_hashing(value: Any) -> bytes:
    """A component as the hash sees it: its type, then its bytes."""
    if isinstance(value, bool):
        return b"\x03" if value else b"\x02"
    if value is None:
        return b"\x01"
    if isinstance(value, (int, float)):
        return b"\x05" + struct.pack("<d", float(value))
    if isinstance(value, str):
        return b"\x08" + value.encode("utf-8", "surrogatepass") + b"\xff"
    return b"\x00"


def _hashed(data: bytes) -> str:
    low, high = _murmur3(data)
    turned = (high << 64 | low).to_bytes(16, "big")
    return (bytes([turned[0] & 0x3F]) + turned[1:]).hex().upper()


def _rotated(value: int, by: int) -> int:
    return (value << by | value >> (64 - by)) & _MASK


def _mixed(value: int) -> int:
    value = (value ^ value >> 33) * 0xFF51AFD7ED558CCD & _MASK
    value = (value ^ value >> 33) * 0xC4CEB9FE1A85EC53 & _MASK
    return value ^ value >> 33


def _murmur3(data: bytes) -> tuple[int, int]:
    """MurmurHash3_x64_128 with seed 0. Source: github.com/aappleby/smhasher, public domain."""
    c1, c2, h1, h2 = 0x87C37B91114253D5, 0x4CF5AD432745937F, 0, 0
    n_blocks = len(data) // 16
    for k1, k2 in struct.iter_unpack("<QQ", data[: n_blocks * 16]):
        h1 ^= _rotated(k1 * c1 & _MASK, 31) * c2 & _MASK
        h1 = ((_rotated(h1, 27) + h2) * 5 + 0x52DCE729) & _MASK
        h2 ^= _rotated(k2 * c2 & _MASK, 33) * c1 & _MASK
        h2 = ((_rotated(h2, 31) + h1) * 5 + 0x38495AB5) & _MASK
    tail = data[n_blocks * 16 :]
    h2 ^= _rotated(int.from_bytes(tail[8:], "little") * c2 & _MASK, 33) * c1 & _MASK
    h1 ^= _rotated(int.from_bytes(tail[:8], "little") * c1 & _MASK, 31) * c2 & _MASK
    h1, h2 = h1 ^ len(data), h2 ^ len(data)
    h1 = (h1 + h2) & _MASK
    h2 = (h2 + h1) & _MASK
    h1, h2 = _mixed(h1), _mixed(h2)
    h1 = (h1 + h2) & _MASK
    return h1, (h2 + h1) & _MASK
