"""Items whose documents are gone while Firestore is primary, on scripted stores: which go, and which stay."""

import datetime

import pytest

from tests.stand_ins import comes_true
from tests.support.followed_pair import COLLECTION, KIND, POLL_S, PUT_TIMEOUT_S, Places
from transforms.dual.items import version_of
from transforms.dual.rules import View
from transforms.dual.stored import COSMOS, FIRESTORE
from transforms.errors import JobError, TransientError
from transforms.follow.item_scan import ItemScan
from transforms.follow.lost_writes import DeadLetterFiles
from transforms.follow.removals import Removals
from transforms.follow.repairing import Repairing
from transforms.ledger.migrations import save_pair
from transforms.migrate.phases import FIRESTORE_PRIMARY, State
from transforms.retry import Retry
from transforms.testing import ScriptedFirestore

EVERY_S = 86_400
VIEW = View(FIRESTORE)


@pytest.fixture
def firestore():
    with ScriptedFirestore(max_outage_s=30) as server:
        yield server


@pytest.fixture
def places(cosmos, firestore, monkeypatch, tmp_path):
    monkeypatch.setenv("COSMOS_KEY", cosmos.key)
    places = Places(cosmos, firestore.target, tmp_path)
    places.set_state(State(FIRESTORE_PRIMARY, None, POLL_S, PUT_TIMEOUT_S))
    return places


def item(name, **more):
    return {"id": name, "student_id": "s", **more}


def put(places, *names):
    with places.application() as application:
        for name in names:
            application.put(item(name))


def now():
    return datetime.datetime.now(datetime.timezone.utc)


class Desk:
    """A comparison without the loop."""

    def __init__(self, places, equal_at=None, view=VIEW):
        losers = DeadLetterFiles(None, "", "", "", now)
        repairing = Repairing(places.stores, losers, lambda: 20.0)
        self.removals = Removals(places.firestore, KIND, COLLECTION, repairing, Retry(3))
        connection = places.target.connect()
        self.scan = ItemScan(
            connection,
            places.firestore,
            KIND,
            COLLECTION,
            self.removals,
            lambda: equal_at,
            lambda: view,
            now,
            Retry(3),
        )


def counts(compared, deleted, without_document):
    return {"items_compared": compared, "items_deleted": deleted, "items_without_document": without_document}


def test_a_job_finds_what_was_deleted_while_it_did_not_run_and_removes_tombstones_afterwards(places, firestore):
    put(places, "a", "b")
    firestore.delete(f"{COLLECTION}/a")
    with places.following(scan_every_s=EVERY_S) as following:
        assert comes_true(lambda: places.items() == {"b": item("b")}, 30)
        assert comes_true(lambda: following.status()["counts"].get("items_deleted") == 1, 30)
    assert places.documents() == {"b": item("b")}
    with places.following(scan_every_s=EVERY_S) as following:
        assert comes_true(lambda: places.read_to(FIRESTORE) is not None, 30)
        assert "items_compared" not in following.status()["counts"], "it was compared less than a day ago"


def test_what_others_wrote_into_cosmos_stays_unless_it_is_of_before_a_verify_that_found_the_stores_equal(places):
    put(places, "a")
    places.container.create_item(item("b"))
    assert Desk(places).scan() == counts(2, 0, 1)
    assert set(places.items()) == {"a", "b"}
    assert Desk(places, equal_at=now() + datetime.timedelta(minutes=2)).scan() == counts(2, 1, 0)
    assert set(places.items()) == {"a"}


def test_the_time_of_that_verify_is_the_pairs(places):
    following = places.following()
    assert following.pair.equal_at() is None
    at = now().replace(microsecond=0)
    save_pair(places.migration, COLLECTION, {"equal_at": at})
    assert following.pair.equal_at() == at


def test_deleted_by_dualstore_and_pending_ones_are_somebody_elses_matter(places, firestore):
    put(places, "a", "b")
    with places.application() as application:
        application.delete("a", student_id="s")
    found = places.container.read_item("b", "s")
    places.container.upsert_item({**found, "_meta": {**found["_meta"], "pending": True}})
    firestore.delete(f"{COLLECTION}/b")
    assert Desk(places).scan() == counts(2, 0, 0)
    assert set(places.items()) == {"b"}


def test_an_item_that_was_changed_or_whose_document_came_back_stays(places, firestore):
    put(places, "a", "b")
    removals, key = Desk(places).removals, KIND.key_of(item("a"))
    seen = version_of(places.container.read_item("a", "s"))
    assert removals.remove(key, seen, now(), VIEW) is False, "there is a document"
    firestore.delete(f"{COLLECTION}/a")
    places.container.upsert_item(item("a", n=2))
    assert removals.remove(key, seen, now(), VIEW) is False, "it has another version"
    assert removals.remove(key, version_of(places.container.read_item("a", "s")), now(), VIEW) is True
    assert set(places.items()) == {"b"}


def test_an_empty_collection_removes_nothing_and_says_why(places, firestore):
    put(places, "a")
    firestore.delete(f"{COLLECTION}/a")
    with pytest.raises(JobError, match=r"holds no documents, so every item of cosmos://.* would be deleted"):
        Desk(places).scan()
    assert set(places.items()) == {"a"}


@pytest.mark.parametrize("view", [None, View(COSMOS)])
def test_around_a_change_of_the_primary_nothing_is_removed(places, firestore, view):
    put(places, "a", "b")
    firestore.delete(f"{COLLECTION}/a")
    with pytest.raises(TransientError, match="the phase changes"):
        Desk(places, view=view).scan()
    assert set(places.items()) == {"a", "b"}
