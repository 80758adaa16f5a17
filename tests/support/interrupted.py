"""Runs `firebeam ingest` in a process of its own, and interrupts it at a moment that a seed picks."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.disturbed_run import FLAGS, faulty, prepare, refuse_one, run_over, write_inputs
from tests.support.documents import read_collection
from tests.support.end_state import (
    EndState,
    assert_accounts_add_up,
    assert_pairs_are_whole,
    differences,
    end_state,
)
from tests.support.faulty_firestore import FaultyFirestore, Incoming
from tests.support.ingest import Ingested
from transforms.firestore.client import RpcError
from transforms.firestore.target import FirestoreTarget

ROOT = Path(__file__).parents[2]

# Every record and every batch costs requests of these; others only watch.
_WORK = ("Commit", "BatchGetDocuments")


class Moment:
    """Acts before the request that does work and has this ordinal, counted from 0; then that request is applied or not.

    To be called by FaultyFirestore with every request. Unlike a time, a request is the same moment on a fast and on a
    slow computer.
    """

    def __init__(self, ordinal: int, act: Callable[[], None], *, is_applied: bool = True):
        self._ordinal, self._act, self._is_applied = ordinal, act, is_applied
        self._ordinals = itertools.count()

    def __call__(self, request: Incoming) -> RpcError | None:
        if request.rpc not in _WORK or next(self._ordinals) != self._ordinal:
            return refuse_one(request)
        self._act()
        return refuse_one(request) if self._is_applied else RpcError("UNAVAILABLE", "nobody is there any more")


def work_of(server: FaultyFirestore) -> int:
    """How many requests that do work have arrived."""
    return sum(server.arrived[rpc] for rpc in _WORK)


class Job:
    """A job, `firebeam ingest` by default, in a process group of its own.

    Whatever is left of the group is killed in the end.

    Attributes:
      process: the launcher.
    """

    def __init__(self, folder: Path, target: FirestoreTarget, *flags: str, name: str = "ingest", **environ: str):
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "stderr.txt"
        own = (f"--project={target.project}", f"--dead_letters={folder / 'dead_letters'}")
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pipeline", name, *own, f"--summary={folder / 'summary.json'}", *flags],
                cwd=ROOT,
                env={**os.environ, "COLUMNS": "200", **environ},
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.process.wait()

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return self._log.read_text()

    def kill(self) -> None:
        """`kill -9` of the process and of those that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def exit_code(self, within_s: float = 100.0) -> int:
        """Waits for its end; negative is the signal that killed it."""
        return self.process.wait(within_s)


class Undisturbed(NamedTuple):
    """What every interrupted run has to come to in the end, and the requests that it takes."""

    before: Path
    records: Path
    end: EndState
    n_requests: int


def run_undisturbed(emulator: str, project: str, folder: Path) -> Undisturbed:
    """Ingests records of every fate without interruption."""
    before, records = write_inputs(folder)
    target = prepare(emulator, project, before, folder)
    with faulty(emulator) as server:
        run = run_over(server, target, records, folder)
    assert run.exit_code == 0, run.summary
    return Undisturbed(before, records, end_state(run), work_of(server))


def check_kill_and_resume(seed: int, emulator: str, project: str, undisturbed: Undisturbed, folder: Path) -> None:
    """Kills a run somewhere, begins it again, and asserts that nobody can tell."""
    dice = random.Random(seed)
    target = prepare(emulator, project, undisturbed.before, folder)
    running: list[Job] = []
    moment = Moment(dice.randrange(undisturbed.n_requests), lambda: running[0].kill(), is_applied=dice.random() < 0.5)
    with faulty(emulator, refuse=moment), Job(folder, target, f"--input={undisturbed.records}", *FLAGS) as job:
        running.append(job)
        assert job.exit_code() == -signal.SIGKILL, job.said
    completed = completed_batches(target)
    with faulty(emulator) as server:
        run = run_over(server, target, undisturbed.records, folder)
    assert run.exit_code == 0, run.summary
    assert differences(end_state(run), undisturbed.end, was_resumed=True) == []
    assert_left_alone(completed, run)
    assert_accounts_add_up(run)
    assert_pairs_are_whole(target)


def completed_batches(target: FirestoreTarget) -> dict[str, dict[str, Any]]:
    """The documents of the completed batches of the only job with such files, by id."""
    jobs = read_collection(target, "pipeline_jobs")
    return {
        key: batch
        for job_id in jobs
        for key, batch in read_collection(target, f"pipeline_jobs/{job_id}/batches").items()
        if batch["state"] == "completed"
    }


def assert_left_alone(completed: dict[str, dict[str, Any]], run: Ingested) -> None:
    """Batches that were completed before a run was resumed were neither begun nor completed again."""
    now = completed_batches(run.target)
    assert {key: now.get(key) for key in completed} == completed
