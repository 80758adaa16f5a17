"""Following on the Firestore emulator and the scripted account of Cosmos DB, by the unchanged azure-cosmos."""

import json
from dataclasses import replace

import pytest

from tests.stand_ins import comes_true
from tests.support.followed_pair import (
    COLLECTION,
    POLL_S,
    PUT_TIMEOUT_S,
    Places,
    assert_nothing_is_lost,
    writing,
    written,
)
from tests.support.wire import Wire
from transforms.dual.stored import COSMOS, FIRESTORE
from transforms.errors import UsageError
from transforms.firestore import messages
from transforms.firestore.committer import AtomicGroup, Committer
from transforms.ledger.migrations import read_pairs
from transforms.migrate.phases import DUAL_WRITE, FIRESTORE_PRIMARY, State

pytestmark = pytest.mark.emulator


@pytest.fixture
def places(cosmos, target, monkeypatch, tmp_path):
    monkeypatch.setenv("COSMOS_KEY", cosmos.key)
    return Places(cosmos, target, tmp_path)


def test_items_that_others_write_into_cosmos_come_to_firestore(places):
    items = [{"id": f"a-{n}", "student_id": f"s-{n % 3}", "n": n} for n in range(50)]
    for item in items:
        places.container.create_item(item)
    with places.following() as following:
        assert comes_true(lambda: places.documents() == {item["id"]: item for item in items}, 30)
        places.container.upsert_item({**items[0], "n": 100})
        assert comes_true(lambda: places.documents()["a-0"]["n"] == 100, 30)
        assert following.status()["direction"] == COSMOS
        assert comes_true(lambda: places.read_to(COSMOS) is not None, 30)
    (pair,) = read_pairs(places.migration)
    assert (pair.name, pair.container, pair.lag_s) == (COLLECTION, places.location, 0)


def test_a_document_that_is_deleted_past_dualstore_takes_its_item_with_it(places):
    places.set_state(State(FIRESTORE_PRIMARY, None, POLL_S, PUT_TIMEOUT_S))
    item = {"id": "a", "student_id": "s", "n": 1}
    with places.following(), places.application() as application:
        application.put(item)
        assert comes_true(lambda: places.items() == places.documents() == {"a": item}, 30)
        assert comes_true(lambda: places.read_to(FIRESTORE) is not None, 30)
        name = places.firestore.document_name(f"{COLLECTION}/a")
        Committer(places.firestore.connect()).commit([AtomicGroup((messages.delete(name),))])
        assert comes_true(lambda: places.items() == {}, 30)
        assert places.documents() == {}


def test_what_a_store_refuses_is_a_dead_letter_and_holds_up_nothing(places):
    places.container.create_item({"id": "a", "student_id": "s", "rows": [[1]]})
    places.container.create_item({"id": "b", "student_id": "s"})
    with places.following() as following:
        assert comes_true(lambda: places.documents() == {"b": {"id": "b", "student_id": "s"}}, 30)
        assert comes_true(lambda: following.status()["counts"].get("refused") == 1, 30)
    (line,) = [json.loads(line) for file in places.folder.glob("permanent/*.jsonl") for line in file.open()]
    assert (line["step"], line["code"], line["record_id"]) == ("Follow", "NESTED_ARRAY", "a")


def test_a_second_job_for_the_same_pair_is_refused(places):
    with places.following():
        second = places.following()
        with pytest.raises(UsageError, match=r"process \d+ of .* follows student_attempts of students; end it"):
            second.__enter__()


@pytest.mark.parametrize("operation", ["create", "replace", "upsert", "delete", "read", "feed"])
def test_an_account_that_answers_badly_for_a_while_delays_and_loses_nothing(places, operation):
    places.set_state(State(FIRESTORE_PRIMARY, None, POLL_S, PUT_TIMEOUT_S))
    rule = {"operation": operation, "status": 503, "times": 12}
    with places.following() as following:
        writers = writing(places)
        assert written(writers, 5)
        with places.cosmos.following({"rules": [rule]}):
            assert written(writers, 10)
        assert_nothing_is_lost(places, writers)
        following.raise_failure()


@pytest.mark.parametrize("phase", [DUAL_WRITE, FIRESTORE_PRIMARY])
def test_a_firestore_that_is_away_for_a_while_delays_and_loses_nothing(cosmos, target, monkeypatch, tmp_path, phase):
    monkeypatch.setenv("COSMOS_KEY", cosmos.key)
    host, port = target.emulator_host.split(":")
    wire = Wire(int(port))
    places = Places(cosmos, replace(target, emulator_host=f"{host}:{wire.port}"), tmp_path)
    places.set_state(State(phase, None, POLL_S, PUT_TIMEOUT_S))
    with places.following() as following:
        writers = writing(places)
        assert written(writers, 5)
        wire.cut(3.0)
        assert written(writers, 10)
        assert_nothing_is_lost(places, writers)
        following.raise_failure()
    wire.close()
