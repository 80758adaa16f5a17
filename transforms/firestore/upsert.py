"""Writes every record as a pair of documents that land together or not at all.

    Batch[Flat] ──supersede──▶ one record an id ──pair──▶ AtomicGroup ──Committer──▶ Batch[Written]
                     │                            │                         │
                     ▼                            ▼                         ▼
                superseded                DOCUMENT_TOO_LARGE …          refused: dead letters

The full document holds the record as it came, the flat one what the spec made of it; both carry the same `_meta`:

    schema_version   of the spec, an integer
    version          1: overwriting begins a document anew
    content_hash     of the record and the spec, 32 hex digits
    created_at       when this content was written first
    updated_at       when it was written last
    source, position where the record was read, so that the last of several with one id can win
    job_id, batch_id who wrote it
"""

import datetime
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from transforms.errors import RecordError
from transforms.firestore import messages
from transforms.firestore.client import FirestoreTarget
from transforms.firestore.committer import AtomicGroup, CommitLimits, Committer, Landed, Refused
from transforms.firestore.limits import check_document
from transforms.firestore.values import serialised_fields
from transforms.retry import RetryPolicy
from transforms.types import Batch, DeadLetter, Flat, Written

META_FIELD = "_meta"


@dataclass(frozen=True)
class PairLayout:
    """Where the two documents of a record go, and who writes them.

    Attributes:
      full_collection: collection of the whole records.
      flat_collection: collection of their flat forms.
      schema_version: of the spec.
      job_id: of the job.
    """

    full_collection: str
    flat_collection: str
    schema_version: int
    job_id: str


class UpsertPairs(beam.PTransform[PCollection[Batch[Flat]], PCollection[Batch[Written]]]):
    """Commits the pairs of a batch.

    In: batches of flat records. Out: the same batches; entries are the records that Firestore acknowledged, the others
    are dead letters of step `UpsertPairs` or counted as superseded. Delivery: at least once; a pair that is written
    again is the same but for `updated_at`. Parallel: batches, and `limits.max_in_flight` Commits in each. Fails:
    TransientError fails the bundle, JobError the job.

    Args:
      target: the database.
      layout: collections and job.
      limits: of one Commit.
      retry: of a transient failure.
      now: seconds since the epoch; injected by tests.
    """

    def __init__(
        self,
        target: FirestoreTarget,
        layout: PairLayout,
        limits: CommitLimits,
        retry: RetryPolicy | None = None,
        now: Callable[[], float] = time.time,
    ):
        super().__init__()
        self._fn = _UpsertPairsFn(target, layout, limits, retry or RetryPolicy(), now)

    def expand(self, batches: PCollection[Batch[Flat]]) -> PCollection[Batch[Written]]:
        written: PCollection[Batch[Written]] = batches | "Commit" >> beam.ParDo(self._fn)
        return written


class _UpsertPairsFn(beam.DoFn):
    def __init__(
        self,
        target: FirestoreTarget,
        layout: PairLayout,
        limits: CommitLimits,
        retry: RetryPolicy,
        now: Callable[[], float],
    ):
        super().__init__()
        self._target, self._layout, self._limits, self._retry, self._now = target, layout, limits, retry, now

    def setup(self) -> None:
        self._committer = Committer(self._target.connect(), self._limits, self._retry)

    def process(self, element: Batch[Flat]) -> Iterator[Batch[Written]]:
        moment = datetime.datetime.fromtimestamp(self._now(), datetime.timezone.utc)
        yield upsert(element, self._layout, self._target, self._committer, moment)


def upsert(
    batch: Batch[Flat], layout: PairLayout, target: FirestoreTarget, committer: Committer, moment: datetime.datetime
) -> Batch[Written]:
    """Writes a batch; every record is afterwards written, superseded or a dead letter."""
    current, superseded = supersede(batch.entries)
    sent: list[tuple[Flat, Mapping[str, Any]]] = []
    unfit: list[DeadLetter] = []

    def groups() -> Iterator[AtomicGroup]:
        for entry in current:
            meta = meta_of(entry, batch, layout, moment)
            try:
                group = pair(entry, meta, layout, target)
            except RecordError as error:
                unfit.append(DeadLetter.of("UpsertPairs", entry.record, error, entry.key))
                continue
            sent.append((entry, meta))
            yield group

    report = committer.commit(groups())
    written, refused = [], []
    for (entry, meta), outcome in zip(sent, report.outcomes, strict=True):
        if isinstance(outcome, Landed):
            written.append(Written(entry.key, entry.record, entry.flat, meta, outcome.update_times[0]))
        else:
            refused.append(_refused(entry, outcome))
    return batch.then(written, unfit + refused, superseded=superseded, retries=report.retries)


def supersede(entries: tuple[Flat, ...]) -> tuple[list[Flat], int]:
    """The last record of every id, in their order, and how many earlier ones they replace."""
    last = {entry.key: index for index, entry in enumerate(entries)}
    current = [entry for index, entry in enumerate(entries) if last[entry.key] == index]
    return current, len(entries) - len(current)


def meta_of(entry: Flat, batch: Batch[Flat], layout: PairLayout, moment: datetime.datetime) -> dict[str, Any]:
    """The `_meta` of both documents of a record; the module docstring describes its fields."""
    return {
        "schema_version": layout.schema_version,
        "version": 1,
        "content_hash": entry.content_hash,
        "created_at": moment,
        "updated_at": moment,
        "source": batch.source,
        "position": entry.record.position,
        "job_id": layout.job_id,
        "batch_id": batch.batch_id,
    }


def pair(entry: Flat, meta: Mapping[str, Any], layout: PairLayout, target: FirestoreTarget) -> AtomicGroup:
    """The two writes of a record. Raises RecordError if one of the documents would pass a limit of Firestore."""
    encoded_meta = serialised_fields({META_FIELD: meta})
    full_name = target.document_name(f"{layout.full_collection}/{entry.key}")
    flat_name = target.document_name(f"{layout.flat_collection}/{entry.key}")
    full = messages.document(full_name, entry.content, encoded_meta)
    flat = messages.document(flat_name, serialised_fields(entry.flat), encoded_meta)
    check_document(full, indexed=False)  # the full document's fields are exempt: see `firebeam indexes`
    check_document(flat)
    return AtomicGroup((messages.update(full), messages.update(flat)))


def _refused(entry: Flat, outcome: Refused) -> DeadLetter:
    record = entry.record
    return DeadLetter(
        "UpsertPairs",
        outcome.code,
        outcome.message,
        record.original,
        entry.key,
        record.position,
        record.line,
        attempts=outcome.attempts,
    )
