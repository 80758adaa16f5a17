"""Following what Firestore's Listen says of its streams on the service, and emulators never do: tokens, counts, REMOVE.

The scripted Firestore sends changes as the service does, so its snapshots are taken to be exact.
"""

import random

import pytest

from tests.stand_ins import comes_true
from tests.support.followed_pair import COLLECTION, Places, assert_nothing_is_lost, writing, written
from transforms.dual.stored import COSMOS, FIRESTORE
from transforms.firestore.changes.options import ListenOptions
from transforms.migrate.documents import tombstones_of
from transforms.migrate.phases import FIRESTORE_ANALYTICS, FIRESTORE_PRIMARY, State
from transforms.testing import ScriptedFirestore

POLL_S, PUT_TIMEOUT_S = 0.3, 1.0
EXACT = ListenOptions(exact_snapshots=True, silence_s=5.0)
NAMES = (COLLECTION, tombstones_of(COLLECTION))


@pytest.fixture
def firestore():
    with ScriptedFirestore(max_outage_s=30) as server:
        server.listen.heartbeat_s = 0.3
        yield server


@pytest.fixture
def places(cosmos, firestore, monkeypatch, tmp_path):
    monkeypatch.setenv("COSMOS_KEY", cosmos.key)
    places = Places(cosmos, firestore.target, tmp_path)
    places.set_state(State(FIRESTORE_PRIMARY, None, POLL_S, PUT_TIMEOUT_S))
    return places


def following(places, **settings):
    return places.following(listening=EXACT, **settings)


def item(name, **more):
    return {"id": name, "student_id": "s", **more}


def put(places, *items):
    with places.application() as application:
        for each in items:
            application.put(each)


def begun(running, firestore):
    """Waits until both streams have said that they are consistent."""
    firestore.listen.wait_for_targets(len(NAMES), 30)
    return comes_true(lambda: running.follower.read_to()[FIRESTORE] is not None, 30)


def test_a_stream_that_is_cut_before_its_snapshot_is_opened_at_its_token_and_nothing_is_lost(places, firestore):
    put(places, item("a"))
    with following(places) as running:
        assert begun(running, firestore)
        firestore.listen.automatic = False
        firestore.put({f"{COLLECTION}/b": item("b", n=1)})
        firestore.listen.cut(after=1, collection=COLLECTION)
        firestore.listen.publish()
        firestore.listen.automatic = True
        assert comes_true(lambda: places.items().get("b") == item("b", n=1), 30)
    opened = [each.add_target for each in firestore.requests("Listen") if each.HasField("add_target")]
    again = [each for each in opened if each.query.structured_query.from_[0].collection_id == COLLECTION][1:]
    assert again, "it was opened again"
    assert all(each.resume_token or each.HasField("read_time") for each in again)


def test_a_document_that_is_deleted_takes_its_item_with_it_also_if_nobody_listened(places, firestore):
    put(places, *(item(name) for name in "abc"))
    with following(places) as running:
        assert begun(running, firestore)
        firestore.delete(f"{COLLECTION}/a")
        assert comes_true(lambda: set(places.items()) == {"b", "c"}, 30)
    firestore.delete(f"{COLLECTION}/b")
    with following(places):
        assert comes_true(lambda: set(places.items()) == {"c"}, 30)
    assert places.documents() == {"c": item("c")}


@pytest.mark.parametrize("bits_per_name", [0, 10])
def test_a_delete_that_the_service_forgets_is_found_by_its_count(places, firestore, bits_per_name):
    firestore.listen.manners.bits_per_name = bits_per_name
    put(places, *(item(name) for name in "abc"))
    with following(places) as running:
        assert begun(running, firestore)
        firestore.listen.automatic = False
        firestore.delete(f"{COLLECTION}/a")
        firestore.listen.forget_deletes()
        firestore.listen.cut()
        firestore.listen.automatic = True
        assert comes_true(lambda: set(places.items()) == {"b", "c"}, 30)


@pytest.mark.parametrize("forget", ["expire_tokens", "forget_tokens", "reset"])
def test_who_is_sent_everything_again_misses_no_delete_and_repairs_nothing_twice(places, firestore, forget):
    put(places, *(item(name) for name in "abc"))
    with following(places) as running:
        assert begun(running, firestore)
        firestore.listen.automatic = False
        firestore.delete(f"{COLLECTION}/a")
        firestore.put({f"{COLLECTION}/d": item("d")})
        getattr(firestore.listen, forget)()
        firestore.listen.cut()
        firestore.listen.automatic = True
        assert comes_true(lambda: set(places.items()) == {"b", "c", "d"}, 30)
        assert comes_true(lambda: running.status()["waits"] == "", 30)
        assert running.status()["counts"].get("refused") is None
    assert set(places.documents()) == {"b", "c", "d"}


def test_a_target_that_is_removed_for_now_is_opened_again_and_one_that_may_not_be_read_ends_the_job(places, firestore):
    put(places, item("a"))
    with following(places) as running:
        assert begun(running, firestore)
        firestore.listen.remove("DEADLINE_EXCEEDED")
        firestore.put({f"{COLLECTION}/b": item("b")})
        assert comes_true(lambda: set(places.items()) == {"a", "b"}, 30)
        firestore.listen.remove("PERMISSION_DENIED", "Missing or insufficient permissions.", collection=COLLECTION)
        assert comes_true(lambda: not running.is_going_on, 30)
    with pytest.raises(Exception, match="Firestore's changes cannot be followed"):
        running.raise_failure()


def test_a_change_of_the_primary_waits_until_the_service_says_how_far_it_is(places, firestore):
    put(places, item("a"))
    with following(places) as running:
        assert begun(running, firestore)
        firestore.listen.automatic = False
        firestore.put({f"{COLLECTION}/b": item("b")})  # nobody is told yet
        places.announce(FIRESTORE_ANALYTICS)
        drained_from = places.state.drained_from()
        assert comes_true(lambda: (running.follower.read_to()[COSMOS] or drained_from) > drained_from, 30)
        assert (places.state.change is not None, set(places.items())) == (True, {"a"})
        firestore.listen.publish()
        firestore.listen.automatic = True
        assert comes_true(lambda: places.state.change is None, 30)
        assert set(places.items()) == {"a", "b"}
        places.container.upsert_item(item("c"))
        assert comes_true(lambda: "c" in places.documents(), 30)


def test_bad_manners_in_both_directions_and_around_changes_of_the_primary_lose_nothing(places, firestore):
    chance = random.Random(4)
    ways = [
        lambda: firestore.listen.cut(chance.choice(["UNAVAILABLE", "INTERNAL", "OK"]), after=chance.randrange(3)),
        lambda: firestore.listen.remove("DEADLINE_EXCEEDED"),
        firestore.listen.reset,
        firestore.listen.expire_tokens,
        firestore.listen.forget_deletes,
        firestore.listen.send_count,
    ]
    with following(places) as running:
        writers = writing(places)
        for phase in (FIRESTORE_ANALYTICS, FIRESTORE_PRIMARY):
            places.announce(phase)
            for _ in range(4):
                assert written(writers, 4)
                chance.choice(ways)()
            assert comes_true(lambda: places.state.change is None, 60), running.status()
            chance.choice(ways)()
            assert written(writers, 4)
        assert_nothing_is_lost(places, writers)
        running.raise_failure()
