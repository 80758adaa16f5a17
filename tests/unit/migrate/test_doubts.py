"""What only Cosmos DB can say: two versions of one second, and two items of one id."""

import dataclasses

import pytest

from pipeline.specs import read_spec
from tests.support.clocks import no_waiting
from tests.support.cosmos import new_container
from tests.support.identities import NOON
from tests.support.migrated import attempt
from transforms.batch import Batch, Record
from transforms.cosmos.target import CosmosTarget
from transforms.errors import RecordError
from transforms.firestore.packing import RequestLimits
from transforms.migrate.doubts import AskCosmos
from transforms.migrate.items import ItemForm, MigratedLayout, order_of
from transforms.retry import Retry
from transforms.testing import ScriptedFirestore
from transforms.upsert.decide import compare
from transforms.upsert.modes import VERSIONED
from transforms.upsert.records import flatten, identify
from transforms.upsert.stored import read_stored
from transforms.upsert.upserter import Upserter
from transforms.upsert.versions import RunIdentity

SPEC = dataclasses.replace(read_spec("student_attempts"), escapes_ids=True)


class Desk:
    """Copies items as they are given, whatever the container has by now."""

    def __init__(self, cosmos, server):
        self.container = new_container(cosmos)
        self.server = server
        order = order_of(SPEC, ("/student_id",))
        self.form = ItemForm(order)
        self.layout = MigratedLayout(server.target, "attempts", 1, order)
        self.run = RunIdentity("migrate-1", 1, NOON, order=order)
        target = CosmosTarget.of(self.container.location, "--from")
        self.asks = AskCosmos(target, SPEC, self.form)

    def put(self, item):
        """Stores an item in the container, and says what the service made of it."""
        return self.container.proxy.upsert_item(item)

    def copy(self, *items):
        client, retry = self.server.target.connect(), Retry(1, clock=no_waiting(NOON.timestamp))
        records = tuple(Record(n, dict(item)) for n, item in enumerate(items))
        keyed = identify(Batch("aaa-0-0", self.container.location, len(records), records), SPEC, self.form)
        stored = read_stored(client, self.layout, [entry.key for entry in keyed.entries], retry)
        compared = compare(keyed, stored, VERSIONED, self.run)
        upserter = Upserter(client, self.layout, self.run, RequestLimits(), retry, resolve=self.asks.connect())
        return upserter.upsert(flatten(compared, SPEC, self.form))

    @property
    def scores(self):
        return {path.partition("/")[2]: each.fields.get("score") for path, each in self.server.documents.items()}


@pytest.fixture
def desk(cosmos, monkeypatch):
    for name, value in cosmos.environ.items():
        monkeypatch.setenv(name, value)
    with ScriptedFirestore() as server:
        yield Desk(cosmos, server)


def test_an_id_that_is_the_partition_key_needs_no_second_look():
    assert order_of(SPEC, ("/id",)).identity == ()
    assert [path.text for path in order_of(SPEC, ("/who/school", "/id")).identity] == ["id", "who.school"]


def at(second, item, etag=None):
    return {**item, "_ts": second, **({"_etag": etag} if etag else {})}


def test_an_earlier_version_never_replaces_a_later_one(desk):
    item = desk.put(attempt(1, score=2))
    desk.copy(at(100, item))
    assert desk.copy(at(99, {**item, "score": 1}, "old")).superseded == 1
    assert desk.scores == {"a-00001": 2}


def test_a_later_version_of_the_same_content_is_written_under_its_version(desk):
    item = desk.put(attempt(1))
    desk.copy(at(100, item))
    (entry,) = desk.copy(at(101, item, "later")).entries
    assert entry.meta["version"] == 1
    assert desk.copy(at(100, {**item, "score": 7}, "between")).superseded == 1


def test_within_a_second_what_cosmos_has_now_decides(desk):
    first = desk.put(attempt(1, score=1))
    now = desk.put(attempt(1, score=2))
    desk.copy(at(now["_ts"], now))
    assert desk.copy(at(now["_ts"], first)).superseded == 1
    assert desk.scores == {"a-00001": 2}


def test_within_a_second_a_stale_copy_is_replaced_by_what_cosmos_has_now(desk):
    first = desk.put(attempt(1, score=1))
    second = desk.put(attempt(1, score=2))
    third = desk.put(attempt(1, score=3))
    desk.copy(at(third["_ts"], first))
    (entry,) = desk.copy(at(third["_ts"], second)).entries
    assert (desk.scores, entry.meta["_etag"]) == ({"a-00001": 3}, third["_etag"])


def test_an_item_that_is_gone_by_now_is_not_written(desk):
    first = desk.put(attempt(1, score=1))
    second = desk.put(attempt(1, score=2))
    desk.container.proxy.delete_item(first["id"], first["student_id"])
    desk.copy(first)
    assert desk.copy(at(first["_ts"], second)).superseded == 1


def test_an_item_whose_id_another_one_has_is_refused_in_one_batch_or_in_two(desk):
    one, two = (desk.put({"id": "a", "student_id": name, "score": 1}) for name in ("one", "two"))
    together = desk.copy(one, two)
    assert [dead.code for dead in together.dead_letters] == ["ID_OF_ANOTHER_ITEM"]
    again = [desk.copy(item) for item in (one, two)]
    assert sorted(dead.code for batch in again for dead in batch.dead_letters) == ["ID_OF_ANOTHER_ITEM"]
    assert sum(len(batch.entries) for batch in again) == 1


def test_an_item_that_moved_to_another_partition_takes_its_document(desk):
    one = desk.put({"id": "a", "student_id": "one", "score": 1})
    desk.copy(one)
    desk.container.proxy.delete_item("a", "one")
    assert len(desk.copy(desk.put({"id": "a", "student_id": "two", "score": 2})).entries) == 1
    assert desk.scores == {"a": 2}


def test_an_item_without_a_version_is_a_dead_letter():
    form = ItemForm(order_of(SPEC, ("/id",)))
    with pytest.raises(RecordError, match="NO_VERSION"):
        form.read(Record(0, {"id": "a"}))
