"""A copy that is killed while an application writes and deletes, and is resumed by the same command."""

from __future__ import annotations

import itertools
import random
import signal
from pathlib import Path

import pytest

from pipeline.__main__ import main
from tests.support.cosmos import new_container
from tests.support.disturbed_run import faulty
from tests.support.faulty_firestore import Incoming
from tests.support.interrupted import Job, Moment, completed_batches
from tests.support.migrated import COLLECTION, Migration, attempt
from transforms.firestore.client import RpcError
from transforms.firestore.target import FirestoreTarget
from transforms.testing.cosmos import ScriptedCosmos

ITEMS = 300
# About how many requests that do work a copy of so many items takes, in pages of 20.
REQUESTS = 60
PAGES = ("--mode=copy", "--page_items=20")


class Application:
    """Writes and deletes items whenever a job sends a request; it never sends two of its own at once.

    Args:
      migration: whose container it uses.
      seed: decides what it does.
    """

    def __init__(self, migration: Migration, seed: int):
        self._migration, self._dice = migration, random.Random(seed)
        self._numbers = itertools.count(ITEMS)
        self.deleted: set[str] = set()

    def act(self) -> None:
        """A new item, a changed one, a delete, or one that was deleted and is stored again."""
        n, kind = self._dice.randrange(ITEMS), self._dice.random()
        item = attempt(n)
        if kind < 0.3:
            self._migration.container.put(attempt(next(self._numbers)))
        elif kind < 0.7 and item["id"] not in self.deleted:
            self._migration.container.put(attempt(n, score=self._dice.random()))
        elif item["id"] not in self.deleted:
            self.deleted.add(item["id"])
            self._migration.container.proxy.delete_item(item["id"], item["student_id"])
        else:
            self.deleted.remove(item["id"])
            self._migration.container.put(attempt(n, score=-1))


def check_killed_copy(
    seed: int, deletes: str, cosmos: ScriptedCosmos, emulator: str, project: str, folder: Path
) -> None:
    """Kills a copy somewhere, begins it again, lets a last one catch up, and asserts that both stores are equal."""
    pages = (*PAGES, f"--deletes={deletes}")
    dice = random.Random(seed)
    target = FirestoreTarget(project, emulator_host=emulator)
    migration = Migration(new_container(cosmos), target, folder)
    migration.container.put(*(attempt(n) for n in range(ITEMS)))
    application, running = Application(migration, seed), list[Job]()
    moment = Moment(dice.randrange(5, REQUESTS), lambda: running[0].kill(), is_applied=dice.random() < 0.5)

    def meanwhile(request: Incoming) -> RpcError | None:
        if request.rpc == "Commit":
            application.act()
        return moment(request)

    with pytest.MonkeyPatch.context() as patch:
        for name, value in cosmos.environ.items():
            patch.setenv(name, value)
        flags = [flag for flag in migration.flags(*pages)[1:] if not flag.startswith(("--project", "--dead", "--summ"))]
        with faulty(emulator, refuse=meanwhile), Job(folder, target, *flags, name="migrate") as job:
            running.append(job)
            assert job.exit_code() == -signal.SIGKILL, job.said
        completed = completed_batches(target)
        with faulty(emulator, refuse=None):
            resumed = migration.run(*pages, "--take_over=true")
            assert (resumed["exit_code"], resumed["state"]) == (0, "completed")
            now = completed_batches(target)
            assert {key: now.get(key) for key in completed} == completed
            last = migration.run(*pages)
            assert (last["exit_code"], last["dead_letters"]) == (0, 0)
            assert migration.contents == migration.items()
            stores = [f"--left={migration.container.location}", f"--right=firestore://{COLLECTION}"]
            own = [f"--project={project}", f"--dead_letters={folder / 'dead_letters'}"]
            assert main(["verify", *own, *stores]) == 0
