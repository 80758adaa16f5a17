"""DualStore on the Firestore emulator and the scripted account of Cosmos DB, by the unchanged azure-cosmos."""

import asyncio
import datetime
import uuid

import pytest
from azure.cosmos import CosmosClient, PartitionKey

from pipeline.specs import read_spec
from transforms.cosmos.target import CosmosTarget
from transforms.dual import repairs
from transforms.dual.connect import open_async_dual_store, open_dual_store
from transforms.dual.core import Settings
from transforms.dual.cosmos_store import CosmosStore
from transforms.dual.firestore_store import FirestoreStore
from transforms.dual.kinds import Key, Kind
from transforms.dual.rules import View
from transforms.dual.stored import COSMOS, FIRESTORE, Read
from transforms.errors import RecordError
from transforms.firestore.query import Query
from transforms.firestore.reader import read
from transforms.ledger.migrations import migration_document, read_migration, save_migration, writes_since
from transforms.migrate.phases import DUAL_WRITE, FIRESTORE_PRIMARY, State
from transforms.migrate.states import saved_as

pytestmark = pytest.mark.emulator

SPEC = read_spec("student_attempts")
KIND = Kind.of(SPEC, "/student_id")
ITEM = {"id": "a%1", "student_id": "12345", "score": 1, "ttl": 600, "answers": [{"q": 1, "ok": True}]}
SETTINGS = Settings(primary_timeout_s=20, secondary_timeout_s=20, shadow_ratio=0)


class Places:
    """A container and a database of the test's own."""

    def __init__(self, cosmos, target):
        self.cosmos, self.target = cosmos, target
        self.database = f"d{uuid.uuid4().hex[:8]}"
        self.client = CosmosClient(cosmos.endpoint, cosmos.key)
        database = self.client.create_database(self.database)
        self.container = database.create_container("attempts", PartitionKey("/student_id"))
        self.location = f"cosmos://{self.database}/attempts"
        self.environ = {
            **cosmos.environ,
            "GOOGLE_CLOUD_PROJECT": target.project,
            "FIRESTORE_EMULATOR_HOST": target.emulator_host,
        }
        self.stores = {
            COSMOS: CosmosStore(CosmosTarget.of(self.location, "container", self.environ)),
            FIRESTORE: FirestoreStore(target, KIND),
        }

    def set_phase(self, phase):
        document = migration_document(self.target.connect(), "students")
        before = read_migration(document)
        save_migration(document, saved_as(State(phase), before), before)

    def held(self, store, item=ITEM):
        return self.stores[store].answer(KIND.key_of(item), Read(store, needs_content=True), 20).stored

    def run(self, steps, item=ITEM):
        answer = None
        while True:
            try:
                request = steps.send(answer)
            except StopIteration as end:
                return end.value
            answer = self.stores[request.store].answer(KIND.key_of(item), request, 20)


@pytest.fixture
def places(cosmos, target, monkeypatch):
    monkeypatch.setenv("COSMOS_KEY", cosmos.key)
    return Places(cosmos, target)


def _an_hour_ago():
    return datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)


def opened(places):
    return open_dual_store(SPEC, places.location, "/student_id", "students", settings=SETTINGS, environ=places.environ)


@pytest.mark.parametrize("phase", [DUAL_WRITE, FIRESTORE_PRIMARY])
def test_both_stores_hold_what_is_written_and_answer_alike(places, phase):
    places.set_phase(phase)
    with opened(places) as store:
        assert store.put(ITEM).is_accepted
        assert store.get("a%1", student_id="12345") == ITEM
        changed = {**ITEM, "score": 2.5}
        result = store.patch("a%1", {"score": 2.5}, student_id="12345")
        assert [outcome.state for outcome in result.outcomes.values()] == ["written", "written"]
        assert store.query(("student_id", "==", "12345"), order_by="score") == [changed]
        assert places.held(COSMOS).is_same_write(places.held(FIRESTORE))
        (document,) = read(places.target.connect(), Query("student_attempts"))
        assert (document.id, document.fields["source_system"]) == ("a%251", "cosmos_migration")
        assert document.fields["_meta"]["version"] == 2
        store.delete("a%1", student_id="12345")
        assert store.get("a%1", student_id="12345") is None
        assert store.query() == []
        assert places.held(COSMOS).is_tombstone
        assert places.held(FIRESTORE).is_tombstone
        store.put(ITEM)
        assert places.held(COSMOS).content == places.held(FIRESTORE).content == ITEM
    written = writes_since(migration_document(places.target.connect(), "students"), _an_hour_ago())
    assert written == {"student_attempts": (4, 4)}


@pytest.mark.parametrize("phase", [DUAL_WRITE, FIRESTORE_PRIMARY])
def test_an_item_does_not_replace_the_document_of_another_one_of_its_id(places, phase):
    places.set_phase(phase)
    other = {**ITEM, "student_id": "other"}
    with opened(places) as store:
        store.put(ITEM)
        if phase == DUAL_WRITE:
            outcome = store.put(other).outcomes[FIRESTORE]
            assert (outcome.state, outcome.reason) == ("refused", "ID_OF_ANOTHER_ITEM")
            assert store.get("a%1", student_id="other") == other
        else:
            for write in (store.put, lambda item: store.delete(item["id"], student_id=item["student_id"])):
                with pytest.raises(RecordError, match="ID_OF_ANOTHER_ITEM"):
                    write(other)
            assert store.get("a%1", student_id="other") is None
        assert places.held(FIRESTORE).content == ITEM
        of_document = places.stores[FIRESTORE].answer(Key("a%251", "", ()), Read(FIRESTORE, needs_content=True), 20)
        assert of_document.stored.content == ITEM
        store.delete("a%1", student_id="12345")
        assert store.put(other).outcomes[FIRESTORE].state == "written"
        assert places.held(FIRESTORE, other).content == other


def test_fields_are_asked_for_by_the_same_names_in_both_stores(places):
    item = {**ITEM, "a-b": {"c d": 1}}
    for phase in (DUAL_WRITE, FIRESTORE_PRIMARY):
        places.set_phase(phase)
        with opened(places) as store:
            store.put(item)
            assert store.query(("a-b.c d", "==", 1)) == [item]
            assert store.query(order_by="a-b.c d") == [item]


def test_a_write_that_cosmos_does_not_take_is_pending_and_is_carried_over(places):
    places.set_phase(DUAL_WRITE)
    rule = {"operation": "upsert", "status": 503, "times": 1}
    with opened(places) as store, places.cosmos.following({"rules": [rule]}):
        result = store.put(ITEM)
    assert result.is_pending
    assert places.held(COSMOS) is None
    assert places.held(FIRESTORE).is_pending
    assert places.run(repairs.resolve(FIRESTORE, View(COSMOS))).done == repairs.COPIED
    assert places.held(COSMOS).is_same_write(places.held(FIRESTORE))
    assert not places.held(FIRESTORE).is_pending


def test_a_write_by_somebody_else_is_a_conflict_and_a_tombstone_is_removed_from_both(places):
    places.set_phase(FIRESTORE_PRIMARY)
    with opened(places) as store:
        store.put(ITEM)
        old = places.held(FIRESTORE)
        store.put({**ITEM, "score": 2})
        view = View(FIRESTORE)
        assert places.run(repairs.repair(FIRESTORE, old, view)).done == repairs.NOTHING
        assert places.held(COSMOS).content["score"] == 2
        store.delete("a%1", student_id="12345")
    later = places.held(FIRESTORE).stamp.time + 3_600_000_000
    assert places.run(repairs.forget(view, later, 60)).done == repairs.FORGOTTEN
    assert places.held(COSMOS) is places.held(FIRESTORE) is None


def test_an_event_loop_does_the_same(places):
    places.set_phase(DUAL_WRITE)

    async def use():
        async with open_async_dual_store(
            SPEC, places.location, "/student_id", "students", settings=SETTINGS, environ=places.environ
        ) as store:
            await store.put(ITEM)
            await store.patch("a%1", {"score": 3}, student_id="12345")
            found = await store.get("a%1", student_id="12345")
            queried = await store.query(("score", ">=", 3))
            await store.delete("a%1", student_id="12345")
            return found, queried, await store.get("a%1", student_id="12345")

    expected = {**ITEM, "score": 3}
    assert asyncio.run(use()) == (expected, [expected], None)
    assert places.held(COSMOS).is_tombstone
    assert places.held(FIRESTORE).is_tombstone


def test_without_a_project_only_cosmos_is_written_and_no_client_of_firestore_is_made(places):
    environ = {name: value for name, value in places.environ.items() if name != "GOOGLE_CLOUD_PROJECT"}
    with open_dual_store(SPEC, places.location, "/student_id", "students", environ=environ) as store:
        assert list(store.put(ITEM).outcomes) == [COSMOS]
        assert store.get("a%1", student_id="12345") == ITEM
