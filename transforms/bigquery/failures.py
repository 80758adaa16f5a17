"""What a failed BigQuery request means, in the words of `transforms.errors`. No Beam.

The client library raises google.api_core exceptions for answers, requests' exceptions for the network, google.auth's
for credentials and a TimeoutError for jobs; `failure_of` sees through all of them.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import google.auth.exceptions
import requests
from google.api_core.exceptions import GoogleAPICallError

from transforms.bigquery.messages import of_request
from transforms.breaker import CircuitBreaker
from transforms.errors import FirebeamError, JobError, Kind, TransientError, classify, code_of_http
from transforms.retry import Retry

T = TypeVar("T")

RETRY = Retry(max_attempts=5)

# The last is what waiting for a job raises: for a job that takes too long, and for a request that had no answer.
NETWORK_ERRORS = (
    requests.RequestException,
    google.auth.exceptions.GoogleAuthError,
    concurrent.futures.TimeoutError,
)

_MAX_TEXT = 500  # an answer that is not JSON may be a whole HTML page

# https://cloud.google.com/bigquery/docs/error-messages: reasons for which neither the row nor the job is at fault.
TRANSIENT_REASONS = frozenset(
    {"stopped", "timeout", "backendError", "internalError", "rateLimitExceeded", "quotaExceeded"}
)

# Two statements that change one table at once: BigQuery accepts one of them and answers the other with 400.
_RACE = "due to concurrent update"

_LOGIN = "run `gcloud auth application-default login`, or give the workers a service account"


class Failure(NamedTuple):
    """A failed request, or a row of it that failed.

    Attributes:
      status: of HTTP; 0 when there was no answer.
      code: UPPER_SNAKE.
      text: what the service said, without the values that it quoted.
    """

    status: int
    code: str
    text: str
    kind: Kind

    @property
    def advice(self) -> str:
        """What it said, and what to do about it."""
        return f"{self.text}. To fix it: {ADVICE.get(self.code, ADVICE['NOT_FOUND'])}"


ADVICE = {
    "UNAUTHENTICATED": _LOGIN,
    "PERMISSION_DENIED": "grant roles/bigquery.dataEditor on the dataset and roles/bigquery.jobUser on the project "
    "to the account that runs the job",
    "NOT_FOUND": "check project, dataset and table; `bq mk --dataset PROJECT:DATASET` makes a dataset, "
    "the job makes the table when it starts",
    "UNIMPLEMENTED": "the endpoint does not know this method: check BIGQUERY_EMULATOR_HOST",
}


def failure_of(error: Exception) -> Failure:
    """Sorts an exception of BigQuery's client library.

    >>> from google.api_core.exceptions import BadRequest, Forbidden, NotFound
    >>> failure_of(Forbidden("slow down", errors=[{"reason": "quotaExceeded"}])).kind.name
    'TRANSIENT'
    >>> failure_of(BadRequest("Could not serialize access to table p:d.t due to concurrent update")).kind.name
    'TRANSIENT'
    >>> failure_of(NotFound("Not found: Table p:d.t")).kind.name
    'JOB'
    """
    if isinstance(error, GoogleAPICallError):
        status = int(error.code or 0)
        reason = next((str(item.get("reason", "")) for item in error.errors if isinstance(item, dict)), "")
        code = code_of_http(status, reason)
        kind = Kind.TOO_LARGE if status == 413 else classify(code, error.message)
        if _RACE in str(error.message).lower():
            kind = Kind.TRANSIENT
        # A 404 of insertAll, of a table or of a dataset names what is missing; none of them is about a row.
        return Failure(status, code, _message_of(code, error), Kind.JOB if code == "NOT_FOUND" else kind)
    if isinstance(error, google.auth.exceptions.GoogleAuthError) and not _is_transient(error):
        return Failure(0, "UNAUTHENTICATED", f"no usable credentials ({type(error).__name__})", Kind.JOB)
    return Failure(0, "UNAVAILABLE", f"no answer from BigQuery ({type(error).__name__})", Kind.TRANSIENT)


def ask(request: Callable[[], T], doing: str, breaker: CircuitBreaker, retry: Retry = RETRY) -> T:
    """The result of `request`, sent again while BigQuery fails transiently.

    Args:
      doing: what the request is about; begins the message of an error.
      breaker: of the service.

    Raises:
      TransientError: it failed too often.
      JobError: it failed permanently; says what to fix.
      OutageError: nothing has succeeded for as long as the breaker allows.
    """

    def send() -> T:
        result = request()
        breaker.succeeded()
        return result

    with causes_untold():
        return retry.call(
            send,
            catch=(GoogleAPICallError, *NETWORK_ERRORS),
            meaning=lambda error, attempts: raised_for(error, doing, breaker),
            is_outage=breaker.is_down,
        )


@contextlib.contextmanager
def causes_untold() -> Iterator[None]:
    """Errors leave the block without the error they were made of, whose text quotes values: workers log both."""
    try:
        yield
    except FirebeamError as error:
        raise error from None


def raised_for(error: Exception, doing: str, breaker: CircuitBreaker | None = None) -> FirebeamError:
    """The error to raise for a failed request that is not about single rows.

    Args:
      breaker: takes note of it.

    Raises:
      OutageError: as `ask`.
    """
    failure = failure_of(error)
    if breaker is not None:
        breaker.answered(failure.code, failure.kind, failure.text)
    if failure.kind is Kind.TRANSIENT:
        return TransientError(f"{doing}: {failure.text}")
    return JobError(f"{doing}: {failure.advice if failure.kind is Kind.JOB else failure.text}")


def credentials_of(find: Callable[[], Any]) -> Any:
    """What google.auth calls credentials. Raises JobError if there are none, TransientError if nobody answers."""
    try:
        return find()
    except NETWORK_ERRORS as error:
        raise raised_for(error, "BigQuery") from error


def _is_transient(error: google.auth.exceptions.GoogleAuthError) -> bool:
    """True when the token server could not be reached, False when it refused."""
    return bool(error.retryable) or isinstance(error, google.auth.exceptions.TransportError)


def _message_of(code: str, error: GoogleAPICallError) -> str:
    """The service's message without the URL that the client library puts before it, and without values.

    >>> from google.api_core.exceptions import NotFound
    >>> _message_of("NOT_FOUND", NotFound("POST http://h/insertAll?prettyPrint=false: Not found: Table p:d.t"))
    'Not found: Table p:d.t'
    """
    method, _, rest = str(error.message).partition(" ")
    said = rest.partition(": ")[2] if method in ("GET", "POST", "PATCH", "PUT", "DELETE") else str(error.message)
    return of_request(code, said)[:_MAX_TEXT] or f"HTTP {int(error.code or 0)}"
