"""The ledger: what every job did, in Firestore itself, where any process can read it.

    pipeline_jobs/{job_id}                      job, state, parameters, started_at, finished_at, error
    pipeline_jobs/{job_id}/batches/{batch_id}   state, source, counts by outcome, dead letters by reason, completed_at

A batch's document is written last, after its documents and rows are acknowledged and its dead letters stored, so the
ledger never claims more than is there. It is one small write a batch; nothing counts with increments, which a retry
would repeat: totals are computed by readers from the batches.
"""

import datetime
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from transforms.firestore import messages
from transforms.firestore.client import FirestoreClient, FirestoreTarget, RpcError
from transforms.firestore.committer import AtomicGroup, Committer, Refused
from transforms.firestore.fetch import fetch_all
from transforms.firestore.values import decode_fields, serialised_fields
from transforms.metrics import count_batch
from transforms.types import Batch, BatchOutcome, Written

JOBS_COLLECTION = "pipeline_jobs"
_BATCHES = "batches"
_QUERY_TIMEOUT_S = 60.0


class CompleteBatch(beam.PTransform[PCollection[Batch[Written]], PCollection[BatchOutcome]]):
    """Writes the ledger document of every batch whose steps are done.

    In: batches that went through every other step. Out: their outcomes. Delivery: at least once, under the batch's
    own id. Fails: TransientError fails the bundle, JobError the job.
    """

    def __init__(self, target: FirestoreTarget, job_id: str, now: Callable[[], float] = time.time):
        super().__init__()
        self._target, self._job_id, self._now = target, job_id, now

    def expand(self, batches: PCollection[Batch[Written]]) -> PCollection[BatchOutcome]:
        outcomes: PCollection[BatchOutcome] = batches | "Outcome" >> beam.Map(BatchOutcome.of)
        recorded: PCollection[BatchOutcome] = outcomes | "Record" >> RecordOutcomes(
            self._target, self._job_id, self._now
        )
        return recorded


class RecordOutcomes(beam.PTransform[PCollection[BatchOutcome], PCollection[BatchOutcome]]):
    """Writes outcomes to the ledger and counts them; hands them on."""

    def __init__(self, target: FirestoreTarget, job_id: str, now: Callable[[], float] = time.time):
        super().__init__()
        self._fn = _RecordFn(target, job_id, now)

    def expand(self, outcomes: PCollection[BatchOutcome]) -> PCollection[BatchOutcome]:
        recorded: PCollection[BatchOutcome] = outcomes | "Write" >> beam.ParDo(self._fn)
        return recorded


class _RecordFn(beam.DoFn):
    def __init__(self, target: FirestoreTarget, job_id: str, now: Callable[[], float]):
        super().__init__()
        self._target, self._job_id, self._now = target, job_id, now

    def setup(self) -> None:
        self._ledger = Ledger(self._target.connect(), self._job_id, self._now)

    def process(self, element: BatchOutcome) -> Iterator[BatchOutcome]:
        self._ledger.complete(element)
        count_batch(element)
        yield element


@dataclass
class Totals:
    """What became of all records of a job so far."""

    batches: int = 0
    read: int = 0
    written: int = 0
    unchanged: int = 0
    superseded: int = 0
    retries: int = 0
    overflowed: int = 0
    dead_letters: Counter[tuple[str, str]] = field(default_factory=Counter)
    first_completed_at: datetime.datetime | None = None

    @property
    def dead_letter_count(self) -> int:
        """Dead letters of all steps and codes."""
        return sum(self.dead_letters.values())

    @property
    def adds_up(self) -> bool:
        """Whether every record read is accounted for exactly once."""
        return self.read == self.written + self.unchanged + self.superseded + self.dead_letter_count


class Ledger:
    """One job's part of the ledger, for whoever has a client.

    Raises (every method): JobError for credentials, permission or database; TransientError after bounded retries.
    """

    def __init__(self, client: FirestoreClient, job_id: str, now: Callable[[], float] = time.time):
        self._client, self._job_id, self._now = client, job_id, now
        self._committer = Committer(client)
        self._path = f"{JOBS_COLLECTION}/{job_id}"

    def start(self, job: str, parameters: Mapping[str, Any]) -> None:
        """Opens the job. `parameters` hold no secrets."""
        self._job = {"job": job, "parameters": dict(parameters), "started_at": self._moment()}
        self._set(self._path, {**self._job, "state": "running"})

    def finish(self, state: str, error: str | None) -> None:
        """Closes the job as completed, failed or interrupted. Only by whoever started it."""
        self._set(self._path, {**self._job, "state": state, "error": error, "finished_at": self._moment()})

    def complete(self, outcome: BatchOutcome) -> None:
        """Writes down that a batch is done."""
        reasons = [{"step": step, "code": code, "count": n} for (step, code), n in sorted(outcome.dead_letters.items())]
        self._set(
            f"{self._path}/{_BATCHES}/{outcome.batch_id}",
            {
                "state": "completed",
                "source": outcome.source,
                "read": outcome.read,
                "written": outcome.written,
                "unchanged": outcome.unchanged,
                "superseded": outcome.superseded,
                "dead_letters": reasons,
                "retries": outcome.retries,
                "overflowed": outcome.overflowed,
                "completed_at": self._moment(),
            },
        )

    def totals(self) -> Totals:
        """Adds up the batches of the job."""
        return add_up(self._batches())

    def _moment(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self._now(), datetime.timezone.utc)

    def _set(self, path: str, fields: Mapping[str, Any]) -> None:
        document = messages.document(self._client.target.document_name(path), serialised_fields(fields))
        ((outcome,), _) = self._committer.commit([AtomicGroup((messages.update(document),))])
        if isinstance(outcome, Refused):
            raise self._client.target.job_error(RpcError(outcome.code, outcome.message))

    def _batches(self) -> list[dict[str, Any]]:
        query = messages.StructuredQuery()
        query.from_.add(collection_id=_BATCHES)
        parent = self._client.target.document_name(self._path)
        answers = fetch_all(self._client, lambda: self._client.run_query(parent, query, _QUERY_TIMEOUT_S))
        return [decode_fields(answer.document.fields) for answer in answers if answer.HasField("document")]


def add_up(batches: Iterable[Mapping[str, Any]]) -> Totals:
    """The totals of decoded batch documents.

    >>> batch = {"read": 3, "written": 2, "unchanged": 0, "superseded": 0, "retries": 0, "overflowed": 0,
    ...          "completed_at": None, "dead_letters": [{"step": "Flatten", "code": "MISSING_FIELD", "count": 1}]}
    >>> totals = add_up([batch, batch])
    >>> totals.read, totals.dead_letter_count, totals.adds_up
    (6, 2, True)
    """
    totals = Totals()
    for batch in batches:
        totals.batches += 1
        totals.read += batch["read"]
        totals.written += batch["written"]
        totals.unchanged += batch["unchanged"]
        totals.superseded += batch["superseded"]
        totals.retries += batch["retries"]
        totals.overflowed += batch["overflowed"]
        for reason in batch["dead_letters"]:
            totals.dead_letters[reason["step"], reason["code"]] += reason["count"]
        moment = batch["completed_at"]
        if moment and (totals.first_completed_at is None or moment < totals.first_completed_at):
            totals.first_completed_at = moment
    return totals
