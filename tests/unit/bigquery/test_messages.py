"""What is shown of BigQuery's messages: what is wrong and where, and none of the values that they quote."""

import traceback
from collections.abc import Callable
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, InternalServerError
from google.rpc import status_pb2
from hypothesis import given
from hypothesis import strategies as st

from transforms.bigquery.failures import ask, failure_of
from transforms.bigquery.inserter import RowInserter
from transforms.bigquery.load_jobs import failed
from transforms.bigquery.messages import of_request, of_row
from transforms.bigquery.storage_failures import refusal_of, refusal_of_status
from transforms.breaker import CircuitBreaker
from transforms.errors import FirebeamError
from transforms.retry import Retry

READING = "Error while reading data, error message: "
PARSING = "JSON parsing error in row starting at position 43: "

# As users of insertAll, load jobs and the Storage Write API report them; § stands for a value of theirs.
FORMS = [
    ("Cannot convert value to integer (bad value): §", "Cannot convert value to integer (bad value)"),
    ("Cannot convert value to floating point (bad value): §", "Cannot convert value to floating point (bad value)"),
    ("Could not convert value to float. Field: score; Value: §", "Could not convert value to float. Field: score"),
    (f"{READING}{PARSING}Could not convert value to string. Field: a.b; Value: §",
     f"{PARSING}Could not convert value to string. Field: a.b"),
    (f"{READING}{PARSING}Could not convert value 'string_value: \"§\"' to integer. Field: x; Value: §",
     f"{PARSING}Could not convert value to integer. Field: x"),
    ("Invalid NUMERIC value: §", "Invalid NUMERIC value"),
    ("Invalid NUMERIC value: § Field: price; Value: §", "Invalid NUMERIC value. Field: price"),
    ("Invalid BIGNUMERIC value: §", "Invalid BIGNUMERIC value"),
    ("Bad int64 value: §", "Bad int64 value"),
    ("Bad double value: §", "Bad double value"),
    ("Invalid date: '§'", "Invalid date: …"),
    ("Invalid timestamp: '§'", "Invalid timestamp: …"),
    ('Invalid datetime string "§"', "Invalid datetime string: …"),
    ("Could not parse '§' as a timestamp. Required format is YYYY-MM-DD HH:MM[:SS[.SSSSSS]]",
     "Could not parse '…' as a timestamp. Required format is YYYY-MM-DD HH:MM[:SS[.SSSSSS]]"),
    (f"{PARSING}Could not parse '§' as a timestamp. Required format is YYYY-MM-DD Field: seen; Value: §",
     f"{PARSING}Could not parse '…' as a timestamp. Required format is YYYY-MM-DD. Field: seen"),
    ("JSON parsing error in row starting at position 0 at file: gs://b/f. Could not parse '§' as a timestamp. "
     "Required format is YYYY-MM-DD Field: seen; Value: § (error code: invalid)",
     "JSON parsing error in row starting at position 0: Could not parse '…' as a timestamp. Required format is "
     "YYYY-MM-DD. Field: seen"),
    ("Couldn't convert value to timestamp: Could not parse '§' as a timestamp. Field: seen",
     "Couldn't convert value to timestamp: Could not parse '…' as a timestamp. Field: seen"),
    ("Could not parse '§' as DOUBLE for field FIRST_GEN (position 1613) starting at location 504392 with message "
     "'Unable to parse'",
     "Could not parse '…' as DOUBLE for field FIRST_GEN"),
    ("Timestamp field value is out of range: §", "Timestamp field value is out of range"),
    ("Timestamp field value is out of range: § on field bar.",
     "Timestamp field value is out of range: … on field bar"),
    ("Value § for field seen of the destination table p:d.t is outside the allowed bounds. You can only stream to date "
     "range within 365 days in the past and 183 days in the future relative to the current date.",
     "Value … for field seen of the destination table p:d.t is outside the allowed bounds. You can only stream to date "
     "range within 365 days in the past and 183 days in the future relative to the current date"),
    (f"{READING}Could not decode base64 string to bytes. Field: photo; Value: §",
     "Could not decode base64 string to bytes. Field: photo"),
    (f"{READING}The value for column 'bill' is out of valid NUMERIC range: Value will lose precision after scaling "
     "down to NUMERIC type; input length: 16; scale: 14; input data: §",
     "The value for column 'bill' is out of valid NUMERIC range"),
    ("Input number: § cannot round-trip through string representation; error in PARSE_JSON expression",
     "Input number: … cannot round-trip through string representation"),
    ('Malformed JSON at byte 0 of input: invalid literal.  Input: "§"',
     'Malformed JSON at byte 0 of input: invalid literal'),
    ('Could not cast literal "§" to type DATE at [1:3]', 'Could not cast literal "…" to type DATE at …'),
    ("Field age: value '§' is out of range", "Field age: value '…' is out of range"),
    ("Error while parsing value '§' for column age", "Error while parsing value '…' for column …"),
]  # fmt: skip

# Without any value: nothing of what is wrong is lost.
WHOLE = [
    "no such field: team",
    "No such field: fulfillments.line_items.properties",
    f"{PARSING}No such field: last_10",
    "Array specified for non-repeated field: models",
    "This field: metadata is not a record",
    f"{PARSING}Only optional fields can be set to NULL. Field: names",
    f"{PARSING}Parser terminated before end of string",
    "Error detected while parsing row starting at position: 9999: Bad character (ASCII 0) encountered",
    "JSON processing encountered too many errors, giving up. Rows: 2; errors: 1; max bad: 0; error percent: 0",
    "Field foo: STRING(10) has maximum length 10 but got a value with length 12 on field foo",
    "Field id: missing required value",
    "Provided Schema does not match Table p:d.t. Field x has changed type from STRING to INTEGER",
    "Streaming into a view is not allowed",
]

# No word of a value may be one of BigQuery's own, or else nothing could be said of it.
values = st.one_of(
    st.sampled_from(
        [
            "1.2.3",
            "-0.8534597960201471",
            "Ada Lovelace",
            "O'Hara's",
            "a: b; c",
            "x' as y",
            '"',
            "'",
            "7' 2\"",
            ",",
            ";,:",
        ]
    ),
    st.text(st.characters(categories=["Lo", "Nd"], include_characters=" '\".:;,\n/"), min_size=1, max_size=30).filter(
        lambda text: text.strip(" .") == text and text.strip()
    ),
)


@pytest.mark.parametrize(("form", "shown"), FORMS)
@given(value=values)
def test_a_known_form_is_the_same_whatever_the_value_is(form: str, shown: str, value: str) -> None:
    assert str(of_row(form.replace("§", value))) == shown


@pytest.mark.parametrize("message", WHOLE)
def test_what_quotes_no_value_is_shown_as_it_is(message: str) -> None:
    assert str(of_row(message)) == message
    assert str(of_row(f"{READING}{message}.")) == message


@pytest.mark.parametrize(
    "message",
    [
        "secret",
        "It was secret 4111111111111111 that failed",
        "Frobnication of secret: 4111 1111 1111 1111 (secret@example.com)",
        "Value secret is 36 years too old for field 4111",
        'Row {"name": "secret", "card": 4111111111111111} is invalid',
        "Invalid secret",
        "Cannot read field: secret-4111",
        "Could not parse 'secret as a timestamp. Field: seen",
        "Could not parse 'x Field: secret; Value: y' as DOUBLE. Field: seen; Value: x Field: secret; Value: y",
    ],
)
def test_of_a_form_that_nobody_has_foreseen_only_words_of_bigquery_s_are_shown(message: str) -> None:
    for shown in (str(of_row(message)), of_request("INVALID_ARGUMENT", message), of_request("OUT_OF_RANGE", message)):
        assert "secret" not in shown
        assert "4111" not in shown
        assert shown


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("NOT_FOUND", "Not found: Dataset acme-prod:people was not found in location EU"),
        ("PERMISSION_DENIED", "Access Denied: Table acme-prod:people.t: User does not have bigquery.tables.updateData"),
        ("UNAVAILABLE", "Visibility check was unavailable. Please retry the request"),
    ],
)
def test_what_is_not_about_content_names_what_is_missing(code: str, message: str) -> None:
    assert of_request(code, message) == message


# Wherever a message arrives.

SECRET = "Could not convert value to integer. Field: age; Value: secret"


def test_an_exception_of_the_client_is_reduced() -> None:
    assert (
        failure_of(BadRequest(f"POST https://x/y: {SECRET}")).text == "Could not convert value to integer. Field: age"
    )
    assert "secret" not in failure_of(InternalServerError(SECRET)).text


def test_a_refusal_of_the_storage_write_api_is_reduced() -> None:
    for refusal in (refusal_of(SECRET), refusal_of_status(status_pb2.Status(code=3, message=SECRET))):
        assert "secret" not in str(refusal)
        assert "secret" not in refusal.failure.text


def test_a_load_job_s_errors_are_reduced_and_a_value_that_is_an_address_is_not_taken_for_the_file() -> None:
    error = {"reason": "invalid", "message": "Could not convert value to integer. Field: age; Value: gs://secret/file"}
    shown = str(failed("load-1", "p.d.t", error, [error, {**error, "location": "gs://staging/rows"}]))
    assert "secret" not in shown
    assert "file gs://staging/rows, column age: Could not convert value to integer" in shown


def test_every_request_refused_alike_is_said_without_values(service: Any, bigquery_error: Callable[..., Any]) -> None:
    service.script = [bigquery_error(400, "invalid", SECRET)] * 40
    inserter = RowInserter(service.target, retry=Retry(3, 0, 0))
    with pytest.raises(
        FirebeamError, match="every request is refused alike: Could not convert value to integer"
    ) as raised:
        inserter.insert([{"age": n} for n in range(16)], [f"id-{n}" for n in range(16)])
    assert "secret" not in _as_logged(raised.value)


def test_no_error_brings_the_one_along_that_it_was_made_of() -> None:
    """Workers log an error with its causes."""

    def request() -> None:
        raise BadRequest(SECRET)

    with pytest.raises(FirebeamError) as raised:
        ask(request, "BigQuery statement", CircuitBreaker("BigQuery", 1.0), Retry(1))
    assert "secret" not in _as_logged(raised.value)


def _as_logged(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
