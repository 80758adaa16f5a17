"""`firebeam migrate --mode=follow --bigquery_table`: killed and resumed, `_latest` shows what the collection holds."""

import random
import signal
import threading

import pytest

from pipeline.__main__ import main
from tests.stand_ins import comes_true
from tests.support.cosmos import new_container
from tests.support.followed import Writer
from tests.support.followed_process import Followed
from tests.support.migrated import COLLECTION, attempt
from transforms.firestore import messages
from transforms.firestore.committer import AtomicGroup, Committer
from transforms.migrate.phases import DUAL_WRITE, FIRESTORE_PRIMARY

pytestmark = pytest.mark.emulator


@pytest.fixture
def migration(cosmos, target, table, tmp_path, monkeypatch):
    for name, value in cosmos.environ.items():
        monkeypatch.setenv(name, value)
    return Followed(new_container(cosmos), target, tmp_path)


@pytest.fixture
def rows(migration, table):
    """The flag, and what the view shows."""
    flag = f"--bigquery_table={table.project}:{table.dataset}.{table.table}"

    def latest():
        found = table.client().query_and_wait(f"SELECT attempt_id, score FROM `{table.latest.id}`")
        return {row["attempt_id"]: row["score"] for row in found}

    return flag, latest


def scores(migration):
    return {name: fields.get("score") for name, fields in migration.contents.items()}


def test_killed_while_others_write_and_delete_it_leaves_no_row_out(migration, rows, table):
    flag, latest = rows
    migration.container.put(*(attempt(n) for n in range(20)))
    assert migration.run("--mode=copy", flag)["exit_code"] == 0
    migration.set_phase(DUAL_WRITE)
    migration.container.proxy.delete_item("a-00000", "s-0")  # past DualStore: the comparison of keys finds it
    writer = Writer(migration.application(), 0, pause_s=0.05)
    writer.start()
    process = migration.start_alive(flag)
    threading.Event().wait(random.Random(0).random())
    process.kill()
    process.wait()
    process = migration.start_alive(flag)
    writer.end()
    assert writer.failures == []
    assert comes_true(lambda: migration.are_equal() and "a-00000" not in scores(migration), 60)
    assert comes_true(lambda: latest() == scores(migration), 60)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    right = f"bigquery:{table.project}:{table.dataset}.{table.table}"
    stores = [f"--left=firestore://{COLLECTION}", f"--right={right}"]
    flags = [f"--project={migration.target.project}", f"--dead_letters={migration.folder / 'verify'}"]
    assert main(["verify", *flags, *stores]) == 0


def test_while_firestore_is_primary_its_own_changes_and_deletes_have_rows(migration, rows):
    flag, latest = rows
    migration.container.put(*(attempt(n) for n in range(5)))
    assert migration.run("--mode=copy", flag)["exit_code"] == 0
    migration.set_phase(FIRESTORE_PRIMARY)
    process = migration.start_alive(flag)
    with migration.application() as application:
        application.put(attempt(1, score=99))
        application.delete("a-00002", student_id="s-2")
        assert comes_true(lambda: latest().get("a-00001") == 99 and "a-00002" not in latest(), 60)
        name = migration.target.document_name(f"{COLLECTION}/a-00003")
        Committer(migration.target.connect()).commit([AtomicGroup((messages.delete(name),))])
        assert comes_true(lambda: "a-00003" not in latest(), 60)
    assert latest() == scores(migration)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
