"""What a command imports: Beam takes seconds, for which nobody waits who asks for help or for the state of a job."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import COMMANDS, JOBS
from transforms.testing import PROJECT, ScriptedFirestore

ROOT = Path(__file__).parents[2]

BEAM_AND_BIGQUERY = ("apache_beam", "google.cloud.bigquery", "pandas", "pyarrow", "numpy")
EVERY_CLIENT = (*BEAM_AND_BIGQUERY, "google.cloud.firestore_v1.types", "grpc", "google.auth", "psutil", "aiohttp")

OF_OTHER_JOBS = (
    "google.cloud.bigquery.client",
    "google.cloud.bigquery_storage_v1.client",
    "google.cloud.dataflow_v1beta3",
    "google.cloud.pubsub_v1",
    "aiohttp",
    "azure.storage.blob",
    "boto3",
    "json_repair",
    "psutil",
)

PROGRAM = """
import sys
from pipeline.__main__ import main
try:
    exit_code = main(sys.argv[2:])
except SystemExit as left:
    exit_code = left.code
sys.stderr.write(f"\\n{exit_code} {[module for module in sys.argv[1].split(',') if module in sys.modules]}")
"""


def left_by(*arguments, without=EVERY_CLIENT, environ=None):
    """The exit code, and which modules were imported that it should do without."""
    command = [sys.executable, "-c", PROGRAM, ",".join(without), *arguments]
    environ = {**os.environ, **(environ or {})}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], *([name, "--help"] for name in (*JOBS, "demo", "doctor"))], ids=" ".join
)
def test_help_imports_no_client(arguments):
    assert left_by(*arguments) == "0 []"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_imports_neither_beam_nor_bigquery(name):
    assert left_by(name, "--help", without=BEAM_AND_BIGQUERY) == "0 []"


def test_help_of_the_status_page_imports_no_server():
    server = (*BEAM_AND_BIGQUERY, "aiohttp", "jinja2", "prometheus_client")
    assert left_by("serve", "--help", without=server) == "0 []"
    assert left_by("serve", "--port=99999", without=server) == "2 []"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["ingest"],
        ["ingest", "--input=a", "--batch_size=0"],
        ["ingest", "--input=a", "--batchsize=5"],
        ["verify", "--left=a", "--right=b", "--runner=DirectRunner", "--regoin=eu"],
        ["status", "--folow"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_found_without_beam(arguments):
    assert left_by(*arguments, without=BEAM_AND_BIGQUERY) == "2 []"


@pytest.mark.parametrize(
    "arguments",
    [
        ["indexes"],
        ["schema"],
        ["templates"],
        ["preview", "--input=samples/profiles.jsonl"],
        ["status", f"--project={PROJECT}"],
        ["doctor", f"--project={PROJECT}", "--dead_letters={folder}"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_command_that_is_not_a_job_never_imports_beam(arguments, tmp_path):
    with ScriptedFirestore() as server:
        environ = {"FIRESTORE_EMULATOR_HOST": server.target.emulator_host}
        given = [argument.format(folder=tmp_path) for argument in arguments]
        assert left_by(*given, without=BEAM_AND_BIGQUERY, environ=environ) == "0 []"


def test_the_status_page_never_imports_beam():
    not_of_this_computer = "192.0.2.1"  # so that it ends
    environ = {"FIRESTORE_EMULATOR_HOST": "127.0.0.1:1"}
    arguments = ["serve", f"--project={PROJECT}", f"--host={not_of_this_computer}"]
    assert left_by(*arguments, without=BEAM_AND_BIGQUERY, environ=environ) == "2 []"


def test_a_job_does_not_execute_the_clients_that_beam_imports_for_other_jobs(tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text('{"candidate_id": "c1", "name": "Ada"}\n')
    with ScriptedFirestore() as server:
        environ = {"FIRESTORE_EMULATOR_HOST": server.target.emulator_host}
        flags = [f"--input={source}", f"--project={PROJECT}", f"--dead_letters={tmp_path}/dead_letters"]
        assert left_by("ingest", *flags, without=OF_OTHER_JOBS, environ=environ) == "0 []"
        assert "candidates/c1" in server.documents
