"""The loop on stores in memory, with applications that write, outages and changes of the primary meanwhile."""

import pytest

from tests.stand_ins import comes_true
from tests.support.followed import Following, World, Writer
from transforms.dual.stored import COSMOS, FIRESTORE, STORES
from transforms.migrate.phases import FIRESTORE_ANALYTICS, FIRESTORE_PRIMARY


@pytest.fixture
def world():
    return World()


def is_settled(world):
    is_pending = any(stored.is_pending for name in STORES for _, stored in world.stores[name].documents())
    return (
        world.migration.state.change is None and not is_pending and world.contents(COSMOS) == world.contents(FIRESTORE)
    )


def assert_nothing_is_lost(world, writers):
    assert comes_true(lambda: is_settled(world))
    expected = {}
    for writer in writers:
        assert writer.failures == []
        expected |= writer.expected
    assert world.contents(COSMOS) == expected
    assert world.contents(FIRESTORE) == expected


def writing(world, n=2):
    writers = [Writer(world.application(), seed) for seed in range(n)]
    for writer in writers:
        writer.start()
    return writers


def written(writers, n):
    goal = [writer.n + n for writer in writers]
    return comes_true(lambda: all(writer.n >= each for writer, each in zip(writers, goal, strict=True)))


@pytest.mark.parametrize("store", STORES)
def test_what_one_store_missed_while_it_was_down_comes_to_it_afterwards(world, store):
    with Following(world):
        writers = writing(world)
        assert written(writers, 20)
        world.stores[store].is_down = True
        assert written(writers, 20)
        world.stores[store].is_down = False
        assert written(writers, 20)
        for writer in writers:
            writer.end()
        assert_nothing_is_lost(world, writers)


def test_a_switch_and_its_way_back_under_load_lose_no_write_and_fail_no_call(world):
    with Following(world):
        writers = writing(world)
        for phase in (FIRESTORE_PRIMARY, FIRESTORE_ANALYTICS, FIRESTORE_PRIMARY):
            world.announce(phase)
            assert comes_true(lambda: world.migration.state.change is None)
            assert written(writers, 20)
        for writer in writers:
            writer.end()
        assert_nothing_is_lost(world, writers)


def test_tombstones_are_removed_from_both_stores_once_no_older_write_can_come(world):
    with Following(world):
        application = world.application()
        application.put({"id": "a", "student_id": "s"})
        application.delete("a", student_id="s")
        assert comes_true(lambda: not any(list(world.stores[name].documents()) for name in STORES))
        application.close()


def test_a_store_that_is_down_for_too_long_ends_the_job_and_says_what_to_do(world):
    world.settings = type(world.settings)(max_outage_s=0.3)
    application = world.application()
    application.put({"id": "a", "student_id": "s"})
    world.stores[FIRESTORE].is_down = True
    application.put({"id": "a", "student_id": "s", "n": 2})
    application.close()
    following = Following(world)
    with following:
        assert comes_true(lambda: following.failure is not None)
    assert "has not answered for 0 s: the store is down" in str(following.failure)
