"""Which phase an instance goes by: read every poll interval, with the server's time, which corrects stamps.

A thread of its own reads it and saves what was counted, so that neither a write nor an event loop waits for it. The
first write waits for the first read, for at most a second.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from transforms.dual.counting import Counts
from transforms.dual.log_lines import LOGGER
from transforms.dual.rules import View
from transforms.dual.stamps import Stamper
from transforms.dual.views import forced_view, view_of
from transforms.errors import FirebeamError
from transforms.migrate.phases import Phase, State, phase_of
from transforms.retry import SYSTEM_CLOCK, Clock

_FIRST_READ_S = 1.0


class Migration(Protocol):
    """Where the phase is kept."""

    def read(self, timeout_s: float) -> tuple[State, datetime.datetime]:
        """The state, and when the server read it. Raises FirebeamError."""

    def save(
        self, instance: str, phase: str, counts: Mapping[str, int], hours: Mapping[str, Mapping[str, int]]
    ) -> None:
        """Saves what an instance has counted. Raises FirebeamError."""


class Guide(NamedTuple):
    """What an operation goes by."""

    phase: Phase
    view: View
    put_timeout_s: float


class FixedPhase:
    """Always the same phase, which nobody changes: without a project, and in tests of applications.

    Args:
      phase: its name.
    """

    def __init__(self, phase: str):
        found = phase_of(phase)
        self._guide = Guide(found, View(found.primary, len(found.writes) == 2), State().put_timeout_s)

    def guide(self) -> Guide:
        """As `PhaseWatch.guide`."""
        return self._guide

    def is_ready(self) -> bool:
        """As `PhaseWatch.is_ready`."""
        return True

    def close(self) -> None:
        """As `PhaseWatch.close`."""


class PhaseWatch:
    """Reads the phase. Thread-safe; its thread begins with the first operation.

    Args:
      migration: where it is kept.
      stamper: whose clock is corrected.
      counts: what is saved.
      forced: the phase that the environment names; it wins.
    """

    def __init__(
        self,
        migration: Migration,
        stamper: Stamper,
        counts: Counts,
        forced: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ):
        self._migration, self._stamper, self._counts, self._clock = migration, stamper, counts, clock
        self._forced = phase_of(forced) if forced else None
        self._lock = threading.Lock()
        # One value, so that a thread never takes a state for younger than it is.
        self._known: tuple[State, datetime.datetime | None] = (State(), None)
        self._thread: threading.Thread | None = None
        self._has_looked, self._is_closed = threading.Event(), threading.Event()
        self._is_silent = False

    def guide(self) -> Guide:
        """What an operation that begins now goes by."""
        self._begin()
        state, read_at = self._known
        if self._forced is not None:
            return Guide(self._forced, forced_view(self._forced), state.put_timeout_s)
        now = self._stamper.now()
        return Guide(state.phase_at(now), view_of(state, now, read_at), state.put_timeout_s)

    def is_ready(self) -> bool:
        """Whether `guide` answers at once: the phase was read, or could not be."""
        return self._has_looked.is_set()

    def poll(self) -> None:
        """Reads the phase and saves what was counted."""
        asked_s = self._clock.now()
        try:
            state, read_at = self._migration.read(_timeout_s(self._known[0]))
            self._stamper.correct(read_at, asked_s, self._clock.now())
            self._known = (state, read_at)
            phase = (self._forced or state.phase_at(read_at)).name
            self._migration.save(self._stamper.instance, phase, self._counts.counts(), self._counts.hours())
            self._is_silent = False
        except FirebeamError as error:
            # Writers go on by what they know, see `view_of`; the next poll tries again.
            if not self._is_silent:
                LOGGER.warning("The migration could not be read, or what was counted not be saved: %s", error)
            self._is_silent = True
        finally:
            self._has_looked.set()

    def close(self) -> None:
        """Ends the thread, and saves what was counted."""
        self._is_closed.set()
        thread = self._thread
        if thread is not None:
            thread.join()

    def _begin(self) -> None:
        with self._lock:
            # A thread does not live on in a process that is forked.
            is_running = self._thread is not None and self._thread.is_alive()
            if not is_running and not self._is_closed.is_set():
                self._thread = threading.Thread(target=self._run, name="firebeam-phase", daemon=True)
                self._thread.start()
        self._has_looked.wait(_FIRST_READ_S)

    def _run(self) -> None:
        while True:
            self.poll()
            if self._is_closed.is_set():
                return
            self._is_closed.wait(self._known[0].poll_interval_s)


def _timeout_s(state: State) -> float:
    """Of a poll: an answer that comes later would not count as of its interval."""
    return min(5.0, state.poll_interval_s)
