"""`firebeam migrate --mode=follow` in a process of its own: behind a copy, killed, resumed, ended."""

import random
import signal
import subprocess
import sys
import threading

import pytest

from pipeline.__main__ import main
from pipeline.specs import read_spec
from tests.emulator.test_demo import ROOT
from tests.stand_ins import comes_true
from tests.support.cosmos import new_container
from tests.support.followed import Writer
from tests.support.migrated import Migration, attempt
from transforms.dual.connect import open_dual_store
from transforms.dual.core import Settings
from transforms.ledger.migrations import migration_document, read_migration, read_pairs, save_migration
from transforms.migrate.phases import DUAL_WRITE, State
from transforms.migrate.states import saved_as

pytestmark = pytest.mark.emulator


class Followed(Migration):
    """A migration that is followed by processes."""

    def start(self, *flags):
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline", *self.flags("--mode=follow", *flags)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def start_alive(self):
        """A process that has begun; one that was killed on this computer is known to be gone."""
        before = self.pair_heartbeat()
        process = self.start()
        assert comes_true(lambda: self.pair_heartbeat() not in (None, before), 60)
        return process

    def verify(self):
        return main(
            [
                "verify",
                f"--left={self.container.location}",
                "--right=firestore://student_attempts",
                "--migration=students",
                f"--project={self.target.project}",
                f"--dead_letters={self.folder / 'verify'}",
            ]
        )

    def set_phase(self, phase):
        document = migration_document(self.target.connect(), "students")
        before = read_migration(document)
        save_migration(document, saved_as(State(phase, None, 1.0, 3.0), before), before)

    def pair(self):
        (pair,) = read_pairs(migration_document(self.target.connect(), "students"))
        return pair

    def pair_heartbeat(self):
        pairs = read_pairs(migration_document(self.target.connect(), "students"))
        return pairs[0].heartbeat_at if pairs else None

    def application(self):
        settings = Settings(primary_timeout_s=5, secondary_timeout_s=2, skip_s=0.5, shadow_ratio=0)
        spec = read_spec("student_attempts")
        return open_dual_store(
            spec, self.container.location, "/student_id", "students", project=self.target.project, settings=settings
        )

    def are_equal(self):
        # Tombstones are not items.
        items = {item["id"] for item in self.container.items() if "_deleted" not in item}
        return {key: each for key, each in self.items().items() if key in items} == self.contents


@pytest.fixture
def migration(cosmos, target, tmp_path, monkeypatch):
    for name, value in cosmos.environ.items():
        monkeypatch.setenv(name, value)
    return Followed(new_container(cosmos), target, tmp_path)


def test_without_a_copy_it_says_which_command_comes_first(migration, capsys):
    assert main(migration.flags("--mode=follow")) == 2
    assert "run the same command with --mode=copy first" in capsys.readouterr().err


def test_killed_while_a_writer_and_a_deleter_run_it_loses_nothing(migration):
    migration.container.put(*(attempt(n) for n in range(20)))
    assert migration.run("--mode=copy")["exit_code"] == 0
    migration.set_phase(DUAL_WRITE)
    writers = [Writer(migration.application(), seed, pause_s=0.05) for seed in range(2)]
    for writer in writers:
        writer.start()
    chance = random.Random(0)
    for _ in range(2):
        process = migration.start_alive()
        threading.Event().wait(chance.random())
        process.kill()
        process.wait()
    process = migration.start_alive()
    for writer in writers:
        writer.end()
        assert writer.failures == []
    assert comes_true(migration.are_equal, 60)
    expected = {item_id: item for writer in writers for item_id, item in writer.expected.items()}
    assert {key: each for key, each in migration.contents.items() if key.startswith("w")} == expected
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert migration.verify() == 0
    assert migration.pair().pending == 0
