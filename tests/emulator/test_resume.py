"""The same command again: it goes on after `kill -9`, begins anew after the end, and is refused where it must be."""

import re
import signal
import time
from pathlib import Path

import pytest

import pipeline.specs
from pipeline.jobs import ingest as job
from pipeline.run.flags import parse
from pipeline.run.runners import beam_options
from tests.support.clocks import no_waiting
from tests.support.disturbed_run import lines
from tests.support.documents import read_collection
from tests.support.end_state import assert_accounts_add_up, assert_pairs_are_whole, differences, documents, end_state
from tests.support.faulty_firestore import FaultyFirestore
from tests.support.ingest import ingest, profile
from tests.support.interrupted import (
    Job,
    Moment,
    assert_left_alone,
    check_kill_and_resume,
    completed_batches,
    run_undisturbed,
    work_of,
)
from transforms.bigquery.target import BigQueryTarget
from transforms.firestore.client import RpcError
from transforms.firestore.target import FirestoreTarget
from transforms.ledger.jobs import job_document
from transforms.ledger.owners import Owner
from transforms.ledger.runs import JobLedger
from transforms.outcomes import RECORDS
from transforms.retry import Retry

pytestmark = pytest.mark.emulator

SPEC = (Path(pipeline.specs.__file__).parent / "profiles.yaml").read_text()
TWO_WORKERS = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "records.jsonl"
    file.write_text(lines(*(profile(n) for n in range(60)), "{not JSON\n"))
    return file


@pytest.fixture(scope="module")
def undisturbed(firestore_host, tmp_path_factory):
    return run_undisturbed(firestore_host, "demo-uninterrupted", tmp_path_factory.mktemp("undisturbed"))


def job_of(target):
    (job_id, document), *others = read_collection(target, "pipeline_jobs").items()
    assert not others
    return job_id, document


@pytest.mark.parametrize("seed", [2, 3])
def test_a_killed_run_goes_on_and_ends_as_an_undisturbed_one(
    firestore_host, firestore_project, undisturbed, tmp_path, seed
):
    check_kill_and_resume(seed, firestore_host, firestore_project, undisturbed, tmp_path)


def kill_at(share, n_requests, emulator, folder, target, *flags):
    """Kills a run after this share of its requests; returns the batches it had completed."""
    running = []
    moment = Moment(int(share * n_requests), lambda: running[0].kill())
    with FaultyFirestore(emulator, refuse=moment) as server:
        with Job(folder, target, *flags, FIRESTORE_EMULATOR_HOST=server.host) as killed:
            running.append(killed)
            assert killed.exit_code() == -signal.SIGKILL, killed.said
    return completed_batches(target)


def requests_of(emulator, monkeypatch, folder, target, *flags):
    """Ingests undisturbed; returns the run and how many requests it took."""
    with FaultyFirestore(emulator) as server, monkeypatch.context() as patch:
        patch.setenv("FIRESTORE_EMULATOR_HOST", server.host)
        run = ingest(folder, target, *flags)
        return run, work_of(server)


def test_completed_batches_are_not_read_again_also_with_two_processes(
    firestore_host, firestore_project, target, tmp_path, monkeypatch
):
    for part in range(4):
        records = (profile(part * 100 + n) for n in range(30))
        (tmp_path / f"part-{part}.jsonl").write_text(lines(*records, "{not JSON\n"))
    flags = (f"--input={tmp_path}/part-*.jsonl", "--batch_size=10")
    reference = FirestoreTarget(f"{firestore_project}-reference", emulator_host=firestore_host)
    undisturbed, n_requests = requests_of(firestore_host, monkeypatch, tmp_path / "reference", reference, *flags)
    completed = kill_at(0.6, n_requests, firestore_host, tmp_path, target, *flags, *TWO_WORKERS)
    assert 0 < len(completed) < 16
    run = ingest(tmp_path, target, *flags, *TWO_WORKERS)
    assert run.exit_code == 0, run.summary
    assert differences(end_state(run), end_state(undisturbed)) == []
    assert_left_alone(completed, run)
    assert_accounts_add_up(run)
    assert_pairs_are_whole(target)


def test_every_row_is_in_bigquery_after_a_killed_run_went_on(
    firestore_host, firestore_project, target, source, bigquery, tmp_path, monkeypatch
):
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery.rest)
    table = BigQueryTarget(bigquery.project, "local", firestore_project.replace("-", "_"), bigquery.rest)
    reference = FirestoreTarget(f"{firestore_project}-reference", emulator_host=firestore_host)
    flags = (f"--input={source}", "--batch_size=10")
    _, n_requests = requests_of(firestore_host, monkeypatch, tmp_path / "reference", reference, *flags)
    flags = (*flags, f"--bigquery_table={table.name}")
    completed = kill_at(0.5, n_requests, firestore_host, tmp_path, target, *flags)
    run = ingest(tmp_path, target, *flags)
    assert run.exit_code == 0, run.summary
    assert_left_alone(completed, run)
    assert documents(target) == documents(reference)
    rows = [dict(row) for row in table.client().query(f"SELECT * FROM `{table.latest.id}`").result()]
    flat = run.flat
    assert sorted(row["candidate_id"] for row in rows) == sorted(flat)
    for row in rows:
        document = flat[row["candidate_id"]]
        assert (row["years_experience"], row["primary_skills"]) == (
            document["years_experience"],
            document["primary_skills"],
        )
        assert (row["_meta_version"], row["_meta_content_hash"]) == (1, document["_meta"]["content_hash"])


def test_behind_a_finished_run_the_same_command_begins_the_next_attempt(target, source, tmp_path):
    flags = (f"--input={source}", "--batch_size=25")
    first = ingest(tmp_path, target, *flags)
    _, before = job_of(target)
    second = ingest(tmp_path, target, *flags)
    _, after = job_of(target)
    assert (first.summary["written"], second.summary["written"], second.summary["unchanged"]) == (60, 0, 60)
    assert (before["attempt"], after["attempt"], after["state"]) == (1, 2, "completed")
    assert {batch["attempt"] for batch in completed_batches(target).values()} == {2}
    assert second.summary["batches"] == 3


def fail(emulator, monkeypatch, folder, target, *flags):
    """A run that stops in the middle, because from its second batch on the service does not let it in any more."""
    work = []

    def refuse(request):
        if request.rpc != "Commit" or b"/candidates/" not in request.body:
            return None
        work.append(request)
        return RpcError("PERMISSION_DENIED", "no") if len(work) > 1 else None

    with FaultyFirestore(emulator, refuse=refuse) as server, monkeypatch.context() as patch:
        patch.setenv("FIRESTORE_EMULATOR_HOST", server.host)
        run = ingest(folder, target, *flags)
    assert (run.exit_code, run.summary["state"], run.summary["written"]) == (1, "failed", 10)


def more_input(source, spec):
    with source.open("a") as file:
        file.write(lines(profile(99)))
    return "--batch_size=10"


def other_batches(source, spec):
    return "--batch_size=20"


def other_spec(source, spec):
    spec.write_text(SPEC.replace("schema_version: 1", "schema_version: 2"))
    return "--batch_size=10"


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (more_input, r"the input changed since it began \([0-9,]+ bytes then, [0-9,]+ bytes now\)"),
        (other_batches, r"the input changed since it began \(--batch_size was 10, is 20\)"),
        (other_spec, "the record spec changed since it began"),
    ],
)
def test_what_changed_under_an_unfinished_job_is_named_and_restart_starts_over(
    firestore_host, target, source, tmp_path, monkeypatch, capsys, change, difference
):
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC)
    flags = (f"--input={source}", f"--spec={spec}")
    fail(firestore_host, monkeypatch, tmp_path, target, *flags, "--batch_size=10")
    before = job_of(target)
    flags = (*flags, change(source, spec))
    capsys.readouterr()
    assert ingest(tmp_path, target, *flags).exit_code == 2
    expected = (
        f"error: job {before[0]} is unfinished, and {difference}; put it back to resume the job, or start over with "
        "--restart"
    )
    assert re.search(expected, capsys.readouterr().err)
    assert job_of(target) == before

    run = ingest(tmp_path, target, *flags, "--restart")
    assert run.exit_code == 0, run.summary
    assert job_of(target)[1]["attempt"] == 2
    assert run.summary["read"] == len(source.read_text().splitlines())
    assert_accounts_add_up(run)


def test_rows_are_not_left_out_when_an_unfinished_run_goes_on_with_another_method(
    firestore_host, target, source, tmp_path, monkeypatch, bigquery, capsys
):
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery.rest)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bigquery.gcs)
    table = BigQueryTarget(bigquery.project, "local", target.project.replace("-", "_"), bigquery.rest)
    flags = (
        f"--input={source}",
        "--batch_size=10",
        f"--bigquery_table={table.name}",
        f"--temp_location=gs://{bigquery.bucket}/temp",
    )
    fail(firestore_host, monkeypatch, tmp_path, target, *flags, "--bigquery_method=FILE_LOADS")
    capsys.readouterr()
    assert ingest(tmp_path, target, *flags).exit_code == 2
    said = capsys.readouterr().err
    assert "the input changed since it began (--bigquery_method was FILE_LOADS, is INSERT_ROWS)" in said

    run = ingest(tmp_path, target, *flags, "--restart")
    assert run.exit_code == 0, run.summary
    rows = table.client().query(f"SELECT candidate_id FROM `{table.id}`").result()
    assert sorted(row["candidate_id"] for row in rows) == sorted(run.flat)


def own(target, source, owner, seconds_ago):
    """Somebody else has begun the job of this source and has not been seen for a while."""
    config, _ = parse(job.USAGE, [f"--input={source}", f"--project={target.project}"])
    plan = job.prepare(config, beam_options(job.USAGE, config, []))
    retry = Retry(clock=no_waiting(lambda: time.time() - seconds_ago))
    JobLedger(job_document(target.connect(), plan.job_id, retry), RECORDS).open(plan.description, owner, keep=plan.kept)


ELSEWHERE = Owner("another-host", 4711)


def test_a_job_that_another_host_runs_is_refused_until_it_is_silent_for_a_minute(
    target, source, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    own(target, source, ELSEWHERE, seconds_ago=5)
    before = job_of(target)
    assert ingest(tmp_path, target, f"--input={source}").exit_code == 2
    said = capsys.readouterr().err
    assert "is being run by process 4711 of another-host, last seen" in said
    assert "take it over with --take_over" in said
    assert job_of(target) == before
    run = ingest(tmp_path, target, f"--input={source}", "--take_over")
    assert (run.exit_code, run.summary["written"]) == (0, 60)


def test_a_job_of_another_host_that_is_silent_for_a_minute_is_taken_over(target, source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own(target, source, ELSEWHERE, seconds_ago=61)
    assert ingest(tmp_path, target, f"--input={source}").exit_code == 0
    assert job_of(target)[1]["owner"]["host"] != "another-host"
