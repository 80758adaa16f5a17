"""`firebeam migrate --mode=follow` in a process of its own: behind a copy, killed, resumed, ended."""

import random
import signal
import threading

import pytest

from pipeline.__main__ import main
from tests.stand_ins import comes_true
from tests.support.cosmos import new_container
from tests.support.followed import Writer
from tests.support.followed_process import Followed
from tests.support.migrated import attempt
from transforms.migrate.phases import DUAL_WRITE

pytestmark = pytest.mark.emulator


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
    assert migration.run("--mode=copy", "--deletes=feed")["exit_code"] == 0
    left = {f"a-{n:05}" for n in range(20)}

    def delete_past_dualstore(n):
        item = attempt(n)
        migration.container.proxy.delete_item(item["id"], item["student_id"])
        left.remove(item["id"])

    delete_past_dualstore(0)
    migration.set_phase(DUAL_WRITE)
    writers = [Writer(migration.application(), seed, pause_s=0.05) for seed in range(2)]
    for writer in writers:
        writer.start()
    chance = random.Random(0)
    for n in range(2):
        process = migration.start_alive("--deletes=feed")
        delete_past_dualstore(5 + n)
        threading.Event().wait(chance.random())
        process.kill()
        process.wait()
    delete_past_dualstore(10)
    process = migration.start_alive("--deletes=feed")
    for writer in writers:
        writer.end()
        assert writer.failures == []
    assert comes_true(migration.are_equal, 60)
    expected = {item_id: item for writer in writers for item_id, item in writer.expected.items()}
    assert {key: each for key, each in migration.contents.items() if key.startswith("w")} == expected
    assert {key for key in migration.contents if key.startswith("a")} == left
    assert comes_true(lambda: migration.status()["position_age_s"] is not None, 60)
    assert migration.status()["state"] == "running"
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    found = migration.status()
    assert (found["state"], found["pending"]) == ("stopped", 0)
    assert migration.verify() == 0
    assert migration.pair().pending == 0
