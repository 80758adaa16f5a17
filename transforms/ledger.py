"""The ledger's steps of a pipeline: every batch is written down when it begins and, last of all, when it is done.

    Batch[Record] ──BeginBatch──▶ Batch[Record] ─ … ─▶ Batch[Written] ──CompleteBatch──▶ BatchOutcome
                     processing                                          completed

    … ─▶ BatchOutcome, the last of them ──CompleteJob──▶ the job's results; completed, if nobody waits for it

What the documents hold and who reads them: `job_ledger.py`, `job_results.py` and `totals.py`.
"""

import datetime
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from transforms.batches.stopping import is_asked_to_stop
from transforms.firestore.client import FirestoreTarget
from transforms.job_ledger import COMPLETED, JobLedger
from transforms.job_results import write_results
from transforms.metrics import count_batch
from transforms.retry import RetryPolicy
from transforms.totals import read_totals
from transforms.types import Batch, BatchOutcome, DeadLetter, Record, Written


@dataclass(frozen=True)
class LedgerEntry:
    """Which run of which job a pipeline is, and where its ledger is kept.

    Attributes:
      target: the database.
      job_id: of the job.
      attempt: which run, counted from 1.
      retry: of every request.
      unattended: as in `Opening`.
    """

    target: FirestoreTarget
    job_id: str
    attempt: int
    retry: RetryPolicy
    unattended: bool = False

    def connect(self) -> JobLedger:
        """For use in a worker."""
        return JobLedger(self.target.connect(), self.job_id, self.retry)


class BeginBatch(beam.PTransform[PCollection[Batch[Record]], PCollection[Batch[Record]]]):
    """Writes down that batches are being processed, and hands them on. One small write a batch."""

    def __init__(self, entry: LedgerEntry):
        super().__init__()
        self._entry = entry

    def expand(self, batches: PCollection[Batch[Record]]) -> PCollection[Batch[Record]]:
        begun: PCollection[Batch[Record]] = batches | "Begin" >> beam.ParDo(_BeginFn(self._entry))
        return begun


class CompleteBatch(beam.PTransform[PCollection[Batch[Written]], PCollection[BatchOutcome]]):
    """Writes down what became of batches whose steps are done.

    In: batches that went through every other step. Out: their outcomes. Delivery: at least once, under the batch's
    own id. Fails: TransientError fails the bundle, JobError the job.
    """

    def __init__(self, entry: LedgerEntry):
        super().__init__()
        self._entry = entry

    def expand(self, batches: PCollection[Batch[Written]]) -> PCollection[BatchOutcome]:
        outcomes: PCollection[BatchOutcome] = batches | "Outcome" >> beam.Map(BatchOutcome.of)
        recorded: PCollection[BatchOutcome] = outcomes | "Record" >> RecordOutcomes(self._entry)
        return recorded


class RecordOutcomes(beam.PTransform[PCollection[BatchOutcome], PCollection[BatchOutcome]]):
    """Writes outcomes to the ledger and counts them; hands them on."""

    def __init__(self, entry: LedgerEntry):
        super().__init__()
        self._entry = entry

    def expand(self, outcomes: PCollection[BatchOutcome]) -> PCollection[BatchOutcome]:
        recorded: PCollection[BatchOutcome] = outcomes | "Write" >> beam.ParDo(_RecordFn(self._entry))
        return recorded


def _nothing_to_conclude() -> Mapping[str, Any]:
    return {}


class CompleteJob(beam.PTransform[PCollection[Any], PCollection[Any]]):
    """The last step of a bounded job: once every batch is done, what is left to do once, and the job's own end.

    In: what is complete when all batches are, such as their outcomes. Out: one mapping, the results. Delivery: `conclude` may be called again when the
    step fails, so doing it twice must change nothing. Parallel: no. Fails: as `conclude`; TransientError fails the
    bundle, JobError the job. A run that was asked to stop is not concluded, because not all of its batches are done.

    Args:
      entry: which run; an unattended one is written down as completed here.
      conclude: what is left to do, and what to say of it; picklable.
      after: further collections that must be complete before.
      now: seconds since the epoch; injected by tests.
    """

    def __init__(
        self,
        entry: LedgerEntry,
        conclude: Callable[[], Mapping[str, Any]] = _nothing_to_conclude,
        after: tuple[PCollection[Any], ...] = (),
        now: Callable[[], float] = time.time,
    ):
        super().__init__()
        self._entry, self._conclude, self._after, self._now = entry, conclude, after, now

    def expand(self, outcomes: PCollection[Any]) -> PCollection[Any]:
        once = outcomes.pipeline | "Once" >> beam.Create([None], reshuffle=False)
        at_the_end = once | "WaitForBatches" >> beam.WaitOn(outcomes, *self._after)
        results: PCollection[Any] = at_the_end | "Conclude" >> beam.ParDo(
            _ConcludeFn(self._entry, self._conclude, self._now)
        )
        return results


class _ConcludeFn(beam.DoFn):
    def __init__(self, entry: LedgerEntry, conclude: Callable[[], Mapping[str, Any]], now: Callable[[], float]):
        super().__init__()
        self._entry, self._conclude, self._now = entry, conclude, now

    def process(self, element: None) -> Iterator[Mapping[str, Any]]:
        if is_asked_to_stop():
            return
        entry = self._entry
        results = self._conclude()
        client = entry.target.connect()
        moment = datetime.datetime.fromtimestamp(self._now(), datetime.timezone.utc)
        if results:
            write_results(client, entry.job_id, entry.attempt, results, moment, entry.retry)
        ledger = entry.connect()
        if entry.unattended and ledger.adopt(entry.attempt):
            ledger.finish(COMPLETED, None, read_totals(client, entry.job_id, entry.retry).as_fields())
        yield results


class _BeginFn(beam.DoFn):
    def __init__(self, entry: LedgerEntry):
        super().__init__()
        self._entry = entry

    def setup(self) -> None:
        self._ledger = self._entry.connect()

    def process(self, element: Batch[Record]) -> Iterator[Batch[Record]]:
        items: tuple[Record | DeadLetter, ...] = (*element.entries, *element.dead_letters)
        places = [place(item) for item in items]
        places.sort(key=lambda found: found["position"] or 0)
        fields = {"source": element.source, "records": element.read, "first": places[0], "last": places[-1]}
        self._ledger.begin_batch(element.batch_id, self._entry.attempt, fields)
        yield element


class _RecordFn(beam.DoFn):
    def __init__(self, entry: LedgerEntry):
        super().__init__()
        self._entry = entry

    def setup(self) -> None:
        self._ledger = self._entry.connect()

    def process(self, element: BatchOutcome) -> Iterator[BatchOutcome]:
        self._ledger.complete_batch(element, self._entry.attempt)
        count_batch(element)
        yield element


def place(item: Record | DeadLetter) -> dict[str, int | None]:
    """Where a record stands in its source.

    >>> place(Record(17, {}, line=2))
    {'position': 17, 'line': 2}
    """
    return {"position": item.position, "line": item.line}
