"""Results of model batches, recognised record by record: the model's answer becomes the record.

| provider                                | a line is                                                          |
|-----------------------------------------|--------------------------------------------------------------------|
| OpenAI, and those who speak its format  | `{"custom_id", "response": {"status_code", "body"}, "error"}`; the  |
|                                         | body a chat completion, a completion or a response                 |
| Anthropic message batches               | `{"custom_id", "result": {"type": "succeeded" …, "message"}}`      |
| Vertex AI: Gemini, Claude, open models  | `{"request", "response", "status", "processed_time"}`              |
| Gemini API                              | `{"key", "response"}` or `{"key", "error"}`; inlined, with         |
|                                         | `{"metadata": {"key"}}` for the key; a bare response               |

A line counts as a provider's only if it has these fields, no others, and their values have the provider's shape; a
record that merely has a field named `key`, `custom_id` or `response` is left alone. What a provider reports as failed,
refused or cut off is a `ProviderError`, its code `PROVIDER_THEIR_CODE`; a cut-off answer is never repaired. The id the
request carried (`custom_id`, `key`; on Vertex also a label of that name) is the record's `fallback_id`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from transforms.batch import Record
from transforms.errors import code_of_http
from transforms.models.answers import ProviderError, answer_of_body, object_of

_OPENAI_FIELDS = frozenset({"id", "custom_id", "response", "error"})
_VERTEX_FIELDS = frozenset({"status", "processed_time", "request", "response", "key", "custom_id"})
_GEMINI_FIELDS = frozenset({"key", "metadata", "response", "error"})
_GEMINI_BODY_FIELDS = frozenset(
    {"candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId", "createTime", "modelStatus"}
)
_ANTHROPIC_OUTCOMES = frozenset({"succeeded", "errored", "canceled", "expired"})
# Every shape above has one of these at the top.
_MARKS = frozenset({"custom_id", "request", "response", "candidates", "error", "promptFeedback"})

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


class _Result(NamedTuple):
    """One recognised line: who sent it, the request's id, and either the response's body or what went wrong."""

    provider: str
    request_id: str | None
    body: Mapping[str, Any] | None
    error_code: str = ""
    http_status: int = 200


def unwrapped(record: Record) -> Record:
    """The record a model's answer holds if `record` is a provider's result; else `record` itself.

    Raises:
      ProviderError: the provider reports no usable answer.
      RecordError: MODEL_ANSWER_NOT_JSON, MODEL_ANSWER_NOT_ONE_OBJECT.
    """
    value = record.value
    if _MARKS.isdisjoint(value):
        return record
    result = _openai(value) or _anthropic(value) or _vertex(value) or _gemini(value)
    if result is None:
        return record
    if result.body is None:
        raise ProviderError(result.provider, result.error_code, http_status=result.http_status)
    answer = answer_of_body(result.provider, result.body)
    return replace(record, value=object_of(answer), fallback_id=result.request_id)


def _openai(value: Mapping[str, Any]) -> _Result | None:
    request_id, response, error = value.get("custom_id"), value.get("response"), value.get("error")
    if not isinstance(request_id, str) or not _OPENAI_FIELDS.issuperset(value):
        return None
    if isinstance(error, Mapping) and error.keys() & {"code", "message"} and not response:
        return _Result("OPENAI", request_id, None, _text(error.get("code")) or _text(error.get("type")) or "ERROR")
    if not isinstance(response, Mapping) or "status_code" not in response or "body" not in response:
        return None
    status, body = response["status_code"], response["body"]
    body_error = body.get("error") if isinstance(body, Mapping) else None
    if isinstance(body_error, Mapping):
        code = _text(body_error.get("code")) or _text(body_error.get("type")) or f"HTTP_{status}"
        return _Result("OPENAI", request_id, None, code, status if isinstance(status, int) else 200)
    if status != 200 or not isinstance(body, Mapping):
        return _Result("OPENAI", request_id, None, f"HTTP_{status}", status if isinstance(status, int) else 200)
    return _Result("OPENAI", request_id, body)


def _anthropic(value: Mapping[str, Any]) -> _Result | None:
    request_id, result = value.get("custom_id"), value.get("result")
    if value.keys() != {"custom_id", "result"} or not isinstance(request_id, str) or not isinstance(result, Mapping):
        return None
    outcome = result.get("type")
    if outcome not in _ANTHROPIC_OUTCOMES:
        return None
    message = result.get("message")
    if outcome == "succeeded":
        return _Result("ANTHROPIC", request_id, message) if isinstance(message, Mapping) else None
    error = result.get("error")
    if isinstance(error, Mapping) and isinstance(error.get("error"), Mapping):
        error = error["error"]
    code = _text(error.get("type")) if isinstance(error, Mapping) else ""
    return _Result("ANTHROPIC", request_id, None, code or str(outcome))


def _vertex(value: Mapping[str, Any]) -> _Result | None:
    request, response, status = value.get("request"), value.get("response"), value.get("status")
    if not isinstance(request, Mapping) or not _VERTEX_FIELDS.issuperset(value):
        return None
    if "contents" not in request and "messages" not in request:
        return None
    request_id = _vertex_id(value, request)
    if isinstance(status, str) and status.strip():
        code, http_status = _vertex_status(status)
        return _Result("VERTEX", request_id, None, code, http_status)
    return _Result("VERTEX", request_id, response) if isinstance(response, Mapping) else None


def _vertex_id(value: Mapping[str, Any], request: Mapping[str, Any]) -> str | None:
    labels = request.get("labels")
    for place in (value, labels if isinstance(labels, Mapping) else {}):
        for name in ("custom_id", "key"):
            if isinstance(place.get(name), str):
                return str(place[name])
    return None


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


def _gemini(value: Mapping[str, Any]) -> _Result | None:
    if _is_gemini_body(value) and _GEMINI_BODY_FIELDS.issuperset(value):
        return _Result("GEMINI", None, value)
    metadata = value.get("metadata")
    request_id = value.get("key", metadata.get("key") if isinstance(metadata, Mapping) else None)
    if not isinstance(request_id, str) or not _GEMINI_FIELDS.issuperset(value):
        return None
    response, error = value.get("response"), value.get("error")
    if isinstance(response, Mapping) and _is_gemini_body(response):
        return _Result("GEMINI", request_id, response)
    if isinstance(error, Mapping) and isinstance(error.get("code"), int) and "message" in error:
        code: int = error["code"]
        return _Result("GEMINI", request_id, None, _text(error.get("status")) or _numbered(code), code)
    return None


def _is_gemini_body(value: Mapping[str, Any]) -> bool:
    candidates, feedback = value.get("candidates"), value.get("promptFeedback")
    if isinstance(feedback, Mapping) and "blockReason" in feedback:
        return True
    if not isinstance(candidates, list) or not candidates or not isinstance(candidates[0], Mapping):
        return isinstance(value.get("usageMetadata"), Mapping) and "candidates" not in value
    return "content" in candidates[0] or "finishReason" in candidates[0]


def _numbered(code: int) -> str:
    """
    >>> _numbered(8), _numbered(429), _numbered(77)
    ('RESOURCE_EXHAUSTED', 'RESOURCE_EXHAUSTED', 'CODE_77')
    """
    return code_of_http(code) if code >= 100 else _GRPC_CODES.get(code, f"CODE_{code}")


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
