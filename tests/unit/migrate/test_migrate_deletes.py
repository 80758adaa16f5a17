"""migrate --mode=copy --deletes=feed, from a scripted account into a scripted Firestore."""

from dataclasses import replace

import pytest

from pipeline.specs import read_spec
from tests.support.cosmos import new_container
from tests.support.migrated import COLLECTION, Migration, attempt
from transforms.cosmos.feed import DELETE, Change
from transforms.firestore import messages
from transforms.firestore.committer import AtomicGroup, Committer
from transforms.firestore.values import encoded_fields
from transforms.ledger.jobs import job_document
from transforms.ledger.results import read_last_results
from transforms.migrate.delete_feed import DeleteFeed, DeletePlan, delete_copies
from transforms.migrate.deletes import DeleteScan
from transforms.testing import ScriptedFirestore

SPEC = read_spec("student_attempts")
FEED = ("--mode=copy", "--deletes=feed")


class Deleting(Migration):
    """A migration whose items are deleted."""

    def delete(self, *numbers):
        for n in numbers:
            item = attempt(n)
            self.container.proxy.delete_item(item["id"], item["student_id"])

    def run(self, *flags):
        summary = super().run(*flags)
        if "job_id" in summary:
            self.job = job_document(self.target.connect(), summary["job_id"])
        return summary

    def results(self):
        """What the last run says of deletes."""
        return read_last_results(self.job, 1000)

    def kept(self):
        """Where deletes are read from, as the ledger has it."""
        return self.job.read().fields["deletes"]

    def read_deletes(self, collection=COLLECTION):
        """Reads deletes from the points of the last copy, as the next one does; what it says."""
        points = DeletePlan.of(self.kept()).points
        return dict(DeleteFeed(points, scan=DeleteScan(self.container.target(), self.target, collection, SPEC))())


@pytest.fixture
def opened(cosmos, tmp_path, monkeypatch):
    for name, value in cosmos.environ.items():
        monkeypatch.setenv(name, value)
    with ScriptedFirestore() as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.target.emulator_host)
        yield lambda container: Deleting(container, server.target, tmp_path)


@pytest.fixture
def migration(opened, cosmos):
    return opened(new_container(cosmos))


def assert_equal(migration):
    assert migration.contents == migration.items()


def test_the_next_copy_deletes_what_was_deleted_since_this_one_began(migration):
    migration.container.put(*(attempt(n) for n in range(20)))
    assert migration.run(*FEED)["exit_code"] == 0
    assert migration.results() == {"deletes_read": 0, "documents_deleted": 0}
    migration.delete(3, 4, 11)
    again = migration.run(*FEED)
    assert (again["exit_code"], again["written"], again["unchanged"]) == (0, 0, 17)
    assert migration.results() == {"deletes_read": 3, "documents_deleted": 3}
    assert_equal(migration)
    assert migration.read_deletes() == {"deletes_read": 0, "documents_deleted": 0}


def test_an_item_that_was_stored_again_stays(migration):
    migration.container.put(*(attempt(n) for n in range(4)))
    migration.run(*FEED)
    migration.delete(1, 2)
    migration.container.put(attempt(1, score=-1))
    assert migration.read_deletes() == {"deletes_read": 2, "documents_deleted": 1}
    assert migration.documents.keys() == {"a-00000", "a-00001", "a-00003"}


def test_a_container_may_have_become_empty(migration):
    migration.container.put(attempt(1))
    migration.run(*FEED)
    migration.delete(1)
    assert migration.read_deletes() == {"deletes_read": 1, "documents_deleted": 1}
    assert migration.documents == {}


def test_items_that_have_expired_are_deleted(opened, cosmos):
    migration = opened(new_container(cosmos, default_ttl=60))
    migration.container.put(attempt(1), attempt(2, ttl=-1))
    migration.run(*FEED)
    with cosmos.following({"clock_offset_s": 61}):
        assert migration.read_deletes() == {"deletes_read": 1, "documents_deleted": 1}
        assert migration.documents.keys() == {"a-00002"}


def test_a_split_on_the_way_loses_no_deletes(migration):
    migration.container.put(*(attempt(n) for n in range(20)))
    migration.run(*FEED)
    container = migration.container
    for partition in ("0", "2"):
        container.server.split(container.database, container.name, partition)
    migration.delete(*range(10))
    assert migration.read_deletes() == {"deletes_read": 10, "documents_deleted": 10}
    assert_equal(migration)


def test_a_copy_that_failed_goes_on_from_its_first_points(migration, cosmos):
    migration.container.put(*(attempt(n) for n in range(60)))
    with cosmos.following({"rules": [{"operation": "feed", "status": 401, "skip": 14}]}):
        assert migration.run(*FEED, "--page_items=2", "--max_request_attempts=1")["exit_code"] == 1
    kept, copied = migration.kept(), migration.documents
    assert 0 < len(copied) < 60
    migration.container.proxy.delete_item("a-00000", "s-0")
    for key in list(copied)[1:4]:
        migration.delete(int(key[2:]))
    resumed = migration.run(*FEED, "--page_items=2", "--max_request_attempts=1")
    assert (resumed["exit_code"], resumed["state"]) == (0, "completed")
    assert migration.kept() == kept
    assert_equal(migration)


def test_deletes_that_a_copy_did_not_come_to_are_those_of_the_next_one(migration):
    migration.container.put(*(attempt(n) for n in range(6)))
    migration.run(*FEED)
    migration.delete(1)
    migration.run("--mode=copy", "--deletes=ignore")
    assert "a-00001" in migration.documents
    migration.delete(2)
    migration.run(*FEED)
    assert_equal(migration)
    # Whoever began without points knows nothing of what was deleted before, so that keys are compared.
    assert migration.results() == {"documents_compared": 6, "documents_deleted": 2}


def test_documents_from_before_are_compared_once(migration):
    migration.container.put(*(attempt(n) for n in range(6)))
    migration.run("--mode=copy", "--migration=before", "--deletes=ignore")
    migration.delete(1)
    migration.run(*FEED)
    assert_equal(migration)
    migration.delete(2)
    migration.run(*FEED)
    assert_equal(migration)


def test_without_continuous_backup_it_says_what_to_do_and_writes_nothing(migration, cosmos, capsys):
    migration.container.put(attempt(1))
    with cosmos.following({"keeps_versions": False}):
        assert migration.run(*FEED)["exit_code"] == 2
        said = capsys.readouterr().err
        assert "--deletes=feed needs continuous backup" in said
        assert "or use --deletes=scan" in said
        assert said.count("\n") == 1
        assert migration.documents == {}
        assert migration.run("--mode=copy")["exit_code"] == 0


def test_keys_are_compared_if_the_feed_no_longer_reaches_back(migration, cosmos):
    migration.container.put(*(attempt(n) for n in range(6)))
    migration.run(*FEED)
    migration.delete(1)
    with cosmos.following({"versions_kept_s": 3600, "clock_offset_s": 7200}):
        assert migration.run(*FEED)["exit_code"] == 0
        assert migration.results() == {"documents_compared": 6, "documents_deleted": 1}
        migration.delete(2)
        migration.run(*FEED)
        assert migration.results() == {"deletes_read": 1, "documents_deleted": 1}
    assert_equal(migration)


def test_only_the_copy_of_that_item_is_deleted(migration):
    theirs = {"id": "b", "student_id": "elsewhere"}
    migration.container.put(attempt(1), {"id": "b", "student_id": "s"})
    migration.run(*FEED)
    others = {
        "pending": {"id": "a-00001", "student_id": "s-1", "_meta": {"_ts": 1, "pending": True}},
        "of-another-container": {"id": "a-00001", "student_id": "s-1", "_meta": {"_ts": 1, "source": "cosmos://x/y"}},
        "of-nobody": {"id": "a-00001", "student_id": "s-1"},
        "of-another-key": {**theirs, "_meta": {"_ts": 1, "source": migration.container.location}},
    }
    names = {name: migration.target.document_name(f"{COLLECTION}/{name}") for name in others}
    writes = [
        messages.update(messages.document(names[name], encoded_fields({**each, "source_system": "cosmos_migration"})))
        for name, each in others.items()
    ]
    Committer(migration.target.connect()).commit([AtomicGroup((write,)) for write in writes])
    migration.delete(1)
    migration.container.proxy.delete_item("b", "s")
    assert migration.read_deletes() == {"deletes_read": 2, "documents_deleted": 2}
    assert migration.documents.keys() == others.keys()


def test_a_document_that_is_written_meanwhile_is_looked_at_again(migration):
    migration.container.put(attempt(1), attempt(2))
    migration.run(*FEED)
    migration.delete(1, 2)
    deletes = [Change(DELETE, f"a-0000{n}", [f"s-{n}"], None, 1, 1) for n in (1, 2)]

    def write_one(documents):
        (one,) = [each for each in documents if each.id == "a-00001"]
        again = messages.document(one.name, encoded_fields({**one.fields, "score": -1}))
        Committer(migration.target.connect()).commit([AtomicGroup((messages.update(again),))])

    scan = DeleteScan(migration.container.target(), migration.target, COLLECTION, SPEC, before=write_one)
    assert delete_copies(scan.copies(), deletes) == (1, [deletes[0]])
    assert migration.documents.keys() == {"a-00001"}
    assert delete_copies(replace(scan, before=None).copies(), deletes) == (1, [])


def test_rows_of_documents_end_before_they_are_deleted(migration):
    migration.container.put(attempt(1), attempt(2))
    migration.run(*FEED)
    migration.delete(1)
    ended = []

    def end(documents):
        assert len(migration.documents) == 2
        ended.extend(each.id for each in documents)

    points = DeletePlan.of(migration.kept()).points
    scan = DeleteScan(migration.container.target(), migration.target, COLLECTION, SPEC, before=end)
    assert DeleteFeed(points, scan=scan)()["documents_deleted"] == 1
    assert DeleteFeed(points, scan=scan)()["documents_deleted"] == 0
    assert ended == ["a-00001"]


def test_documents_are_found_by_the_item_where_their_ids_are_made_of_fields(opened, cosmos):
    migration = opened(new_container(cosmos, "/student_id", "/subject"))
    flags = (*FEED, "--spec=student_competencies", "--to=firestore://student_competencies")
    items = [
        {"id": f"c{n}", "student_id": "s", "subject": n % 2, "skill_id": f"k{n}", "subskill_id": "u"} for n in range(4)
    ]
    migration.container.put(*items)
    assert migration.run(*flags)["exit_code"] == 0
    migration.container.proxy.delete_item("c1", ["s", 1])
    assert migration.read_deletes("student_competencies") == {"deletes_read": 1, "documents_deleted": 1}
