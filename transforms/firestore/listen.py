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
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PBegin, PCollection
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp

from transforms.errors import JobError
from transforms.firestore.arguments import DatabaseArguments
from transforms.firestore.changes.change_batch import ChangeBatch, StreamState
from transforms.firestore.changes.journal import Journal, JournalEntry, ProcessJournal
from transforms.firestore.changes.options import ListenedQuery, ListenOptions, check_streams
from transforms.firestore.changes.parking import PARKING
from transforms.firestore.changes.positions import Follow, Position
from transforms.firestore.changes.stream import Stream
from transforms.firestore.changes.times import micros
from transforms.firestore.changes.tracker import Claim, GroupPositions, GroupProvider
from transforms.firestore.query import Query
from transforms.firestore.target import FirestoreTarget
from transforms.retry import SYSTEM_CLOCK, Clock
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

    def __post_init__(self) -> None:
        self._streams = streams_of(self.source)

    def expand(self, begin: PBegin) -> PCollection[ChangeBatch]:
        target = self.target_of(services_of(begin.pipeline.options))
        group = StreamGroup(target, self._streams, tuple(self.positions.items()), self.until)
        groups = begin | "Groups" >> beam.Create([group], reshuffle=False)
        listen = ListenFn(self.options.of(target), self.journal, self.checkpoint_s, self.clock)
        batches: PCollection[ChangeBatch] = groups | "Listen" >> beam.ParDo(listen)
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


@dataclass
class ListenFn(beam.DoFn):
    """Reads one group; a splittable DoFn over the positions of its streams."""

    options: ListenOptions
    journal: Journal
    checkpoint_s: float
    clock: Clock = SYSTEM_CLOCK

    @beam.DoFn.unbounded_per_element()  # type: ignore[untyped-decorator]
    def process(
        self,
        group: StreamGroup,
        tracker: Any = beam.DoFn.RestrictionParam(GroupProvider()),  # noqa: B008 - how Beam knows an SDF
        watermark: Any = beam.DoFn.WatermarkEstimatorParam(_MANUAL_WATERMARK),  # noqa: B008
    ) -> Iterator[Any]:
        wake = threading.Event()
        opened = self._open(group, tracker.current_restriction(), wake)
        commit_at = self.clock.monotonic() + self.checkpoint_s
        try:
            while self._park_all_but(_ids(tracker), group, opened):
                if is_asked_to_stop():
                    tracker.try_claim(None)
                    _close(opened)
                    return
                if self.clock.monotonic() >= commit_at:
                    tracker.defer_remainder()
                    return
                _check_failures(opened)
                wake.clear()
                stream = next_stream(opened)
                if stream is None:
                    wake.wait(min(_LOOK_S, max(0.0, commit_at - self.clock.monotonic())))
                    for each in opened.values():
                        each.check_silence()
                    continue
                batch = stream.take()
                if not tracker.try_claim(Claim(batch.stream_id, batch.position)):
                    _CLAIMS_REFUSED.inc()
                    stream.put_back(batch)
                    continue
                stream.accept(batch)
                if batch.announced:
                    self.journal.add(batch.stream_id, JournalEntry(batch.read_time, batch.announced))
                _CHANGES.inc(len(batch.changes))
                yield TimestampedValue(batch, Timestamp(micros=micros(batch.read_time)))
                _advance(watermark, tracker.current_restriction())
                if _is_behind(batch, group.until) and tracker.try_claim(Claim(batch.stream_id, None, is_end=True)):
                    opened.pop(batch.stream_id).close()
        finally:
            self._park_all_but((), group, opened)

    def _open(self, group: StreamGroup, restriction: GroupPositions, wake: threading.Event) -> dict[str, Stream]:
        """The streams of the restriction, parked ones where their positions are still the same."""
        listened = {stream.stream_id: stream for stream in group.streams}
        opened: dict[str, Stream] = {}
        for stream_id, position in restriction.positions:
            if isinstance(position, Follow):
                self.journal.forget(stream_id, position.read_time)
            place = _place(group, stream_id)
            stream = PARKING.take(place, listened[stream_id], position)
            if stream is not None:
                _STREAMS_TAKEN_UP.inc()
            else:
                client = group.target.connect()
                stream = Stream(client, listened[stream_id], position, self.options, self.journal, self.clock)
                _STREAMS_OPENED.inc()
            stream.attach(wake.set)
            opened[stream_id] = stream
        return opened

    def _park_all_but(self, ids: Sequence[str], group: StreamGroup, opened: dict[str, Stream]) -> bool:
        """Parks streams that are another reader's from now on. Returns whether any is left."""
        for stream_id in [each for each in opened if each not in ids]:
            PARKING.park(_place(group, stream_id), opened.pop(stream_id))
        return bool(opened)


def _check_failures(opened: dict[str, Stream]) -> None:
    """Raises JobError if every stream has failed."""
    if opened and all(stream.failure for stream in opened.values()):
        raise JobError("; ".join(f"stream {stream_id}: {stream.failure}" for stream_id, stream in opened.items()))


def _close(opened: dict[str, Stream]) -> None:
    for stream in opened.values():
        stream.close()
    opened.clear()


def next_stream(opened: dict[str, Stream]) -> Stream | None:
    """The stream whose turn it is: of those that have something, the one that was served longest ago; None for none."""
    for stream_id, stream in opened.items():
        if stream.is_ready:
            opened[stream_id] = opened.pop(stream_id)  # the last one from now on
            return stream
    return None


def _ids(tracker: Any) -> list[str]:
    return [stream_id for stream_id, _ in tracker.current_restriction().positions]


def _place(group: StreamGroup, stream_id: str) -> Hashable:
    return group.target, stream_id


def _is_behind(batch: ChangeBatch, until: datetime.datetime | None) -> bool:
    """Whether a stream has handed out everything up to a time."""
    position = batch.position
    is_whole = isinstance(position, Follow) and position.after is None and batch.state is not StreamState.RECONNECTING
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
