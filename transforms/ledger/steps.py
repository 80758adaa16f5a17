"""The ledger's steps of a pipeline: every batch is written down when it begins and, last of all, when it is done.

    Batch[Record] ──BeginBatch──▶ Batch[Record] ─ … ─▶ Batch[Written] ──CompleteBatch──▶ BatchOutcome
                     processing                                          completed

    … ─▶ BatchOutcome, the last of them ──CompleteJob──▶ the job's results; completed, if nobody waits for it

What the documents hold and who reads them: `job_ledger.py`, `job_results.py` and `totals.py`.
"""

import datetime
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.typehints.decorators import no_annotations

from transforms.batch import Batch, BatchOutcome, DeadLetter, Record
from transforms.export.entries import Exported
from transforms.ledger.entry import LedgerEntry as LedgerEntry
from transforms.ledger.job_ledger import COMPLETED
from transforms.ledger.results import read_results, write_results
from transforms.ledger.totals import read_totals
from transforms.runtime.metrics import count_batch
from transforms.runtime.stopping import is_asked_to_stop
from transforms.upsert.entries import Written

T = TypeVar("T")

_LOG = logging.getLogger(__name__)


class BeginBatch(beam.PTransform[PCollection[Any], PCollection[Any]]):
    """Writes down that batches are being processed, and hands them on. One small write a batch."""

    def __init__(self, entry: LedgerEntry):
        super().__init__()
        self._entry = entry

    @no_annotations  # type: ignore[untyped-decorator]  # Beam takes Batch[T] for a class of its own
    def expand(self, batches: PCollection[Batch[T]]) -> PCollection[Batch[T]]:
        begin = beam.ParDo(_BeginFn(self._entry)).with_output_types(batches.element_type)
        begun: PCollection[Batch[T]] = batches | "Begin" >> begin
        return begun


class CompleteBatch(beam.PTransform[PCollection[Any], PCollection[BatchOutcome]]):
    """Writes down what became of batches whose steps are done.

    In: batches that went through every other step. Out: their outcomes. Delivery: at least once, under the batch's
    own id. Fails: TransientError fails the bundle, JobError the job.
    """

    def __init__(self, entry: LedgerEntry):
        super().__init__()
        self._entry = entry

    @no_annotations  # type: ignore[untyped-decorator]
    def expand(self, batches: PCollection[Batch[Written]] | PCollection[Batch[Exported]]) -> PCollection[BatchOutcome]:
        outcome = beam.ParDo(_OutcomeFn()).with_output_types(BatchOutcome)
        outcomes: PCollection[BatchOutcome] = batches | "Outcome" >> outcome
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


def _nothing_to_clean_up() -> None:
    pass


class CompleteJob(beam.PTransform[PCollection[Any], PCollection[Any]]):
    """The last step of a bounded job: once every batch is done, what is left to do once, and the job's own end.

    In: what is complete when all batches are, such as their outcomes. Out: one mapping, the results. Delivery:
    `conclude` may be called again when the step fails, so doing it twice must change nothing. Parallel: no. Fails: as
    `conclude`; TransientError fails the bundle, JobError the job. A run that was asked to stop is not concluded,
    because not all of its batches are done.

    Args:
      entry: which run; an unattended one is written down as completed here.
      conclude: what is left to do, and what to say of it; picklable.
      clean_up: removes what `conclude` needs; done when the results are stored; picklable.
      after: further collections that must be complete before.
      now: seconds since the epoch; injected by tests.
    """

    def __init__(
        self,
        entry: LedgerEntry,
        conclude: Callable[[], Mapping[str, Any]] = _nothing_to_conclude,
        clean_up: Callable[[], None] = _nothing_to_clean_up,
        after: tuple[PCollection[Any], ...] = (),
        now: Callable[[], float] = time.time,
    ):
        super().__init__()
        self._after, self._conclude = after, _ConcludeFn(entry, conclude, clean_up, now)

    def expand(self, outcomes: PCollection[Any]) -> PCollection[Any]:
        once = outcomes.pipeline | "Once" >> beam.Create([None], reshuffle=False)
        at_the_end = once | "WaitForBatches" >> beam.WaitOn(outcomes, *self._after)
        results: PCollection[Any] = at_the_end | "Conclude" >> beam.ParDo(self._conclude)
        return results


class _ConcludeFn(beam.DoFn):
    def __init__(
        self,
        entry: LedgerEntry,
        conclude: Callable[[], Mapping[str, Any]],
        clean_up: Callable[[], None],
        now: Callable[[], float],
    ):
        super().__init__()
        self._entry, self._conclude, self._clean_up, self._now = entry, conclude, clean_up, now

    def process(self, element: None) -> Iterator[Mapping[str, Any]]:
        if is_asked_to_stop():
            return
        entry = self._entry
        client = entry.target.connect()
        results: Mapping[str, Any] = read_results(client, entry.job_id, entry.attempt, entry.retry)
        if not results and (results := self._conclude()):
            moment = datetime.datetime.fromtimestamp(self._now(), datetime.timezone.utc)
            write_results(client, entry.job_id, entry.attempt, results, moment, entry.retry)
        self._clean_up()
        ledger = entry.connect()
        if entry.unattended and ledger.adopt(entry.attempt):
            ledger.finish(COMPLETED, None, read_totals(client, entry.job_id, entry.retry).as_fields())
        _LOG.info("job %s, attempt %d: every batch is done", entry.job_id, entry.attempt)
        yield results


class _BeginFn(beam.DoFn):
    def __init__(self, entry: LedgerEntry):
        super().__init__()
        self._entry = entry

    def setup(self) -> None:
        self._ledger = self._entry.connect()

    @no_annotations  # type: ignore[untyped-decorator]
    def process(self, element: Batch[T]) -> Iterator[Batch[T]]:
        items: tuple[Any, ...] = (*element.entries, *element.dead_letters)
        places = [place(item) for item in items]
        places.sort(key=lambda found: found["position"] or 0)
        fields = {"source": element.source, "records": element.read, "first": places[0], "last": places[-1]}
        self._ledger.begin_batch(element.batch_id, self._entry.attempt, fields)
        yield element


class _OutcomeFn(beam.DoFn):
    @no_annotations  # type: ignore[untyped-decorator]
    def process(self, element: Batch[Any]) -> Iterator[BatchOutcome]:
        yield BatchOutcome.of(element)


class _RecordFn(beam.DoFn):
    def __init__(self, entry: LedgerEntry):
        super().__init__()
        self._entry = entry

    def setup(self) -> None:
        self._ledger = self._entry.connect()

    def process(self, element: BatchOutcome) -> Iterator[BatchOutcome]:
        self._ledger.complete_batch(element, self._entry.attempt)
        _LOG.debug(
            "job %s, batch %s: %d read, %d written, %d unchanged, %d superseded, %d dead letters",
            self._entry.job_id,
            element.batch_id,
            element.read,
            element.written,
            element.unchanged,
            element.superseded,
            sum(element.dead_letters.values()),
        )
        count_batch(element)
        yield element


def place(item: Record | Exported | DeadLetter) -> dict[str, int | None]:
    """Where a record stands in its source.

    >>> place(Record(17, {}, line=2))
    {'position': 17, 'line': 2}
    """
    return {"position": item.position, "line": item.line}
