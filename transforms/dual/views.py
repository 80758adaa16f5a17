"""What an instance of the application holds to be the case: of the migration's state, and of when it read it. Pure."""

from __future__ import annotations

import datetime

from transforms.dual.rules import View
from transforms.migrate.phases import Phase, State


def view_of(state: State, now: datetime.datetime, read_at: datetime.datetime | None) -> View:
    """The view of a writer.

    Args:
      state: of the migration, as read last; before the first time, the default.
      now: by the clock of the database that keeps the state.
      read_at: when it was read; None if it never was. After two poll intervals a change may have been announced and
        may take effect unseen: then stamps decide, and what one store alone accepts is marked.
    """
    is_known = read_at is not None and (now - read_at).total_seconds() < state.lease_s
    return _view(state.phase_at(now), by_stamp=state.changes_primary or not is_known, marks_alone=not is_known)


def forced_view(phase: Phase) -> View:
    """The view of a writer whose environment names the phase: nobody knows what the others do meanwhile."""
    return _view(phase, by_stamp=True, marks_alone=True)


def _view(phase: Phase, *, by_stamp: bool, marks_alone: bool) -> View:
    return View(phase.primary, len(phase.writes) == 2, by_stamp, marks_alone)
