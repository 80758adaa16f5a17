"""What became of all records of a job so far, computed from the batches of its ledger. Plain Python.

Counts are summed by Firestore itself, in aggregation queries of at most five aggregations, so that reading them costs
the same for ten batches as for ten thousand. Where the index for that is missing, the batches are read one by one.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from transforms.firestore.query import Query
from transforms.firestore.reader import CannotAggregateError, count, sums
from transforms.ledger.batches import COMPLETED, COUNTS, ERROR, PROCESSING, Batches
from transforms.ledger.document import LedgerDocument

_EPOCH = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
_NEWEST_IDS = 5
# How many fields that overflowed are kept with the job: those that did most.
_MOST_FIELDS = 200
# How many batches tell the pace: enough to be steady, few enough to be read every second.
_RECENT_BATCHES = 20


class Completion(NamedTuple):
    """When a batch was completed, and how much it was."""

    at: datetime.datetime
    read: int
    bytes_read: int


@dataclass
class Totals:
    """Sums over the batches of a run: in records, but for `retries` (requests), `overflowed` (values) and `bytes_read`.

    `batches` are completed, `processing` in flight, `failed` given up; `recent` are those completed last, newest first.
    """

    batches: int = 0
    processing: int = 0
    failed: int = 0
    read: int = 0
    written: int = 0
    unchanged: int = 0
    superseded: int = 0
    dead_letter_count: int = 0
    retries: int = 0
    overflowed: int = 0
    repaired: int = 0
    bytes_read: int = 0
    dead_letters: Counter[tuple[str, str]] = field(default_factory=Counter)
    overflowed_by: Counter[str] = field(default_factory=Counter)
    first_completed_at: datetime.datetime | None = None
    newest_ids: tuple[str, ...] = ()
    recent: tuple[Completion, ...] = ()

    @property
    def adds_up(self) -> bool:
        """Whether every record read is accounted for exactly once, and every dead letter has its reason."""
        accounted = self.written + self.unchanged + self.superseded + self.dead_letter_count
        return self.read == accounted and self.dead_letter_count == sum(self.dead_letters.values())

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Totals:
        """From what `as_fields` made of them.

        >>> totals = Totals(read=1, dead_letter_count=1, dead_letters=Counter({("ReadBatches", "INVALID_JSON"): 1}))
        >>> Totals.of(totals.as_fields()) == totals
        True
        """
        reasons = {(reason["step"], reason["code"]): reason["count"] for reason in fields["dead_letters"]}
        by_field = {each["field"]: each["count"] for each in fields.get("overflowed_by", ())}
        counted = {"dead_letters": Counter(reasons), "overflowed_by": Counter(by_field)}
        return cls(**{**fields, **counted, "newest_ids": tuple(fields["newest_ids"])})

    def as_fields(self) -> dict[str, Any]:
        """As the job's document keeps them."""
        reasons = [{"step": step, "code": code, "count": n} for (step, code), n in sorted(self.dead_letters.items())]
        most = self.overflowed_by.most_common(_MOST_FIELDS)
        by_field = [{"field": name, "count": n} for name, n in sorted(most)]
        counted = {"dead_letters": reasons, "overflowed_by": by_field}
        fields = {**asdict(self), **counted, "newest_ids": list(self.newest_ids)}
        del fields["recent"]
        return fields


def read_totals(job: LedgerDocument) -> Totals:
    """The totals of the job's current run.

    Raises:
      JobError: credentials, permission or database.
      TransientError: no answer after bounded retries.
    """
    batches = Batches(job).query
    try:
        totals = _summed(job, batches)
    except CannotAggregateError:
        return add_up(each.fields for each in job.documents(batches))
    if totals.dead_letter_count:
        for each in job.documents(batches.where("has_dead_letters", "==", True)):
            _add_reasons(totals, each.fields)
    if totals.overflowed:
        for each in job.documents(batches.where("has_overflow", "==", True)):
            _add_overflow(totals, each.fields)
    completed = batches.where("completed_at", ">", _EPOCH)  # others have no time of completion
    for each in job.documents(completed.order_by("completed_at").limit(1)):
        totals.first_completed_at = each.fields["completed_at"]
    newest = completed.order_by("completed_at", descending=True).limit(_RECENT_BATCHES)
    _add_newest(totals, [each.fields for each in job.documents(newest)])
    return totals


def add_up(batches: Iterable[Mapping[str, Any]]) -> Totals:
    """The totals of decoded batch documents.

    >>> batch = {"state": "completed", "read": 3, "written": 2, "dead_letter_count": 1,
    ...          "dead_letters": [{"step": "FlattenRecords", "code": "MISSING_FIELD", "count": 1}]}
    >>> totals = add_up([batch, batch])
    >>> totals.batches, totals.read, totals.dead_letters, totals.adds_up
    (2, 6, Counter({('FlattenRecords', 'MISSING_FIELD'): 2}), True)
    """
    totals = Totals()
    completed = []
    for batch in batches:
        totals.batches += batch["state"] == COMPLETED
        totals.processing += batch["state"] == PROCESSING
        totals.failed += batch["state"] == ERROR
        for name in COUNTS:
            setattr(totals, name, getattr(totals, name) + batch.get(name, 0))
        _add_reasons(totals, batch)
        _add_overflow(totals, batch)
        if batch.get("completed_at"):
            completed.append(batch)
    completed.sort(key=lambda batch: batch["completed_at"])
    if completed:
        totals.first_completed_at = completed[0]["completed_at"]
    _add_newest(totals, completed[::-1])
    return totals


def _summed(job: LedgerDocument, batches: Query) -> Totals:
    states = {"batches": COMPLETED, "processing": PROCESSING, "failed": ERROR}
    in_state = {
        name: count(job.client, batches.where("state", "==", state), retry=job.retry) for name, state in states.items()
    }
    return Totals(**in_state, **sums(job.client, batches, COUNTS, retry=job.retry))  # type: ignore[arg-type]


def _add_reasons(totals: Totals, batch: Mapping[str, Any]) -> None:
    for reason in batch.get("dead_letters", ()):
        totals.dead_letters[reason["step"], reason["code"]] += reason["count"]


def _add_overflow(totals: Totals, batch: Mapping[str, Any]) -> None:
    for each in batch.get("overflowed_by", ()):
        totals.overflowed_by[each["field"]] += each["count"]


def _add_newest(totals: Totals, newest: Sequence[Mapping[str, Any]]) -> None:
    """Adds what only the batches completed last tell; newest first."""
    totals.newest_ids = tuple(key for batch in newest for key in batch.get("ids", ()))[:_NEWEST_IDS]
    totals.recent = tuple(
        Completion(batch["completed_at"], batch.get("read", 0), batch.get("bytes_read", 0))
        for batch in newest[:_RECENT_BATCHES]
    )
