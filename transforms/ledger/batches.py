"""The batches of a run: each is written down when it begins and, last of all, when it is done. Plain Python.

    pipeline_jobs/{job_id}/batches/{batch_id}
        state, attempt, source, first, last, the job's counters, started_at, completed_at, error, ids, expire_at,
        flattened, uncleaned, fields, empty_fields    of batches that a record spec flattened
        inputs, of a batch that several files share; provider_batch, of one that was made of a provider's
        part, behind, of one that is read from a database: of which part, and where that stands behind it

    processing ──complete──▶ completed ──replace──▶ replaced
        └──── give_up ─────▶ error ─────────┘         another one has its records

A batch is completed after its documents and rows are acknowledged and its dead letters stored, so the ledger never
claims more than is there. Nothing counts with increments, which a retry would repeat: readers compute totals from the
batches.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from transforms.batch import FieldReport, input_id_of
from transforms.counters import Counters
from transforms.firestore import messages
from transforms.firestore.committer import AtomicGroup, Committer
from transforms.firestore.documents import Document
from transforms.firestore.query import Query
from transforms.ledger.document import KEPT, LedgerDocument
from transforms.ledger.streams import read_streams
from transforms.outcomes import BatchOutcome

PROCESSING, COMPLETED, ERROR, REPLACED = "processing", "completed", "error", "replaced"

# Which batch at a provider it was made of: the id of its document.
PROVIDER_BATCH = "provider_batch"
# Of which part of a table it is, and where that part stands behind it.
PART, BEHIND = "part", "behind"

_BATCHES = "batches"


class Batches:
    """The batches below a job's document.

    Args:
      job: the document.
      counters: what the job counts.

    Raises (every method): JobError for credentials, permission or database; TransientError after bounded retries.
    """

    def __init__(self, job: LedgerDocument, counters: Counters):
        self._job, self._counters = job, counters

    @property
    def query(self) -> Query:
        """All of them."""
        return self._job.query(_BATCHES)

    def begin(self, batch_id: str, attempt: int, fields: Mapping[str, Any]) -> None:
        """Writes down that a batch is being processed.

        Args:
          fields: where it comes from.
        """
        now = self._job.now()
        zeros = dict.fromkeys(self._counters.names, 0)
        state = {"state": PROCESSING, "attempt": attempt, "started_at": now, "completed_at": None, "error": None}
        self._of(batch_id).write({**zeros, **state, **fields, "expire_at": now + KEPT})

    def complete(self, outcome: BatchOutcome, attempt: int) -> None:
        """Writes down that a batch is done."""
        now = self._job.now()
        fields: dict[str, Any] = {
            "state": COMPLETED,
            "attempt": attempt,
            "source": outcome.source,
            **self._counters.kept(outcome.counts),
            "ids": [_storable(each) for each in outcome.ids],
            "completed_at": now,
            "error": None,
            "expire_at": now + KEPT,
        }
        for each in self._counters.breakdowns:
            kinds = outcome.kinds.get(each.field, {})
            fields |= {each.field: each.listed(kinds), each.flag: bool(kinds)}
        if outcome.fields is not None:
            fields |= _of_fields(outcome.fields)
        self._of(outcome.batch_id).write(fields, keeps_others=True)

    def give_up(self, error: str) -> None:
        """Writes down that the batches in flight are not going to be completed."""
        for batch_id in self.ids("state", "==", PROCESSING):
            self._of(batch_id).write({"state": ERROR, "error": error}, keeps_others=True)

    def of_part(self, part: str) -> list[Document]:
        """The batches of a part of a table, in the order in which they were read: state and position."""
        found = self._job.documents(self.query.where(PART, "==", part).select("state", BEHIND))
        return sorted(found, key=lambda document: document.id)

    def replace(self, batch_ids: Iterable[str], part: str, attempt: int) -> None:
        """Writes down that other batches have the records of some: they count nothing."""
        zeros = dict.fromkeys(self._counters.names, 0)
        fields = {"state": REPLACED, "attempt": attempt, PART: part, BEHIND: "", "error": None, "completed_at": None}
        for batch_id in batch_ids:
            self._of(batch_id).write({**zeros, **fields, "expire_at": self._job.now() + KEPT})

    def ids(self, field: str = "", operator: str = "", value: Any = None) -> frozenset[str]:
        """The ids of all batches, or of those whose field compares so."""
        query = self.query.where(field, operator, value) if field else self.query
        return frozenset(document.id for document in self._job.documents(query.select()))

    def input_ids(self) -> frozenset[str]:
        """With what the ids of the batches would begin, had no inputs shared any."""
        found = self._job.documents(self.query.select("inputs"))
        each = (document.fields.get("inputs", [input_id_of(document.id)]) for document in found)
        return frozenset(itertools.chain.from_iterable(each))

    def remove_before(self, attempt: int) -> None:
        """Removes what earlier runs left, so that totals are those of this one."""
        names = (self._of(batch_id).name for batch_id in self.ids("attempt", "<", attempt))
        committer = Committer(self._job.client, retry=self._job.retry)
        committer.commit(AtomicGroup((messages.delete(name),)) for name in names)

    def last_completed_at(self) -> datetime.datetime | None:
        """When the batch was completed, or the stream written, that was last; None if none was."""
        if self._counters.kept_in_streams:
            streams = read_streams(self._job.client, self._job.id, self._job.retry)
            return max((stream.updated_at for stream in streams), default=None)
        newest_first = self.query.order_by("completed_at", descending=True)
        times = (each.fields["completed_at"] for each in self._job.documents(newest_first.limit(1)))
        return next(times, None)

    def _of(self, batch_id: str) -> LedgerDocument:
        return self._job.below(_BATCHES, batch_id)


def _of_fields(report: FieldReport) -> dict[str, Any]:
    return {
        "flattened": report.records,
        "uncleaned": sum(count.uncleaned for count in report.counts.values()),
        "fields": {name: count._asdict() for name, count in report.counts.items()},
        "field_names": list(report.counts),  # in the order of the spec, which a map does not keep
        "empty_fields": [
            {"name": each.name, "paths": list(each.paths), "closest": list(each.closest)} for each in report.empty
        ],
        "has_fields": True,
        "has_empty_fields": bool(report.empty),
    }


def _storable(text: str) -> str:
    r"""Lone surrogates, which keys of another store than Firestore may have, as what shows them.

    >>> _storable("a\ud800")
    'a\\ud800'
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
