"""The steps of the listen job.

    ChangeBatch ──EnterChanges──▶ Batch[Changed] ──FlattenChanges──▶ … sinks … ──StoreDeadLetters──▶ SavePositions
                  what is meant     with the record of the spec

All are fused behind the reader, and each hands a batch on before the next one comes: so when `SavePositions` has a
batch, every sink has answered for it and for all batches before it.
"""

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.typehints.decorators import no_annotations

from transforms.batch import Batch, DeadLetter
from transforms.dead_letters.steps import DeadLetterStore
from transforms.firestore.changes.change_batch import ChangeBatch, StreamState
from transforms.firestore.changes.positions import Follow
from transforms.ledger.entry import LedgerEntry
from transforms.ledger.jobs import COMPLETED
from transforms.ledger.runs import JobLedger
from transforms.ledger.stream_writer import WRITERS, Gauges, Progress, StreamWriter
from transforms.ledger.streams import LIVE, STOPPED, read_streams
from transforms.ledger.totals import read_totals
from transforms.listen.counters import ADDED, MODIFIED, REMOVED
from transforms.listen.entries import Changed, StreamPoint, StreamSettings, entered, refused
from transforms.listen.retries import Retries
from transforms.listen.schedule import Schedule
from transforms.outcomes import BatchOutcome
from transforms.records.spec import Origin, RecordSpec
from transforms.runtime.batch_coder import register_batches
from transforms.runtime.metrics import count_batch
from transforms.runtime.stopping import is_asked_to_stop
from transforms.unexpected import FAILURES, Unexpected

register_batches(Changed)

_FLATTEN = "FlattenChanges"


@dataclass
class EnterChanges(beam.PTransform[PCollection[ChangeBatch], PCollection[Batch[Changed]]]):
    """Makes batches of entries of batches of changes.

    In: what `ListenToFirestore` gives. Out: the same, one by one, without the changes of documents that the stream only
    has to read, and with those that no sink wants counted as unchanged.

    Attributes:
      job_id: of the job.
      streams: by id.
      applies_deletes: whether sinks want to know of documents that are gone.
    """

    job_id: str
    streams: Mapping[str, StreamSettings]
    applies_deletes: bool = True

    def expand(self, batches: PCollection[ChangeBatch]) -> PCollection[Batch[Changed]]:
        enter = beam.Map(_entered, self.job_id, self.streams, self.applies_deletes)
        return batches | "Enter" >> enter.with_output_types(Batch[Changed])


@no_annotations  # type: ignore[untyped-decorator]
def _entered(
    changes: ChangeBatch, job_id: str, streams: Mapping[str, StreamSettings], applies_deletes: bool
) -> Batch[Changed]:
    batch = entered(changes, job_id, streams[changes.stream_id])
    if applies_deletes:
        return batch
    kept = [entry for entry in batch.entries if not entry.is_removed]
    return batch.then(kept, unchanged=len(batch.entries) - len(kept))


@dataclass
class FlattenChanges(beam.PTransform[PCollection[Batch[Changed]], PCollection[Batch[Changed]]]):
    """Has a record spec flatten the documents. A document that it refuses is a dead letter.

    Attributes:
      spec: the record spec.
    """

    spec: RecordSpec

    def expand(self, batches: PCollection[Batch[Changed]]) -> PCollection[Batch[Changed]]:
        return batches | "Flatten" >> beam.Map(_flattened, self.spec).with_output_types(Batch[Changed])


@no_annotations  # type: ignore[untyped-decorator]
def _flattened(batch: Batch[Changed], spec: RecordSpec) -> Batch[Changed]:
    entries: list[Changed] = []
    dead_letters: list[DeadLetter] = []
    unexpected = Unexpected("flattening the document", len(batch.entries))
    for entry in batch.entries:
        document = entry.change.document
        if document is None:
            entries.append(entry)
            continue
        try:
            record = spec.with_origin(document.fields, Origin(document.id, entry.parameters))
            entries.append(entry._replace(record=spec.flatten(record, document.id)))
        except FAILURES as failure:
            error = unexpected.as_record_error(failure)
            dead_letters.append(refused(entry, _FLATTEN, error.code, error.message, retryable=False))
    unexpected.check_not_alike()
    return batch.then(entries, dead_letters)


@dataclass
class KeepDeadLetters(beam.PTransform[PCollection[Batch[Changed]], PCollection[Batch[Changed]]]):
    """Stores what was refused, and puts into its new place what was tried again.

    In: batches that every sink has answered for. Out: the same. Delivery: files are written before a batch is handed
    on. Fails: a folder that cannot be written fails the bundle.

    Attributes:
      store: where dead letters go.
      retries: which hands them out again.
    """

    store: DeadLetterStore
    retries: Retries

    def expand(self, batches: PCollection[Batch[Changed]]) -> PCollection[Batch[Changed]]:
        return batches | "Store" >> beam.Map(_kept, self.store, self.retries).with_output_types(Batch[Changed])


@no_annotations  # type: ignore[untyped-decorator]
def _kept(batch: Batch[Changed], store: DeadLetterStore, retries: Retries) -> Batch[Changed]:
    again = batch.behind.again if isinstance(batch.behind, StreamPoint) else None
    if again is None:
        store.store(batch)
        retries.stored(batch.source, len(batch.dead_letters))
    else:
        retries.resolve(batch.source, again, batch.dead_letters)
    return batch


@dataclass
class SavePositions(beam.PTransform[PCollection[Batch[Changed]], PCollection[BatchOutcome]]):
    """The last step: saves how far streams have come, and what became of their changes.

    In: batches that every sink has answered for, those of a stream in order. Out: their outcomes. Delivery: a position
    is saved only behind what is done; after a cut what came after the last saved one comes again. Parallel: streams.
    Fails: JobError if another run has taken a stream; TransientError if the ledger does not answer.

    Attributes:
      entry: which run.
      save_interval_s: how long a position with changes behind it may wait to be saved.
      beat_interval_s: how often a stream is written to which nothing happens.
      until: streams end behind the first snapshot of this time or later; None: they never end.
      pace: the schedule of the streams, which knows how they are served; None without one.
    """

    entry: LedgerEntry
    save_interval_s: float = 5.0
    beat_interval_s: float = 30.0
    until: datetime.datetime | None = None
    pace: Schedule | None = None

    def expand(self, batches: PCollection[Batch[Changed]]) -> PCollection[BatchOutcome]:
        save = _SaveFn(self.entry, self.save_interval_s, self.beat_interval_s, self.until, self.pace)
        return batches | "Save" >> beam.ParDo(save).with_output_types(BatchOutcome)


@dataclass
class _SaveFn(beam.DoFn):
    entry: LedgerEntry
    save_interval_s: float
    beat_interval_s: float
    until: datetime.datetime | None
    pace: Schedule | None

    @no_annotations  # type: ignore[untyped-decorator]
    def process(self, element: Batch[Changed]) -> Iterator[BatchOutcome]:
        point = element.behind
        assert isinstance(point, StreamPoint), "every batch of the job says where its stream stands"
        outcome = outcome_of(element)
        writer = self._writer(point.stream_id)
        writer.add(_progress(element, point, outcome.counts, self._now()), self._gauges(point.stream_id))
        if is_last(point, self.until):
            writer.stop()
            if self.entry.unattended:
                _close_if_over(self.entry)
        count_batch(outcome, self.entry.counters)
        yield outcome

    def finish_bundle(self) -> None:
        for writer in WRITERS.of_run(self.entry):
            if is_asked_to_stop():
                writer.stop()
            else:
                writer.save_if_due()

    def _writer(self, stream_id: str) -> StreamWriter:
        return WRITERS.of(self.entry, stream_id, self.save_interval_s, self.beat_interval_s)

    def _gauges(self, stream_id: str) -> Gauges:
        if self.pace is None:
            return Gauges()
        now = self.pace.pace_of(stream_id)
        return Gauges(now.buffered, now.backpressure_events, now.restarts, now.optimizations_applied)

    def _now(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self.entry.retry.clock.now(), datetime.timezone.utc)


def outcome_of(batch: Batch[Changed]) -> BatchOutcome:
    """What became of a batch, by the job's counters. Dead letters that land leave those, as they were read before."""
    point = batch.behind
    assert isinstance(point, StreamPoint), "every batch of the job says where its stream stands"
    kinds, n_known = point.kinds, batch.read if point.again else 0
    counts = {
        "read": batch.read - n_known,
        "written": len(batch.entries),
        "unchanged": batch.unchanged,
        "superseded": batch.superseded,
        "dead_letter_count": len(batch.dead_letters) - n_known,
        "retries": batch.retries,
        "bytes_read": batch.bytes_read,
        **{kind: kinds.get(kind, 0) for kind in (ADDED, MODIFIED, REMOVED)},
    }
    return BatchOutcome(batch.batch_id, batch.source, counts)


def is_last(point: StreamPoint, until: datetime.datetime | None) -> bool:
    """Whether the stream ends here, by the rule of `ListenToFirestore`."""
    if until is None or not isinstance(point.position, Follow) or point.position.after is not None:
        return False
    is_waiting = point.again is not None or point.state in (StreamState.RECONNECTING, StreamState.PAUSED)
    return not is_waiting and point.read_time >= until


def _close_if_over(entry: LedgerEntry) -> None:
    """Writes down that the job is completed if this was the last of its streams, as nobody waits for that."""
    job = entry.connect()
    streams = [stream for stream in read_streams(job.client, job.id, job.retry) if stream.attempt == entry.attempt]
    ledger = JobLedger(job, entry.counters)
    if all(stream.state == STOPPED for stream in streams) and ledger.adopt(entry.attempt):
        ledger.finish(COMPLETED, None, read_totals(job, entry.counters).as_fields())


def _progress(batch: Batch[Changed], point: StreamPoint, counts: Mapping[str, int], now: datetime.datetime) -> Progress:
    state = point.state.value
    latencies = tuple(_latency_ms(entry, now) for entry in batch.entries) if state == LIVE else ()
    error = None
    if batch.dead_letters:
        error = batch.dead_letters[-1].code, batch.dead_letters[-1].message
    elif point.state in (StreamState.FAILED, StreamState.RECONNECTING):
        error = state.upper(), point.reason
    return Progress(
        point.position, point.read_time, state, point.reason, counts, latencies, error, save_now=point.save_now
    )


def _latency_ms(entry: Changed, now: datetime.datetime) -> float:
    """From a document's commit, or from when it was seen to be gone, until every sink has answered."""
    change = entry.change
    committed_at = change.read_time if entry.is_removed else change.update_time or change.read_time
    return max(0.0, (now - committed_at).total_seconds() * 1000)
