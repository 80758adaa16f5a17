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

from transforms.errors import JobError
from transforms.firestore import messages
from transforms.firestore.client import FirestoreClient, RpcError
from transforms.firestore.fetch import fetch_all
from transforms.firestore.values import decode, decode_fields, encode
from transforms.ledger.job_ledger import BATCHES_COLLECTION, COMPLETED, COUNTS, ERROR, JOBS_COLLECTION, PROCESSING
from transforms.retry import Retry

# Source: "Aggregation queries" in the Firestore documentation.
_MAX_AGGREGATIONS = 5
_TIMEOUT_S = 60.0
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


def read_totals(client: FirestoreClient, job_id: str, retry: Retry | None = None) -> Totals:
    """The totals of the job's current run.

    Raises:
      JobError: credentials, permission or database.
      TransientError: no answer after bounded retries.
    """
    reader = _Reader(client, client.target.document_name(f"{JOBS_COLLECTION}/{job_id}"), retry)
    try:
        totals = reader.summed()
    except _NoIndexError:
        return add_up(reader.batches())
    for batch in reader.batches("has_dead_letters") if totals.dead_letter_count else ():
        _add_reasons(totals, batch)
    for batch in reader.batches("has_overflow") if totals.overflowed else ():
        _add_overflow(totals, batch)
    for batch in reader.edge("ASCENDING", limit=1):
        totals.first_completed_at = batch["completed_at"]
    _add_newest(totals, reader.edge("DESCENDING", limit=_RECENT_BATCHES))
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


class _NoIndexError(JobError):
    """The aggregation needs an index that this database does not have, or does not know aggregations."""


class _Reader:
    """Queries the batches of one job."""

    def __init__(self, client: FirestoreClient, parent: str, retry: Retry | None):
        self._client, self._parent, self._retry = client, parent, retry

    def summed(self) -> Totals:
        totals = Totals()
        states = {"batches": COMPLETED, "processing": PROCESSING, "failed": ERROR}
        for name, state in states.items():
            setattr(totals, name, self._aggregated(_where("state", state), ())["n"])
        for first in range(0, len(COUNTS), _MAX_AGGREGATIONS):
            names = COUNTS[first : first + _MAX_AGGREGATIONS]
            for name, sum_of_all in self._aggregated(_all(), names).items():
                setattr(totals, name, sum_of_all)
        return totals

    def batches(self, flag: str | None = None) -> list[dict[str, Any]]:
        """All batches, or those that have a flag."""
        return self._run(_where(flag, True) if flag else _all())

    def edge(self, direction: str, limit: int) -> list[dict[str, Any]]:
        """The first or the last batches completed; others have no time of completion."""
        query = _all()
        query.where.field_filter.field.field_path = "completed_at"
        query.where.field_filter.op = query.where.field_filter.Operator.GREATER_THAN
        query.where.field_filter.value.timestamp_value.seconds = 0
        query.order_by.add(direction=direction).field.field_path = "completed_at"
        query.limit.value = limit
        return self._run(query)

    def _run(self, query: Any) -> list[dict[str, Any]]:
        answers = fetch_all(self._client, lambda: self._client.run_query(self._parent, query, _TIMEOUT_S), self._retry)
        return [decode_fields(answer.document.fields) for answer in answers if answer.HasField("document")]

    def _aggregated(self, query: Any, summed: Sequence[str]) -> dict[str, Any]:
        """The sums of these fields; without fields, the number of documents as `n`."""
        request = messages.RunAggregationQueryRequest().structured_aggregation_query
        request.structured_query.CopyFrom(query)
        for name in summed:
            request.aggregations.add(alias=name).sum.field.field_path = name
        if not summed:
            request.aggregations.add(alias="n").count.SetInParent()
        answers = fetch_all(
            self._client,
            lambda: self._client.aggregate(self._parent, request, _TIMEOUT_S),
            self._retry,
            explain=self._explain,
        )
        (result,) = [answer.result for answer in answers if answer.HasField("result")]
        return {name: decode(value) for name, value in result.aggregate_fields.items()}

    def _explain(self, error: RpcError) -> JobError:
        if error.code in ("FAILED_PRECONDITION", "UNIMPLEMENTED"):
            return _NoIndexError(str(error))
        return self._client.target.job_error(error)


def _all() -> Any:
    query = messages.StructuredQuery()
    query.from_.add(collection_id=BATCHES_COLLECTION)
    return query


def _where(field_path: str, value: Any) -> Any:
    query = _all()
    query.where.field_filter.field.field_path = field_path
    query.where.field_filter.op = query.where.field_filter.Operator.EQUAL
    query.where.field_filter.value.CopyFrom(encode(value))
    return query


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
