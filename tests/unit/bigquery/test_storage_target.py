"""StorageTarget: where rows are appended, and that a target works in another process; what refusals mean."""

import pickle
from pathlib import Path
from typing import Any

import pytest

from tests.support.scripted_storage_write import status
from transforms.bigquery.storage_failures import refusal_of_status
from transforms.bigquery.storage_target import StorageTarget
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import JobError, UsageError
from transforms.services import Services

REAL = BigQueryTarget("acme-prod", "people", "candidates")
LOCAL = BigQueryTarget("demo-x", "people", "candidates", "http://127.0.0.1:9050")


@pytest.mark.parametrize("host", ["127.0.0.1:9060", "http://127.0.0.1:9060/", " 127.0.0.1:9060 "])
def test_the_emulator_is_captured_at_launch_and_travels_with_the_target(host: str) -> None:
    target = StorageTarget.of(LOCAL, Services.of({"BIGQUERY_EMULATOR_GRPC_HOST": host}))
    copy = pickle.loads(pickle.dumps(target))
    assert copy == target == StorageTarget(LOCAL, "127.0.0.1:9060")
    assert copy.max_request_bytes < 4 * 2**20
    assert copy.name == "projects/demo-x/datasets/people/tables/candidates"


@pytest.mark.parametrize("environ", [{}, {"BIGQUERY_EMULATOR_GRPC_HOST": ""}])
def test_without_an_emulator_the_service_is_meant(environ: dict[str, str]) -> None:
    target = StorageTarget.of(REAL, Services.of(environ))
    assert (target.grpc_host, target.max_request_bytes) == (None, 9 * 2**20)
    target.connect().close()


@pytest.mark.parametrize(
    ("table", "environ", "present", "missing"),
    [
        (LOCAL, {}, "BIGQUERY_EMULATOR_HOST", "BIGQUERY_EMULATOR_GRPC_HOST"),
        (REAL, {"BIGQUERY_EMULATOR_GRPC_HOST": "h:1"}, "BIGQUERY_EMULATOR_GRPC_HOST", "BIGQUERY_EMULATOR_HOST"),
    ],
)
def test_rows_never_go_elsewhere_than_their_table(
    table: BigQueryTarget, environ: dict[str, str], present: str, missing: str
) -> None:
    with pytest.raises(UsageError) as raised:
        StorageTarget.of(table, Services.of(environ))
    assert str(raised.value) == (
        f"{present} is set, {missing} is not: set both or neither, or use another method than STORAGE_WRITE"
    )


def test_without_credentials_the_job_stops_with_how_to_sign_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    with pytest.raises(JobError, match="run `gcloud auth application-default login`"):
        StorageTarget(REAL).connect()


@pytest.mark.parametrize(
    ("code", "message", "storage_code", "meaning", "reason"),
    [
        ("ALREADY_EXISTS", "Offset 5 exists", 0, "OFFSET", "OFFSET_ALREADY_EXISTS"),
        ("ALREADY_EXISTS", "Offset 5 exists", 8, "OFFSET", "OFFSET_ALREADY_EXISTS"),
        ("OUT_OF_RANGE", "Offset 5 is beyond the end of stream", 0, "OFFSET", "OFFSET_OUT_OF_RANGE"),
        ("INVALID_ARGUMENT", "Stream is finalized", 0, "OFFSET", "INVALID_ARGUMENT"),
        ("INVALID_ARGUMENT", "Stream has been ended", 6, "OFFSET", "STREAM_FINALIZED"),
        ("NOT_FOUND", "No stream", 3, "STREAM_GONE", "STREAM_NOT_FOUND"),
        ("NOT_FOUND", "Not found. Entity: projects/p/datasets/d/tables/t/streams/Cg", 0, "STREAM_GONE", "NOT_FOUND"),
        ("NOT_FOUND", "Not found. Entity: projects/p/datasets/d/tables/t/streams/_default", 0, "NO_TABLE", "NOT_FOUND"),
        ("NOT_FOUND", "No table", 1, "NO_TABLE", "NOT_FOUND"),
        ("INVALID_ARGUMENT", "extra fields", 7, "NO_COLUMN", "SCHEMA_MISMATCH_EXTRA_FIELDS"),
        ("INVALID_ARGUMENT", "Malformed", 0, "CONTENT", "INVALID_ARGUMENT"),
        ("INVALID_ARGUMENT", "Request exceeds maximum size", 0, "CONTENT", "INVALID_ARGUMENT"),
        ("INTERNAL", "key service", 13, "LATER", "KMS_SERVICE_ERROR"),
        ("FAILED_PRECONDITION", "key service", 13, "LATER", "KMS_SERVICE_ERROR"),
        ("ABORTED", "prior failures", 0, "LATER", "ABORTED"),
        ("PERMISSION_DENIED", "no key", 10, "JOB", "CMEK_NOT_PROVIDED"),
        ("PERMISSION_DENIED", "denied", 0, "JOB", "PERMISSION_DENIED"),
    ],
)
def test_a_refusal_means_what_its_details_say_rather_than_its_code(
    code: str, message: str, storage_code: Any, meaning: str, reason: str
) -> None:
    refusal = refusal_of_status(status(code, message, storage_code))
    assert (refusal.meaning.name, refusal.failure.code) == (meaning, reason)
