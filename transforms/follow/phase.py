"""What the migration's document says: who is primary, which feeds are followed, whether a repair may begin.

seen by the application:   announced ────────────── takes effect ─────────────────── finished
followed                   the primary's feed │ nothing │ both feeds, the later stamp decides │ the new primary's
                                              └ repairs that began before have ended by then
"""

from __future__ import annotations

import contextlib
import datetime
import threading
from typing import NamedTuple, Protocol

from transforms.dual.rules import View
from transforms.dual.stored import STORES
from transforms.errors import FirebeamError
from transforms.migrate.phases import COSMOS_RETIRED, State
from transforms.retry import SYSTEM_CLOCK, Clock

# How often the job reads the phase at least; applications do so every poll interval of the migration.
POLL_S = 1.0
# How long a repair may take, if the writes of applications may take longer.
REPAIR_S = 5.0


class Course(NamedTuple):
    """What the job goes by just now.

    Attributes:
      state: of the migration.
      view: for repairs.
      sources: the stores whose feeds are followed.
      waits: why no repair may begin now; empty if one may.
      is_known: whether the state was read lately.
    """

    state: State
    view: View
    sources: tuple[str, ...]
    waits: str = ""
    is_known: bool = True


def course_at(state: State, now: datetime.datetime, read_at: datetime.datetime | None, repair_s: float) -> Course:
    """What the job goes by at a time.

    Args:
      read_at: when the state was read; None for never. One that is older than two poll intervals is not gone by: what
        was announced since may take effect once writes have timed out.
      repair_s: how long a repair takes at most; no longer than a write.
    """
    phase, change = state.phase_at(now), state.change
    has_begun = change is not None and state.changes_primary and now >= change.effective_at
    sources = STORES if has_begun else () if phase.name == COSMOS_RETIRED else (phase.primary,)
    is_known = read_at is not None and (now - read_at).total_seconds() <= state.lease_s
    waits = "" if is_known else "the phase could not be read"
    if is_known and change is not None and state.changes_primary and not has_begun:
        left_s = (change.effective_at - now).total_seconds()
        waits = "another primary is about to take effect" if left_s <= repair_s else ""
    return Course(state, View(phase.primary, by_stamp=has_begun), sources, waits, is_known)


class StateReader(Protocol):
    """Where the phase is kept."""

    def read(self, timeout_s: float) -> tuple[State, datetime.datetime]:
        """The state, and when the server read it. Raises FirebeamError."""


class PhaseReader:
    """Reads the phase in a thread of its own. Thread-safe.

    Args:
      reader: where it is kept.
      clock: of the computer.
    """

    def __init__(self, reader: StateReader, clock: Clock = SYSTEM_CLOCK):
        self._reader, self._clock = reader, clock
        self._lock = threading.Lock()
        self._state = State()
        self._read_at: datetime.datetime | None = None
        self._offset_s = 0.0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow-phase", daemon=True)

    def start(self) -> None:
        """Reads once, then again and again. Raises what the first read does."""
        self._read()
        self._thread.start()

    def now(self) -> datetime.datetime:
        """The time, by the clock of the database that keeps the phase."""
        return datetime.datetime.fromtimestamp(self._clock.now() + self._offset_s, datetime.timezone.utc)

    @property
    def repair_s(self) -> float:
        """How long a repair may take."""
        return min(REPAIR_S, self._state.put_timeout_s)

    def course(self) -> Course:
        """What the job goes by now."""
        with self._lock:
            state, read_at = self._state, self._read_at
        return course_at(state, self.now(), read_at, self.repair_s)

    def steady_view(self) -> View | None:
        """What repairs go by while the primary is the steady one; None around a change of it."""
        course = self.course()
        return None if course.waits or len(course.sources) != 1 or course.state.change is not None else course.view

    def close(self) -> None:
        """Ends the thread."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._closed.wait(min(POLL_S, self._state.poll_interval_s / 2)):
            with contextlib.suppress(FirebeamError):  # until it can be read again, nothing is repaired
                self._read()

    def _read(self) -> None:
        asked_s = self._clock.now()
        state, read_at = self._reader.read(5.0)
        offset_s = read_at.timestamp() - (asked_s + self._clock.now()) / 2
        with self._lock:
            self._state, self._read_at, self._offset_s = state, read_at, offset_s
