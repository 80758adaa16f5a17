"""A container and a database of a test's own, what follows one to the other, and applications that write both."""

import datetime
import subprocess
import sys
import uuid
from pathlib import Path

from azure.cosmos import CosmosClient, PartitionKey

from pipeline.__main__ import main
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
from transforms.dual.stored import COSMOS, FIRESTORE, STORES, Found, Read
from transforms.firestore.changes.options import ListenOptions
from transforms.firestore.query import Query
from transforms.firestore.reader import read
from transforms.follow.cosmos_feed import Part
from transforms.follow.follower import Settings
from transforms.follow.following import Following, FollowTarget
from transforms.ledger.migrations import migration_document, read_migration, read_pairs, save_migration
from transforms.migrate.documents import content_in, content_of, is_tombstone
from transforms.migrate.phases import DUAL_WRITE, State
from transforms.migrate.states import saved_as, state_of
from transforms.retry import Retry

ROOT = Path(__file__).parents[2]
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
        self._is_copied = False
        self.set_state(State(DUAL_WRITE, None, POLL_S, PUT_TIMEOUT_S))

    def process(self):
        """`firebeam migrate --mode=follow` behind a copy."""
        flags = [
            "migrate",
            "--migration=students",
            f"--from={self.location}",
            f"--to=firestore://{COLLECTION}",
            "--spec=student_attempts",
            f"--project={self.firestore.project}",
            f"--dead_letters={self.folder}",
        ]
        if not self._is_copied:
            assert main([*flags, "--mode=copy"]) == 0
            self._is_copied = True
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline", *flags, "--mode=follow"], cwd=ROOT, start_new_session=True
        )

    def set_state(self, state):
        before = read_migration(self.migration)
        save_migration(self.migration, saved_as(state, before), before)

    @property
    def state(self):
        return state_of(read_migration(self.migration))

    def announce(self, phase):
        self.set_state(self.state.announce(phase, datetime.datetime.now(datetime.timezone.utc)))

    def following(self, scan_every_s=None, begin_deletes=None, listening=ListenOptions(), **settings):
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
                scan_every_s=scan_every_s,
                begin_deletes=begin_deletes,
                listening=listening,
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
        return self.stores[store].answer(KIND.key_of(item), Read(store, needs_content=True), 20)

    def read_to(self, store):
        (pair,) = read_pairs(self.migration)
        return pair.read_to.get(store)

    def is_settled(self):
        held = [self.held(store, item) for item in self.items().values() for store in STORES]
        if not all(isinstance(answer, Found) for answer in held):
            return False  # a store that was away is not back for everybody
        is_pending = any(answer.stored is not None and answer.stored.is_pending for answer in held)
        return self.state.change is None and not is_pending and self.items() == self.documents()


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
