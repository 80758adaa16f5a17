"""A schedule on a clock of the test's own, and streams in which changes wait."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
from collections import Counter

from transforms import retry
from transforms.firestore.changes.change_batch import ChangeBatch, StreamState
from transforms.firestore.changes.limits import DEFAULT_LIMITS
from transforms.firestore.changes.pace import Offer
from transforms.firestore.changes.positions import Follow
from transforms.listen.schedule import PacedStream, PaceSettings, Schedule

_EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


class Time:
    """Seconds that the test sets."""

    seconds = 0

    def __call__(self) -> float:
        return self.seconds


class PacedStreams:
    """Streams of a schedule, without a database. `sent` has how many changes went when, by (seconds, stream id)."""

    def __init__(self, priorities: dict[str, str | None], **settings: object):
        self.time = Time()
        streams = tuple(PacedStream(stream_id, priority) for stream_id, priority in priorities.items())
        clock = retry.Clock(monotonic=self.time)
        self.schedule = Schedule(PaceSettings("listen-1", streams, clock=clock, **settings))
        self.waiting = dict.fromkeys(priorities, 0)
        limits = {stream_id: self.schedule.limits(stream_id, DEFAULT_LIMITS) for stream_id in priorities}
        self._pieces = {stream_id: each.changes for stream_id, each in limits.items()}
        self.sent: Counter[tuple[float, str]] = Counter()
        self._n_positions = itertools.count(1)

    def offers(self) -> list[Offer]:
        """Of the streams that are open."""
        waiting = {stream_id: self.waiting[stream_id] for stream_id in self.schedule.to_open(list(self.waiting))}
        return [Offer(each, min(n, self._pieces[each]) if n else None, n) for each, n in waiting.items()]

    def serve(self, max_batches: int = 10_000) -> list[str]:
        """Hands out what may go now; returns whose batches they were, in their order."""
        served = []
        for _ in range(max_batches):
            choice = self.schedule.choose(self.offers())
            if choice is None:
                break
            waiting, piece = self.waiting[choice.stream_id], self._pieces[choice.stream_id]
            n = min(waiting, max(piece, choice.max_changes // piece * piece))
            self.waiting[choice.stream_id] -= n
            self.hand_out(choice.stream_id, n)
            served.append(choice.stream_id)
        return served

    def hand_out(
        self, stream_id: str, n_changes: int = 0, state: StreamState = StreamState.LIVE, **more: object
    ) -> None:
        """A batch, always with another position."""
        position = Follow(_EPOCH + datetime.timedelta(seconds=next(self._n_positions)))
        batch = ChangeBatch(stream_id, (None,) * n_changes, position, _EPOCH, state)
        self.schedule.handed_out(dataclasses.replace(batch, **more))
        if n_changes:
            self.sent[self.time.seconds, stream_id] += n_changes

    def run(self, seconds: int) -> None:
        """Serves once per second."""
        for _ in range(seconds):
            self.serve()
            self.time.seconds += 1

    def sent_within(self, begin_s: int, end_s: int, stream_id: str) -> int:
        """Changes of a stream handed out from one time up to, but not at, another, in whole seconds."""
        return sum(self.sent[second, stream_id] for second in range(begin_s, end_s))
