"""What Google's two batch APIs have in common: errors, codes, pages, results of generateContent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from transforms.testing.providers import answers
from transforms.testing.providers.batches import Batch, Batches, Request
from transforms.testing.providers.dialect import RefusedRequestError, number
from transforms.testing.providers.results import text_of

_MAX_PAGE = 100
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
# google.rpc.Code
_CODES = {
    "INVALID_ARGUMENT": 3,
    "DEADLINE_EXCEEDED": 4,
    "NOT_FOUND": 5,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
}


def http_error(status: int, code: str, text: str) -> Any:
    """The JSON of an error."""
    return {"error": {"code": status, "message": text, "status": code or _STATUS.get(status, "INTERNAL")}}


def refusal(error: Any, status: int, retry_after: str | float | None) -> web.Response:
    """An answer that says no to a question; when to come again is a detail of it."""
    if retry_after is not None:
        detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{retry_after}s"}
        error["error"]["details"] = [detail]
    return web.json_response(error, status=status)


def job_error(code: str, text: str) -> dict[str, Any]:
    """A google.rpc.Status.

    >>> job_error("RESOURCE_EXHAUSTED", "too much")
    {'code': 8, 'message': 'too much'}
    """
    return {"code": _CODES.get(code, _CODES["INTERNAL"]), "message": text}


def page(request: web.Request, listed: Sequence[Batch]) -> tuple[Sequence[Batch], dict[str, str]]:
    """A page of a list, and the token of the next one. Raises RefusedRequestError."""
    size, token = number(request, "pageSize", 50, 1, _MAX_PAGE), request.query.get("pageToken", "0")
    if not token.isdecimal():
        raise RefusedRequestError(400, "pageToken is not one of this list")
    end = int(token) + size
    return listed[int(token) : end], {"nextPageToken": str(end)} if end < len(listed) else {}


def keyed_requests(lines: Sequence[Mapping[str, Any]]) -> list[Request]:
    """Requests as lines have them: `request`, and a `key` where its sender gave one."""
    return [Request(str(line.get("key", n)), line.get("request", {}), line) for n, line in enumerate(lines)]


def generated(batches: Batches, batch: Batch, n: int, request: Request) -> dict[str, Any]:
    """The body of an answer."""
    return answers.generated_content(n, request.body, text_of(batches, batch, request))
