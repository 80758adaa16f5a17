"""The ledger's steps of a pipeline: every batch is written down when it begins and, last of all, when it is done.

    Batch[Record] ──BeginBatch──▶ Batch[Record] ─ … ─▶ Batch[Written] ──CompleteBatch──▶ BatchOutcome
                     processing                                          completed

What the documents hold and who reads them: `job_ledger.py` and `totals.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.pvalue import PCollection

from transforms.firestore.client import FirestoreTarget
from transforms.job_ledger import JobLedger
from transforms.metrics import count_batch
from transforms.retry import RetryPolicy
from transforms.types import Batch, BatchOutcome, DeadLetter, Record, Written


@dataclass(frozen=True)
class LedgerEntry:
    """Which run of which job a pipeline is, and where its ledger is kept.

    Attributes:
      target: the database.
      job_id: of the job.
      attempt: which run, counted from 1.
      retry: of every request.
    """

    target: FirestoreTarget
    job_id: str
    attempt: int
    retry: RetryPolicy

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
