"""Streams that nobody takes from just now, kept for whoever continues them in this process.

A runner ends a piece of work every few seconds, and continues it as another piece: perhaps in another copy of the same
step, perhaps in another process. A stream whose buffer is full of changes is not opened again for that: it is parked,
and taken up by whoever begins at exactly the position where it was left. If nobody does, it is closed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable

from transforms.firestore.changes.options import ListenedQuery
from transforms.firestore.changes.positions import Position
from transforms.firestore.changes.stream import Stream

PARKED_S = 60.0


class Parking:
    """Thread-safe.

    Args:
      parked_s: after so many seconds a stream that nobody took is closed.
      monotonic: seconds that never go back.
    """

    def __init__(self, parked_s: float = PARKED_S, monotonic: Callable[[], float] = time.monotonic):
        self._parked_s, self._monotonic = parked_s, monotonic
        self._lock = threading.Lock()
        self._parked: dict[Hashable, tuple[Stream, float]] = {}
        self._timer: threading.Timer | None = None

    def park(self, place: Hashable, stream: Stream) -> None:
        """Leaves a stream at a place; one that is there already is closed."""
        with self._lock:
            earlier = self._parked.pop(place, None)
            self._parked[place] = stream, self._monotonic()
            self._watch()
        if earlier:
            earlier[0].close()

    def take(self, place: Hashable, listened: ListenedQuery, position: Position | None) -> Stream | None:
        """The stream that was left at this place at exactly this position; any other one there is closed."""
        self.close_expired()
        with self._lock:
            stream, _ = self._parked.pop(place, (None, 0.0))
        if stream is None:
            return None
        if stream.position == position and stream.listened == listened and stream.error is None:
            return stream
        stream.close()
        return None

    def close_expired(self, parked_s: float | None = None) -> None:
        """Closes the streams that have been here for `parked_s` seconds; default: for too long."""
        with self._lock:
            old = self._monotonic() - (self._parked_s if parked_s is None else parked_s)
            expired = [place for place, (_, parked_at) in self._parked.items() if parked_at <= old]
            streams = [self._parked.pop(place)[0] for place in expired]
        for stream in streams:
            stream.close()

    def _watch(self) -> None:
        if self._timer is None or not self._timer.is_alive():
            self._timer = threading.Timer(self._parked_s, self._look)
            self._timer.daemon = True
            self._timer.start()

    def _look(self) -> None:
        self.close_expired()
        with self._lock:
            self._timer = None
            if self._parked:
                self._watch()


PARKING = Parking()  # of this process
