"""How often the fields of a record spec had a value in a run, computed from the batches of its ledger. Plain Python.

    pipeline_jobs/{job_id}/batches/{batch_id}
        flattened: 500, uncleaned: 3, fields: {price: {with_value: 480, uncleaned: 3}, …}
        empty_fields: [{name: domain, paths: […], closest: […]}]      of the first batch of a slice

A field without a value in any record is the mark of a spec that looks in the wrong places; see `FieldTotals.warnings`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from transforms.batch import EmptyField, FieldCount
from transforms.firestore.query import Query
from transforms.firestore.reader import CannotAggregateError, sums
from transforms.ledger.batches import Batches
from transforms.ledger.document import LedgerDocument
from transforms.ledger.totals import Totals

# Fewer say nothing: a field that one record in ten has is missing in twenty with a probability of 0.12.
_WARNED_FROM = 20
# Among so many batches of their own slices every field is named that none of their records had.
_READ_FOR_EMPTY = 5


@dataclass(frozen=True)
class FieldTotals:
    """Sums over the batches of a run.

    Attributes:
      records: how many were flattened; those that had not changed were not.
      counts: by field; empty for a job without a record spec.
      empty: what is known of fields without a value.
    """

    records: int = 0
    counts: Mapping[str, FieldCount] = field(default_factory=dict)
    empty: Mapping[str, EmptyField] = field(default_factory=dict)

    @property
    def warnings(self) -> Iterator[str]:
        """A sentence about every field that had no value in any of 20 or more records."""
        for name, count in self.counts.items() if self.records >= _WARNED_FROM else ():
            if not count.with_value:
                yield f"{name} had a value in none of {self.records:,} records{self._remark(name, count)}"

    def _remark(self, name: str, count: FieldCount) -> str:
        found = self.empty.get(name, EmptyField(name, ()))
        remarks = [f"{count.uncleaned:,} had something that no cleaner could place"] if count.uncleaned else []
        remarks += [f"looked for in {', '.join(found.paths)}"] if found.paths else []
        remarks += [f"the records have {', '.join(found.closest)}"] if found.closest else []
        return f": {'; '.join(remarks)}" if remarks else ""


def read_field_totals(job: LedgerDocument, totals: Totals) -> FieldTotals:
    """The totals of the fields in the job's current run.

    Args:
      totals: of its batches. A few batches are read, many are summed by Firestore, field by field.

    Raises:
      JobError: credentials, permission or database.
      TransientError: no answer after bounded retries.
    """
    batches = Batches(job, totals.counters).query
    flattened = batches.where("has_fields", "==", True)
    one = next(iter(job.documents(flattened.limit(1))), None)
    if one is None:
        return FieldTotals()
    names = one.fields["field_names"]
    empty = job.documents(batches.where("has_empty_fields", "==", True).limit(_READ_FOR_EMPTY))
    found = _empty_in(each.fields for each in empty)
    try:
        if totals.batches > 2 * len(names):
            return _summed(job, batches, names, found)
    except CannotAggregateError:
        pass
    return _added(names, found, (each.fields for each in job.documents(flattened)))


def _summed(job: LedgerDocument, batches: Query, names: Iterable[str], empty: Mapping[str, EmptyField]) -> FieldTotals:
    def total(path: str) -> int:
        # One at a time: several would be summed over an index that Firestore does not make by itself.
        return int(sums(job.client, batches, [path], retry=job.retry)[path])

    is_clean = not total("uncleaned")
    counts = {
        name: FieldCount(total(f"fields.{name}.with_value"), 0 if is_clean else total(f"fields.{name}.uncleaned"))
        for name in names
    }
    return FieldTotals(total("flattened"), counts, empty)


def _added(names: Iterable[str], empty: Mapping[str, EmptyField], batches: Iterable[Mapping[str, Any]]) -> FieldTotals:
    records, with_value, uncleaned = 0, Counter[str](), Counter[str]()
    for batch in batches:
        records += batch["flattened"]
        for name, count in batch["fields"].items():
            with_value[name] += count["with_value"]
            uncleaned[name] += count["uncleaned"]
    return FieldTotals(records, {name: FieldCount(with_value[name], uncleaned[name]) for name in names}, empty)


def _empty_in(batches: Iterable[Mapping[str, Any]]) -> dict[str, EmptyField]:
    found: dict[str, EmptyField] = {}
    for batch in batches:
        for each in batch["empty_fields"]:
            known = found.get(each["name"])
            if known is None or not known.closest:
                found[each["name"]] = EmptyField(each["name"], tuple(each["paths"]), tuple(each["closest"]))
    return found
