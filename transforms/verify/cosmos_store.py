"""A container of Cosmos DB as one side of a comparison. Plain Python.

A key is the id of the document that an item becomes: its escaped id, or, with a record spec, what the spec says. Cosmos
DB has no order of such names: a range is asked for as intervals of ids that hold at least the range. With a spec whose
ids are not the items' own, every range reads the whole container.

It keeps no past: `entries` are read as they are. A version counts from the end of the second that it was written in:
Cosmos DB tells no more.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transforms.cosmos.items import ItemVersion
from transforms.cosmos.target import CosmosTarget
from transforms.errors import RecordError
from transforms.firestore.ranges import NameRange
from transforms.migrate.documents import is_tombstone
from transforms.records.keys import escaped, id_of, unescaped
from transforms.records.model import RecordSpec
from transforms.verify.cosmos_form import ItemForm
from transforms.verify.entries import Entry
from transforms.verify.key_intervals import Interval, superset

_ALMOST_A_SECOND = datetime.timedelta(microseconds=999_999)
# Ids whose keys are elsewhere than they: blanks are trimmed, "." and "__x__" are escaped.
_MOVED = (Interval("", "!"), Interval(".", "/"), Interval("__", "_`"))
# Up to here text has one order, whether by bytes or by UTF-16.
_ONE_ORDER = "\ud7ff"
# Ids of items by key, where a spec makes keys; what differs is read again.
_MAX_IDS = 1_000_000


@dataclass
class CosmosStore:
    """The items of a container.

    Attributes:
      target: the container.
      form: what of an item is compared.
      spec: says which document an item becomes; None for the one of its id.
    """

    target: CosmosTarget
    form: ItemForm
    spec: RecordSpec | None = None
    bytes_scanned = 0  # Cosmos DB is billed by request units
    _ids: dict[str, str] = field(default_factory=dict, repr=False)

    def as_of(self, read_time: datetime.datetime) -> CosmosStore:
        """As `Store`; a container shows no past."""
        return self

    def ranges(self, max_ranges: int) -> list[NameRange]:
        """As `Store`; a container cannot say where to cut."""
        return [NameRange()]

    def entries(self, span: NameRange) -> Iterator[Entry]:
        """As `Store`."""
        from transforms.cosmos import reads

        self._ids.clear()
        condition, parameters = ("", {}) if self.spec is not None else _condition(span)
        text = f"SELECT * FROM c{condition}"  # noqa: S608  # bounds are parameters
        for page in reads.query(self.target.connect(), text, parameters):
            for item in page:
                key = self._key(item)
                if span.contains(key):
                    yield from self._entry(key, item)

    def keys(self) -> Iterator[str]:
        """The keys of all items; reads only ids where those are the keys."""
        from transforms.cosmos import reads

        self._ids.clear()
        text = "SELECT c.id, c._deleted, c._meta FROM c" if self.spec is None else "SELECT * FROM c"
        for page in reads.query(self.target.connect(), text):
            yield from (self._key(item) for item in page if not is_tombstone(item))

    def refetch(self, keys: Sequence[str]) -> Iterator[Entry]:
        """As `Store`."""
        from transforms.cosmos import reads

        ids = [self._ids.get(key) if self.spec is not None else unescaped(key) for key in keys]
        parameters = {f"p{n}": name for n, name in enumerate(ids) if name is not None}
        if not parameters:
            return
        wanted, names = set(keys), ", ".join(f"@{name}" for name in parameters)
        text = f"SELECT * FROM c WHERE c.id IN ({names})"  # noqa: S608  # names of parameters
        for page in reads.query(self.target.connect(), text, parameters):
            for item in page:
                key = self._key(item)
                if key in wanted:
                    yield from self._entry(key, item)

    def _key(self, item: Mapping[str, Any]) -> str:
        own = escaped(id_of(item["id"]) or item["id"])
        if self.spec is None:
            return own
        try:
            key = self.spec.key_of(item, item["id"])
        except RecordError:  # no document can be made of it
            return own
        if len(self._ids) < _MAX_IDS:
            self._ids[key] = item["id"]
        return key

    def _entry(self, key: str, item: Mapping[str, Any]) -> Iterator[Entry]:
        content = self.form.of_item(item)
        if content is not None:
            yield Entry(key, content, ItemVersion.of(item).time + _ALMOST_A_SECOND)


def _condition(span: NameRange) -> tuple[str, dict[str, str]]:
    """What a query asks of ids so that it finds all of a range, and perhaps a few more.

    >>> from transforms.firestore.ranges import Bound
    >>> _condition(NameRange(Bound("ada"), None))[0]
    ' WHERE (((c.id >= @p0))) OR ((c.id >= @p1 AND c.id < @p2) OR (c.id >= @p3 AND c.id < @p4) OR (c.id >= @p5 AND c.id < @p6))'
    """  # noqa: E501  # the answer is one line
    sides = [[_widened(each) for each in side] for side in superset(span)]
    sides = [side for side in sides if Interval(None, None) not in side]
    if not sides:
        return "", {}
    parameters: dict[str, str] = {}

    def asked(interval: Interval) -> str:
        bounds = []
        for operator, bound in ((">=", interval.low), ("<", interval.high)):
            if bound is not None:
                name = f"p{len(parameters)}"
                parameters[name] = bound
                bounds.append(f"c.id {operator} @{name}")
        return f"({' AND '.join(bounds)})"

    within = " AND ".join(f"({' OR '.join(map(asked, side))})" for side in sides)
    return f" WHERE ({within}) OR ({' OR '.join(map(asked, _MOVED))})", parameters


def _widened(interval: Interval) -> Interval:
    """An interval of keys as one of ids: cut before what is escaped, or ordered otherwise elsewhere."""
    low = interval.low and (_plain(interval.low) or None)
    high = interval.high
    if high is not None and _plain(high) != high:
        high = _behind(_plain(high))
    return Interval(low, high)


def _plain(text: str) -> str:
    cut = next((n for n, each in enumerate(text) if each == "%" or each > _ONE_ORDER), len(text))
    return text[:cut]


def _behind(prefix: str) -> str | None:
    """The first text behind all that begin so; None for no bound."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix and prefix[-1] < _ONE_ORDER else None
