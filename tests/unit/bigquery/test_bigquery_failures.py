"""What exceptions of BigQuery's client library mean."""

import concurrent.futures
import pickle

import google.auth.exceptions
import pytest
import requests
from google.api_core import exceptions

from transforms.bigquery.failures import failure_of, raised_for
from transforms.errors import JobError, Kind, TransientError

URL = "POST https://bigquery.googleapis.com/bigquery/v2/projects/p/insertAll?prettyPrint=false: "


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (exceptions.ServiceUnavailable("x"), "UNAVAILABLE", Kind.TRANSIENT),
        (exceptions.InternalServerError("x"), "INTERNAL", Kind.TRANSIENT),
        (exceptions.BadGateway("x"), "UNAVAILABLE", Kind.TRANSIENT),
        (exceptions.GatewayTimeout("x"), "DEADLINE_EXCEEDED", Kind.TRANSIENT),
        (exceptions.TooManyRequests("x"), "RESOURCE_EXHAUSTED", Kind.TRANSIENT),
        (exceptions.Forbidden("x", errors=[{"reason": "rateLimitExceeded"}]), "RESOURCE_EXHAUSTED", Kind.TRANSIENT),
        (exceptions.Forbidden("x", errors=[{"reason": "accessDenied"}]), "PERMISSION_DENIED", Kind.JOB),
        (exceptions.Unauthorized("x"), "UNAUTHENTICATED", Kind.JOB),
        (exceptions.NotFound("x"), "NOT_FOUND", Kind.JOB),
        (exceptions.MethodNotImplemented("x"), "UNIMPLEMENTED", Kind.JOB),
        (exceptions.BadRequest("x"), "INVALID_ARGUMENT", Kind.RECORD),
        (exceptions.BadRequest("Request payload size exceeds the limit"), "INVALID_ARGUMENT", Kind.TOO_LARGE),
        (exceptions.from_http_status(413, "<html>"), "RESOURCE_EXHAUSTED", Kind.TOO_LARGE),
        (requests.ConnectionError("x"), "UNAVAILABLE", Kind.TRANSIENT),
        (requests.ReadTimeout("x"), "UNAVAILABLE", Kind.TRANSIENT),
        (concurrent.futures.TimeoutError(), "UNAVAILABLE", Kind.TRANSIENT),
        (google.auth.exceptions.TransportError("x"), "UNAVAILABLE", Kind.TRANSIENT),
        (google.auth.exceptions.RefreshError("x", retryable=True), "UNAVAILABLE", Kind.TRANSIENT),
        (google.auth.exceptions.RefreshError("x"), "UNAUTHENTICATED", Kind.JOB),
        (google.auth.exceptions.DefaultCredentialsError("x"), "UNAUTHENTICATED", Kind.JOB),
    ],
)
def test_every_failure_has_its_kind(error: Exception, code: str, kind: Kind) -> None:
    failure = failure_of(error)
    assert (failure.code, failure.kind) == (code, kind)


def test_the_service_is_quoted_without_the_url_and_in_bounds() -> None:
    assert failure_of(exceptions.NotFound(f"{URL}Not found: Table p:d.t.")).text == "Not found: Table p:d.t"
    assert len(failure_of(exceptions.ServiceUnavailable(f"{URL}{'<html>' * 1000}")).text) == 500
    assert failure_of(exceptions.ServiceUnavailable(URL)).text == "HTTP 503"


@pytest.mark.parametrize(
    ("error", "raised", "text"),
    [
        (exceptions.ServiceUnavailable("later"), TransientError, "table x: later"),
        (exceptions.BadRequest("Invalid schema"), JobError, "table x: Invalid schema"),
        (
            google.auth.exceptions.DefaultCredentialsError("long story"),
            JobError,
            "table x: no usable credentials (DefaultCredentialsError). To fix it: run `gcloud auth "
            "application-default login`, or give the workers a service account",
        ),
    ],
)
def test_outside_of_rows_a_failure_is_transient_or_the_jobs(error: Exception, raised: type, text: str) -> None:
    meant = raised_for(error, "table x")
    assert (type(meant), str(meant)) == (raised, text)
    assert str(pickle.loads(pickle.dumps(meant))) == text
