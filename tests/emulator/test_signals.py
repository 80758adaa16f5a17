"""Ctrl-C and SIGTERM: what is in flight is finished, the next command goes on; and who cannot wait need not."""

import json
import shlex
import signal

import psutil
import pytest

from tests.stand_ins import comes_true
from tests.support.disturbed_run import lines
from tests.support.documents import read_collection
from tests.support.end_state import assert_accounts_add_up
from tests.support.faulty_firestore import FaultyFirestore
from tests.support.ingest import ingest, profile
from tests.support.interrupted import Job, Moment, assert_left_alone, completed_batches

pytestmark = pytest.mark.emulator

BATCHES = 30
FINISHING = "finishing the batches in flight; a second signal stops at once"
# Within the batches' own requests: a job sends a few more before.
LATER = 12


@pytest.fixture
def flags(tmp_path):
    source = tmp_path / "records.jsonl"
    source.write_text(lines(*(profile(n) for n in range(5 * BATCHES))))
    return (f"--input={source}", "--batch_size=5")


def run_until(moment, emulator, folder, target, *flags):
    """Runs a job and calls `moment` with it while one of its requests is held; returns exit code and what it said."""
    running = []
    with FaultyFirestore(emulator, refuse=Moment(LATER, lambda: moment(running[0]))) as server:
        with Job(folder, target, *flags, FIRESTORE_EMULATOR_HOST=server.host) as job:
            running.append(job)
            return job.exit_code(), job.said


def state_of(target):
    (job,) = read_collection(target, "pipeline_jobs").values()
    return job["state"]


def assert_goes_on(target, folder, *flags):
    """The same command comes to the end that a run without signals comes to."""
    completed = completed_batches(target)
    run = ingest(folder, target, *flags)
    assert (run.exit_code, run.summary["state"], run.summary["written"]) == (0, "completed", 5 * BATCHES)
    assert len(run.full) == len(run.flat) == 5 * BATCHES
    assert_left_alone(completed, run)
    assert_accounts_add_up(run)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_what_is_in_flight_and_prints_the_command_that_goes_on(
    firestore_host, target, flags, tmp_path, number
):
    def ask(job):
        job.process.send_signal(number)
        assert comes_true(lambda: FINISHING in job.said), job.said

    exit_code, said = run_until(ask, firestore_host, tmp_path, target, *flags)
    assert (exit_code, state_of(target)) == (130, "interrupted"), said
    summary = json.loads((tmp_path / "summary.json").read_text())
    (job_id,) = read_collection(target, "pipeline_jobs")
    batches = read_collection(target, f"pipeline_jobs/{job_id}/batches")
    assert {batch["state"] for batch in batches.values()} == {"completed"}
    assert 0 < len(batches) < BATCHES
    assert (summary["state"], summary["read"], summary["batches"]) == ("interrupted", 5 * len(batches), len(batches))
    (told,) = [line for line in said.splitlines() if line.startswith("to resume: firebeam ingest ")]
    assert shlex.split(told)[-2:] == list(flags)
    assert "Traceback" not in said
    assert_goes_on(target, tmp_path, *flags)


def test_a_second_signal_stops_at_once(firestore_host, target, flags, tmp_path):
    def insist(job):
        job.process.send_signal(signal.SIGINT)
        assert comes_true(lambda: FINISHING in job.said), job.said
        job.process.send_signal(signal.SIGTERM)
        job.exit_code(within_s=60)  # although the request in flight has no answer yet

    exit_code, said = run_until(insist, firestore_host, tmp_path, target, *flags)
    assert (exit_code, state_of(target)) == (130, "running"), said
    (told,) = [line for line in said.splitlines() if line.startswith("stopped; to resume: firebeam ingest ")]
    assert shlex.split(told)[-2:] == list(flags)
    assert_goes_on(target, tmp_path, *flags)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)])
def test_workers_in_processes_of_their_own_are_ended_at_once(firestore_host, target, flags, tmp_path, number):
    workers = []

    def ask(job):
        workers.extend(psutil.Process(job.process.pid).children(recursive=True))
        job.process.send_signal(number)
        job.exit_code(within_s=60)

    two_workers = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")
    exit_code, said = run_until(ask, firestore_host, tmp_path, target, *two_workers, *flags)
    assert exit_code == 130, said
    assert len(workers) >= 2
    assert psutil.wait_procs(workers, timeout=60)[1] == []
    assert "stopped; to resume: firebeam ingest " in said
    assert "Traceback" not in said
    assert_goes_on(target, tmp_path, *flags)


def test_the_command_that_goes_on_does_not_start_over(firestore_host, target, flags, tmp_path):
    def ask(job):
        job.process.send_signal(signal.SIGINT)
        assert comes_true(lambda: FINISHING in job.said), job.said

    _, said = run_until(ask, firestore_host, tmp_path, target, *flags, "--restart")
    (told,) = [line for line in said.splitlines() if line.startswith("to resume: ")]
    assert shlex.split(told)[-2:] == ["--restart", "--restart=false"]
