"""What verify needs of a store, and what a store gives. Plain Python.

    as_of(read_time) ──▶ the same store at that time, if it keeps its past
    ranges(n)        ──▶ key ranges that together are all keys, to be compared apart
    entries(range)   ──▶ every document of a range, in any order, as the run began
    refetch(keys)    ──▶ these documents as they are now

A key names a document in both stores: its id, or its path. Ranges are in Firestore's order of names
(`document_order`), whatever order the store itself keeps. A new kind of store is one class with these methods.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from transforms.errors import RecordError
from transforms.firestore.ranges import NameRange
from transforms.firestore.tagged_json import to_tagged_json
from transforms.records.canonical import canonical

HASH_BITS = 128


@dataclass(frozen=True, slots=True)
class Entry:
    """One document as a store holds it.

    Attributes:
      key: names it in both stores.
      content: what is compared, by field; values of Firestore's types.
      update_time: its version; None where the store keeps none.
    """

    key: str
    content: Mapping[str, Any]
    update_time: datetime.datetime | None = None

    @property
    def content_hash(self) -> int:
        """128 bits over key and content."""
        return content_hash(self.key, self.content)


class Store(Protocol):
    """One side of a comparison. Picklable until it is first used; for one thread.

    Every method raises JobError for what fails at every retry, TransientError after bounded retries.
    """

    @property
    def bytes_scanned(self) -> int:
        """Bytes that this object has made the store read and that cost by their number; 0 where others count."""

    def as_of(self, read_time: datetime.datetime) -> Store:
        """The same store, whose `ranges` and `entries` show it at this time if it keeps its past."""

    def ranges(self, max_ranges: int) -> list[NameRange]:
        """Disjoint ranges that together are all keys; may be fewer."""

    def entries(self, span: NameRange) -> Iterator[Entry]:
        """The documents of a range, in any order; one that the store holds twice comes twice."""

    def refetch(self, keys: Sequence[str]) -> Iterator[Entry]:
        """Those of these documents that exist, as they are now."""


def content_hash(key: str, content: Mapping[str, Any]) -> int:
    """The same for the same values, whatever order maps have: 1 is not 1.0, and NaN is NaN.

    >>> content_hash("ada", {"a": 1, "b": None}) == content_hash("ada", {"b": None, "a": 1})
    True
    >>> content_hash("ada", {"a": 1}) == content_hash("ada", {"a": 1.0})
    False
    """
    digest = hashlib.blake2b(digest_size=HASH_BITS // 8)
    name = key.encode("utf-8", "surrogatepass")
    digest.update(b"%d:%b" % (len(name), name))
    digest.update(comparable(content))
    return int.from_bytes(digest.digest(), "big")


def comparable(content: Mapping[str, Any]) -> bytes:
    r"""The same bytes for the same content, and for no other.

    What no document can hold, such as an item of Cosmos DB with a lone surrogate, has bytes that no document has.

    >>> comparable({"a": "\ud800"}) == comparable({"a": "\ud801"}), comparable({"a": 2**70})
    (False, b'\x00{"a": 1180591620717411303424}')
    """
    try:
        return canonical(to_tagged_json(content))  # tagged, it is JSON: no type is left that two could share
    except RecordError:
        return b"\0" + json.dumps(content, sort_keys=True, default=repr).encode()
