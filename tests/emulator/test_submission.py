"""What becomes of a run that Dataflow does: its ledger, what the launcher says, and a signal while somebody waits."""

import contextlib
import os
import re
import signal
import sys
import threading
from pathlib import Path

import pytest

from pipeline.__main__ import main
from tests.launch.service import DONE, LoopbackDataflow, RefusedError
from tests.launch.workers import Workers
from tests.stand_ins import comes_true
from tests.support.documents import read_collection
from tests.support.launchable import LAUNCHABLE, PROJECT, REGION, Place
from transforms.ledger.jobs import COMPLETED, FAILED, INTERRUPTED, RUNNING, job_document, read_job
from transforms.ledger.runs import JobLedger
from transforms.outcomes import RECORDS

pytestmark = pytest.mark.emulator

IMAGE = "europe-docker.pkg.dev/demo-firebeam/firebeam/ingest:0.1.0"
JOB_ID = "nightly"


class Cloud:
    """A service that runs nothing by itself: a job ends when a test releases it."""

    def __init__(self):
        self.released, self.failure = threading.Event(), None
        self.service = LoopbackDataflow(self._run, lambda image, flags: (1, "no template here"))

    def _run(self, pipeline):
        assert self.released.wait(60)
        if self.failure:
            raise RuntimeError(self.failure)
        return []

    @property
    def job(self):
        (job,) = self.service.jobs.values()
        return job

    @property
    def job_id(self):
        return self.job.resource["id"]


@pytest.fixture
def cloud():
    of = Cloud()
    with of.service:
        yield of
        of.released.set()
        assert all(job.ended.wait(60) for job in of.service.jobs.values())
        # Whoever waited for the job asks for its state every five seconds, and would ask a service that is gone.
        assert comes_true(lambda: "dataflow" not in [thread.name for thread in threading.enumerate()], within_s=60)


@pytest.fixture
def place(firestore_host, bigquery, firestore_project):
    of = Place(firestore_host, bigquery.gcs, bigquery.rest, firestore_project)
    LAUNCHABLE["ingest"].prepare(of, 3)
    with of.named_in_environment():
        yield of


def submit(place, cloud, **more):
    """Runs `firebeam ingest` with the DataflowRunner; returns its exit code."""
    flags = LAUNCHABLE["ingest"].arguments(
        place, job_id=JOB_ID, sdk_container_image=IMAGE, dataflow_endpoint=cloud.service.endpoint, **more
    )
    return main(["ingest", *flags])


def job(place):
    return read_job(job_document(place.target.connect(), JOB_ID))


def close_as_the_last_step_does(place):
    """What the graph's own CompleteJob writes down, on a worker."""
    ledger = JobLedger(job_document(place.target.connect(), JOB_ID), RECORDS)
    assert ledger.adopt(job(place).attempt)
    ledger.finish(COMPLETED, None, {"batches": 0, "dead_letters": [], "newest_ids": []})


def test_the_launcher_says_where_the_job_is_and_neither_waits_for_it_nor_closes_its_ledger(place, cloud, capsys):
    assert submit(place, cloud) == 0
    shown = capsys.readouterr().err
    assert not cloud.released.is_set()
    assert f"Dataflow job {cloud.job_id}, {JOB_ID} in {REGION}\n" in shown
    link = f"console: https://console.cloud.google.com/dataflow/jobs/{REGION}/{cloud.job_id}?project={PROJECT}\n"
    assert link in shown
    assert f"how far it is: firebeam status {JOB_ID} --project={PROJECT} --database={place.name}\n" in shown
    of = job(place)
    assert (of.state, of.finished_at, of.owner.dataflow_job) == (RUNNING, None, (REGION, JOB_ID))


def test_while_it_runs_status_says_whose_job_it_is_and_a_second_submission_is_refused(place, cloud, capsys):
    submit(place, cloud)
    capsys.readouterr()
    assert main(["status", JOB_ID, f"--project={PROJECT}", f"--database={place.name}"]) == 0
    shown = re.sub(r"[\s│]+", " ", capsys.readouterr().out)
    assert f"{JOB_ID}: running" in shown
    assert f"owner Dataflow job {JOB_ID} in {REGION}" in shown
    assert f"gcloud dataflow jobs list --project={PROJECT} --region={REGION} --filter=name={JOB_ID}" in shown

    assert submit(place, cloud) == 2
    shown = capsys.readouterr().err
    assert re.search(rf"job {JOB_ID} is being run by Dataflow job {JOB_ID} in {REGION}, last seen \d+ s ago", shown)
    assert "take it over with --take_over" in shown
    assert len(cloud.service.jobs) == 1


def test_a_job_that_the_service_does_not_take_is_closed_as_failed(place, cloud, capsys, monkeypatch):
    def refuse(method, path, body):
        raise RefusedError(
            "The workflow could not be created: the quota of jobs is exhausted.", 429, "RESOURCE_EXHAUSTED"
        )

    cloud.service.answer = refuse
    assert submit(place, cloud) == 1
    shown = capsys.readouterr().err
    assert "error: Dataflow did not get the job: " in shown
    assert "the quota of jobs is exhausted" in shown
    assert "Traceback" not in shown
    of = job(place)
    assert of.state == FAILED
    assert "the quota of jobs is exhausted" in of.error


def test_a_table_of_a_database_is_read_by_the_workers_that_the_service_starts(place, database, tmp_path):
    database.execute(
        "CREATE TABLE people (candidate_id text PRIMARY KEY, name text)",
        "INSERT INTO people SELECT 'c' || n, 'Person ' || n FROM generate_series(1, 30) n",
    )
    (tmp_path / "empty").mkdir()
    workers = Workers(Path(sys.executable), tmp_path / "empty", place.environ)
    with LoopbackDataflow(workers.run, lambda image, flags: (1, "no template here")) as service:
        flags = LAUNCHABLE["ingest"].arguments(
            place,
            input=database.location("people"),
            batch_size="10",
            job_id=JOB_ID,
            sdk_container_image=IMAGE,
            dataflow_endpoint=service.endpoint,
        )
        assert main(["ingest", *flags]) == 0
        (submitted,) = service.jobs.values()
        assert submitted.ended.wait(120)
    assert submitted.state == DONE
    found = read_collection(place.target, "enriched_profiles")
    assert {key: fields["name"] for key, fields in found.items()} == {f"c{n}": f"Person {n}" for n in range(1, 31)}
    assert job(place).state == COMPLETED


def test_a_submission_that_is_interrupted_leaves_no_job_that_seems_to_run(place, cloud, capsys):
    def interrupt(method, path, body):
        os.kill(os.getpid(), signal.SIGINT)
        raise RefusedError("too late")

    cloud.service.answer = interrupt
    assert submit(place, cloud) == 130
    assert job(place).state == INTERRUPTED
    assert "stopped while the job was being submitted" in capsys.readouterr().err


def test_who_waits_is_shown_the_summary_of_what_the_job_wrote_down(place, cloud, capsys):
    with releasing(cloud, lambda: close_as_the_last_step_does(place)):
        assert submit(place, cloud, wait="true") == 0
    assert cloud.job.state == DONE
    assert f"{JOB_ID}: completed" in capsys.readouterr().err
    assert job(place).state == COMPLETED


def test_a_job_that_fails_while_somebody_waits_is_closed_with_what_ended_it(place, cloud, capsys):
    cloud.failure = "Traceback …\ntransforms.errors.JobError: no such database [while running 'UpsertPairs/Commit']"
    with releasing(cloud, first=lambda: cloud.job.is_watched.wait(60)):
        assert submit(place, cloud, wait="true") == 1
    shown = capsys.readouterr().err
    assert "error: no such database (step UpsertPairs/Commit)" in shown
    assert (job(place).state, job(place).error) == (FAILED, "no such database (step UpsertPairs/Commit)")


def test_a_job_that_is_cancelled_while_somebody_waits_is_interrupted_and_can_go_on(place, cloud, capsys):
    def cancel():
        path = f"/v1b3/projects/{PROJECT}/locations/{REGION}/jobs/{cloud.job_id}"
        cloud.service.answer("PUT", path, {"requestedState": "JOB_STATE_CANCELLED"})

    with releasing(cloud, cancel, release=False):
        assert submit(place, cloud, wait="true") == 130
    shown = capsys.readouterr().err
    assert "to resume: firebeam ingest " in shown
    assert job(place).state == INTERRUPTED


def test_a_signal_ends_the_waiting_and_not_the_job(place, cloud, capsys):
    number = signal.SIGTERM

    def stop_waiting():
        assert comes_true(lambda: len(cloud.service.jobs) == 1, within_s=60)
        assert cloud.job.is_watched.wait(60)
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    watcher = threading.Thread(target=stop_waiting)
    watcher.start()
    assert submit(place, cloud, wait="true") == 130
    watcher.join()
    cancel = f"gcloud dataflow jobs cancel {cloud.job_id} --project={PROJECT} --region={REGION}"
    assert f"the Dataflow job keeps running; to cancel it: {cancel}\n" in capsys.readouterr().err
    assert (job(place).state, cloud.job.ended.is_set()) == (RUNNING, False)
    assert signal.getsignal(number) is before


def test_a_templates_launcher_writes_the_job_and_says_nothing_of_one_that_it_does_not_have(place, cloud, capsys):
    file = f"{place.folder}/job_object"
    assert submit(place, cloud, template_location=file, job_name="from-a-form") == 0
    shown = capsys.readouterr().err
    assert f"the job's description is {file}\n" in shown
    assert "console" not in shown
    assert cloud.service.jobs == {}
    assert job(place).owner.dataflow_job == (REGION, "from-a-form")


@contextlib.contextmanager
def releasing(cloud, first=lambda: None, release=True):
    """Does something as soon as a job is submitted, and lets the job end then."""

    def follow():
        assert comes_true(lambda: len(cloud.service.jobs) == 1, within_s=60)
        first()
        if release:
            cloud.released.set()

    thread = threading.Thread(target=follow)
    thread.start()
    yield
    thread.join()
