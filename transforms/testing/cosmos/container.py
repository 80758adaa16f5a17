"""A container: its physical partitions, its items, and the log that its change feed is read from. Plain Python.

    partition 0  ["", "10")   log: lsn 1, 2, 3 …       every change, the newest of an item is the item
    partition 1  ["10", "20") log: lsn 1, 2 …          each partition counts its own sequence numbers
       └ split ─▶ 4 ["10", "18"), 5 ["18", "20")       children continue at their parent's sequence number

Guarantee: a change is in the log before its request is answered; an item that has expired is in no answer.
"""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from transforms.testing.cosmos.answers import RANGE_GONE, RefusedError, encoded
from transforms.testing.cosmos.items import ttl_of
from transforms.testing.cosmos.keys import HIGHEST, LOWEST, effective_key, key_text, key_values

CREATE, REPLACE, DELETE = "create", "replace", "delete"

ItemKey = tuple[str, str]  # partition key as text, id


@dataclass(slots=True)
class Change:
    """One version of an item, or its end.

    Attributes:
      item: with the service's fields, without _lsn; of a delete what was deleted.
      text: the item's JSON.
      previous: the version before.
      is_newest: whether the item is this version now.
    """

    lsn: int
    key: ItemKey
    effective: str
    kind: str
    item: dict[str, Any]
    text: bytes
    ts: int
    previous: Change | None = None
    is_newest: bool = True
    is_expired: bool = False

    @property
    def etag(self) -> str:
        """The version's name."""
        return str(self.item["_etag"])


@dataclass
class Partition:
    """A physical partition: effective keys in [low, high)."""

    id: str
    low: str
    high: str
    parents: tuple[str, ...] = ()
    lsn: int = 0
    log: list[Change] = field(default_factory=list)

    def behind(self, lsn: int) -> Iterator[Change]:
        """Changes after a sequence number, in order."""
        for place in range(bisect.bisect_right(self.log, lsn, key=lambda change: change.lsn), len(self.log)):
            yield self.log[place]


class Container:
    """Items by partition key and id.

    Args:
      name: its id.
      rid: the service's own name of it, new for each container that is created.
      definition: as it was created: partitionKey, defaultTtl.
      now: seconds since 1970.
      n_partitions: how many physical partitions it begins with.
    """

    def __init__(self, name: str, rid: str, definition: Mapping[str, Any], now: Callable[[], float], n_partitions: int):
        self.name, self.rid, self.definition, self._now = name, rid, dict(definition), now
        self.paths: list[str] = self.definition["partitionKey"]["paths"]
        self.kind: str = self.definition["partitionKey"].get("kind", "Hash")
        # The first byte of an effective key is below 40.
        bounds = [LOWEST, *(f"{0x40 * n // n_partitions:02X}" for n in range(1, n_partitions)), HIGHEST]
        self.partitions = [Partition(str(n), bounds[n], bounds[n + 1]) for n in range(n_partitions)]
        self._next_partition = n_partitions
        self._items: dict[ItemKey, Change] = {}
        self._newest: dict[ItemKey, Change] = {}  # deletes too
        self._expiring: list[tuple[float, ItemKey, str]] = []
        self._n_versions = 0

    @property
    def default_ttl(self) -> int | None:
        """Seconds; -1 for on without a default, None for off."""
        return self.definition.get("defaultTtl")

    @property
    def routing_etag(self) -> str:
        """Changes with the partitions."""
        return f'"{self._next_partition}"'

    def now(self) -> float:
        """The account's time, in seconds since 1970."""
        return self._now()

    def count(self) -> int:
        """How many items there are."""
        self.expire()
        return len(self._items)

    def items(self) -> Iterator[Change]:
        """All items, partition by partition, each partition's in the order of their last change."""
        self.expire()
        for partition in self.partitions:
            yield from (each for each in partition.log if each.is_newest and each.kind != DELETE)

    def get(self, values: list[Any], name: str) -> Change | None:
        """The newest version of an item."""
        self.expire()
        return self._items.get((key_text(values), name))

    def values_of(self, item: Mapping[str, Any]) -> list[Any]:
        """An item's partition key."""
        return key_values(item, self.paths)

    def put(self, item: dict[str, Any], lsn: int | None = None) -> Change:
        """Stores a version.

        Args:
          lsn: of the batch that it is part of, in its partition; None for a sequence number of its own.
        """
        values = self.values_of(item)
        key, effective = (key_text(values), item["id"]), effective_key(values, self.kind)
        before = self._items.get(key)
        self._n_versions += 1
        ts = int(self._now())
        name = before.item["_rid"] if before else f"{self.rid}{self._n_versions:08d}"
        stored = {
            **item,
            "_rid": name,
            "_self": f"dbs/{self.rid[:8]}/colls/{self.rid}/docs/{name}/",
            "_etag": f'"{self._n_versions:08x}-0000-0700-0000-{ts:08x}0000"',
            "_attachments": "attachments/",
            "_ts": ts,
        }
        change = self._log(key, effective, REPLACE if before else CREATE, stored, encoded(stored), lsn)
        self._items[key] = change
        ttl = ttl_of(stored, self.default_ttl)
        if ttl is not None:
            heapq.heappush(self._expiring, (ts + ttl, key, change.etag))
        return change

    def delete(self, key: ItemKey, lsn: int | None = None, *, is_expired: bool = False) -> None:
        """Ends an item that is there. Arguments as `put`."""
        before = self._items.pop(key)
        self._log(key, before.effective, DELETE, before.item, before.text, lsn, is_expired)

    def next_lsn(self, values: list[Any]) -> int:
        """A sequence number that several changes of one partition key share: a batch."""
        partition = self.partition_of(effective_key(values, self.kind))
        partition.lsn += 1
        return partition.lsn

    def checkpoint(self, values: list[Any]) -> Callable[[], None]:
        """What makes changes of one partition key undone."""
        partition = self.partition_of(effective_key(values, self.kind))
        lsn, n_changes = partition.lsn, len(partition.log)

        def restore() -> None:
            while len(partition.log) > n_changes:
                change = partition.log.pop()
                before = change.previous
                if before is None:
                    del self._newest[change.key]
                else:
                    self._newest[change.key] = before
                    before.is_newest = True
                if before is None or before.kind == DELETE:
                    self._items.pop(change.key, None)
                else:
                    self._items[change.key] = before
            partition.lsn = lsn

        return restore

    def garble(self, values: list[Any], name: str) -> None:
        """Makes the JSON of an item malformed UTF-8, as items are that early clients wrote."""
        change = self._items[key_text(values), name]
        change.text = change.text.replace(b'"garbled":"', b'"garbled":"\xe9', 1)

    def partition_of(self, effective: str) -> Partition:
        """Where an effective key lies."""
        return next(each for each in reversed(self.partitions) if each.low <= effective)

    def partition(self, name: str) -> Partition:
        """By its id. Raises RefusedError 410 for one that was split."""
        for each in self.partitions:
            if each.id == name:
                return each
        raise RefusedError(410, f"The partition key range {name} is gone", RANGE_GONE)

    def split(self, name: str) -> tuple[str, str]:
        """Cuts a partition in the middle; returns the ids of its children."""
        parent = self.partition(name)
        high = "40" if parent.high == HIGHEST else parent.high
        digits = max(len(parent.low), len(high)) + 2
        middle = f"{(int(parent.low.ljust(digits, '0'), 16) + int(high.ljust(digits, '0'), 16)) // 2:0{digits}X}"
        children = []
        for bounds in ((parent.low, middle), (middle, parent.high)):
            child = Partition(str(self._next_partition), *bounds, (*parent.parents, name), parent.lsn)
            child.log = [change for change in parent.log if bounds[0] <= change.effective < bounds[1]]
            children.append(child)
            self._next_partition += 1
        place = self.partitions.index(parent)
        self.partitions[place : place + 1] = children
        return children[0].id, children[1].id

    def expire(self) -> None:
        """Deletes what has outlived its ttl."""
        while self._expiring and self._expiring[0][0] <= self._now():
            _, key, etag = heapq.heappop(self._expiring)
            if key in self._items and self._items[key].etag == etag:
                self.delete(key, is_expired=True)

    def _log(
        self,
        key: ItemKey,
        effective: str,
        kind: str,
        item: dict[str, Any],
        text: bytes,
        lsn: int | None,
        is_expired: bool = False,
    ) -> Change:
        partition = self.partition_of(effective)
        if lsn is None:
            partition.lsn += 1
            lsn = partition.lsn
        before = self._newest.get(key)
        if before is not None:
            before.is_newest = False
        change = Change(lsn, key, effective, kind, item, text, int(self._now()), before, True, is_expired)
        self._newest[key] = change
        partition.log.append(change)
        return change
