"""Phases change by one step, announced, and are finished when the old primary is drained."""

import datetime

import pytest

from transforms.errors import UsageError
from transforms.migrate.phases import (
    COSMOS_ONLY,
    DUAL_WRITE,
    FIRESTORE_ANALYTICS,
    FIRESTORE_PRIMARY,
    NAMES,
    PHASES,
    State,
    before,
    check_step,
    phase_of,
)

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)


def after(seconds):
    return NOON + datetime.timedelta(seconds=seconds)


def test_in_every_phase_the_primary_is_written_and_read_first_and_never_repaired():
    for phase in PHASES:
        assert phase.primary in phase.writes
        assert phase.reads[0] == phase.primary != phase.repaired


@pytest.mark.parametrize("name", NAMES)
def test_a_phase_changes_by_one_step(name):
    near = {NAMES[at] for at in (NAMES.index(name) - 1, NAMES.index(name) + 1) if 0 <= at < len(NAMES)}
    for to in NAMES:
        if to in near:
            check_step(name, to)
        else:
            with pytest.raises(UsageError, match=f"from {name} a migration goes to"):
                check_step(name, to)


def test_an_unknown_phase_is_named_with_those_there_are():
    with pytest.raises(UsageError, match="there is no phase 'dual'; the phases are cosmos_only, dual_write"):
        phase_of("dual")
    with pytest.raises(UsageError, match="nothing to go back to"):
        before(COSMOS_ONLY)


def test_a_change_of_the_primary_takes_effect_when_earlier_writes_have_ended_and_is_finished_when_drained():
    state = State(FIRESTORE_ANALYTICS).announce(FIRESTORE_PRIMARY, NOON)
    assert state.changes_primary
    assert state.phase_at(after(29)).name == FIRESTORE_ANALYTICS
    assert state.phase_at(after(30)).name == FIRESTORE_PRIMARY
    assert not state.may_finish(after(100), after(39))
    assert not state.may_finish(after(39), after(40))
    assert not state.may_finish(after(100), None)
    assert state.may_finish(after(100), after(40))
    assert state.finished() == State(FIRESTORE_PRIMARY)


def test_a_change_that_keeps_the_primary_waits_for_nobody_and_stamps_do_not_decide():
    state = State(COSMOS_ONLY).announce(DUAL_WRITE, NOON)
    assert not state.changes_primary
    assert state.may_finish(after(40), None)


def test_a_change_is_refused_while_another_is_under_way():
    with pytest.raises(UsageError, match="the change to dual_write is not finished yet"):
        State(COSMOS_ONLY).announce(DUAL_WRITE, NOON).announce(FIRESTORE_ANALYTICS, NOON)
