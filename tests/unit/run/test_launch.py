"""From flags to exit code: Beam's options, the runner, and how a run that fails says so."""

import copy
import json
import pickle

import pytest
from apache_beam.options.pipeline_options import DebugOptions, GoogleCloudOptions, SetupOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from rich.console import Console

from pipeline import JOBS
from pipeline.__main__ import main
from pipeline.jobs import ingest
from pipeline.run.flags import parse
from pipeline.run.launch import launch
from pipeline.run.runners import beam_options, explain, runner
from transforms.errors import AccountingError, JobError, UsageError
from transforms.firestore import messages
from transforms.services import EMULATOR_VARIABLES
from transforms.testing import PROJECT, RpcError, ScriptedFirestore

DENIED = RpcError("PERMISSION_DENIED", "Missing or insufficient permissions.")
NO_DATABASE = RpcError("NOT_FOUND", f"The database (default) does not exist for project {PROJECT}")
NO_SUCH_RECORD = RpcError("INVALID_ARGUMENT", "the value of field x is wrong")


def options(*flags):
    config, rest = parse(ingest.USAGE, ["--input=x", *flags])
    return beam_options(ingest.USAGE, config, rest)


@pytest.mark.parametrize(
    ("flag", "close"),
    [("--batchsize=5", "--batch_size"), ("--regoin=eu", "--region"), ("--num_worker=3", "--num_workers")],
)
def test_a_flag_that_neither_the_job_nor_beam_knows_is_refused_with_the_closest_one(flag, close):
    with pytest.raises(UsageError) as refused:
        options(flag)
    assert str(refused.value) == f"unknown argument {flag.partition('=')[0]}; did you mean {close}?"


def test_a_flag_like_no_other_is_refused_with_where_to_look():
    with pytest.raises(UsageError, match="unknown argument --qqqqq; `firebeam ingest --help` lists the flags"):
        options("--qqqqq")


def test_a_word_that_is_no_flag_is_refused():
    with pytest.raises(UsageError, match="unknown argument stray"):
        options("stray")


def test_beam_gets_its_own_flags_and_the_ones_it_shares_with_the_job():
    of = options("--project=acme-prod", "--region=eu", "--runner=DataflowRunner", "--max_num_workers", "7")
    cloud = of.view_as(GoogleCloudOptions)
    assert (cloud.project, cloud.region, runner(of)) == ("acme-prod", "eu", "DataflowRunner")
    assert of.get_all_options()["max_num_workers"] == 7


def test_a_view_of_the_options_is_made_once_and_a_copy_has_its_own():
    of = options("--streaming", "--experiments=a")
    view, copied = of.view_as(StandardOptions), copy.deepcopy(of)
    assert of.view_as(StandardOptions) is view
    of.view_as(StandardOptions).streaming = False
    of.view_as(DebugOptions).experiments.append("b")
    assert (view.streaming, of.view_as(DebugOptions).experiments) == (False, ["a", "b"])
    assert (copied.view_as(StandardOptions).streaming, copied.view_as(DebugOptions).experiments) == (True, ["a"])
    assert pickle.loads(pickle.dumps(of)).get_all_options() == of.get_all_options()


def test_the_main_session_is_never_pickled():
    assert options("--save_main_session").view_as(SetupOptions).save_main_session is False


@pytest.mark.parametrize("name", [None, "DirectRunner", "FnApiRunner", "apache_beam.runners.direct.DirectRunner"])
def test_every_local_runner_is_the_fn_api_runner(name):
    assert isinstance(runner(options(*([f"--runner={name}"] if name else []))), FnApiRunner)


@pytest.mark.parametrize("variable", EMULATOR_VARIABLES)
def test_dataflow_is_not_pointed_at_an_emulator(variable):
    flags = ["--input=none", "--project=acme-prod", "--runner=DataflowRunner"]
    with pytest.raises(UsageError, match=f"^{variable} points at an emulator, .* unset it: unset {variable}$"):
        launch(JOBS["ingest"], flags, Console(quiet=True), {variable: "127.0.0.1:1"})


def test_parameters_are_what_a_ledger_can_keep():
    config, _ = parse(ingest.USAGE, ["--input=a,b", "--batch_size=7"])
    kept = config.parameters()
    assert (kept["input"], kept["batch_size"], kept["summary"]) == (["a", "b"], 7, None)
    json.dumps(kept)


def test_parameters_are_the_same_for_the_command_that_goes_on_with_a_run():
    parsed = [parse(ingest.USAGE, ["--input=a", *flags])[0] for flags in ([], ["--restart"], ["--take_over"])]
    assert parsed[0].parameters() == parsed[1].parameters() == parsed[2].parameters()


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (JobError("no table"), "no table"),
        (
            RuntimeError("Traceback …\ntransforms.errors.JobError: no table [while running 'A/B']\n"),
            "no table (step A/B)",
        ),
        (RuntimeError("transforms.errors.TransientError: one\n\ntransforms.errors.JobError: two\n"), "two"),
        (RuntimeError("Traceback …\nValueError: x [while running 'A']"), "RuntimeError: ValueError: x (step A)"),
        (ValueError(""), "ValueError"),
        (AccountingError("batch b read 2"), "batch b read 2"),
    ],
)
def test_what_ended_a_run_is_told_in_one_sentence(failure, text):
    assert explain(failure) == text


class Run:
    """What a user has after `firebeam ingest` of two records."""

    def __init__(self, server, folder, monkeypatch, capsys, *flags):
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.target.emulator_host)
        source, summary = folder / "in.jsonl", folder / "summary.json"
        source.write_text('{"candidate_id": "ada", "name": "Ada"}\n{"candidate_id": "bo"}\n')
        paths = [f"--input={source}", f"--dead_letters={folder}/dead", f"--summary={summary}"]
        self.exit_code = main(["ingest", f"--project={PROJECT}", *paths, *flags])
        self.summary = json.loads(summary.read_text()) if summary.exists() else None
        self.shown = capsys.readouterr().err
        writes = [write.update for commit in server.requests("Commit") for write in commit.writes]
        self.job_writes = [document.fields for document in writes if "/pipeline_jobs/" in document.name]


def touching(collection, refusal):
    """A script that refuses every Commit with a document of this collection."""

    def script(request, earlier):
        if any(f"/documents/{collection}/" in write.update.name for write in request.writes):
            raise refusal

    return script


def test_a_run_that_ends_well_says_so_everywhere(tmp_path, monkeypatch, capsys):
    with ScriptedFirestore() as server:
        run = Run(server, tmp_path, monkeypatch, capsys)
    assert (run.exit_code, run.summary["state"], run.summary["error"]) == (0, "completed", None)
    assert (run.summary["read"], run.summary["written"]) == (2, 2)
    assert "completed" in run.shown
    assert run.job_writes[0]["parameters"].map_value.fields["batch_size"].integer_value == 500
    assert run.job_writes[0]["bytes_total"].integer_value == (tmp_path / "in.jsonl").stat().st_size
    assert run.job_writes[-1]["state"].string_value == "completed"
    assert run.job_writes[-1]["totals"].map_value.fields["written"].integer_value == 2


FOR_GOOD = pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        (DENIED, f"Grant the job's account roles/datastore.user on project {PROJECT}"),
        (NO_DATABASE, f"gcloud firestore databases create --project={PROJECT} --database='(default)'"),
    ],
    ids=["permission", "database"],
)


@pytest.mark.timeout(30)
@FOR_GOOD
def test_what_no_record_survives_ends_the_run_with_1_and_what_to_fix(tmp_path, monkeypatch, capsys, refusal, advice):
    with ScriptedFirestore(scripts={"Commit": touching("candidates", refusal)}) as server:
        run = Run(server, tmp_path, monkeypatch, capsys)
    assert (run.exit_code, run.summary["state"]) == (1, "failed")
    assert f"{refusal.code}: {refusal.message}" in run.summary["error"]
    assert advice in run.summary["error"]
    assert f"error: {run.summary['error']}\n" in run.shown
    assert "Traceback" not in run.shown


@pytest.mark.timeout(30)
@FOR_GOOD
def test_a_ledger_that_cannot_be_opened_ends_the_command_with_1_before_anything_runs(
    tmp_path, monkeypatch, capsys, refusal, advice
):
    with ScriptedFirestore(scripts={"Commit": touching("pipeline_jobs", refusal)}) as server:
        run = Run(server, tmp_path, monkeypatch, capsys)
    assert (run.exit_code, run.summary, server.documents) == (1, None, {})
    assert run.shown.startswith("error: ")
    assert f"{refusal.code}: {refusal.message}" in run.shown
    assert advice in run.shown
    assert "Traceback" not in run.shown


def test_a_run_that_failed_is_closed_as_failed_in_the_ledger(tmp_path, monkeypatch, capsys):
    with ScriptedFirestore(scripts={"Commit": touching("candidates", DENIED)}) as server:
        run = Run(server, tmp_path, monkeypatch, capsys)
    assert run.job_writes[-1]["state"].string_value == "failed"
    assert run.job_writes[-1]["error"].string_value == run.summary["error"]
    assert run.summary["error"].endswith("(step UpsertPairs/Commit)")


def test_a_record_that_firestore_refuses_is_a_dead_letter_and_the_other_one_lands(tmp_path, monkeypatch, capsys):
    def refuse_bo(request, earlier):
        if any(write.update.name.endswith("/candidates/bo") for write in request.writes):
            raise NO_SUCH_RECORD

    with ScriptedFirestore(scripts={"Commit": refuse_bo}) as server:
        run = Run(server, tmp_path, monkeypatch, capsys)
    assert run.exit_code == 4  # half of the records, more than the share allowed
    assert run.summary["dead_letters_by"] == [{"step": "UpsertPairs", "code": "INVALID_ARGUMENT", "count": 1}]
    assert f"dead letters: {tmp_path}/dead" in run.shown
    (file,) = (tmp_path / "dead" / "permanent").iterdir()
    assert json.loads(file.read_text())["record_text"] == '{"candidate_id": "bo"}'


def test_a_ledger_that_cannot_be_read_at_the_end_fails_the_run(tmp_path, monkeypatch, capsys):
    queries = []

    def deny(request, earlier):
        if isinstance(request, messages.RunQueryRequest):
            queries.append(request)
            if len(queries) > 1:  # the first one opens the job
                raise DENIED

    with ScriptedFirestore(scripts={"BatchGetDocuments": deny, "RunQuery": deny}) as server:
        run = Run(server, tmp_path, monkeypatch, capsys)
    assert (run.exit_code, run.summary["state"]) == (1, "failed")
    assert "PERMISSION_DENIED" in run.summary["error"]
