"""`firebeam status`: what it shows of jobs that run, have ended or fell silent, to people and to programs."""

import datetime
import json
import os
import re

import pytest
from rich.console import Console

from pipeline.__main__ import main
from pipeline.commands.status import main as status
from tests.support.clocks import Clock, no_waiting
from tests.support.counted import outcome
from tests.support.ingest import ingest, profile
from transforms import retry
from transforms.errors import UsageError
from transforms.ledger.jobs import COMPLETED, FAILED, job_document
from transforms.ledger.owners import Owner
from transforms.ledger.runs import JobDescription, JobLedger
from transforms.ledger.totals import read_totals
from transforms.outcomes import RECORDS
from transforms.retry import Retry

pytestmark = pytest.mark.emulator

JOB = JobDescription("ingest", "ingest-1", {}, "input-1", "spec-1", bytes_total=4_000)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def target(target, monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", target.project)
    monkeypatch.setenv("COLUMNS", "200")
    return target


@pytest.fixture
def ledger(target, clock):
    """Of a job that runs elsewhere, with ten seconds of work done: half of its input, and one batch in flight."""
    ledger = JobLedger(job_document(target.connect(), "ingest-1", Retry(clock=no_waiting(clock))), RECORDS)
    ledger.open(JOB, Owner("another-host", 4711))
    for n in range(2):
        ledger.batches.begin(f"b-{n}", 1, {"source": "in.jsonl"})
        clock.seconds = 5 * (n + 1)
        reasons = {("FlattenRecords", "MISSING_FIELD"): 1, ("ReadBatches", "INVALID_JSON"): 2}
        done = outcome(
            f"b-{n}", "in.jsonl", 50, 47, dead_letters=reasons, retries=1, ids=(f"id-{n}",), bytes_read=1_000
        )
        ledger.batches.complete(done, 1)
    ledger.batches.begin("b-2", 1, {"source": "in.jsonl"})
    ledger.heartbeat()
    return ledger


@pytest.fixture
def shown(clock, capsys):
    """Runs the command; returns its exit code, and what it printed on standard output and on standard error."""

    def show(*arguments, sleep=lambda seconds: None):
        capsys.readouterr()
        exit_code = status(arguments, Console(stderr=True), retry.Clock(now=clock, sleep=sleep))
        printed = capsys.readouterr()
        return exit_code, printed.out, printed.err

    return show


def rows(printed):
    """The cells of a table, by the first one."""
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in printed.splitlines() if "│" in line]
    return {row[0]: row[1] if len(row) == 2 else row[1:] for row in cells}


def test_a_running_job_is_shown_with_its_owner_its_records_its_pace_and_what_is_left(ledger, shown):
    exit_code, printed, _ = shown("ingest-1")
    assert exit_code == 0
    assert "ingest-1: running" in printed
    assert rows(printed) == {
        "job": "ingest, attempt 1",
        "owner": "process 4711 of another-host",
        "started": "2023-11-14 22:13:20 UTC",
        "last seen": "2023-11-14 22:13:30 UTC",
        "elapsed": "0:00:10",
        "progress": "50 %",
        "throughput": "10 records/s",
        "left": "0:00:10",
        "batches": "2 completed, 1 processing, 0 failed",
        "read": "100",
        "written": "94",
        "unchanged": "0",
        "superseded": "0",
        "dead letters": "6",
        "ReadBatches: INVALID_JSON": "4",
        "FlattenRecords: MISSING_FIELD": "2",
        "retries": "2",
        "newest ids": "id-1, id-0",
    }


def test_for_a_program_it_is_one_object_with_the_same_numbers(ledger, shown):
    exit_code, printed, _ = shown("--json", "ingest-1")
    found = json.loads(printed)
    page = found.pop("page")
    assert (page["sentence"], page["batches"]["phases"]) == (
        "running, 2 batches, 100 records, 6 dead letters, 10/s, 0:00:10 left",
        {"waiting": 0, "writing": 1, "done": 2, "failed": 0},
    )
    assert (exit_code, found) == (
        0,
        {
            "job_id": "ingest-1",
            "job": "ingest",
            "state": "running",
            "attempt": 1,
            "owner": {"host": "another-host", "pid": 4711},
            "started_at": "2023-11-14T22:13:20+00:00",
            "heartbeat_at": "2023-11-14T22:13:30+00:00",
            "heard_of_at": "2023-11-14T22:13:30+00:00",
            "finished_at": None,
            "elapsed_s": 10.0,
            "progress": 0.5,
            "records_per_s": 10.0,
            "left_s": 10.0,
            "batches_completed": 2,
            "batches_processing": 1,
            "batches_failed": 0,
            "read": 100,
            "written": 94,
            "unchanged": 0,
            "superseded": 0,
            "dead_letters": 6,
            "dead_letters_by": [
                {"step": "ReadBatches", "code": "INVALID_JSON", "count": 4},
                {"step": "FlattenRecords", "code": "MISSING_FIELD", "count": 2},
            ],
            "retries": 2,
            "overflowed": 0,
            "repaired": 0,
            "newest_ids": ["id-1", "id-0"],
            "error": None,
        },
    )


@pytest.mark.parametrize(("silent_s", "state"), [(59, "running"), (60, "interrupted")])
def test_a_job_that_is_silent_for_a_minute_is_shown_as_interrupted(ledger, clock, shown, silent_s, state):
    clock.seconds = 10 + silent_s
    _, printed, _ = shown("ingest-1", "--json")
    job = json.loads(printed)
    assert (job["state"], job["left_s"] is None) == (state, state == "interrupted")
    assert job["elapsed_s"] == (69 if state == "running" else 10)


def test_a_job_whose_process_of_this_host_is_gone_is_shown_as_interrupted_at_once(target, clock, shown):
    gone = Owner(pid=2**22 + 1)  # above the largest process id that Linux gives
    JobLedger(job_document(target.connect(), "ingest-1", Retry(clock=no_waiting(clock))), RECORDS).open(JOB, gone)
    assert json.loads(shown("ingest-1", "--json")[1])["state"] == "interrupted"


def test_the_pace_of_a_resumed_run_is_that_of_the_process_that_runs_it_now(ledger, target, clock, shown):
    clock.seconds = 3_600
    again = JobLedger(job_document(target.connect(), "ingest-1", Retry(clock=no_waiting(clock))), RECORDS)
    again.open(JOB, Owner(pid=os.getppid()))
    assert json.loads(shown("ingest-1", "--json")[1])["records_per_s"] is None
    clock.seconds = 3_602
    again.batches.complete(outcome("b-2", "in.jsonl", 50, 50, bytes_read=1_000), 1)
    job = json.loads(shown("ingest-1", "--json")[1])
    assert (job["records_per_s"], job["progress"], job["left_s"]) == (25.0, 0.75, 2.0)


def test_where_the_size_of_the_input_is_not_known_counts_and_rate_are_shown(target, clock, shown):
    ledger = JobLedger(job_document(target.connect(), "ingest-2", Retry(clock=no_waiting(clock))), RECORDS)
    ledger.open(JobDescription("ingest", "ingest-2", {}, "input", "spec"), Owner("another-host", 1))
    clock.seconds = 2
    ledger.batches.complete(outcome("b-0", "in.jsonl.gz", 10, 10, bytes_read=70), 1)
    cells = rows(shown("ingest-2")[1])
    assert (cells["progress"], cells["left"], cells["throughput"], cells["read"]) == ("–", "–", "5 records/s", "10")


def test_a_job_that_failed_shows_why(ledger, shown):
    ledger.give_up_batches("Firestore did not answer [/] in 8 attempts")
    ledger.finish(FAILED, "Firestore did not answer [/] in 8 attempts", {})
    cells = rows(shown("ingest-1")[1])
    assert cells["error"] == "Firestore did not answer [/] in 8 attempts"
    assert cells["batches"] == "2 completed, 0 processing, 1 failed"


def test_a_job_that_completed_has_no_time_left(ledger, target, clock, shown):
    ledger.batches.complete(outcome("b-2", "in.jsonl", 100, 100, bytes_read=1_990), 1)
    clock.seconds = 20
    ledger.finish(COMPLETED, None, read_totals(job_document(target.connect(), "ingest-1"), RECORDS).as_fields())
    clock.seconds = 9_000
    cells = rows(shown("ingest-1")[1])
    assert "left" not in cells
    assert (cells["elapsed"], cells["progress"], cells["throughput"]) == ("0:00:20", "100 %", "10 records/s")


# Without an id.


def test_without_an_id_recent_jobs_are_listed_newest_first(ledger, target, clock, shown):
    for n in range(2, 24):
        clock.seconds = 100 * n
        later = JobLedger(job_document(target.connect(), f"ingest-{n}", Retry(clock=no_waiting(clock))), RECORDS)
        later.open(JobDescription("ingest", f"ingest-{n}", {}, "input", "spec"), Owner("another-host", 1))
        later.batches.complete(outcome("b-0", "in.jsonl", n, n), 1)
        clock.seconds += 7
        later.finish(COMPLETED, None, read_totals(job_document(target.connect(), f"ingest-{n}"), RECORDS).as_fields())
    _, printed, _ = shown()
    listed = rows(printed)
    assert list(listed) == [f"ingest-{n}" for n in range(23, 3, -1)]
    assert listed["ingest-23"] == ["completed", "1", "2023-11-14 22:51:40 UTC", "0:00:07", "23", "0"]
    listed = json.loads(shown("--json")[1])
    assert [job["job_id"] for job in listed] == [f"ingest-{n}" for n in range(23, 3, -1)]
    assert listed[0]["read"] == 23


def test_a_running_job_is_listed_with_its_numbers_so_far(ledger, shown):
    assert rows(shown()[1])["ingest-1"] == ["running", "1", "2023-11-14 22:13:20 UTC", "0:00:10", "100", "6"]


def test_a_database_without_jobs_says_so(target, shown):
    assert shown()[1] == f"no job has run in {target.name} yet\n"
    assert json.loads(shown("--json")[1]) == []


# Following.


def test_following_shows_every_change_until_the_job_ends_and_ends_like_it(ledger, target, clock, shown):
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        if len(waited) == 2:
            clock.seconds = 20
            ledger.batches.complete(outcome("b-2", "in.jsonl", 100, 100, bytes_read=1_000), 1)
        if len(waited) == 3:
            ledger.finish(FAILED, "the table is gone", {})

    exit_code, printed, told = shown("ingest-1", "--follow", sleep=sleep)
    assert exit_code == 1
    assert told.splitlines() == [
        "2 batches, 100 records, 6 dead letters, 2 retries, 10 records/s, 50 %, 0:00:10 left",
        "3 batches, 200 records, 6 dead letters, 2 retries, 10 records/s, 75 %, 0:00:07 left",
    ]
    assert rows(printed)["error"] == "the table is gone"
    assert waited == [2.0, 2.0, 2.0]


def test_following_for_a_program_prints_an_object_a_line(ledger, clock, shown):
    def fall_silent(seconds):
        clock.seconds += 40

    exit_code, printed, _ = shown("--follow", "ingest-1", "--json", sleep=fall_silent)
    assert [json.loads(line)["state"] for line in printed.splitlines()] == ["running", "running", "interrupted"]
    assert exit_code == 130


def test_following_a_job_that_has_ended_shows_it_once(ledger, shown):
    ledger.finish(COMPLETED, None, {})
    assert shown("ingest-1", "--follow")[0] == 0


# Wrong usage.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ingest-9"], "there is no job ingest-9 in projects/.*; `firebeam status` without an id lists recent ones"),
        (["a", "b"], "status shows one job at a time, got a, b"),
        (["--follow"], "--follow needs the id of a job: firebeam status ID --follow"),
        (["--folow"], "unknown argument --folow; did you mean --follow?"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_what_to_do(target, shown, arguments, message):
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        shown(*arguments)


def test_an_unknown_job_is_one_sentence_and_exit_code_2(target, capsys):
    assert main(["status", "ingest-9", f"--project={target.project}"]) == 2
    assert re.match(f"error: there is no job ingest-9 in {re.escape(target.name)}; ", capsys.readouterr().err)


def test_it_shows_what_the_summary_of_a_run_said(target, tmp_path, capsys):
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(profile(n)) + "\n" for n in range(30)) + "{\n")
    run = ingest(tmp_path, target, f"--input={source}", "--batch_size=10")
    capsys.readouterr()
    assert main(["status", run.summary["job_id"], "--json"]) == 0
    job = json.loads(capsys.readouterr().out)
    same = ("state", "read", "written", "unchanged", "superseded", "dead_letters", "dead_letters_by", "retries")
    assert {name: job[name] for name in same} == {name: run.summary[name] for name in same}
    assert (job["batches_completed"], job["progress"]) == (run.summary["batches"], 1.0)
    assert set(job["newest_ids"]) <= run.full.keys()
    assert datetime.datetime.fromisoformat(job["finished_at"]) >= datetime.datetime.fromisoformat(job["started_at"])
