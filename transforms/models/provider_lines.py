"""A line of a provider's results, recognised by what it has: whose it is, and its answer or what was said instead.

| provider                                | a line has                                                         |
|-----------------------------------------|--------------------------------------------------------------------|
| OpenAI, and those who speak its format  | `custom_id`, `response` with `status_code` and `body`, or `error`  |
| Anthropic message batches               | `custom_id`, `result` with `type` and `message` or `error`         |
| Vertex AI: Gemini, Claude, open models  | `request`, `response`, `status`; both may be JSON texts, as in     |
|                                         | BigQuery                                                           |
| Gemini API                              | `key`, or `metadata` with `key`, and `response` or `error`         |
| Bedrock                                 | `modelInput`, `recordId`, `modelOutput` or `error`                 |
| a saved response without a batch        | what `bodies.is_body` wants                                        |

It is recognised whatever else it has. What a provider reports as failed, refused or cut off has a code and no body. The
id that the request carried is `custom_id`, `key` or `recordId`; on Vertex also a label.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from transforms.errors import code_of_http
from transforms.models.bodies import either, is_body, is_gemini, mapping, object_in, text

# What Google's lines may call the request's id, at their top or in their metadata; the first counts.
ID_FIELDS = ("custom_id", "customId", "key")
# All that an error has that was saved in place of a response.
_ERROR_FIELDS = frozenset({"type", "error", "request_id"})
_ANTHROPIC_FAILURES = frozenset({"errored", "canceled", "expired"})

# Source: google/rpc/code.proto.
_GRPC_CODES = {
    1: "CANCELLED",
    2: "UNKNOWN",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    11: "OUT_OF_RANGE",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    15: "DATA_LOSS",
    16: "UNAUTHENTICATED",
}
_STATUS_NAME = re.compile(r'"status":\s*"([A-Z_]+)"')
_STATUS_NUMBER = re.compile(r"(?:\"code\":|[Cc]ode:?|HTTP)\s*(\d{1,3})\b")


class Result(NamedTuple):
    """One recognised line: who sent it, the request's id, and either the response's body or what went wrong."""

    provider: str
    request_id: str | None
    body: Mapping[str, Any] | None
    error_code: str = ""
    http_status: int = 200


def recognised(value: Mapping[str, Any]) -> Result | None:
    """What a provider's line says; None of anything else."""
    return _openai(value) or _anthropic(value) or _bedrock(value) or _gemini_or_vertex(value) or _bare(value)


def _openai(value: Mapping[str, Any]) -> Result | None:
    response, error = value.get("response"), value.get("error")
    if not isinstance(response, dict) or "body" not in response:
        error, response = error or mapping(response).get("error"), None
    if error and _is_error(error) and _has_id(value):
        return Result("OPENAI", _id(either(value, "custom_id")), None, _error_code(error) or "ERROR")
    if response is None:
        return None
    request_id = _id(either(value, "custom_id"))
    status, body = _status(response), object_in(response["body"])
    if request_id is None and status is None:
        return None
    if error_body := mapping(body).get("error"):
        code = _error_code(error_body) or (f"HTTP_{status}" if status else "ERROR")
        return Result("OPENAI", request_id, None, code, status or 200)
    if status is not None and not 200 <= status < 300:
        return Result("OPENAI", request_id, None, f"HTTP_{status}", status)
    return Result("OPENAI", request_id, body) if body is not None else None


def _has_id(value: Mapping[str, Any]) -> bool:
    """Whether the request of a line had an id, though it may be none."""
    return "custom_id" in value or "customId" in value


def _status(response: Mapping[str, Any]) -> int | None:
    status = text(either(response, "status_code"))
    return int(status) if status.isdecimal() and len(status) <= 3 else None


def _is_error(error: Any) -> bool:
    return isinstance(error, dict) and any(error.get(name) for name in ("code", "message", "type"))


def _error_code(error: Any) -> str:
    """What an error calls itself; that of Anthropic stands within another."""
    inner = mapping(mapping(error).get("error")) or mapping(error)
    return text(inner.get("code")) or text(inner.get("type"))


def _anthropic(value: Mapping[str, Any]) -> Result | None:
    if "result" not in value or not _has_id(value):
        return None
    request_id, result = _id(either(value, "custom_id")), mapping(value["result"])
    outcome = text(result.get("type"))
    if outcome in _ANTHROPIC_FAILURES:
        return Result("ANTHROPIC", request_id, None, _error_code(result.get("error")) or outcome)
    is_answer = outcome == "succeeded" and isinstance(result.get("message"), dict)
    return Result("ANTHROPIC", request_id, result["message"]) if is_answer else None


def _bedrock(value: Mapping[str, Any]) -> Result | None:
    if "modelInput" not in value and "recordId" not in value:
        return None
    request_id, output, error = _id(value.get("recordId")), value.get("modelOutput"), value.get("error")
    if isinstance(error, dict) and not error.keys().isdisjoint(("errorCode", "errorMessage")):
        number = text(error.get("errorCode"))
        status = int(number) if number.isdecimal() and len(number) <= 3 else 200
        code = "expired" if error.get("expired") is True else _numbered(status) if status != 200 else number
        return Result("BEDROCK", request_id, None, code or "ERROR", status)
    return Result("BEDROCK", request_id, output) if isinstance(output, dict) else None


def _gemini_or_vertex(value: Mapping[str, Any]) -> Result | None:
    request, response = object_in(value.get("request")), object_in(value.get("response"))
    if "request" in value and ("contents" in mapping(request) or "messages" in mapping(request)):
        return _vertex(value, mapping(request), response)
    if is_body(response):
        provider = "GEMINI" if is_gemini(mapping(response)) else "OPENAI"
        provider = "VERTEX" if "processed_time" in value or "request" in value else provider
        return Result(provider, _request_id(value, {}), response)
    keyed = _request_id(value, {})
    if keyed is not None and mapping(response).get("candidates") == []:
        return Result("GEMINI", keyed, response)
    error = mapping(value.get("error") or mapping(response).get("error"))
    return _google_error(error, keyed) if keyed is not None else None


def _google_error(error: Mapping[str, Any], request_id: str | None) -> Result | None:
    code = error.get("code")
    if not isinstance(code, int) or "message" not in error:
        return None
    return Result("GEMINI", request_id, None, text(error.get("status")) or _numbered(code), code)


def _vertex(value: Mapping[str, Any], request: Mapping[str, Any], response: Any) -> Result | None:
    request_id, status = _request_id(value, request), value.get("status")
    if isinstance(status, str) and status.strip() and (_names_error(status) or not is_body(response)):
        code, http_status = _vertex_status(status)
        return Result("VERTEX", request_id, None, code, http_status)
    return Result("VERTEX", request_id, response) if isinstance(response, dict) else None


def _bare(value: Mapping[str, Any]) -> Result | None:
    if "error" in value and _ERROR_FIELDS.issuperset(value):
        return _bare_error(value)
    if not is_body(value):
        return None
    provider = "GEMINI" if is_gemini(value) else "ANTHROPIC" if isinstance(value.get("content"), list) else "OPENAI"
    return Result(provider, None, value)


def _bare_error(value: Mapping[str, Any]) -> Result | None:
    error = value["error"]
    if not _is_error(error) or not error.get("message"):
        return None
    provider = "ANTHROPIC" if value.get("type") == "error" else "OPENAI"
    return _google_error(error, None) or Result(provider, None, None, _error_code(error) or "ERROR")


def _request_id(value: Mapping[str, Any], request: Mapping[str, Any]) -> str | None:
    """What a line of Google's says of its request: itself, or a label of the request, or the request's metadata."""
    for place in (value, mapping(request.get("labels")), mapping(value.get("metadata"))):
        for name in ID_FIELDS:
            if name in place and (found := _id(place[name])) is not None:
                return found
    return None


def _names_error(status: str) -> bool:
    """Whether Vertex's text for people has an error's number or name.

    >>> _names_error("Error code: 429"), _names_error('{"code": 200, "status": "OK"}'), _names_error("done")
    (True, False, False)
    """
    number, name = _STATUS_NUMBER.search(status), _STATUS_NAME.search(status)
    is_number = number is not None and int(number[1]) != 0 and not 200 <= int(number[1]) < 300
    return is_number or (name is not None and name[1] != "OK")


def _vertex_status(status: str) -> tuple[str, int]:
    """Code and HTTP status out of Vertex's text for people.

    >>> _vertex_status('Bad Request: {"error": {"code": 400, "status": "INVALID_ARGUMENT"}}')
    ('INVALID_ARGUMENT', 400)
    >>> _vertex_status("Too Many Requests: slow down")
    ('Too Many Requests', 200)
    """
    number, name = _STATUS_NUMBER.search(status), _STATUS_NAME.search(status)
    code = int(number.group(1)) if number else 0
    if name:
        return name.group(1), code or 200
    if code:
        return _numbered(code), code
    return status.partition(":")[0], 200


def _numbered(code: int) -> str:
    """
    >>> _numbered(8), _numbered(429), _numbered(77)
    ('RESOURCE_EXHAUSTED', 'RESOURCE_EXHAUSTED', 'CODE_77')
    """
    return code_of_http(code) if code >= 100 else _GRPC_CODES.get(code, f"CODE_{code}")


def _id(value: Any) -> str | None:
    return text(value).strip() or None
