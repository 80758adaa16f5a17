"""What can go wrong, and what follows from it: one exception tree, one classifier.

    FirebeamError
    ├── UsageError          wrong flag, missing input: nothing was started       exit code 2
    │   └── SpecError       a record spec that cannot be used: file, line, key
    ├── RecordError         this record cannot be stored: permanent dead letter
    ├── TransientError      bounded retries ran out: the bundle fails, the runner decides
    └── JobError            no record can succeed: stop now, say what to fix     exit code 1
        ├── OutageError     a service has been away for too long
        └── AccountingError in ≠ out: a record was lost or counted twice

`classify` sorts every status of every service into a few kinds, each with one consequence. Statuses are named by their
canonical gRPC code; `code_of_http` translates REST statuses, so that BigQuery's and Firestore's failures meet the same
rules.
"""

from __future__ import annotations

import enum


class FirebeamError(Exception):
    """Base of every error that Firebeam raises on purpose; its text is fit to be shown to a user."""


class UsageError(FirebeamError):
    """The command cannot be started as given; the message says how to fix it."""


class SpecError(UsageError):
    """A file of YAML, a record spec or a streams file, that cannot be used.

    Args:
      file: path of the YAML file.
      line: line of the offending key, counted from 1; None when the file as a whole is at fault.
      key: dotted path of the offending key, such as `fields.name.type`.
      problem: what is wrong and what would be right.
    """

    def __init__(self, file: str, line: int | None, key: str, problem: str):
        self.file, self.line, self.key, self.problem = file, line, key, problem
        super().__init__(":".join(str(part) for part in (file, line, key) if part not in (None, "")) + f": {problem}")

    def __reduce__(self) -> tuple[type[SpecError], tuple[str, int | None, str, str]]:
        return SpecError, (self.file, self.line, self.key, self.problem)


class RecordError(FirebeamError):
    """One record cannot be stored; the step that catches it makes a permanent dead letter of it.

    Args:
      code: UPPER_SNAKE reason, stable, fit for grouping: `MISSING_ID`, `INVALID_ARGUMENT`, …
      message: names the field and the bound, never shows the value.
    """

    def __init__(self, code: str, message: str):
        self.code, self.message = code, message
        super().__init__(f"{code}: {message}")

    def __reduce__(self) -> tuple[type[RecordError], tuple[str, str]]:
        return RecordError, (self.code, self.message)


class TransientError(FirebeamError):
    """A service did not answer well in the retries allowed. Nothing is known to be wrong with the data.

    Args:
      retry_after_s: when the service asks to be asked again, in seconds; None where it does not say.
    """

    def __init__(self, message: str = "", retry_after_s: float | None = None):
        self.retry_after_s = retry_after_s
        super().__init__(message)


class JobError(FirebeamError):
    """No record of this job can succeed before somebody fixes what the message names."""


class OutageError(JobError):
    """A service has been away for too long. Nothing is known to be wrong with the data."""


class AccountingError(JobError):
    """The outcomes of some records do not add up to the records read."""


class Kind(enum.Enum):
    """What a failed request says about the request."""

    TRANSIENT = "try the same request again, later"
    CONFLICT = "somebody else changed the document: read again, decide again"
    TOO_LARGE = "the request as a whole is too large: send it in halves"
    RECORD = "something in the request's content is wrong"
    JOB = "no request can succeed: credentials, permission, database or table"


_TRANSIENT = frozenset(
    {"UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN", "CANCELLED"}
)
_CONFLICT = frozenset({"ALREADY_EXISTS", "FAILED_PRECONDITION", "ABORTED", "NOT_FOUND"})
_JOB = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED"})

# Size refusals come under codes that otherwise mean "later": gRPC's own "Received message larger than max (… vs.
# 4194304)" and "Sent message larger than max", Firestore's "Transaction too big" and "Request payload size exceeds".
_SIZE_PHRASES = (
    "larger than max",
    "exceeds maximum size",
    "too big",
    "too large",
    "payload size exceeds",
    "maximum request size",
)


def classify(code: str, message: str = "", *, guarded: bool = False) -> Kind:
    """Says what to do about a failed request.

    Args:
      code: canonical gRPC code name, such as `UNAVAILABLE`.
      message: the service's own text; decides where one code has two meanings.
      guarded: the request carried preconditions, so a refusal may mean that another writer came first.

    >>> classify("UNAVAILABLE").name, classify("ABORTED", guarded=True).name, classify("INVALID_ARGUMENT").name
    ('TRANSIENT', 'CONFLICT', 'RECORD')
    >>> classify("RESOURCE_EXHAUSTED", "Received message larger than max (5000000 vs. 4194304)").name
    'TOO_LARGE'
    >>> classify("NOT_FOUND", "The database (default) does not exist for project p").name
    'JOB'
    """
    text = message.lower()
    if code in ("RESOURCE_EXHAUSTED", "INVALID_ARGUMENT") and any(phrase in text for phrase in _SIZE_PHRASES):
        return Kind.TOO_LARGE
    if code in _JOB or (code in ("NOT_FOUND", "FAILED_PRECONDITION") and _blames_the_job(text)):
        return Kind.JOB
    if guarded and code in _CONFLICT:
        return Kind.CONFLICT
    return Kind.TRANSIENT if code in _TRANSIENT else Kind.RECORD


def _blames_the_job(text: str) -> bool:
    """True for messages about the database, project, dataset or table that the whole job writes to.

    >>> _blames_the_job("no document to update: projects/p/databases/(default)/documents/users/ada")
    False
    """
    missing = "does not exist" in text or "not found" in text or "datastore mode" in text
    named = any(word in text for word in ("database", "project", "dataset", "table"))
    return missing and named and "/documents/" not in text


_HTTP_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_HTTP_QUOTA_REASONS = frozenset({"rateLimitExceeded", "quotaExceeded", "jobRateLimitExceeded"})


def code_of_http(status: int, reason: str = "") -> str:
    """Canonical gRPC code of a REST answer. Source: google/rpc/code.proto; BigQuery hides quota errors behind 403.

    >>> code_of_http(503), code_of_http(403, "rateLimitExceeded"), code_of_http(502)
    ('UNAVAILABLE', 'RESOURCE_EXHAUSTED', 'UNAVAILABLE')
    """
    if reason in _HTTP_QUOTA_REASONS:
        return "RESOURCE_EXHAUSTED"
    if status in _HTTP_CODES:
        return _HTTP_CODES[status]
    return "UNAVAILABLE" if status == 502 else "INTERNAL" if status >= 500 else "INVALID_ARGUMENT"
