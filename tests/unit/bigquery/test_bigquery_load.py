"""LoadRows: what is refused before the job starts, and what Beam's failed rows mean."""

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from transforms.bigquery.emulator import EmulatorClient
from transforms.bigquery.load import LoadRows, RejectedRow, beam_schema, check_temp_location, rejected_row
from transforms.bigquery.schema import Column
from transforms.bigquery.tables import BigQueryTarget
from transforms.errors import JobError, TransientError, UsageError

COLUMNS = (Column("id", "STRING"), Column("age", "INT64"), Column("profile", "JSON"))
TARGET = BigQueryTarget("demo-x", "d", "t")


def test_another_method_is_refused() -> None:
    with pytest.raises(
        ValueError, match="method must be one of FILE_LOADS, STREAMING_INSERTS, got 'STORAGE_WRITE_API'"
    ):
        LoadRows(TARGET, COLUMNS, "STORAGE_WRITE_API")


@pytest.mark.parametrize("temp_location", [None, "", "/tmp/loads", "s3://bucket/x"])
def test_file_loads_need_a_folder_that_bigquery_can_read(temp_location: str | None) -> None:
    with pytest.raises(UsageError, match="FILE_LOADS needs --temp_location=gs://BUCKET/FOLDER, got "):
        check_temp_location(temp_location)
    pipeline = beam.Pipeline(runner=FnApiRunner())
    with pytest.raises(UsageError, match="or use --bigquery_method=INSERT_ROWS"):
        _ = (
            pipeline
            | "Rows" >> beam.Create([{"id": "x"}])
            | "LoadRows" >> LoadRows(TARGET, COLUMNS, "FILE_LOADS", temp_location=temp_location)
        )


def test_beam_gets_the_schema_in_the_names_of_load_jobs() -> None:
    assert beam_schema((*COLUMNS, Column("tags", "STRING", "REPEATED"), Column("ok", "BOOL"))) == {
        "fields": [
            {"name": "id", "type": "STRING", "mode": "NULLABLE"},
            {"name": "age", "type": "INTEGER", "mode": "NULLABLE"},
            {"name": "profile", "type": "JSON", "mode": "NULLABLE"},
            {"name": "tags", "type": "STRING", "mode": "REPEATED"},
            {"name": "ok", "type": "BOOLEAN", "mode": "NULLABLE"},
        ]
    }


@pytest.mark.parametrize(
    ("errors", "code", "message"),
    [
        (
            [{"reason": "invalid", "location": "age", "message": "Cannot convert value to integer (bad value): Ada"}],
            "INVALID",
            "column age: Cannot convert value to integer (bad value)",
        ),
        ([{"reason": "invalid", "location": "", "message": ""}], "INVALID", "invalid"),
        ("Received row with size 11MB", "ROW_TOO_LARGE", "Received row with size 11MB"),
        ([{"reason": "Bad Request", "message": "Invalid value: 'Ada'"}], "INVALID_ARGUMENT", "Invalid"),
    ],
)
def test_a_refused_row_names_the_column_and_not_the_value(errors: Any, code: str, message: str) -> None:
    assert rejected_row("p:d.t", {"id": "x"}, errors) == RejectedRow({"id": "x"}, code, message)


@pytest.mark.parametrize(
    ("reason", "message", "error", "text"),
    [
        (
            "Forbidden",
            "Access Denied: Table",
            JobError,
            "Access Denied: Table. To fix it: grant roles/bigquery.dataEdit",
        ),
        ("Not Found", "Not found: Table p:d.t", JobError, "Not found: Table p:d.t. To fix it: check project"),
        ("Unauthorized", "Request had invalid credentials", JobError, "gcloud auth application-default login"),
        ("Service Unavailable", "try later", TransientError, "BigQuery table p:d.t: try later"),
        ("Forbidden", "Exceeded rate limits: too many", TransientError, "Exceeded rate limits"),
        ("Forbidden", "Quota exceeded for p", TransientError, "Quota exceeded for p"),
    ],
)
def test_a_failed_request_is_not_taken_for_bad_rows(
    reason: str, message: str, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        rejected_row("p:d.t", {"id": "x"}, [{"reason": reason, "message": message}])


def test_an_emulator_client_needs_an_emulator() -> None:
    with pytest.raises(ValueError, match=r"target demo-x\.d\.t has no emulator; leave test_client out"):
        EmulatorClient(TARGET)


def test_refused_access_fails_streaming_inserts_instead_of_rejecting_their_rows(
    service: Any, bigquery_error: Any
) -> None:
    service.script = [bigquery_error(403, "accessDenied", "Access Denied: Table people.candidates")] * 9
    with pytest.raises(Exception, match=r"Access Denied: Table people\.candidates\. To fix it: grant roles/"):
        with beam.Pipeline(runner=FnApiRunner()) as pipeline:
            _ = (
                pipeline
                | "Rows" >> beam.Create([{"id": "x"}])
                | "LoadRows" >> LoadRows(service.target, COLUMNS, "STREAMING_INSERTS")
            )


def test_streaming_inserts_wait_out_an_outage_of_the_service(service: Any, bigquery_error: Any) -> None:
    service.script = [bigquery_error(503, "backendError", "Service Unavailable")]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        result = (
            pipeline
            | "Rows" >> beam.Create([{"id": "x"}])
            | "LoadRows" >> LoadRows(service.target, COLUMNS, "STREAMING_INSERTS")
        )
        assert_that(result.rejected, equal_to([]))
    assert [[row["json"]["id"] for row in body["rows"]] for body in service.requests] == [["x"], ["x"]]
