"""Whose changes go next, how many, and which streams are open: the pace of a listen job. Plain Python.

    streams ──turns──▶ open ──share──▶ the one furthest behind its share ──rates──▶ so many of its changes
                                        held streams, and those without a rate left, are passed over

Every stream has a share: a priority's share is its default rate, so critical changes get ten times what low ones get
where not all can go at once, and no stream starves. A batch of changes moves its stream behind by its size divided by
its share; the stream least far behind is next (start-time fair queueing, Goyal, Vin and Cheng, 1996). A stream that
was quiet begins level with the others, so its first changes go at once.

Where the overall rate is used up, the next stream waits for it and nobody passes, except streams of the highest
priority within what is reserved for them.

The settings are pickled with the pipeline; what is remembered belongs to the process, and is found by the settings.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from transforms.firestore.changes.change_batch import ChangeBatch, StreamState
from transforms.firestore.changes.limits import DEFAULT_LIMITS, Limits
from transforms.firestore.changes.pace import Choice, Offer, Report
from transforms.firestore.changes.positions import Position
from transforms.listen.priorities import DEFAULT_RATES, MEDIUM, PRIORITIES
from transforms.listen.rates import Rates, SlidingMinute
from transforms.listen.turns import Turns
from transforms.retry import SYSTEM_CLOCK, Clock

# Changes that a sink refused, once more: known to a schedule as one more stream, less urgent than all others.
DEAD_LETTERS = "dead letters"
_SHARE_OF_DEAD_LETTERS = 10


@dataclass(frozen=True, slots=True)
class PacedStream:
    """A stream, and how urgent it is.

    Attributes:
      stream_id: of the stream.
      priority: one of PRIORITIES; None for one without a rate of its own, whose share is that of MEDIUM.
    """

    stream_id: str
    priority: str | None = None


@dataclass(frozen=True)
class PaceSettings:
    """How the streams of a job are paced. Frozen, hashable, picklable.

    Attributes:
      job_id: of the job; two jobs of one process have nothing in common.
      streams: of the job.
      rates: changes per minute of each stream, by priority.
      max_changes_per_min: of all streams of a process together; None for any number.
      lend_rates: whether streams that are late use the rates that others do not.
      max_concurrent_streams: how many are open at once; the others take turns.
      turn_s: how long a turn lasts while others wait, in seconds.
      report_s: a stream says how it is after so many seconds without a batch; 0 for never.
      silence_s: a stream that could not be connected again for so long is opened anew; 0 for never.
      clock: injected by tests.
    """

    job_id: str
    streams: tuple[PacedStream, ...]
    rates: tuple[tuple[str, int], ...] = tuple(DEFAULT_RATES.items())
    max_changes_per_min: int | None = None
    lend_rates: bool = True
    max_concurrent_streams: int = 8
    turn_s: float = 60.0
    report_s: float = 30.0
    silence_s: float = 600.0
    clock: Clock = SYSTEM_CLOCK

    def rates_of_streams(self) -> dict[str, int]:
        """Changes per minute of the streams that have a rate, by id."""
        rates = dict(self.rates)
        return {each.stream_id: rates[each.priority] for each in self.streams if each.priority is not None}

    def first(self) -> list[str]:
        """The streams of the highest priority, if there are others beside them."""
        ranks = {each.stream_id: PRIORITIES.index(each.priority or MEDIUM) for each in self.streams}
        first = [stream_id for stream_id, rank in ranks.items() if rank == min(ranks.values())]
        return first if len(first) < len(ranks) else []


@dataclass(frozen=True, slots=True)
class StreamPace:
    """How a stream is served just now.

    Attributes:
      changes_per_min: handed out in the last minute.
      limit_per_min: its own rate; None for none.
      buffered: changes that wait.
      backpressure_events: how often it stopped receiving because too many waited.
      reconnects: how often it was cut.
      restarts: how often it was opened anew because it could not be connected again.
      optimizations_applied: what was tuned for it in the last minute.
    """

    changes_per_min: int = 0
    limit_per_min: int | None = None
    buffered: int = 0
    backpressure_events: int = 0
    reconnects: int = 0
    restarts: int = 0
    optimizations_applied: tuple[str, ...] = ()


class _Remembered:
    """What is remembered of a stream."""

    def __init__(self, share: float, now_s: float):
        self.share = share
        self.behind = 0.0  # changes handed out, divided by the share
        self.was_ready = False
        self.position: Position | None = None
        self.state: StreamState | None = None
        self.failure = ""
        self.held = ""
        self.reported_at = now_s
        self.cut_at: float | None = None  # since when it has tried to connect again
        self.n_buffered = self.n_full = self.n_full_before = 0
        self.n_reconnects = self.n_restarts = 0
        self.largest = self.most_snapshots = 0
        self.large, self.late = SlidingMinute(), SlidingMinute()


class Schedule:
    """The `Pace` of a job in this process; get it from `schedule_of`. Thread-safe."""

    def __init__(self, settings: PaceSettings):
        self.settings = settings
        self._lock = threading.Lock()
        self._limits = settings.rates_of_streams()
        self._rates = Rates(self._limits, settings.max_changes_per_min, settings.first(), lends=settings.lend_rates)
        self._turns = Turns(settings.max_concurrent_streams, settings.turn_s)
        now_s = self._now()
        shares = {each.stream_id: DEFAULT_RATES[each.priority or MEDIUM] for each in settings.streams}
        shares[DEAD_LETTERS] = _SHARE_OF_DEAD_LETTERS
        self._streams = {stream_id: _Remembered(share, now_s) for stream_id, share in shares.items()}
        self._level = 0.0  # how far behind a stream begins that was quiet
        self._busy: frozenset[str] = frozenset()

    def __reduce__(self) -> tuple[object, tuple[PaceSettings]]:
        return schedule_of, (self.settings,)

    # The pace.

    def limits(self, stream_id: str, limits: Limits) -> Limits:
        """Pieces that spread the stream's rate over its minute; taken together where it may hand out more."""
        piece = self._rates.piece(stream_id)
        return limits if piece is None else replace(limits, changes=min(piece, limits.changes))

    def to_open(self, stream_ids: Sequence[str]) -> Collection[str]:
        """Streams whose turn it is; urgent ones first, where all are new."""
        with self._lock:
            urgent_first = sorted(stream_ids, key=lambda each: -self._streams[each].share)
            return self._turns.open_of(urgent_first, self._now())

    def to_reopen(self, offers: Sequence[Offer]) -> Collection[str]:
        """Streams that have tried to connect again for too long: on another connection they may be able to."""
        with self._lock:
            now_s = self._now()
            silent = [offer.stream_id for offer in offers if self._is_silent(offer, now_s)]
            for stream_id in silent:
                self._streams[stream_id].cut_at = now_s
                self._streams[stream_id].n_restarts += 1
            return silent

    def choose(self, offers: Sequence[Offer]) -> Choice | None:
        """The stream furthest behind its share, of those that may hand out something."""
        with self._lock:
            now_s = self._now()
            ready = [offer for offer in offers if offer.n_ready is not None]
            self._look(offers, now_s)
            ready.sort(key=lambda offer: (self._streams[offer.stream_id].behind, -self._streams[offer.stream_id].share))
            is_blocked = False
            for offer in ready:
                n = min(offer.n_ready or 0, self._rates.most())
                if not n:
                    return Choice(offer.stream_id, 0)
                stream = self._streams[offer.stream_id]
                alone, overall = self._alone(offer, now_s), self._rates.overall(offer.stream_id, now_s)
                if stream.held or not _fits(n, alone):
                    stream.was_ready = False  # whoever may not go on does not save up for later
                    continue
                if is_blocked and not self._rates.may_pass(offer.stream_id, n, now_s):
                    continue
                if _fits(n, overall):
                    most = n if is_blocked else max(n, self._fair(offer.stream_id, overall))
                    return Choice(offer.stream_id, min(each for each in (alone, overall, most) if each is not None))
                is_blocked = True
            return None

    def reports(self, stream_ids: Sequence[str]) -> Sequence[Report]:
        """Streams that have said nothing for a while."""
        with self._lock:
            now_s = self._now()
            due = [each for each in stream_ids if self._is_due(self._streams[each], now_s)]
            for stream_id in due:
                self._streams[stream_id].reported_at = now_s
            open_now = self._turns.open_now() if due else ()
            return [Report(each, self._paused(each, each in open_now)) for each in due]

    def failure_of(self, stream_id: str) -> str:
        """Why the stream is FAILED; empty if it is not."""
        return self._streams[stream_id].failure

    def handed_out(self, batch: ChangeBatch) -> None:
        """Counts a batch."""
        with self._lock:
            now_s, n = self._now(), len(batch.changes)
            if batch.again:
                self._count_again(n, now_s)
                return
            stream = self._streams[batch.stream_id]
            stream.behind += max(1, n) / stream.share
            if len(self._busy) <= 1:
                self._level = max(self._level, stream.behind)
            stream.reported_at = now_s
            self._rates.add(batch.stream_id, n, self._busy, now_s)
            piece = self._rates.piece(batch.stream_id)
            if piece is not None and n > piece:
                stream.large.add(now_s, n)
                stream.largest = max(stream.largest, n)
            if batch.n_snapshots > 1:
                stream.late.add(now_s, batch.n_snapshots)
                stream.most_snapshots = max(stream.most_snapshots, batch.n_snapshots)
            if batch.state is StreamState.PAUSED:
                return
            self._note(stream, batch, now_s)

    def ended(self, stream_id: str) -> None:
        """The stream has no turn any more."""
        with self._lock:
            self._turns.ended(stream_id)

    # For whoever else is in this process.

    def hold(self, held: Mapping[str, str]) -> None:
        """Streams that hand out nothing until they are not held any more, by id, with the reason."""
        with self._lock:
            for stream_id, stream in self._streams.items():
                stream.held = held.get(stream_id, "")

    def held_of(self, stream_id: str) -> str:
        """Why a stream is held; empty if it is not."""
        return self._streams[stream_id].held

    def pace_of(self, stream_id: str) -> StreamPace:
        """How a stream is served."""
        with self._lock:
            now_s = self._now()
            stream = self._streams[stream_id]
            return StreamPace(
                self._rates.used(stream_id, now_s),
                self._limits.get(stream_id),
                stream.n_buffered,
                stream.n_full_before + stream.n_full,
                stream.n_reconnects,
                stream.n_restarts,
                tuple(self._tuned(stream_id, stream, now_s)),
            )

    # Inside.

    def _now(self) -> float:
        return self.settings.clock.monotonic()

    def _look(self, offers: Sequence[Offer], now_s: float) -> None:
        """Remembers what the streams have. One that was quiet begins level with whoever is least far behind."""
        going_on = [self._streams[offer.stream_id] for offer in offers if offer.n_ready is not None]
        self._level = max(self._level, min((stream.behind for stream in going_on if stream.was_ready), default=0.0))
        for offer in offers:
            stream = self._streams[offer.stream_id]
            if offer.n_ready is not None and not stream.was_ready:
                stream.behind = max(stream.behind, self._level)
            stream.was_ready = offer.n_ready is not None
            if offer.n_full < stream.n_full:  # another connection, which counts from zero
                stream.n_full_before += stream.n_full
            stream.n_buffered, stream.n_full = offer.n_buffered, offer.n_full
        self._busy = frozenset(offer.stream_id for offer in offers if offer.n_ready)

    def _alone(self, offer: Offer, now_s: float) -> int | None:
        """How many changes a stream may hand out without regard to the overall rate; None for any number."""
        own = self._rates.own(offer.stream_id, now_s)
        if own is None or own >= offer.n_buffered:
            return own
        return own + self._rates.lendable(offer.stream_id, self._busy, now_s)

    def _fair(self, stream_id: str, overall: int | None) -> int:
        """How many changes a stream may hand out before it is somebody else's turn."""
        shares_overall = overall is not None and len(self._busy) > 1
        piece = self._rates.piece(stream_id) if shares_overall else None
        return DEFAULT_LIMITS.changes if piece is None else piece

    def _is_silent(self, offer: Offer, now_s: float) -> bool:
        cut_at = self._streams[offer.stream_id].cut_at
        if not self.settings.silence_s or offer.n_ready is not None or cut_at is None:
            return False
        return now_s - cut_at > self.settings.silence_s

    def _is_due(self, stream: _Remembered, now_s: float) -> bool:
        return 0 < self.settings.report_s <= now_s - stream.reported_at

    def _paused(self, stream_id: str, is_open: bool) -> str:
        if not is_open:
            return f"waits for its turn; {self.settings.max_concurrent_streams} streams are open at once"
        return self._streams[stream_id].held

    def _count_again(self, n: int, now_s: float) -> None:
        """Counts changes that are handed out once more: they are nobody's but the overall rate's."""
        self._streams[DEAD_LETTERS].behind += max(1, n) / self._streams[DEAD_LETTERS].share
        self._rates.add(DEAD_LETTERS, n, self._busy, now_s)

    def _note(self, stream: _Remembered, batch: ChangeBatch, now_s: float) -> None:
        """What a batch says about its stream."""
        has_failed = batch.state in (StreamState.FAILED, StreamState.RECONNECTING)
        if has_failed or (batch.position != stream.position and not batch.save_now):
            self._turns.came_on(batch.stream_id)
        if batch.state is not StreamState.RECONNECTING:
            stream.cut_at = None
        elif stream.cut_at is None:
            stream.cut_at = now_s
        stream.n_reconnects += batch.state is StreamState.RECONNECTING
        stream.failure = batch.reason if batch.state is StreamState.FAILED else ""
        stream.position, stream.state = batch.position, batch.state

    def _tuned(self, stream_id: str, stream: _Remembered, now_s: float) -> list[str]:
        tuned = []
        if borrowed := self._rates.borrowed(stream_id, now_s):
            tuned.append(f"{borrowed:,} changes by rates that others do not use")
        if stream.large.sum(now_s):
            tuned.append(f"batches of up to {stream.largest:,} changes")
        else:
            stream.largest = 0
        if stream.late.sum(now_s):
            tuned.append(f"up to {stream.most_snapshots:,} snapshots in a batch")
        else:
            stream.most_snapshots = 0
        return tuned


def _fits(n: int, allowed: int | None) -> bool:
    return allowed is None or n <= allowed


_schedules: dict[PaceSettings, Schedule] = {}
_lock = threading.Lock()


def schedule_of(settings: PaceSettings) -> Schedule:
    """The schedule of a job in this process; the same one for the same settings."""
    with _lock:
        if settings not in _schedules:
            _schedules[settings] = Schedule(settings)
        return _schedules[settings]
