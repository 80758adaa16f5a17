"""What a job has counted so far, computed from the batches of its ledger. Plain Python.

Counters are summed by Firestore itself, in aggregation queries, so that reading them costs the same for ten batches as
for ten thousand. Where the index for that is missing, the batches are read and added one by one.
"""

from __future__ import annotations

import collections
import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from transforms.counters import BYTES_READ, Breakdown, Counter, Counters, Kinds
from transforms.firestore.query import Query
from transforms.firestore.reader import CannotAggregateError, count, sums
from transforms.ledger.batches import COMPLETED, ERROR, PROCESSING, Batches
from transforms.ledger.document import LedgerDocument
from transforms.ledger.streams import read_streams, summed

_EPOCH = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
_NEWEST_IDS = 5
_PROFILES = 100
# How many batches give the rate: enough to be steady, few enough to be read every second.
_RECENT_BATCHES = 20


class Completion(NamedTuple):
    """When a batch was completed, and how much it was."""

    at: datetime.datetime
    read: int
    bytes_read: int


@dataclass
class Totals:
    """Sums over the batches of a run.

    Attributes:
      counters: what is counted.
      batches, processing, failed: batches that are completed, in flight, given up.
      counts: by name of the counter.
      kinds: breakdowns by `Breakdown.field`.
      first_completed_at: when the first batch was completed.
      newest_ids: documents written last.
      recent: the batches completed last, newest first; of a job whose streams are kept, all of those.
      profiles: more of the documents written last, which are not kept with the totals.
    """

    counters: Counters
    batches: int = 0
    processing: int = 0
    failed: int = 0
    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    kinds: dict[str, collections.Counter[tuple[str, ...]]] = field(default_factory=dict)
    first_completed_at: datetime.datetime | None = None
    newest_ids: tuple[str, ...] = ()
    recent: tuple[Completion, ...] = ()
    profiles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for breakdown in self.counters.breakdowns:
            self.kinds.setdefault(breakdown.field, collections.Counter())

    def __getitem__(self, name: str) -> int:
        """The sum of a counter."""
        return self.counts[name]

    @property
    def total(self) -> int:
        """The sum that the parts make up."""
        return self[self.counters.total.name]

    @property
    def unwanted(self) -> int:
        """The part that nobody wants any of."""
        return self[self.counters.unwanted.name]

    def kinds_of(self, counter: Counter) -> Kinds:
        """What a counter is broken down by, the most frequent kinds first."""
        return dict(self.kinds[counter.breakdown.field].most_common()) if counter.breakdown else {}

    @property
    def shown_parts(self) -> tuple[Counter, ...]:
        """The parts of the sum, but for those that few jobs have and this one does not."""
        return tuple(part for part in self.counters.parts if self[part.name] or part.is_shown_at_0)

    @property
    def adds_up(self) -> bool:
        """Whether the parts make up the whole, and the kinds of a part the part."""
        parts = self.counters.parts
        is_whole = self.total == sum(self[part.name] for part in parts)
        broken_down = (part for part in parts if part.breakdown)
        return is_whole and all(self[part.name] == sum(self.kinds_of(part).values()) for part in broken_down)

    @classmethod
    def of(cls, counters: Counters, fields: Mapping[str, Any]) -> Totals | None:
        """From what `as_fields` made of them; None if it did not make these."""
        if not _are_totals(counters, fields):
            return None
        totals = cls(
            counters,
            fields["batches"],
            fields["processing"],
            fields["failed"],
            counts=collections.Counter(counters.counts_in(fields)),
            first_completed_at=fields["first_completed_at"],
            newest_ids=tuple(fields["newest_ids"]),
        )
        totals.add_kinds(fields)
        return totals

    def as_fields(self) -> dict[str, Any]:
        """As the job's document keeps them."""
        return {
            "batches": self.batches,
            "processing": self.processing,
            "failed": self.failed,
            **self.counters.kept(self.counts),
            **{each.field: each.listed(self.kinds[each.field]) for each in self.counters.breakdowns},
            "first_completed_at": self.first_completed_at,
            "newest_ids": list(self.newest_ids),
        }

    def add(self, batch: Mapping[str, Any]) -> None:
        """Adds the fields of one more batch, but for what only the newest batches say."""
        self.batches += batch["state"] == COMPLETED
        self.processing += batch["state"] == PROCESSING
        self.failed += batch["state"] == ERROR
        self.counts.update(self.counters.counts_in(batch))
        self.add_kinds(batch)

    def add_kinds(self, fields: Mapping[str, Any]) -> None:
        """Adds the breakdowns of a document."""
        for breakdown in self.counters.breakdowns:
            self.add_kinds_of(breakdown, fields)

    def add_kinds_of(self, breakdown: Breakdown, fields: Mapping[str, Any]) -> None:
        """Adds one of them."""
        for kind, n in breakdown.found_in(fields):
            self.kinds[breakdown.field][kind] += n

    def add_rare(self, fields: Mapping[str, Any], flag: str) -> None:
        """Adds the counters that only documents with a flag have."""
        for counter in self.counters.rare:
            if counter.beside == flag:
                self.counts[counter.name] += fields.get(counter.name, 0)

    def add_newest(self, newest: Sequence[Mapping[str, Any]]) -> None:
        """Adds what only the batches completed last say; newest first."""
        total = self.counters.total.name
        self.profiles = tuple(key for batch in newest[:_RECENT_BATCHES] for key in batch.get("ids", ()))[:_PROFILES]
        self.newest_ids = self.profiles[:_NEWEST_IDS]
        self.recent = tuple(
            Completion(batch["completed_at"], self.counters.counts_in(batch)[total], batch.get(BYTES_READ, 0))
            for batch in newest[:_RECENT_BATCHES]
        )


def read_totals(job: LedgerDocument, counters: Counters) -> Totals:
    """The totals of the job's current run.

    Raises:
      JobError: credentials, permission or database.
      TransientError: no answer after bounded retries.
    """
    if counters.kept_in_streams:
        return _of_streams(job, counters)
    batches = Batches(job, counters).query
    try:
        totals = _summed(job, batches, counters)
    except CannotAggregateError:
        return add_up(counters, (each.fields for each in job.documents(batches)))
    for breakdown in (each.breakdown for each in counters.all if each.breakdown and totals[each.name]):
        found: dict[str, Mapping[str, Any]] = {}
        for flag in breakdown.flags:
            for each in job.documents(batches.where(flag, "==", True)):
                found[each.id] = each.fields
                totals.add_rare(each.fields, flag)
        for fields in found.values():  # of this breakdown alone: a batch may have others, and is found again for them
            totals.add_kinds_of(breakdown, fields)
    completed = batches.where("completed_at", ">", _EPOCH)  # others have no time of completion
    for each in job.documents(completed.order_by("completed_at").limit(1)):
        totals.first_completed_at = each.fields["completed_at"]
    newest = completed.order_by("completed_at", descending=True).limit(_RECENT_BATCHES)
    totals.add_newest([each.fields for each in job.documents(newest)])
    return totals


def add_up(counters: Counters, batches: Iterable[Mapping[str, Any]]) -> Totals:
    """The totals of the fields of batches.

    >>> from transforms.outcomes import RECORDS
    >>> batch = {"state": "completed", "read": 3, "written": 2, "dead_letter_count": 1,
    ...          "dead_letters": [{"step": "FlattenRecords", "code": "MISSING_FIELD", "count": 1}]}
    >>> totals = add_up(RECORDS, [batch, batch])
    >>> totals.batches, totals["read"], totals.kinds["dead_letters"], totals.adds_up
    (2, 6, Counter({('FlattenRecords', 'MISSING_FIELD'): 2}), True)
    """
    totals = Totals(counters)
    completed = []
    for batch in batches:
        totals.add(batch)
        if batch.get("completed_at"):
            completed.append(batch)
    completed.sort(key=lambda batch: batch["completed_at"])
    if completed:
        totals.first_completed_at = completed[0]["completed_at"]
    totals.add_newest(completed[::-1])
    return totals


def _of_streams(job: LedgerDocument, counters: Counters) -> Totals:
    found = read_streams(job.client, job.id, job.retry)
    last = max((stream.attempt for stream in found), default=0)
    streams = [stream for stream in found if stream.attempt == last]  # others were listened to by earlier runs
    totals = Totals(counters, batches=len(streams), counts=collections.Counter(summed(streams, counters)))
    total = counters.total.name
    newest = sorted(streams, key=lambda stream: stream.updated_at, reverse=True)
    totals.recent = tuple(Completion(each.updated_at, each.counts_of_run().get(total, 0), 0) for each in newest)
    return totals


def _are_totals(counters: Counters, fields: Mapping[str, Any]) -> bool:
    numbers = ("batches", "processing", "failed")
    optional = (*(each.name for each in counters.all), *counters.former_names)
    ids, first = fields.get("newest_ids"), fields.get("first_completed_at", "")
    return (
        all(isinstance(fields.get(name), int) for name in numbers)
        and all(isinstance(fields.get(name, 0), int) for name in optional)
        and isinstance(ids, list)
        and all(isinstance(each, str) for each in ids)
        and (first is None or isinstance(first, datetime.datetime))
        and all(each.is_listed_in(fields) for each in counters.breakdowns)
    )


def _summed(job: LedgerDocument, batches: Query, counters: Counters) -> Totals:
    def in_state(state: str) -> int:
        return count(job.client, batches.where("state", "==", state), retry=job.retry)

    summed = sums(job.client, batches, counters.names, retry=job.retry)
    # In queries of their own: fields are summed over the documents that have all of them.
    summed |= sums(job.client, batches, counters.former_names, retry=job.retry)
    for names in counters.occasional_names:
        summed |= sums(job.client, batches, names, retry=job.retry)
    counts = collections.Counter(counters.counts_in(summed))
    return Totals(counters, in_state(COMPLETED), in_state(PROCESSING), in_state(ERROR), counts)
