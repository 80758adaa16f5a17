"""What is checked and filled in before a job is submitted to Dataflow."""

import re

import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions, SetupOptions, StandardOptions, WorkerOptions
from rich.console import Console

from pipeline import JOBS
from pipeline.jobs import ingest, migrate, replay, verify
from pipeline.run.dataflow import CloudJob, check_submission, name_job, notes, own_setup_file, set_defaults
from pipeline.run.flags import parse
from pipeline.run.launch import launch
from pipeline.run.runners import beam_options, on_dataflow
from transforms.errors import UsageError

IMAGE = "europe-docker.pkg.dev/acme-prod/firebeam/ingest:0.1.0"
COMPLETE = {
    "input": "gs://bucket/in/*.jsonl",
    "project": "acme-prod",
    "dead_letters": "gs://bucket/dead_letters",
    "runner": "DataflowRunner",
    "region": "europe-west1",
    "temp_location": "gs://bucket/tmp",
    "service_account_email": "firebeam-worker@acme-prod.iam.gserviceaccount.com",
    "sdk_container_image": IMAGE,
}


@pytest.fixture(autouse=True)
def no_emulators(monkeypatch):
    for name in ("FIRESTORE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)


def asked_for(job=ingest, environ=None, without=(), streaming=False, **more):
    """Config and options, defaults set, of the complete flags with some replaced or left out."""
    flags = {name: value for name, value in {**COMPLETE, **more}.items() if name not in without}
    config, rest = parse(job.USAGE, [f"--{name}={value}" for name, value in flags.items()])
    options = beam_options(job.USAGE, config, rest)
    set_defaults(job.USAGE.name, config, options, environ or {}, streaming=streaming)
    return config, options


def problems(**more):
    """The problems that stop a submission, a line each."""
    config, options = asked_for(**more)
    try:
        check_submission("ingest", config, options, streaming=False)
    except UsageError as refused:
        heading, *lines = str(refused).splitlines()
        assert heading == "ingest cannot be submitted to Dataflow as asked for:"
        return [line.strip() for line in lines]
    return []


def test_a_job_with_everything_it_needs_may_be_submitted():
    assert problems() == []


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"without": ["region"]}, "--region is missing: pass the region of the database or the one nearest to it.*"),
        ({"without": ["temp_location"]}, "--temp_location is missing: pass --temp_location=gs://BUCKET/tmp.*"),
        (
            {"temp_location": "/var/tmp"},
            "--temp_location=/var/tmp is not a bucket: pass --temp_location=gs://BUCKET/tmp",
        ),
        ({"staging_location": "x"}, "--staging_location=x is not a bucket: pass --staging_location=gs://BUCKET/tmp"),
        ({"dead_letters": "dead"}, "--dead_letters=dead is on this computer, .* under gs:// and pass that"),
        ({"without": ["dead_letters"]}, "--dead_letters=dead_letters is on this computer, .*"),
        (
            {"input": "in.jsonl"},
            "--input=in.jsonl is on this computer, .* under gs:// or .* or firestore:// and pass that",
        ),
        ({"summary": "s.json"}, "--summary=s.json is written when the job has ended: pass --wait as well, .*"),
        ({"wait": "true", "template_location": "gs://b/t"}, "--wait waits for a job, .*: remove one of them"),
        ({"dry_run": "true"}, "--dry_run would open the ledger of a job that never begins: leave it out"),
        ({"max_num_workers": 500}, ".* 1,000 processes on n2-standard-2, which share 500 writes/s: .*=125 or less"),
        (
            {"sdk_container_image": "", "setup_file": "/nowhere/setup.py"},
            "--setup_file=/nowhere/setup.py is not there.*",
        ),
    ],
)
def test_what_would_fail_in_the_cloud_is_refused_with_what_to_do(flags, problem):
    (found,) = problems(**flags)
    assert re.fullmatch(problem, found), found


def test_all_problems_are_told_at_once():
    found = problems(without=["region", "temp_location", "dead_letters"], input="a.jsonl,gs://bucket/b.jsonl,c.jsonl")
    assert [problem.split(" ")[0] for problem in found] == [
        "--region",
        "--temp_location",
        "--input=a.jsonl",
        "--input=c.jsonl",
        "--dead_letters=dead_letters",
    ]


def test_a_batch_job_is_not_submitted_as_a_streaming_one():
    config, options = asked_for()
    options.view_as(StandardOptions).streaming = True
    with pytest.raises(UsageError, match="ingest ends when its input does, which is a batch job: remove --streaming"):
        check_submission("ingest", config, options, streaming=False)


def test_ingest_reads_tables_of_databases_in_the_cloud_and_verify_says_that_it_does_not():
    assert problems(input="postgresql://app@db/shop/orders,mysql://app@db/shop/orders") == []
    stores = {"left": "postgresql://app@db/shop/orders", "right": "firestore://orders", "report": "gs://bucket/r.jsonl"}
    config, options = asked_for(verify, without=["input"], **stores)
    with pytest.raises(UsageError, match="--left=postgresql://app@db/shop/orders is a table of a database, which is"):
        check_submission("verify", config, options, streaming=False)


def test_a_job_without_end_is_submitted_as_a_streaming_one():
    config, options = asked_for(streaming=True)
    check_submission("ingest", config, options, streaming=True)
    assert options.view_as(StandardOptions).streaming is True
    assert options.view_as(GoogleCloudOptions).dataflow_service_options == ["streaming_mode_at_least_once"]


def test_another_mode_of_streaming_may_be_asked_for():
    _, options = asked_for(streaming=True, dataflow_service_options="streaming_mode_exactly_once")
    assert options.view_as(GoogleCloudOptions).dataflow_service_options == ["streaming_mode_exactly_once"]


def test_a_budget_of_which_no_process_gets_a_pair_a_second_says_what_would_fit():
    (problem,) = problems(max_writes_per_s=1)
    assert problem.endswith("less than one pair of documents per second each; raise --max_writes_per_s")


def test_a_flag_whose_field_has_another_name_is_looked_at_as_well():
    where = {"from": "cosmos://school/attempts", "to": "firestore://student_attempts"}
    flags = {**where, "migration": "students", "spec": "student_attempts", "report": "gs://bucket/audit"}
    config, options = asked_for(migrate, without=["input"], **flags)
    check_submission("migrate", config, options, streaming=False)


def test_a_job_that_is_not_paced_may_have_any_number_of_workers():
    assert problems(max_writes_per_s=0, max_num_workers=500) == []
    config, options = asked_for(replay, without=["input"], max_num_workers=500)
    check_submission("replay", config, options, streaming=False)


def test_defaults_are_set_where_the_flags_leave_them_open():
    _, options = asked_for()
    workers = options.view_as(WorkerOptions)
    assert (workers.machine_type, workers.disk_size_gb) == ("n2-standard-2", 30)
    assert (workers.max_num_workers, workers.autoscaling_algorithm) == (10, "THROUGHPUT_BASED")


def test_flags_win_over_defaults():
    _, options = asked_for(
        worker_machine_type="e2-standard-4", disk_size_gb=50, max_num_workers=3, autoscaling_algorithm="NONE"
    )
    workers = options.view_as(WorkerOptions)
    assert (workers.machine_type, workers.disk_size_gb) == ("e2-standard-4", 50)
    assert (workers.max_num_workers, workers.autoscaling_algorithm) == (3, "NONE")


def test_as_many_workers_as_the_job_begins_with_are_allowed():
    assert asked_for(num_workers=25)[1].view_as(WorkerOptions).max_num_workers == 25


def test_labels_say_job_and_version_unless_they_are_given():
    _, options = asked_for(labels="team=people")
    labels = dict(label.split("=") for label in options.view_as(GoogleCloudOptions).labels)
    assert (labels["team"], labels["firebeam-job"]) == ("people", "ingest")
    assert re.fullmatch(r"\d+-\d+-\d+[a-z0-9-]*", labels["firebeam-version"])
    _, options = asked_for(labels="firebeam-job=nightly")
    assert "firebeam-job=ingest" not in options.view_as(GoogleCloudOptions).labels


def test_in_the_image_workers_get_the_same_image():
    _, options = asked_for(environ={"FIREBEAM_IMAGE": IMAGE}, without=["sdk_container_image"])
    assert options.view_as(WorkerOptions).sdk_container_image == IMAGE
    assert options.view_as(SetupOptions).setup_file is None


def test_from_a_checkout_workers_get_its_package():
    _, options = asked_for(without=["sdk_container_image"])
    assert options.view_as(SetupOptions).setup_file == own_setup_file()
    assert own_setup_file().endswith("/setup.py")


def test_without_image_and_checkout_it_is_said_what_to_pass():
    config, options = asked_for()
    options.view_as(WorkerOptions).sdk_container_image = None
    with pytest.raises(
        UsageError, match=r"workers have no Firebeam: pass --sdk_container_image=IMAGE, .* --setup_file"
    ):
        check_submission("ingest", config, options, streaming=False)


def test_the_project_of_the_environment_is_dataflows_as_well(monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "from-environment")
    _, options = asked_for(without=["project"])
    assert options.view_as(GoogleCloudOptions).project == "from-environment"


def test_a_job_is_called_after_its_ledger_unless_it_has_a_name():
    _, options = asked_for()
    name_job(options, "Nightly_2026")
    assert CloudJob.of(options) == CloudJob("acme-prod", "europe-west1", "nightly-2026")
    _, options = asked_for(job_name="mine")
    name_job(options, "ingest-1")
    assert CloudJob.of(options).name == "mine"


def test_a_submission_without_service_account_says_which_one_it_gets():
    (account, _) = notes(*asked_for(without=["service_account_email"]))
    assert "PROJECT_NUMBER-compute@developer.gserviceaccount.com" in account


def test_a_submission_says_how_fast_it_begins():
    (budget,) = notes(*asked_for(max_num_workers=5))
    assert budget.startswith("Firestore's write budget begins at 500 writes/s, 50 for each of up to 10 processes")
    assert list(notes(*asked_for(max_writes_per_s=0))) == []


@pytest.mark.parametrize("name", ["DataflowRunner", "dataflowrunner", "apache_beam.runners.dataflow.DataflowRunner"])
def test_every_way_to_write_the_runner_is_dataflow(name):
    assert on_dataflow(asked_for(runner=name)[1])


def test_nothing_is_started_that_cannot_be_submitted():
    flags = [f"--{name}={value}" for name, value in COMPLETE.items() if name != "region"]
    with pytest.raises(UsageError, match="--region is missing"):
        launch(JOBS["ingest"], flags, Console(quiet=True), {})
