"""A migration's document as a state of phases, and back. Pure."""

from __future__ import annotations

from dataclasses import replace

from transforms.ledger.migrations import SavedChange, SavedMigration
from transforms.migrate.phases import Change, State


def state_of(saved: SavedMigration | None) -> State:
    """The state; of a migration that nobody has begun, the first phase."""
    if saved is None:
        return State()
    change = saved.change
    announced = None if change is None else Change(change.to, change.announced_at, change.effective_at)
    return State(saved.phase, announced, saved.poll_interval_s, saved.put_timeout_s)


def saved_as(state: State, before: SavedMigration | None) -> SavedMigration:
    """The document of a state, with the history as it was."""
    change = state.change
    saved = None if change is None else SavedChange(change.to, change.announced_at, change.effective_at)
    if before is None:
        return SavedMigration(state.phase, saved, state.poll_interval_s, state.put_timeout_s)
    return replace(before, phase=state.phase, change=saved)
