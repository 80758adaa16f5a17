"""What a failed request to Cosmos DB means, in the words of `transforms.errors`: one line, with what to fix.

    429, 449                        TransientError, to be sent again when the service says: it has not begun with it
    408, 410, 500, 503, no answer   TransientError
    401, 403, 404 of a container    JobError, with the fix
    400, 413                        RecordError where the request has one item's content, else JobError

404, 409 and 412 of an item are values: connection.py. Source of the codes:
learn.microsoft.com/rest/api/cosmos-db/http-status-codes-for-cosmosdb
"""

from __future__ import annotations

import re

from transforms.cosmos.status import StatusError
from transforms.cosmos.target import ENDPOINT_VARIABLE, INSTALL, KEY_VARIABLE
from transforms.errors import FirebeamError, JobError, RecordError, TransientError

_WRITE_FORBIDDEN = 3
# Refused before it is executed, for request units or for somebody else's write of the item: surely not applied. Source:
# learn.microsoft.com/azure/cosmos-db/conceptual-resilient-sdk-applications
_NOT_BEGUN = frozenset({429, 449})
_TRANSIENT = frozenset({408, 410, 429, 449, 500, 502, 503, 504})
_MAX_TEXT = 300
# The service repeats what it was asked, so that a message may hold content and addresses.
_NOT_SHOWN = re.compile(r"(ActivityId|RequestStartTime|Request URI|RequestUri|\r?\n).*", re.DOTALL)
_SIGN_IN = (
    f"set {KEY_VARIABLE}, or sign in for Entra ID (az login, or a managed identity) and give that identity the role "
    "Cosmos DB Built-in Data Contributor"
)


def failures() -> tuple[type[Exception], ...]:
    """What `meaning` explains: what azure-cosmos raises, and our own transport below it. Raises JobError without it."""
    try:
        from azure.core.exceptions import AzureError
    except ImportError:
        raise JobError(f"Cosmos DB needs a client that is not installed: {INSTALL}") from None

    return AzureError, StatusError


def status_error(error: Exception) -> StatusError | None:
    """The account's refusal, whichever layer raised it; None where there was no answer."""
    from azure.cosmos.exceptions import CosmosHttpResponseError

    if isinstance(error, CosmosHttpResponseError):
        return StatusError(error.status_code or 0, error.headers, str(error.http_error_message or ""))
    return error if isinstance(error, StatusError) else None


def meaning(label: str, error: Exception, *, is_about_item: bool = False) -> FirebeamError:
    """What a failed request means.

    Args:
      label: of the container.
      error: one of `failures()`.
      is_about_item: whether the request holds one item, which may be what is refused.
    """
    from azure.core.exceptions import ClientAuthenticationError

    if (refused := status_error(error)) is not None:
        return _of_status(label, refused, is_about_item)
    if isinstance(error, ClientAuthenticationError):
        return JobError(f"{label}: Entra ID gives no token; {_SIGN_IN}")
    # No answer, half an answer, or none in time.
    return TransientError(f"{label}: {type(error).__name__}; check {ENDPOINT_VARIABLE}, network and firewall")


def not_a_key(label: str) -> JobError:
    """What it means that azure-cosmos takes a key for none, with ValueError."""
    return JobError(f"{label}: {KEY_VARIABLE} is not a key of Cosmos DB, which is base64")


def refused_content(status: int) -> RecordError:
    """An item that the service does not take, with 400 or 413."""
    if status == 413:
        return RecordError("TOO_LARGE", "the item is larger than the 2 MB that Cosmos DB takes")
    return RecordError("INVALID_ARGUMENT", "Cosmos DB refuses the item as invalid")


def _of_status(label: str, error: StatusError, is_about_item: bool) -> FirebeamError:
    status, text = error.status, f"{label}: {_said(error)}"
    if status in _TRANSIENT or error.is_session_behind:
        return TransientError(f"{text} (status {status})", error.retry_after_s if status in _NOT_BEGUN else None)
    if status == 401:
        return JobError(f"{label}: the account refuses the key; check that {KEY_VARIABLE} is one of its keys")
    if status == 403 and "firewall" in text.lower():
        return JobError(f"{label}: the account's firewall refuses this computer; allow its address under Networking")
    if status == 403 and error.sub_status == _WRITE_FORBIDDEN:
        return JobError(f"{label}: the region that was asked accepts no writes just now; check {ENDPOINT_VARIABLE}")
    if status == 403:
        return JobError(f"{text}; {_SIGN_IN}")
    if status == 404:
        return JobError(f"{label}: there is no such database or container; check the names")
    if is_about_item and status in (400, 413):
        return refused_content(status)
    return JobError(f"{text} (status {status}, {error.sub_status})")


def _said(error: StatusError) -> str:
    """The first line of the service's message."""
    found = re.search(r'"message"\s*:\s*"((?:[^"\\]|\\.)*)"', error.text)
    text = _NOT_SHOWN.sub("", found[1].replace("\\r\\n", "\n").replace("\\n", "\n") if found else error.text)
    return " ".join(text.split())[:_MAX_TEXT].rstrip(".,;") or "it was refused"
