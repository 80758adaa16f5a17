"""Following on the Firestore emulator and the scripted account of Cosmos DB, by the unchanged azure-cosmos."""

import datetime
import json
import uuid

import pytest
from azure.cosmos import CosmosClient, PartitionKey

from pipeline.specs import read_spec
from tests.stand_ins import comes_true
from tests.support.followed import Writer
from transforms.cosmos.feed import feed_ranges
from transforms.cosmos.target import CosmosTarget
from transforms.dead_letters.folder import DeadLetterFolder
from transforms.dual.connect import open_dual_store
from transforms.dual.core import Settings as DualSettings
from transforms.dual.cosmos_store import CosmosStore
from transforms.dual.firestore_store import FirestoreStore
from transforms.dual.kinds import Kind
from transforms.dual.stored import COSMOS, FIRESTORE, Read
from transforms.errors import UsageError
from transforms.firestore import messages
from transforms.firestore.committer import AtomicGroup, Committer
from transforms.firestore.query import Query
from transforms.firestore.reader import read
from transforms.follow.cosmos_feed import Part
from transforms.follow.follower import Settings
from transforms.follow.following import Following, FollowTarget
from transforms.ledger.migrations import migration_document, read_migration, read_pairs, save_migration
from transforms.migrate.documents import content_in, content_of, is_tombstone
from transforms.migrate.phases import DUAL_WRITE, FIRESTORE_ANALYTICS, FIRESTORE_PRIMARY, State
from transforms.migrate.states import saved_as, state_of
from transforms.retry import Retry

pytestmark = pytest.mark.emulator

SPEC = read_spec("student_attempts")
KIND = Kind.of(SPEC, "/student_id")
COLLECTION = "student_attempts"
# Short, so that a change of the primary takes seconds.
POLL_S, PUT_TIMEOUT_S = 1.0, 3.0


class Places:
    """A container and a database of the test's own, and what follows one to the other."""

    def __init__(self, cosmos, target, folder):
        self.cosmos, self.firestore, self.folder = cosmos, target, folder
        database = CosmosClient(cosmos.endpoint, cosmos.key).create_database(f"d{uuid.uuid4().hex[:8]}")
        self.container = database.create_container("attempts", PartitionKey("/student_id"))
        self.location = f"cosmos://{database.id}/attempts"
        self.environ = {
            **cosmos.environ,
            "GOOGLE_CLOUD_PROJECT": target.project,
            "FIRESTORE_EMULATOR_HOST": target.emulator_host,
        }
        self.target = CosmosTarget.of(self.location, "container", self.environ)
        self.stores = {COSMOS: CosmosStore(self.target), FIRESTORE: FirestoreStore(target, KIND)}
        self.migration = migration_document(target.connect(), "students")
        self.set_state(State(DUAL_WRITE, None, POLL_S, PUT_TIMEOUT_S))

    def set_state(self, state):
        before = read_migration(self.migration)
        save_migration(self.migration, saved_as(state, before), before)

    @property
    def state(self):
        return state_of(read_migration(self.migration))

    def announce(self, phase):
        self.set_state(self.state.announce(phase, datetime.datetime.now(datetime.timezone.utc)))

    def following(self, **settings):
        return Following(
            FollowTarget(
                "students",
                self.target,
                self.firestore,
                COLLECTION,
                KIND,
                lambda: [Part(span, None) for span in feed_ranges(self.target.connect())],
                DeadLetterFolder(str(self.folder)),
                "migrate",
                "migrate-1",
                settings=Settings(**{"pending_every_s": 0.5, "forget_every_s": 1.0, "page_s": 1.0, **settings}),
                retry=Retry(3, initial_s=0.1),
            )
        )

    def application(self):
        settings = DualSettings(primary_timeout_s=5, secondary_timeout_s=2, skip_s=0.5, shadow_ratio=0)
        return open_dual_store(SPEC, self.location, "/student_id", "students", settings=settings, environ=self.environ)

    def items(self):
        found = self.container.read_all_items()
        return {item["id"]: content_of(item) for item in found if not is_tombstone(item)}

    def documents(self):
        found = read(self.firestore.connect(), Query(COLLECTION))
        return {document.id: content_in(document.fields) for document in found}

    def held(self, store, item):
        return self.stores[store].answer(KIND.key_of(item), Read(store, needs_content=True), 20).stored

    def read_to(self, store):
        (pair,) = read_pairs(self.migration)
        return pair.read_to.get(store)

    def is_settled(self):
        is_pending = any(
            held is not None and held.is_pending
            for item in self.items().values()
            for held in (self.held(COSMOS, item), self.held(FIRESTORE, item))
        )
        return self.state.change is None and not is_pending and self.items() == self.documents()


@pytest.fixture
def places(cosmos, target, monkeypatch, tmp_path):
    monkeypatch.setenv("COSMOS_KEY", cosmos.key)
    return Places(cosmos, target, tmp_path)


def writing(places, n=2):
    writers = [Writer(places.application(), seed, pause_s=0.02) for seed in range(n)]
    for writer in writers:
        writer.start()
    return writers


def written(writers, n):
    goals = [writer.n + n for writer in writers]
    return comes_true(lambda: all(writer.n >= goal for writer, goal in zip(writers, goals, strict=True)), 60)


def assert_nothing_is_lost(places, writers):
    expected = {}
    for writer in writers:
        writer.end()
        assert writer.failures == []
        expected |= writer.expected
    assert comes_true(places.is_settled, 60), (places.state, places.items(), places.documents())
    assert places.items() == expected
    assert places.documents() == expected


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
