"""The moment that a run reads at: Firestore's own, and the same one however often the run goes on."""

import datetime

import pytest

from tests.support.export import people
from transforms.firestore.query import Query
from transforms.firestore.reader import read
from transforms.firestore.target import FirestoreTarget
from transforms.ledger.jobs import job_document
from transforms.ledger.read_times import read_time_of_run
from transforms.retry import Retry

pytestmark = pytest.mark.emulator

UTC = datetime.timezone.utc


def test_a_launcher_whose_clock_is_wrong_reads_at_firestore_s_own_time_also_when_its_run_goes_on(
    firestore_host, firestore_project
):
    client = FirestoreTarget(firestore_project, emulator_host=firestore_host).connect()
    before = datetime.datetime.now(UTC)
    for years in (-3, 3):
        wrong = before + datetime.timedelta(days=365 * years)
        moment = read_time_of_run(job_document(client, f"nightly{years}", Retry()), 1, wrong)
        assert abs(moment - before) < datetime.timedelta(minutes=1)
        assert read_time_of_run(job_document(client, f"nightly{years}", Retry()), 1, before) == moment
        assert read_time_of_run(job_document(client, f"nightly{years}", Retry()), 2, wrong) > moment


def test_an_export_reads_at_the_moment_that_the_ledger_keeps(desk):
    desk.store(people(1))
    assert desk.export("--job_id=nightly") == 0
    client = desk.database.connect()
    (kept,) = read(client, Query("pipeline_jobs/nightly/moments"))
    (row,) = desk.rows()
    assert row["read_time"] == kept.create_time
    assert row["update_time"] <= row["read_time"]
