"""A job that Dataflow owns: seen alive when it completes a batch, taken to be dead after half an hour without one."""

import datetime

import pytest

from tests.support.clocks import no_waiting
from tests.support.counted import outcome
from transforms.errors import UsageError
from transforms.firestore.target import FirestoreTarget
from transforms.ledger.jobs import INTERRUPTED, RUNNING, job_document, read_job
from transforms.ledger.owners import Owner
from transforms.ledger.runs import JobDescription, JobLedger
from transforms.ledger.totals import read_totals
from transforms.outcomes import RECORDS
from transforms.retry import Retry

pytestmark = pytest.mark.emulator

STARTED_AT = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
HALF_AN_HOUR_S = 1_800
JOB = JobDescription("ingest", "nightly", {}, "input-1", "spec-1")
CLOUD = Owner.on_dataflow("europe-west1", "nightly")
LAPTOP = Owner("laptop", 17)


class Ledger:
    """The ledger of a job as several computers see it, at any time after it began."""

    def __init__(self, target):
        self.target, self.elapsed_s = target, 0.0

    @property
    def moment(self):
        return STARTED_AT + datetime.timedelta(seconds=self.elapsed_s)

    @property
    def document(self):
        retry = Retry(initial_s=0, clock=no_waiting(lambda: self.moment.timestamp()))
        return job_document(self.target.connect(), "nightly", retry)

    def __call__(self):
        return JobLedger(self.document, RECORDS)

    def open(self, owner, after_s=0.0, **how):
        self.elapsed_s = after_s
        return self().open(JOB, owner, **how)

    def complete(self, batch_id, after_s):
        self.elapsed_s = after_s
        self().batches.begin(batch_id, 1, {"source": "in.jsonl"})
        self().batches.complete(outcome(batch_id, "in.jsonl", 1, 1), 1)

    def state(self, after_s):
        self.elapsed_s = after_s
        job, totals = read_job(self.document), read_totals(self.document, RECORDS)
        return job.state_at(self.moment, totals.recent[0].at if totals.recent else None)


@pytest.fixture
def ledger(firestore_host, firestore_project):
    return Ledger(FirestoreTarget(firestore_project, emulator_host=firestore_host))


def test_a_cloud_job_is_running_although_nobody_beats_for_it(ledger):
    ledger.open(CLOUD)
    assert ledger.state(after_s=HALF_AN_HOUR_S - 1) == RUNNING
    assert ledger.state(after_s=HALF_AN_HOUR_S) == INTERRUPTED


def test_a_completed_batch_is_a_sign_of_life_of_a_cloud_job(ledger):
    ledger.open(CLOUD)
    ledger.complete("b-1", after_s=1_000)
    assert ledger.state(after_s=1_000 + HALF_AN_HOUR_S - 1) == RUNNING
    assert ledger.state(after_s=1_000 + HALF_AN_HOUR_S) == INTERRUPTED


def test_a_completed_batch_says_nothing_of_a_process_that_fell_silent(ledger):
    ledger.open(LAPTOP)
    ledger.complete("b-1", after_s=50)
    assert ledger.state(after_s=59) == RUNNING
    assert ledger.state(after_s=60) == INTERRUPTED


def test_nobody_else_takes_a_cloud_job_that_was_heard_of_lately(ledger):
    ledger.open(CLOUD)
    ledger.complete("b-1", after_s=1_000)
    with pytest.raises(UsageError) as refused:
        ledger.open(LAPTOP, after_s=2_000)
    listing = f"gcloud dataflow jobs list --project={ledger.target.project} --region=europe-west1 --filter=name=nightly"
    assert str(refused.value) == (
        "job nightly is being run by Dataflow job nightly in europe-west1, last seen 1000 s ago; wait for it, or "
        f"choose another --job_id. If it has ended there (`{listing}` shows it), take it over with --take_over"
    )


def test_a_cloud_job_that_fell_silent_or_is_taken_over_goes_on_elsewhere(ledger):
    ledger.open(CLOUD)
    ledger.complete("b-1", after_s=100)
    taken = ledger.open(LAPTOP, after_s=200, take_over=True)
    assert (taken.resumed, taken.completed) == (True, {"b-1"})
    ledger.open(CLOUD, after_s=201, take_over=True)
    assert ledger.open(LAPTOP, after_s=201 + HALF_AN_HOUR_S).resumed


def test_a_cloud_job_is_no_process_of_this_computer():
    assert (CLOUD.is_dead_here, CLOUD.dataflow_job, LAPTOP.dataflow_job) == (False, ("europe-west1", "nightly"), None)
