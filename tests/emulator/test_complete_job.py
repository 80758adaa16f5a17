"""The last step of a job: once, behind every batch, and only for a run that is still the job's own."""

import datetime

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from tests.support.counted import outcome
from transforms.ledger.entry import LedgerEntry
from transforms.ledger.jobs import COMPLETED, RUNNING, job_document, read_job
from transforms.ledger.owners import Owner
from transforms.ledger.results import read_results
from transforms.ledger.runs import JobDescription, JobLedger
from transforms.ledger.steps import CompleteJob, RecordOutcomes
from transforms.outcomes import RECORDS
from transforms.retry import Retry
from transforms.runtime.stopping import ask_to_stop, forget_request

JOB_ID = "job"
SEEN: list[int] = []


@pytest.fixture
def target(target):
    SEEN.clear()
    forget_request()
    return target


def opened(target):
    ledger = JobLedger(job_document(target.connect(), JOB_ID), RECORDS)
    return ledger.open(JobDescription("ingest", JOB_ID, {}, "input", "spec"), Owner())


def entry(target, attempt, *, unattended=True):
    return LedgerEntry(target, JOB_ID, attempt, Retry(), unattended)


def conclude():
    SEEN.append(1)
    return {"rows": 2, "at": datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)}


def run(ledger, n_batches=3):
    outcomes = [outcome(f"b-{n}", "a.jsonl", 5, 5) for n in range(n_batches)]
    with beam.Pipeline(runner=FnApiRunner()) as p:
        recorded = p | beam.Create(outcomes) | "Record" >> RecordOutcomes(ledger)
        _ = recorded | "CompleteJob" >> CompleteJob(ledger, conclude)


def test_a_run_that_nobody_waits_for_is_completed_with_its_totals_and_results(target):
    opening = opened(target)
    run(entry(target, opening.attempt))
    job = read_job(job_document(target.connect(), JOB_ID))
    assert (job.state, job.totals["read"], job.totals["batches"]) == (COMPLETED, 15, 3)
    assert read_results(job_document(target.connect(), JOB_ID), opening.attempt)["rows"] == 2
    assert SEEN == [1]


def test_every_batch_and_the_end_of_the_run_are_a_line_in_the_log(target, caplog):
    caplog.set_level("DEBUG", "transforms")
    run(entry(target, opened(target).attempt), n_batches=2)
    lines = {
        (record.levelname, record.getMessage()) for record in caplog.records if record.name == "transforms.ledger.steps"
    }
    assert lines == {
        ("DEBUG", "job job, batch b-0: 5 read, 5 written, 0 unchanged, 0 superseded, 0 dead letters"),
        ("DEBUG", "job job, batch b-1: 5 read, 5 written, 0 unchanged, 0 superseded, 0 dead letters"),
        ("INFO", "job job, attempt 1: every batch is done"),
    }


def test_a_run_whose_launcher_waits_is_left_for_it_to_close(target):
    run(entry(target, opened(target).attempt, unattended=False))
    assert read_job(job_document(target.connect(), JOB_ID)).state == RUNNING
    assert read_results(job_document(target.connect(), JOB_ID), 1)["rows"] == 2


def test_a_job_without_any_batch_is_completed_too(target):
    run(entry(target, opened(target).attempt), n_batches=0)
    assert read_job(job_document(target.connect(), JOB_ID)).state == COMPLETED


def test_a_run_that_was_replaced_does_not_close_its_successor(target):
    run(entry(target, opened(target).attempt + 1))
    assert read_job(job_document(target.connect(), JOB_ID)).state == RUNNING


def test_a_run_that_was_asked_to_stop_is_not_concluded(target):
    attempt = opened(target).attempt
    ask_to_stop()
    try:
        run(entry(target, attempt))
    finally:
        forget_request()
    assert SEEN == []
    assert read_job(job_document(target.connect(), JOB_ID)).state == RUNNING
    assert read_results(job_document(target.connect(), JOB_ID), attempt) == {}
