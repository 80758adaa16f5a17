"""Firestore's changes as an unbounded source: every change after the other, deletes included, none missed.

    groups of streams ──Listen──▶ ChangeBatch: changes, and the position behind them

    batches = pipeline | ListenToFirestore("users", project="my-project")
    batches | beam.FlatMap(lambda batch: batch.changes) | beam.Map(lambda change: print(change.kind, change.path))

Guarantee: at every position the changes up to it make the state of the query at its read time. Delivery is at least
once; what is delivered again has the same path and version. The reader of a group:

                        ┌── take a batch of the stream whose turn it is ◀─────────┐
    streams, each ──────┤      claim its position ── refused: put it back, park ──┼──▶ continued elsewhere
    in its own thread   └──▶ journal what it adds ─▶ hand it out ─────────────────┘

One loop serves all streams of a group, so a change needs no hand-over between workers, and one place decides whose turn
it is. A stream is opened once per process: a runner that interrupts the group every few seconds finds it parked.
"""

import datetime
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.coders.typecoders import registry
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PBegin, PCollection
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp

from transforms.firestore.arguments import DatabaseArguments
from transforms.firestore.changes.change_batch import ChangeBatch, StreamState
from transforms.firestore.changes.feed import Feed, NoFeed
from transforms.firestore.changes.journal import Journal, JournalEntry, ProcessJournal
from transforms.firestore.changes.open_streams import OpenStreams
from transforms.firestore.changes.options import ListenedQuery, ListenOptions, check_streams
from transforms.firestore.changes.pace import Pace, Unpaced
from transforms.firestore.changes.positions import Follow, Position
from transforms.firestore.changes.times import micros
from transforms.firestore.changes.tracker import Claim, GroupPositions, GroupProvider
from transforms.firestore.query import Query
from transforms.firestore.target import FirestoreTarget
from transforms.retry import SYSTEM_CLOCK, Clock
from transforms.runtime.batch_coder import SampledCoder
from transforms.runtime.services import services_of
from transforms.runtime.stopping import is_asked_to_stop

_NAMESPACE = "ListenToFirestore"
_CHANGES = Metrics.counter(_NAMESPACE, "changes")
_STREAMS_OPENED = Metrics.counter(_NAMESPACE, "streams_opened")
_STREAMS_TAKEN_UP = Metrics.counter(_NAMESPACE, "streams_taken_up")
_CLAIMS_REFUSED = Metrics.counter(_NAMESPACE, "claims_refused")

_MANUAL_WATERMARK = ManualWatermarkEstimator.default_provider()
_LOOK_S = 0.5  # how often a quiet group looks whether it is to stop, and whether a stream is silent


@dataclass(frozen=True)
class StreamGroup:
    """Streams that one reader serves.

    Attributes:
      target: the database.
      streams: what is listened to.
      positions: where streams begin, by id; one without begins with a snapshot of everything.
      until: a stream ends behind the first snapshot of this time or later; None: it never ends.
    """

    target: FirestoreTarget
    streams: tuple[ListenedQuery, ...]
    positions: tuple[tuple[str, Position], ...] = ()
    until: datetime.datetime | None = None


@dataclass
class ListenToFirestore(DatabaseArguments, beam.PTransform[PBegin, PCollection[ChangeBatch]]):
    """Listens to queries, for ever.

    In: nothing. Out: `ChangeBatch`, its timestamp the read time of its snapshot; the watermark is the read time up to
    which every stream has handed out everything. Batches of one stream come in order. A batch may be empty: its
    position says how far the stream has come, its state how it is. Delivery: at least once, and exact at every
    position, if what consumes the batches is fused with this step or the journal is durable. Parallel: the streams of a
    group, half of which a runner can give to another worker at any time. Fails: a stream whose query or permission is
    wrong is FAILED in its batches, and tried again every minute; JobError when all are. On the local runner: in memory,
    with one worker.

    Args:
      source: path of a collection, `Query`, or the `ListenedQuery`s of several streams.
      positions: where streams begin, by id; default: with a snapshot of everything.
      until: streams end behind the first snapshot of this time or later; default: never.
      options: how streams behave.
      journal: keeps the names that were announced, picklable; the default lasts as long as the process.
      checkpoint_s: how often the reader lets the runner commit what it has handed out.
      clock: injected by tests.
      pace: whose batch is next, and which streams are open; default: all, in turn.
      feed: of changes that are handed out once more; default: none.
      Further: those of `DatabaseArguments`, see arguments.py.

    Raises:
      UsageError: a query that cannot be listened to, or two streams of one id.
    """

    source: str | Query | Sequence[ListenedQuery]
    positions: Mapping[str, Position] = field(default_factory=dict)
    until: datetime.datetime | None = None
    options: ListenOptions = ListenOptions()  # noqa: RUF009 - frozen
    journal: Journal = ProcessJournal()  # noqa: RUF009 - without state
    checkpoint_s: float = 5.0
    clock: Clock = SYSTEM_CLOCK
    pace: Pace = Unpaced()  # noqa: RUF009 - frozen
    feed: Feed = NoFeed()  # noqa: RUF009 - frozen

    def __post_init__(self) -> None:
        self._streams = streams_of(self.source)

    def expand(self, begin: PBegin) -> PCollection[ChangeBatch]:
        target = self.target_of(services_of(begin.pipeline.options))
        group = StreamGroup(target, self._streams, tuple(self.positions.items()), self.until)
        groups = begin | "Groups" >> beam.Create([group], reshuffle=False)
        listen = ListenFn(self.options.of(target), self.journal, self.checkpoint_s, self.clock, self.pace, self.feed)
        batches: PCollection[ChangeBatch] = groups | "Listen" >> beam.ParDo(listen).with_output_types(ChangeBatch)
        return batches


def streams_of(source: str | Query | Sequence[ListenedQuery]) -> tuple[ListenedQuery, ...]:
    """What `ListenToFirestore` was asked for, as streams.

    >>> streams_of("users")[0].stream_id
    'users'

    Raises:
      UsageError: it cannot be listened to.
    """
    if isinstance(source, str):
        source = Query(source)
    streams = (ListenedQuery(source.collection, source),) if isinstance(source, Query) else tuple(source)
    check_streams(streams)
    return streams


class ChangeBatchCoder(SampledCoder):
    """Measures a batch of changes by its first one."""

    def sample(self, value: ChangeBatch) -> tuple[Any, int]:
        """A change."""
        return (value.changes[0] if value.changes else None), len(value.changes)


registry.register_coder(ChangeBatch, ChangeBatchCoder)


@dataclass
class ListenFn(beam.DoFn):
    """Reads one group; a splittable DoFn over the positions of its streams."""

    options: ListenOptions
    journal: Journal
    checkpoint_s: float
    clock: Clock = SYSTEM_CLOCK
    pace: Pace = Unpaced()  # noqa: RUF009 - frozen
    feed: Feed = NoFeed()  # noqa: RUF009 - frozen

    @beam.DoFn.unbounded_per_element()  # type: ignore[untyped-decorator]
    def process(
        self,
        group: StreamGroup,
        tracker: Any = beam.DoFn.RestrictionParam(GroupProvider()),  # noqa: B008 - how Beam knows an SDF
        watermark: Any = beam.DoFn.WatermarkEstimatorParam(_MANUAL_WATERMARK),  # noqa: B008
    ) -> Iterator[Any]:
        wake = threading.Event()
        streams = OpenStreams(
            group.target,
            group.streams,
            self.options,
            self.journal,
            self.pace,
            self.clock,
            wake.set,
            self.feed,
            is_feed_first=group.until is not None,
        )
        commit_at = self.clock.monotonic() + self.checkpoint_s
        try:
            while positions := dict(tracker.current_restriction().positions):
                if is_asked_to_stop():
                    tracker.try_claim(None)
                    streams.close()
                    return
                if self.clock.monotonic() >= commit_at:
                    tracker.defer_remainder()
                    return
                wake.clear()
                streams.serve(positions)
                streams.check_failures(positions)
                batch = streams.next(positions)
                if batch is None:
                    wake.wait(min(_LOOK_S, max(0.0, commit_at - self.clock.monotonic())))
                    streams.check_silence()
                    continue
                if not tracker.try_claim(Claim(batch.stream_id, batch.position)):
                    _CLAIMS_REFUSED.inc()
                    streams.put_back(batch)
                    continue
                streams.accept(batch)
                if batch.announced:
                    self.journal.add(batch.stream_id, JournalEntry(batch.read_time, batch.announced))
                _CHANGES.inc(len(batch.changes))
                yield TimestampedValue(batch, Timestamp(micros=micros(batch.read_time)))
                _advance(watermark, tracker.current_restriction())
                if _is_behind(batch, group.until) and tracker.try_claim(Claim(batch.stream_id, None, is_end=True)):
                    streams.end(batch.stream_id)
        finally:
            streams.park()
            _STREAMS_OPENED.inc(streams.n_opened)
            _STREAMS_TAKEN_UP.inc(streams.n_taken_up)


def _is_behind(batch: ChangeBatch, until: datetime.datetime | None) -> bool:
    """Whether a stream has handed out everything up to a time."""
    position = batch.position
    is_waiting = batch.again is not None or batch.state in (StreamState.RECONNECTING, StreamState.PAUSED)
    is_whole = isinstance(position, Follow) and position.after is None and not is_waiting
    return until is not None and is_whole and batch.read_time >= until


def _advance(watermark: Any, restriction: GroupPositions) -> None:
    """To the oldest read time of the streams; a stream that compares holds it."""
    times = [
        Timestamp(micros=micros(position.read_time)) if isinstance(position, Follow) else MIN_TIMESTAMP
        for _, position in restriction.positions
    ]
    oldest = min(times, default=MIN_TIMESTAMP)
    current = watermark.current_watermark()
    if current is None or oldest > current:
        watermark.set_watermark(oldest)
