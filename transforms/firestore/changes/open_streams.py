"""The streams of a group that are open in this process, each served when its pace says so.

    positions of the group ──serve──▶ opened, taken up, closed ──next──▶ batch ──claimed?──▶ accept, or put back

A stream is opened once per process: what one piece of work leaves is parked, and the next one takes it up. Streams that
wait for their turn are closed, and opened again where they were.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from transforms.errors import JobError
from transforms.firestore.changes.change_batch import ChangeBatch, StreamState
from transforms.firestore.changes.feed import Feed, NoFeed
from transforms.firestore.changes.journal import Journal
from transforms.firestore.changes.name_cache import PROCESS_NAMES
from transforms.firestore.changes.options import ListenedQuery, ListenOptions
from transforms.firestore.changes.pace import Offer, Pace, Report
from transforms.firestore.changes.parking import PARKING
from transforms.firestore.changes.positions import Compare, Follow, Position
from transforms.firestore.changes.stream import Stream
from transforms.firestore.target import FirestoreTarget
from transforms.retry import Clock

Positions = Mapping[str, Position | None]


@dataclass
class OpenStreams:
    """For one thread.

    Attributes:
      target: the database.
      streams: of the group.
      options, journal, pace, clock: of each.
      on_ready: called from any thread when a stream has something.
      feed: of batches beside those of the streams.
      is_feed_first: whether it comes before the streams, where these have an end.
      n_opened, n_taken_up: how many streams were opened, and how many found parked.
    """

    target: FirestoreTarget
    streams: Sequence[ListenedQuery]
    options: ListenOptions
    journal: Journal
    pace: Pace
    clock: Clock
    on_ready: Callable[[], None]
    feed: Feed = NoFeed()  # noqa: RUF009 - frozen
    is_feed_first: bool = False
    n_opened: int = 0
    n_taken_up: int = 0
    _opened: dict[str, Stream] = field(default_factory=dict)  # the one served last is last
    _has_begun: bool = False

    def serve(self, positions: Positions) -> None:
        """Opens the streams whose turn it is, at their positions; closes the others; parks those of somebody else."""
        turns = self.pace.to_open(tuple(positions))
        if not self._has_begun:
            self._begin(positions, turns)
        self._park([each for each in self._opened if each not in positions])
        for stream_id in [each for each in self._opened if each not in turns]:
            self._opened.pop(stream_id).close()
        for stream_id in positions:
            if stream_id in turns and stream_id not in self._opened:
                self._opened[stream_id] = self._open(stream_id, positions[stream_id])

    def check_failures(self, positions: Positions) -> None:
        """Raises JobError if every stream has failed."""
        failures = {each: self._failure_of(each) for each in positions}
        if failures and all(failures.values()):
            raise JobError("; ".join(f"stream {stream_id}: {failure}" for stream_id, failure in failures.items()))

    def next(self, positions: Positions) -> ChangeBatch | None:
        """The next batch, to be accepted or put back; None if nobody has one that may go now.

        Raises what ended the thread of a stream.
        """
        offered = self.feed.offer()
        choice = self.pace.choose([offered]) if offered is not None and self.is_feed_first else None
        choice = choice or self.pace.choose(self._offers() if offered is None else [*self._offers(), offered])
        if choice is not None and choice.stream_id in self._opened:
            return self._opened[choice.stream_id].take(choice.max_changes)
        if choice is not None:
            batch = self.feed.take(self.target, positions)
            return None if batch is None else self._stated(batch)
        for report in self.pace.reports(tuple(positions)):
            batch = self._reported(report, positions[report.stream_id])
            if batch is not None:
                return batch
        return None

    def put_back(self, batch: ChangeBatch) -> None:
        """The batch is the next one of its stream again."""
        if batch.again:
            self.feed.put_back(batch)
            return
        stream = self._opened.get(batch.stream_id)
        if stream is not None:
            stream.put_back()

    def accept(self, batch: ChangeBatch) -> None:
        """The batch leaves."""
        stream = None if batch.again else self._opened.pop(batch.stream_id, None)
        if stream is not None:
            self._opened[batch.stream_id] = stream
            stream.accept(batch)
        self.pace.handed_out(batch)

    def check_silence(self) -> None:
        """Opens streams again that have been silent for too long."""
        for stream in self._opened.values():
            stream.check_silence()
        for stream_id in self.pace.to_reopen(self._offers()):
            stream = self._opened[stream_id]
            stream.close()
            self._opened[stream_id] = self._new(stream.listened, stream.position)

    def end(self, stream_id: str) -> None:
        """The stream is done."""
        self._opened.pop(stream_id).close()
        self.pace.ended(stream_id)

    def close(self) -> None:
        """Ends all streams."""
        for stream in self._opened.values():
            stream.close()
        self._opened.clear()

    def park(self) -> None:
        """Leaves all streams to whoever continues them in this process."""
        for stream_id in list(self._opened):
            PARKING.park(self._place(stream_id), self._opened.pop(stream_id))

    def _park(self, stream_ids: Sequence[str]) -> None:
        for stream_id in stream_ids:
            PARKING.park(self._place(stream_id), self._opened.pop(stream_id))
            self.pace.ended(stream_id)

    def _begin(self, positions: Positions, turns: Collection[str]) -> None:
        for stream_id, position in positions.items():
            if isinstance(position, Follow):
                self.journal.forget(stream_id, position.read_time)
            if stream_id not in turns and (parked := self._parked(stream_id, position)) is not None:
                parked.close()
        self._has_begun = True

    def _open(self, stream_id: str, position: Position | None) -> Stream:
        """The stream that is parked, if its position is still the same."""
        stream = self._parked(stream_id, position)
        if stream is None:
            return self._new(self._listened(stream_id), position)
        self.n_taken_up += 1
        stream.attach(self.on_ready)
        return stream

    def _parked(self, stream_id: str, position: Position | None) -> Stream | None:
        return PARKING.take(self._place(stream_id), self._listened(stream_id), position)

    def _listened(self, stream_id: str) -> ListenedQuery:
        return next(stream for stream in self.streams if stream.stream_id == stream_id)

    def _new(self, listened: ListenedQuery, position: Position | None) -> Stream:
        options = replace(self.options, limits=self.pace.limits(listened.stream_id, self.options.limits))
        client = self.target.connect()
        stream = Stream(client, listened, position, options, self.journal, self.clock, pool=PROCESS_NAMES)
        self.n_opened += 1
        stream.attach(self.on_ready)
        return stream

    def _offers(self) -> list[Offer]:
        return [stream.offer() for stream in self._opened.values()]

    def _failure_of(self, stream_id: str) -> str:
        stream = self._opened.get(stream_id)
        return self.pace.failure_of(stream_id) if stream is None else stream.failure

    def _reported(self, report: Report, position: Position | None) -> ChangeBatch | None:
        """A batch without changes that says how the stream is; None for one that has not begun."""
        stream = self._opened.get(report.stream_id)
        if position is None or (stream is not None and stream.is_ready and not report.paused):
            return None
        read_time: datetime.datetime = position.to if isinstance(position, Compare) else position.read_time
        if report.paused:
            return ChangeBatch(report.stream_id, (), position, read_time, StreamState.PAUSED, report.paused)
        if stream is None or stream.state is None:
            return None
        return ChangeBatch(report.stream_id, (), position, read_time, stream.state, stream.reason)

    def _stated(self, batch: ChangeBatch) -> ChangeBatch:
        """A batch of the feed, which says of its stream what that said last."""
        stream = self._opened.get(batch.stream_id)
        if stream is None:
            return replace(batch, state=StreamState.PAUSED, reason="waits for its turn")
        return replace(batch, state=stream.state or batch.state, reason=stream.reason)

    def _place(self, stream_id: str) -> Hashable:
        return self.target, stream_id
