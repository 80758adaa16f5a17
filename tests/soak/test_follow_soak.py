"""Following for longer: kills at twenty moments, bad answers and changes of the phase, under writers all the time."""

import random
import threading

import pytest

from tests.stand_ins import comes_true
from tests.support.followed_pair import POLL_S, PUT_TIMEOUT_S, Places, assert_nothing_is_lost, writing, written
from transforms.migrate.phases import DUAL_WRITE, FIRESTORE_ANALYTICS, FIRESTORE_PRIMARY, NAMES, State

pytestmark = [pytest.mark.emulator, pytest.mark.soak]


@pytest.fixture
def places(cosmos, target, monkeypatch, tmp_path):
    for name, value in cosmos.environ.items():
        monkeypatch.setenv(name, value)
    return Places(cosmos, target, tmp_path)


def test_a_switch_and_its_way_back_under_load_lose_no_write_and_fail_no_call(places):
    places.set_state(State(FIRESTORE_ANALYTICS, None, POLL_S, PUT_TIMEOUT_S))
    with places.following() as following:
        writers = writing(places)
        assert written(writers, 10)
        for phase in (FIRESTORE_PRIMARY, FIRESTORE_ANALYTICS):
            places.announce(phase)
            assert comes_true(lambda: places.state.change is None, 60), following.status()
            assert written(writers, 10)
        assert_nothing_is_lost(places, writers)
        following.raise_failure()


def test_killed_at_twenty_moments_while_phases_change_at_random_it_loses_nothing(places):
    chance = random.Random(20)
    writers = writing(places)
    try:
        for _ in range(20):
            process = places.process()
            try:
                threading.Event().wait(chance.uniform(2, 8))
                at = NAMES.index(places.state.phase)
                # Not cosmos_only, in which nobody writes Firestore, and not cosmos_retired, in which nobody repairs.
                to = chance.choice([name for name in NAMES[1:4] if abs(NAMES.index(name) - at) == 1])
                if places.state.change is None:
                    places.announce(to)
            finally:
                process.kill()
                process.wait()
        with places.following() as following:
            assert comes_true(lambda: places.state.change is None, 90), following.status()
            assert_nothing_is_lost(places, writers)
    finally:
        for writer in writers:
            writer.end()


def test_an_account_that_fails_now_and_then_through_all_phases_loses_nothing(places):
    chance = random.Random(21)
    with places.following() as following:
        writers = writing(places)
        for phase in (FIRESTORE_ANALYTICS, FIRESTORE_PRIMARY, FIRESTORE_ANALYTICS, DUAL_WRITE):
            rule = {"operation": "any", "status": chance.choice([429, 449, 503]), "every": 3, "times": 60}
            with places.cosmos.following({"rules": [rule]}):
                places.announce(phase)
                assert comes_true(lambda: places.state.change is None, 90), following.status()
                assert written(writers, 10)
        assert_nothing_is_lost(places, writers)
        following.raise_failure()
