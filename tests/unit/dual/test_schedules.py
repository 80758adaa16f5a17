"""The write protocol on random schedules: both stores end equal, no acknowledged write is lost, each rule is needed."""

import itertools
from dataclasses import replace

import pytest

from tests.support.schedules import run
from transforms.dual.rules import Rules

SEEDS = 120
# For a rule that is missed on few schedules only.
MAX_SEEDS = 3_000


def test_both_stores_end_equal_and_no_acknowledged_write_is_lost():
    wrong, acknowledged, forgotten, changes = {}, 0, 0, 0
    for seed in range(SEEDS):
        world, found = run(seed)
        acknowledged, forgotten = acknowledged + len(world.acknowledged), forgotten + world.n_forgotten
        changes += world.n_changes
        if found:
            wrong[seed] = found
    assert wrong == {}
    # What is attacked was there.
    assert acknowledged > 10 * SEEDS
    assert forgotten > SEEDS / 4
    assert changes > SEEDS / 2


class SecondWriteIsUnconditional(Rules):
    """R1."""

    def may_follow(self, stamp, written, found, view):
        return True

    def is_guarded(self, found):
        return False


class StampsNeverDecide(Rules):
    """R2."""

    def by_stamp(self, view):
        return False


class StampsAreOfTheClockAlone(Rules):
    """R4."""

    def stamp_time(self, clock, seen):
        return clock


class LateWritesAreSent(Rules):
    """R5."""

    def is_in_time(self, age_s, timeout_s):
        return True


class NothingIsPending(Rules):
    """R6."""

    def alone(self, draft, found):
        return replace(super().alone(draft, found), is_pending=False)


class TombstonesGoAtOnce(Rules):
    """R7."""

    def may_forget(self, tombstone, now, older_writes_end_s):
        return True


@pytest.mark.parametrize(
    ("schedule", "known_seed"),
    [
        ({"rules": SecondWriteIsUnconditional()}, 710),
        ({"rules": StampsNeverDecide()}, 0),
        ({"waits": False}, 71),
        ({"rules": StampsAreOfTheClockAlone(), "skew": 30}, 19),
        ({"rules": LateWritesAreSent()}, 64),
        ({"rules": NothingIsPending()}, 9),
        ({"rules": TombstonesGoAtOnce()}, 18),
    ],
    ids=[f"R{n}" for n in range(1, 8)],
)
def test_without_any_one_rule_a_write_is_lost_or_the_stores_differ(schedule, known_seed):
    seeds = itertools.chain([known_seed], range(MAX_SEEDS))
    assert any(run(seed, **schedule)[1] - {"pending"} for seed in seeds)


def test_clocks_that_differ_by_seconds_lose_nothing_as_each_learns_of_the_others():
    assert {seed: wrong for seed in range(40) if (wrong := run(seed, skew=30)[1])} == {}
