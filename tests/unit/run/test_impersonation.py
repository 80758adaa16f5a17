"""Whatever a run does, it does as the account of --impersonate_service_account: in every service, in every phase."""

import ast
import io
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.internal.cloudpickle.cloudpickle import Pickler
from apache_beam.io.filesystem import FileMetadata
from apache_beam.io.localfilesystem import LocalFileSystem
from apache_beam.options.pipeline_options import GoogleCloudOptions
from apache_beam.pipeline import PipelineVisitor
from rich.console import Console

from pipeline import COMMANDS, JOBS
from pipeline.__main__ import main
from pipeline.run.flags import parse
from pipeline.run.run_ledger import RunLedger
from pipeline.run.runners import beam_options
from transforms.bigquery.target import BigQueryTarget
from transforms.firestore.target import FirestoreTarget
from transforms.ledger.owners import Owner
from transforms.services import Credentials
from transforms.testing import PROJECT, ScriptedFirestore

ROOT = Path(__file__).parents[3]
CHAIN = "launcher@acme.iam.gserviceaccount.com,robot@acme.iam.gserviceaccount.com"
TEMP = "--temp_location=gs://bucket/tmp"
TABLE = "--bigquery_table=acme-prod:people.candidates"
RUNS = {
    "ingest": ["ingest", "--input=people.jsonl", "--input=firestore://users", TABLE],
    "ingest, Storage Write": ["ingest", "--input=people.jsonl", TABLE, "--bigquery_method=STORAGE_WRITE"],
    "export": ["export", "--collection=users", "--layout=both", "--deletes=mark", TABLE],
    "export, Storage Write": ["export", "--collection=users", TABLE, "--bigquery_method=STORAGE_WRITE"],
    "export, load jobs": ["export", "--collection=users", TABLE, "--bigquery_method=FILE_LOADS", TEMP],
    "verify": [
        "verify",
        "--left=firestore://users",
        "--right=firestore://projects/acme-old/databases/second/documents/users",
        "--report_table=acme-prod:people.differences",
    ],
    "replay": ["replay", TABLE],
}


class Targets(Pickler):
    """Finds every target that is anywhere in what travels to a worker."""

    def __init__(self):
        super().__init__(io.BytesIO())
        self.found = set()

    def persistent_id(self, obj):
        if isinstance(obj, (FirestoreTarget, BigQueryTarget)):
            self.found.add(obj)


class DoFns(PipelineVisitor):
    """Finds what every step of a graph does."""

    def __init__(self):
        self.found = []

    def visit_transform(self, applied):
        if isinstance(applied.transform, beam.ParDo):
            self.found.append(applied.transform.fn)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A Firestore, whose target has the account's credentials although it does not ask for them."""
    monkeypatch.chdir(tmp_path)
    Path("people.jsonl").write_text('{"candidate_id": "ada", "name": "Ada"}\n')
    Path("dead_letters").mkdir()
    with ScriptedFirestore({"users/ada": {"name": "Ada"}}) as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.target.emulator_host)
        yield server


def opened_plan(name, *flags):
    """The plan of a run that has begun, and Beam's options."""
    job, *arguments = RUNS[name]
    config, rest = parse(JOBS[job].usage, [f"--project={PROJECT}", *arguments, *flags])
    options = beam_options(JOBS[job].usage, config, rest)
    plan = JOBS[job].job.prepare(config, options)
    return JOBS[job].job, RunLedger(plan).open(Owner(), Console(quiet=True)), options


def accounts(*travelling):
    """Of every target in these objects: its type and as whom it is reached."""
    targets = Targets()
    for each in travelling:
        targets.dump(each)
    return {(type(target), target.credentials) for target in targets.found}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("account", [CHAIN, None], ids=["impersonated", "own"])
def test_all_that_is_planned_and_every_step_is_done_as_the_account(server, name, account):
    flags = [f"--impersonate_service_account={account}"] if account else []
    job, plan, options = opened_plan(name, *flags)
    expected = Credentials(account, tuple(options.view_as(GoogleCloudOptions).gcp_oauth_scopes))
    assert accounts(plan, plan.ledger) >= {(FirestoreTarget, expected)}
    graph = beam.Pipeline(options=options)
    job.build(graph, plan)
    dofns = DoFns()
    graph.visit(dofns)
    found = accounts(plan, plan.ledger, *dofns.found)
    assert {credentials for _, credentials in found} == {expected}
    uses_bigquery = any("acme-prod:" in flag for flag in RUNS[name]) and name != "replay"  # which has nothing to replay
    assert {kind for kind, _ in found} == ({FirestoreTarget, BigQueryTarget} if uses_bigquery else {FirestoreTarget})


class _Watched(LocalFileSystem):
    """Files of an account of their own, as those of Cloud Storage are."""

    accounts = set()  # noqa: RUF012  # an instance is made for every call

    def __init__(self, pipeline_options):
        super().__init__(pipeline_options)
        google = pipeline_options and pipeline_options.view_as(GoogleCloudOptions)
        self.accounts.add(google and google.impersonate_service_account)

    @classmethod
    def scheme(cls):
        return "watched"

    def _list(self, prefix):
        yield FileMetadata(f"{prefix}people.jsonl", 1, 1.0)


def test_files_are_looked_for_as_the_account(server):
    _Watched.accounts.clear()
    flags = [f"--project={PROJECT}", "--input=watched://none/*.jsonl", f"--impersonate_service_account={CHAIN}"]
    assert main(["ingest", *flags]) != 0
    assert _Watched.accounts == {CHAIN}


@pytest.mark.parametrize("command", ["doctor", "status"])
def test_a_command_acts_as_the_same_account(command):
    config, _ = parse(COMMANDS[command].usage, [f"--impersonate_service_account={CHAIN}"])
    assert config.services({}).credentials == Credentials(CHAIN)


def calls(name):
    """Where a function or method of this name is called, by the file."""
    for ring in ("transforms", "pipeline"):
        for file in (ROOT / ring).rglob("*.py"):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            if any(isinstance(node, ast.Call) and ast.unparse(node.func) == name for node in ast.walk(tree)):
                yield file.relative_to(ROOT).as_posix()


def test_nobody_else_decides_as_whom_services_are_reached():
    assert set(calls("google.auth.default")) == {"transforms/services.py"}
    of_pipelines, of_commands = "transforms/runtime/services.py", "pipeline/run/service_flags.py"
    of_applications, of_a_demo = "transforms/dual/connect.py", "pipeline/demos/migrating.py"  # as themselves
    assert set(calls("Services.of")) == {of_pipelines, of_commands, of_applications, of_a_demo}
