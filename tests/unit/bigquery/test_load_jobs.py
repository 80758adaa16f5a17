"""A load job that fails says what BigQuery says of it: which file, which column, what to do, and never a value."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from apache_beam.io.gcp.internal.clients.bigquery import BigqueryJobsGetRequest
from apitools.base.py.exceptions import HttpConflictError

from tests.support.clocks import no_waiting
from transforms.bigquery.load import LoadJobClient
from transforms.bigquery.load_jobs import failed
from transforms.errors import JobError, OutageError, TransientError
from transforms.retry import Retry

FILE = "gs://bucket/temp/bq_load/6f/p.d.t/0a58"
GIVING_UP = "Error while reading data, error message: JSON table encountered too many errors, giving up. Rows: 1; errors: 1. Please look into the errors[] collection for more details."  # noqa: E501  # BigQuery's own
PROCESSING = "Error while reading data, error message: JSON processing encountered too many errors, giving up. Rows: 1; errors: 1; max bad: 0; error percent: 0"  # noqa: E501
PARSING = "Error while reading data, error message: JSON parsing error in row starting at position 0: Could not convert value to integer. Field: age; Value: secret"  # noqa: E501


def of(message: str, location: str | None = None, reason: str = "invalid") -> dict[str, Any]:
    return {"reason": reason, "message": message} | ({"location": location} if location else {})


def error_of(result: dict[str, Any], *errors: dict[str, Any]) -> str:
    return str(failed("load-1", "p.d.t", result, errors))


def test_the_first_errors_of_the_list_say_which_file_and_which_column_is_at_fault() -> None:
    summary = of(GIVING_UP, FILE)
    assert error_of(summary, summary, of(PROCESSING), of(PARSING, FILE)) == (
        "BigQuery load job load-1 into table p.d.t failed: JSON table encountered too many errors, giving up. Rows: 1; "
        f"errors: 1; file {FILE}, column age: JSON parsing error in row starting at position 0: Could not convert "
        "value to integer. To fix it: make the column fit in the spec or in the table, or use "
        "--bigquery_method=INSERT_ROWS, "
        "which makes a dead letter of every row that does not fit"
    )


def test_a_file_that_only_the_message_names_is_named() -> None:
    message = f"Error while reading data, error message: JSON parsing error: No such field: age. File: {FILE}"
    text = f"failed: file {FILE}, column age: JSON parsing error: No such field: age. To fix it"
    assert text in error_of(of(message))
    assert text in error_of(of(message), of(message))


def test_no_more_than_the_first_three_errors_are_shown_and_the_others_are_counted() -> None:
    errors = [of(f"Error while reading data, error message: Bad character. Field: f{n}") for n in range(5)]
    text = error_of(of(GIVING_UP), *errors)
    assert [f"column f{n}" in text for n in range(5)] == [True, True, True, False, False]
    assert "; 2 more errors. To fix it" in text


@pytest.mark.parametrize(
    "message",
    [
        "Could not convert value to integer. Field: age; Value: secret",
        "Couldn't convert value to timestamp: Could not parse 'secret' as a timestamp. Field: seen",
        'Invalid JSON: "secret". Field: profile',
    ],
)
def test_no_value_is_shown(message: str) -> None:
    assert "secret" not in error_of(of(GIVING_UP), of(message))


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("accessDenied", "grant roles/bigquery.dataEditor"),
        ("notFound", "check project, dataset and table"),
    ],
)
def test_what_is_not_about_rows_has_its_own_advice(reason: str, advice: str) -> None:
    error = failed("load-1", "p.d.t", of("Access Denied: Table p:d.t", reason=reason), [])
    assert isinstance(error, JobError)
    assert f"Access Denied: Table p:d.t. To fix it: {advice}" in str(error)


@pytest.mark.parametrize("reason", ["backendError", "internalError", "rateLimitExceeded", "quotaExceeded", "stopped"])
def test_a_job_that_the_service_had_no_time_for_may_be_done_again(reason: str) -> None:
    error = failed("load-1", "p.d.t", of("try again", reason=reason), [])
    assert isinstance(error, TransientError)
    assert str(error) == "BigQuery load job load-1 into table p.d.t failed: try again"


def job(state: str, **status: Any) -> tuple[int, dict[str, Any]]:
    return 200, {"id": "load-1", "status": {"state": state, **status}}


def get_request() -> BigqueryJobsGetRequest:
    return BigqueryJobsGetRequest(projectId="demo-script", jobId="load-1", location="EU")


def test_beam_waits_out_an_outage_and_learns_when_it_lasts(service: Any, bigquery_error: Callable[..., Any]) -> None:
    away = [bigquery_error(503, "backendError", "Service Unavailable"), (500, b"<html>")] * 8
    retry = Retry(max_attempts=5, clock=no_waiting())
    service.script = [*away, job("RUNNING")]
    assert LoadJobClient(service.target, retry).jobs.Get(get_request()).status.state == "RUNNING"
    service.script = list(away)
    with pytest.raises(OutageError, match="run the same command again when it is back"):
        LoadJobClient(replace(service.target, max_outage_s=0), retry).jobs.Get(get_request())


def test_beam_sees_a_refusal_as_its_own_client_raises_it(service: Any, bigquery_error: Callable[..., Any]) -> None:
    service.script = [bigquery_error(409, "duplicate", "Already Exists: Job demo-script:EU.load-1")]
    with pytest.raises(HttpConflictError) as raised:
        LoadJobClient(service.target).jobs.Get(get_request())
    assert raised.value.status_code == 409
    assert len(service.requests) == 1


def test_beam_waits_for_a_job_and_is_told_why_it_failed(service: Any) -> None:
    service.script = [
        job("RUNNING"),
        job("DONE", errorResult=of(GIVING_UP, FILE), errors=[of(GIVING_UP, FILE), of(PARSING, FILE)]),
    ]
    jobs, request = LoadJobClient(service.target).jobs, get_request()
    assert jobs.Get(request).status.state == "RUNNING"
    why = rf"load job load-1 into table {service.target.id} failed: .*file {FILE}, column age: JSON parsing error"
    with pytest.raises(JobError, match=why):
        jobs.Get(request)
