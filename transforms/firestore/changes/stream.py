"""A source in a thread of its own, and what it has received, bounded, until somebody takes it.

    Source ──▶ thread ──▶ [batch, batch, …] ──take──▶ claimed? ──yes──▶ accept: the position moves on
                 │            ▲                           └───no────▶ put back: nothing has happened
                 └ waits while it is full

Pieces of a snapshot, and snapshots that follow each other, are taken together, as many as the taker wants.
A full buffer stops the thread, so the connection fills up and the server waits: nothing is dropped. Batches without
changes are joined, so a stream that nobody takes from stays small.
"""

from __future__ import annotations

import datetime
import threading
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

from transforms.errors import JobError
from transforms.firestore.changes.change_batch import ChangeBatch, StreamState, joined, n_together
from transforms.firestore.changes.journal import Journal
from transforms.firestore.changes.name_cache import NamePool
from transforms.firestore.changes.options import ListenedQuery, ListenOptions
from transforms.firestore.changes.pace import Offer
from transforms.firestore.changes.positions import Position
from transforms.firestore.changes.source import Source
from transforms.firestore.client import FirestoreClient
from transforms.retry import SYSTEM_CLOCK, Clock

# Somebody may have built the index, or granted the role, that a stream failed for.
TRY_AGAIN_S = 60.0


class _ClosedError(Exception):
    """Nobody wants the stream any more; leaves the thread and nothing else."""


class Stream:
    """Thread-safe; one thread takes from it.

    Args:
      client: of the database.
      listened: query and id.
      position: where to begin; None for a snapshot of everything.
      options: complete, as `ListenOptions.of` makes them.
      journal: of announced names.
      clock: its sleep is not used: waits end when the stream is closed.
      try_again_s: seconds until a stream that failed is tried again.
      pool: of the names that are kept; default: its own.

    Attributes:
      listened: as given.
      position: behind the last batch that was accepted.
      error: what ended the thread, other than what FAILED batches say.
      state, reason: as the last batch that was accepted says; None before the first one.
      n_silences: how often the stream was opened again because it had been silent.
      n_full: how often it stopped receiving because too much waited.
    """

    def __init__(
        self,
        client: FirestoreClient,
        listened: ListenedQuery,
        position: Position | None,
        options: ListenOptions,
        journal: Journal,
        clock: Clock = SYSTEM_CLOCK,
        try_again_s: float = TRY_AGAIN_S,
        pool: NamePool | None = None,
    ):
        self.listened, self.position, self._options, self._clock = listened, position, options, clock
        self._try_again_s = try_again_s
        self.error: BaseException | None = None
        self.state: StreamState | None = None
        self.reason = ""
        self.n_silences = self.n_full = 0
        self._on_ready: Callable[[], None] = lambda: None
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._buffer: deque[ChangeBatch] = deque()
        self._taken: list[ChangeBatch] = []
        self._n_changes = self._n_bytes = 0
        self._source = Source(client, listened, options, journal, replace(clock, sleep=self._wait), pool)
        self._thread = threading.Thread(target=self._run, name=f"listen {listened.stream_id}", daemon=True)
        self._thread.start()

    def attach(self, on_ready: Callable[[], None]) -> None:
        """Has `on_ready` called, from the stream's thread, whenever there is something to take."""
        with self._changed:
            self._on_ready = on_ready
            if self._buffer:
                on_ready()

    @property
    def n_buffered(self) -> int:
        """Changes that wait to be taken."""
        return self._n_changes

    @property
    def failure(self) -> str:
        """Why the stream is FAILED; empty if it is not."""
        return self.reason if self.state is StreamState.FAILED else ""

    @property
    def is_ready(self) -> bool:
        """Whether there is a batch to take."""
        return bool(self._buffer) or self.error is not None

    def offer(self) -> Offer:
        """What there is to take."""
        with self._changed:
            n_ready = len(self._buffer[0].changes) if self._buffer else 0 if self.error is not None else None
            return Offer(self.listened.stream_id, n_ready, self._n_changes, self.n_full)

    def take(self, max_changes: int = 1) -> ChangeBatch:
        """The next batch, and with it what waits behind it up to `max_changes`; to be accepted or put back.

        Raises what ended the thread.
        """
        with self._changed:
            if not self._buffer and self.error is not None:
                raise self.error
            n = n_together(self._buffer, max_changes, self._options.limits.n_bytes)
            self._taken = [self._buffer.popleft() for _ in range(n)]
            return joined(self._taken)

    def accept(self, batch: ChangeBatch) -> None:
        """The batch that was taken is the taker's now."""
        with self._changed:
            self._taken = []
            self.position = batch.position
            if batch.state is not StreamState.PAUSED:
                self.state, self.reason = batch.state, batch.reason
            self._n_changes -= len(batch.changes)
            self._n_bytes -= batch.n_bytes
            self._changed.notify_all()

    def put_back(self) -> None:
        """What was taken last comes next again, in its pieces."""
        with self._changed:
            self._buffer.extendleft(reversed(self._taken))
            self._taken = []

    def check_silence(self) -> None:
        """Opens the stream again if nothing has been heard for too long."""
        silent_s = self._clock.monotonic() - self._source.waiting_since
        if self._options.silence_s and silent_s > self._options.silence_s and self._source.interrupt():
            self.n_silences += 1

    def close(self) -> None:
        """Ends the thread; it need not be waited for."""
        with self._changed:
            self._closed.set()
            self._changed.notify_all()
        self._source.close()

    def join(self) -> None:
        """Waits until the thread has ended."""
        self._thread.join()

    def _run(self) -> None:
        try:
            position = self.position
            while not self._closed.is_set():
                position = self._receive(position)
        except _ClosedError:
            pass
        except BaseException as error:
            self.error = error  # whoever takes next raises it
        finally:
            with self._changed:
                self._on_ready()

    def _receive(self, position: Position | None) -> Position | None:
        """Fills the buffer until the stream fails. Returns where to try again."""
        try:
            with closing(self._source.batches(position)) as batches:
                for batch in batches:
                    position = batch.position
                    if not self._put(batch):
                        break
        except JobError as error:
            now = datetime.datetime.fromtimestamp(self._clock.now(), datetime.timezone.utc)
            stream_id = self.listened.stream_id
            self._put(ChangeBatch(stream_id, (), position, now, StreamState.FAILED, str(error)))
            self._wait(self._try_again_s)
        return position

    def _wait(self, seconds: float) -> None:
        """Waits for the next attempt of anything, of which there is none once the stream is closed."""
        if self._closed.wait(seconds):
            raise _ClosedError

    def _put(self, batch: ChangeBatch) -> bool:
        """Adds a batch when there is room. False if the stream was closed meanwhile."""
        with self._changed:
            self.n_full += self._is_full
            self._changed.wait_for(lambda: self._closed.is_set() or not self._is_full)
            if self._closed.is_set():
                return False
            if self._buffer and _is_superseded(self._buffer[-1], batch):
                self._buffer.pop()
            self._buffer.append(batch)
            self._n_changes += len(batch.changes)
            self._n_bytes += batch.n_bytes
            self._on_ready()
            return True

    @property
    def _is_full(self) -> bool:
        many = self._n_changes >= self._options.max_buffered
        return many or self._n_bytes >= self._options.max_buffered_bytes


def _is_superseded(earlier: ChangeBatch, later: ChangeBatch) -> bool:
    """Whether the later batch says all that the earlier one does."""
    return not (earlier.changes or later.changes or earlier.save_now) and earlier.state is later.state
