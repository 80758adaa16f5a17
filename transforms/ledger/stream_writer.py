"""Saves how far streams of changes have come, as the last step of a pipeline tells it. Plain Python.

    batch, all sinks have answered ──add──▶ unsaved: position, counts, state ──save, when due──▶ the stream's document
                                                                                   │ it was changed meanwhile
                                               by another run: JobError ◀──────────┤
                            by another worker of this run: the sum of both counts, ┘
                                                           the later position

There is one writer per stream and process, so that the bundles of a runner find what the last one left. Counts are kept
as what is new since the last save and added to what the document has: a save that fails, or meets another worker's,
neither loses nor repeats any.
"""

from __future__ import annotations

import collections
import datetime
import threading
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from transforms.errors import JobError, TransientError
from transforms.firestore import messages
from transforms.firestore.changes.positions import Compare, Follow, Position, from_json, to_json
from transforms.firestore.committer import Landed
from transforms.ledger.document import KEPT, LedgerDocument
from transforms.ledger.entry import LedgerEntry
from transforms.ledger.streams import (
    CATCHING_UP,
    COMPARING,
    FAILED,
    LIVE,
    RECONNECTING,
    STOPPED,
    stream_document,
)

# A stream to which nothing happens is written no more often than this.
IDLE_INTERVAL_S = 10.0
# A live stream whose read time is older than this is catching up.
LATE_AFTER_S = 60.0

_MINUTE_S, _ERROR_WINDOW_S = 60.0, 300.0
_MOST_LATENCIES = 1_000


@dataclass(frozen=True)
class Progress:
    """What one more batch says of its stream, once every sink has answered for it.

    Attributes:
      position: behind the batch; None for a stream that failed before it had one.
      read_time: of the snapshot that has its changes.
      state, reason: of the stream.
      counts: of the batch, by counter; they must name `read` and `dead_letter_count`.
      latencies_ms: of its changes, from commit to answer.
      error: code and message of something that went wrong, if anything did.
      save_now: whether the position must be saved before the next batch reaches a sink.
    """

    position: Position | None
    read_time: datetime.datetime
    state: str
    reason: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    latencies_ms: tuple[float, ...] = ()
    error: tuple[str, str] | None = None
    save_now: bool = False


class Gauges(NamedTuple):
    """What the process knows of how a stream is served just now.

    Attributes:
      buffered: changes that wait.
      n_backpressure: how often it stopped receiving because too many waited, in this process.
      n_restarts: how often it was opened anew, in this process.
      optimizations_applied: what was tuned for it in the last minute.
    """

    buffered: int = 0
    n_backpressure: int = 0
    n_restarts: int = 0
    optimizations_applied: tuple[str, ...] = ()


class _Base(NamedTuple):
    """The document as it was read or written last."""

    fields: Mapping[str, Any]
    update_time: datetime.datetime


class _Recent(NamedTuple):
    at: float
    changes: int
    dead_letters: int


class StreamWriter:
    """Thread-safe. See the module.

    Args:
      document: of the stream, claimed for the run.
      attempt: of the run.
      save_interval_s: how long a position with changes behind it may wait to be saved.
      beat_interval_s: how long a stream may not be written although nothing happens.
    """

    def __init__(self, document: LedgerDocument, attempt: int, save_interval_s: float, beat_interval_s: float):
        self._document, self._attempt = document, attempt
        self._save_interval_s, self._beat_interval_s = save_interval_s, beat_interval_s
        self._lock = threading.RLock()
        self._base: _Base | None = None
        self._claim: tuple[Any, Any] | None = None
        self._saved_at = document.retry.clock.monotonic()
        self._unsaved: collections.Counter[str] = collections.Counter()
        self._extra: collections.Counter[str] = collections.Counter()
        self._last: Progress | None = None
        self._state = self._saved_state = ""
        self._since = self._heard_at = self._changed_at = document.now()
        self._error: dict[str, Any] | None = None
        self._recent: deque[_Recent] = deque()
        self._latencies: deque[float] = deque(maxlen=_MOST_LATENCIES)
        self._gauges = self._saved_gauges = Gauges()
        self._covered: datetime.datetime | None = None

    @property
    def covered_until(self) -> datetime.datetime | None:
        """Names that were announced up to this read time need no journal any more; None if nobody knows."""
        return self._covered

    def add(self, progress: Progress, gauges: Gauges = Gauges()) -> None:  # noqa: B008 - a tuple
        """Takes one more batch into account, and saves if that is due.

        Raises (as `save_if_due`):
          JobError: the stream is another run's by now, or the ledger cannot be written.
          TransientError: no answer after bounded retries.
        """
        with self._lock:
            clock, now = self._document.retry.clock, self._document.now()
            state = self._state_of(progress, now)
            if state != self._state:
                self._extra["reconnects"] += state == RECONNECTING
                self._extra["compares"] += state == COMPARING
                self._state, self._since = state, now
            self._last = progress
            self._unsaved.update(progress.counts)
            n, n_dead = progress.counts.get("read", 0), progress.counts.get("dead_letter_count", 0)
            if n:
                self._changed_at = now
                self._recent.append(_Recent(clock.monotonic(), n, n_dead))
            self._heard_at = now
            self._latencies.extend(progress.latencies_ms)
            self._gauges = gauges
            if progress.error:
                self._error = {"code": progress.error[0], "message": progress.error[1], "at": now}
            if progress.save_now or state == FAILED != self._saved_state or not self._saved_state:
                self.save()
            else:
                self.save_if_due()

    def save_if_due(self) -> None:
        """Saves what has waited long enough."""
        with self._lock:
            waited_s = self._document.retry.clock.monotonic() - self._saved_at
            has_news = self._unsaved["read"] > 0 or self._state != self._saved_state
            interval_s = self._save_interval_s if has_news else max(IDLE_INTERVAL_S, self._beat_interval_s)
            if self._last is not None and waited_s >= interval_s:
                self.save()

    def stop(self) -> None:
        """Saves everything, and that nobody listens any more."""
        with self._lock:
            if self._last is not None and self._saved_state != STOPPED:
                if self._state != FAILED:
                    self._state, self._since = STOPPED, self._document.now()
                self.save()

    def save(self) -> None:
        """Writes the document."""
        if self._last is None:
            return
        attempts, write_id = self._document.retry.attempts(), uuid.uuid4().hex
        base = self._base or self._read()
        while True:
            fields = self._fields(base.fields, write_id)
            outcome = self._document.write(fields, messages.if_unchanged_since(base.update_time))
            if isinstance(outcome, Landed):
                base = _Base(fields, outcome.update_times[0])
                break
            base = self._read()
            if base.fields.get("write_id") == write_id:  # the answer to an attempt was lost
                break
            if not attempts.again():
                raise TransientError(f"Firestore did not take {self._document.path}: {outcome.code}: {outcome.message}")
        self._base = base
        self._unsaved.clear()
        self._extra.clear()
        self._saved_gauges = self._gauges
        self._saved_state, self._saved_at = self._state, self._document.retry.clock.monotonic()
        self._covered = _covered(base.fields["position"])

    def _read(self) -> _Base:
        found = self._document.read()
        if found is None or found.update_time is None or not self._is_ours(found.fields):
            raise JobError(f"{self._document.path} was taken over or removed by another process; this one stops")
        return _Base(found.fields, found.update_time)

    def _is_ours(self, fields: Mapping[str, Any]) -> bool:
        """Whether the run that this writer is of still has the stream: an attempt that is resumed has another owner."""
        claim = (fields.get("attempt"), fields.get("owner", {}).get("since"))
        self._claim = self._claim or claim
        return claim == self._claim and claim[0] == self._attempt

    def _state_of(self, progress: Progress, now: datetime.datetime) -> str:
        is_late = (now - progress.read_time).total_seconds() > LATE_AFTER_S
        return CATCHING_UP if progress.state == LIVE and is_late else progress.state

    def _fields(self, before: Mapping[str, Any], write_id: str) -> dict[str, Any]:
        last, now = self._last, self._document.now()
        assert last is not None
        counts = collections.Counter(before["counts"])
        counts.update(self._unsaved)
        rates = {**before["rates"], **self._rates()}
        return {
            **before,
            "buffered": self._gauges.buffered,
            "backpressure_events": before["backpressure_events"]
            + self._gauges.n_backpressure
            - self._saved_gauges.n_backpressure,
            "restarts": before["restarts"] + self._gauges.n_restarts - self._saved_gauges.n_restarts,
            "optimizations_applied": list(self._gauges.optimizations_applied),
            "state": self._state,
            "reason": last.reason,
            "since": self._since,
            "updated_at": now,
            "expire_at": now + KEPT,
            "position": _later(before["position"], last.position),
            "counts": dict(counts),
            "rates": rates,
            "latency": {"p50_ms": _percentile(self._latencies, 50), "p99_ms": _percentile(self._latencies, 99)},
            "lag_s": max(0.0, (now - last.read_time).total_seconds()),
            "heartbeat_at": self._heard_at,
            "last_change_at": self._changed_at if counts["read"] else before["last_change_at"],
            "reconnects": before["reconnects"] + self._extra["reconnects"],
            "compares": before["compares"] + self._extra["compares"],
            "last_error": self._error or before["last_error"],
            "write_id": write_id,
        }

    def _rates(self) -> dict[str, float]:
        now = self._document.retry.clock.monotonic()
        while self._recent and self._recent[0].at < now - _ERROR_WINDOW_S:
            self._recent.popleft()
        changes = sum(each.changes for each in self._recent)
        dead = sum(each.dead_letters for each in self._recent)
        last_minute = sum(each.changes for each in self._recent if each.at >= now - _MINUTE_S)
        return {"changes_per_min": float(last_minute), "error_rate_5m": dead / changes if changes else 0.0}


class _Writers:
    """The writers of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writers: dict[tuple[object, ...], StreamWriter] = {}

    def of(self, entry: LedgerEntry, stream_id: str, save_interval_s: float, beat_interval_s: float) -> StreamWriter:
        """The writer of a stream of a run."""
        key = (entry.target, entry.job_id, entry.attempt, stream_id)
        with self._lock:
            if key not in self._writers:
                document = stream_document(entry.target.connect(), entry.job_id, stream_id, entry.retry)
                self._writers[key] = StreamWriter(document, entry.attempt, save_interval_s, beat_interval_s)
            return self._writers[key]

    def known(self, entry: LedgerEntry, stream_id: str) -> StreamWriter | None:
        """The writer, if there is one yet."""
        with self._lock:
            return self._writers.get((entry.target, entry.job_id, entry.attempt, stream_id))

    def of_run(self, entry: LedgerEntry) -> list[StreamWriter]:
        """All of a run that there are."""
        with self._lock:
            run = (entry.target, entry.job_id, entry.attempt)
            return [writer for key, writer in self._writers.items() if key[:3] == run]

    def forget(self, entry: LedgerEntry) -> None:
        """Removes those of a run that has ended."""
        with self._lock:
            run = (entry.target, entry.job_id, entry.attempt)
            self._writers = {key: writer for key, writer in self._writers.items() if key[:3] != run}


WRITERS = _Writers()


def _covered(position: Mapping[str, Any] | None) -> datetime.datetime | None:
    if position is None:
        return None
    read = from_json(position)
    return read.read_time if isinstance(read, Follow) else read.since


def _later(saved: Mapping[str, Any] | None, reached: Position | None) -> Mapping[str, Any] | None:
    """A position never goes back: the later one of two."""
    if reached is None or (saved is not None and _rank(from_json(saved)) > _rank(reached)):
        return saved
    return to_json(reached)


def _rank(position: Position) -> tuple[datetime.datetime, int]:
    return (position.to, 0) if isinstance(position, Compare) else (position.read_time, 1)


def _percentile(values: deque[float], percent: int) -> float | None:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 1) if ordered else None
