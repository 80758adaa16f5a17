"""The real emulators, as `pipeline.emulators.start` starts them."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import pytest

from pipeline.emulators.start import BigQueryEmulator
from tests.stand_ins import answers, comes_true

pytestmark = pytest.mark.emulator

CALLER = """
import sys
from pipeline.emulators.start import firestore_emulator
with firestore_emulator() as host:
    print(host, flush=True)
    sys.stdin.read()
"""


def call(url: str, body: Any = None, content_type: str = "application/json", **headers: str) -> Any:
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": content_type, **headers})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_the_firestore_emulator_keeps_a_document(firestore_host: str, firestore_project: str) -> None:
    documents = f"http://{firestore_host}/v1/projects/{firestore_project}/databases/(default)/documents"
    owner = {"Authorization": "Bearer owner"}
    call(f"{documents}/people?documentId=ada", {"fields": {"name": {"stringValue": "Ada"}}}, **owner)
    assert call(f"{documents}/people/ada", **owner)["fields"] == {"name": {"stringValue": "Ada"}}


def test_projects_do_not_see_each_other(firestore_host: str, firestore_project: str) -> None:
    url = "http://{}/v1/projects/{}/databases/(default)/documents/people/ada"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        call(url.format(firestore_host, firestore_project), Authorization="Bearer owner")


def test_the_bigquery_emulator_answers_a_query(bigquery: BigQueryEmulator) -> None:
    query = {"query": "SELECT 6 * 7 AS answer", "useLegacySql": False}
    result = call(f"{bigquery.rest}/bigquery/v2/projects/{bigquery.project}/queries", query)
    assert result["rows"] == [{"f": [{"v": "42"}]}]


def test_a_load_job_reads_from_the_storage_emulator(bigquery: BigQueryEmulator) -> None:
    datasets = f"{bigquery.rest}/bigquery/v2/projects/{bigquery.project}"
    dataset = f"load_{uuid.uuid4().hex[:8]}"
    table = {"projectId": bigquery.project, "datasetId": dataset, "tableId": "people"}
    call(f"{datasets}/datasets", {"datasetReference": {"projectId": bigquery.project, "datasetId": dataset}})
    upload = f"{bigquery.gcs}/upload/storage/v1/b/{bigquery.bucket}/o?uploadType=media&name={dataset}.json"
    call(upload, b'{"name": "Ada"}\n{"name": "Grace"}\n', "application/x-ndjson")
    load = {
        "sourceUris": [f"gs://{bigquery.bucket}/{dataset}.json"],
        "destinationTable": table,
        "sourceFormat": "NEWLINE_DELIMITED_JSON",
        "schema": {"fields": [{"name": "name", "type": "STRING"}]},
    }
    job = call(f"{datasets}/jobs", {"configuration": {"load": load}})["jobReference"]["jobId"]
    assert comes_true(lambda: call(f"{datasets}/jobs/{job}")["status"]["state"] == "DONE")
    assert call(f"{datasets}/jobs/{job}")["statistics"]["load"]["outputRows"] == "2"


def test_the_grpc_port_is_open(bigquery: BigQueryEmulator) -> None:
    assert bigquery.grpc is not None
    assert answers(int(bigquery.grpc.rpartition(":")[2]))


def test_java_ends_when_the_process_that_started_it_is_killed(firestore_host: str) -> None:
    root = Path(__file__).parents[2]
    environ = {name: value for name, value in os.environ.items() if name != "FIRESTORE_EMULATOR_HOST"}
    with subprocess.Popen(
        [sys.executable, "-c", CALLER], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ
    ) as caller:
        assert caller.stdout is not None
        port = int(caller.stdout.readline().decode().rpartition(":")[2])
        caller.send_signal(signal.SIGKILL)
        caller.wait()
        assert comes_true(lambda: not answers(port))
