"""The ledger's steps of a pipeline: every batch is written down when it begins and, last of all, when it is done.

    Batch[Record] ──BeginBatch──▶ Batch[Record] ─ … ─▶ Batch[Written] ──CompleteBatch──▶ BatchOutcome
                     processing                                          completed

    … ─▶ BatchOutcome, the last of them ──CompleteJob──▶ the job's results; completed, if nobody waits for it

What the documents hold: `batches.py`, `jobs.py`, `results.py`. Who reads them: `totals.py`.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.typehints.decorators import no_annotations

from transforms.batch import Batch, input_id_of, part_of
from transforms.ledger.batches import BEHIND, PART, PROVIDER_BATCH, Batches
from transforms.ledger.document import LedgerDocument
from transforms.ledger.entry import LedgerEntry
from transforms.ledger.jobs import COMPLETED
from transforms.ledger.live import CountsOf, Liveness, counts_of_batches, live_fields
from transforms.ledger.provider_batches import Unfinished
from transforms.ledger.results import read_results, write_results
from transforms.ledger.runs import JobLedger
from transforms.ledger.totals import read_totals
from transforms.outcomes import BatchOutcome
from transforms.runtime.metrics import count_batch
from transforms.runtime.stopping import is_asked_to_stop

T = TypeVar("T")

_LOG = logging.getLogger(__name__)


class Placed(Protocol):
    """What stands somewhere in a source."""

    @property
    def position(self) -> int | None:
        """As in `Record`."""

    @property
    def line(self) -> int | None:
        """As in `Record`."""


@dataclass
class BeginBatch(beam.PTransform[PCollection[Any], PCollection[Any]]):
    """Writes down that batches are being processed, and passes them on. One small write per batch."""

    entry: LedgerEntry

    @no_annotations  # type: ignore[untyped-decorator]  # Beam takes Batch[T] for a class of its own
    def expand(self, batches: PCollection[Batch[T]]) -> PCollection[Batch[T]]:
        return batches | "Begin" >> beam.ParDo(_BeginFn(self.entry)).with_output_types(batches.element_type)


@dataclass
class CompleteBatch(beam.PTransform[PCollection[Any], PCollection[BatchOutcome]]):
    """Writes down what became of batches whose steps are done.

    In: batches that went through every other step. Out: their outcomes. Delivery: at least once, under the batch's
    own id. Fails: TransientError fails the bundle, JobError the job.
    """

    entry: LedgerEntry
    counts_of: CountsOf = counts_of_batches

    @no_annotations  # type: ignore[untyped-decorator]
    def expand(self, batches: PCollection[Batch[Any]]) -> PCollection[BatchOutcome]:
        outcomes = batches | "Outcome" >> beam.ParDo(_OutcomeFn()).with_output_types(BatchOutcome)
        return outcomes | "Record" >> RecordOutcomes(self.entry, self.counts_of)


@dataclass
class RecordOutcomes(beam.PTransform[PCollection[BatchOutcome], PCollection[BatchOutcome]]):
    """Writes outcomes to the ledger and counts them; passes them on.

    Attributes:
      counts_of: the batches that the document of an unattended run counts.
    """

    entry: LedgerEntry
    counts_of: CountsOf = counts_of_batches

    def expand(self, outcomes: PCollection[BatchOutcome]) -> PCollection[BatchOutcome]:
        return outcomes | "Write" >> beam.ParDo(_RecordFn(self.entry, self.counts_of))


def _nothing_to_conclude() -> Mapping[str, Any]:
    return {}


def _nothing_to_clean_up() -> None:
    pass


def _nothing_unfinished(job: LedgerDocument, attempt: int) -> Unfinished | None:
    return None


@dataclass
class CompleteJob(beam.PTransform[PCollection[Any], PCollection[Any]]):
    """The last step of a bounded job: once every batch is done, what is left to do once, and the job's own end.

    In: what is complete when all batches are, such as their outcomes. Out: one mapping, the results. Delivery:
    `conclude` may be called again when the step fails, so doing it twice must change nothing. Parallel: no. Fails: as
    `conclude`; TransientError fails the bundle, JobError the job. A run that was asked to stop is not concluded,
    because not all of its batches are done.

    Attributes:
      entry: which run; an unattended one is written down as completed here.
      conclude: what is left to do, and what to say of it; picklable.
      clean_up: removes what `conclude` needs; done when the results are stored; picklable.
      after: further collections that must be complete before.
      unfinished: what is left undone by an attempt of which every batch is done; picklable.
      counts_of: the batches that the document of an unattended run counts.
    """

    entry: LedgerEntry
    conclude: Callable[[], Mapping[str, Any]] = _nothing_to_conclude
    clean_up: Callable[[], None] = _nothing_to_clean_up
    after: tuple[PCollection[Any], ...] = ()
    unfinished: Callable[[LedgerDocument, int], Unfinished | None] = _nothing_unfinished
    counts_of: CountsOf = counts_of_batches

    def expand(self, outcomes: PCollection[Any]) -> PCollection[Any]:
        once = outcomes.pipeline | "Once" >> beam.Create([None], reshuffle=False)
        at_the_end = once | "WaitForBatches" >> beam.WaitOn(outcomes, *self.after)
        return at_the_end | "Conclude" >> beam.ParDo(
            _ConcludeFn(self.entry, self.conclude, self.clean_up, self.unfinished, self.counts_of)
        )


@dataclass
class _ConcludeFn(beam.DoFn):
    entry: LedgerEntry
    conclude: Callable[[], Mapping[str, Any]]
    clean_up: Callable[[], None]
    unfinished: Callable[[LedgerDocument, int], Unfinished | None]
    counts_of: CountsOf

    def process(self, element: None) -> Iterator[Mapping[str, Any]]:
        if is_asked_to_stop():
            return
        attempt, job = self.entry.attempt, self.entry.connect()
        results: Mapping[str, Any] = read_results(job, attempt)
        if not results and (results := self.conclude()):
            write_results(job, attempt, results)
        self.clean_up()
        ledger = JobLedger(job, self.entry.counters)
        if self.entry.unattended and ledger.adopt(attempt):
            left = self.unfinished(job, attempt)
            state, error = (left.state, left.message) if left else (COMPLETED, None)
            totals = read_totals(job, self.entry.counters)
            live = live_fields(totals, self.counts_of(job, totals, attempt), ledger.bytes_total, is_over=left is None)
            ledger.finish(state, error, totals.as_fields(), live)
        _LOG.info("job %s, attempt %d: every batch is done", self.entry.job_id, attempt)
        yield results


@dataclass
class _BeginFn(beam.DoFn):
    entry: LedgerEntry

    def setup(self) -> None:
        self._batches = Batches(self.entry.connect(), self.entry.counters)

    @no_annotations  # type: ignore[untyped-decorator]
    def process(self, element: Batch[T]) -> Iterator[Batch[T]]:
        fields = {"source": element.source, "records": element.read, **_extent(element)}
        if element.provider_batch:
            fields[PROVIDER_BATCH] = element.provider_batch
        if isinstance(element.behind, str):
            fields |= {PART: part_of(element.batch_id), BEHIND: element.behind}
        self._batches.begin(element.batch_id, self.entry.attempt, fields)
        yield element


class _OutcomeFn(beam.DoFn):
    @no_annotations  # type: ignore[untyped-decorator]
    def process(self, element: Batch[Any]) -> Iterator[BatchOutcome]:
        yield BatchOutcome.of(element)


@dataclass
class _RecordFn(beam.DoFn):
    entry: LedgerEntry
    counts_of: CountsOf

    def setup(self) -> None:
        entry = self.entry
        job = entry.connect()
        self._batches = Batches(job, entry.counters)
        self._liveness = Liveness(job, entry.counters, entry.attempt, self.counts_of)

    def process(self, element: BatchOutcome) -> Iterator[BatchOutcome]:
        self._batches.complete(element, self.entry.attempt)
        counters = self.entry.counters
        counted = ((element.counts.get(each.name, 0), each) for each in (counters.total, *counters.parts))
        said = [f"{n} {each.label}" for n, each in counted if n or each.is_shown_at_0]
        _LOG.debug("job %s, batch %s: %s", self.entry.job_id, element.batch_id, ", ".join(said))
        count_batch(element, counters)
        if self.entry.unattended:
            self._liveness.note()
        yield element


def _extent(batch: Batch[Any]) -> dict[str, Any]:
    """From where to where in its source a batch goes; of one that several files share, from which file to which."""
    if batch.homes:
        first, last = batch.homes[0], batch.homes[-1]
        inputs = sorted({input_id_of(home.batch_id) for home in batch.homes})
        return {"first": {"source": first.source}, "last": {"source": last.source}, "inputs": inputs}
    items: tuple[Any, ...] = (*batch.entries, *batch.dead_letters)
    places = [place(item) for item in items]
    places.sort(key=lambda found: found["position"] or 0)
    return {"first": places[0], "last": places[-1]} if places else {}


def place(item: Placed) -> dict[str, int | None]:
    """Where a record stands in its source.

    >>> from transforms.batch import Record
    >>> place(Record(17, {}, line=2))
    {'position': 17, 'line': 2}
    """
    return {"position": item.position, "line": item.line}
