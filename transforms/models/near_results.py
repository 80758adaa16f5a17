"""Lines that are nearly results of a model batch: they say so, instead of being stored as records.

A request has no answer yet, a batch's description has a file in which they are, embeddings are none. The reason begins
with what the line looks like, because it is the file that is the wrong one then, not the line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transforms.errors import RecordError
from transforms.models.bodies import either, is_body, mapping, object_in

_PROMPTS = ("messages", "contents", "input", "prompt", "inputText")
_REQUEST = "results are read; give the batch's output file"
_DESCRIBED = frozenset({"request_counts", "endpoint", "input_file_id", "completion_window"})
# What a line has that has nothing of its user's own.
_RESULT = frozenset({"id", "custom_id", "customId", "response", "result", "error"})
_KEYED = frozenset({"key", "response"})
EMBEDDINGS = "it holds embeddings, and no answer of a model"


def check_not_near_result(value: Mapping[str, Any]) -> None:
    """Raises RecordError, NOT_A_MODEL_ANSWER, if a line is nearly one of a model batch."""
    found = _request(value) or _description(value) or _without_answer(value) or _prediction(value) or _other(value)
    if found:
        raise near(*found)


def near(what: str, why: str) -> RecordError:
    """For a line that is not quite what it seems.

    >>> near("a result of a batch", "it has no message").message
    'the line looks like a result of a batch, but it has no message'
    """
    return RecordError("NOT_A_MODEL_ANSWER", f"the line looks like {what}, but {why}")


def holds_embeddings(body: Any) -> bool:
    """Whether a response holds embeddings: of OpenAI, of Gemini, of Vertex AI, of Bedrock."""
    if isinstance(body, list):
        return bool(body) and holds_embeddings(body[0])
    found = mapping(body)
    return any(
        bool(found.get(name)) and (name.startswith("embedding") or holds_embeddings(found[name]))
        for name in ("embedding", "embeddings", "embeddingsByType", "data", "predictions", "prediction")
    )


def _request(value: Mapping[str, Any]) -> tuple[str, str] | None:
    if "response" in value or "result" in value:
        return None
    has_id = either(value, "custom_id") is not None
    if has_id and _asks(value.get("params")):
        return "a request of an Anthropic batch", _REQUEST
    body = value.get("body")
    if (has_id or "url" in value) and (
        _asks(body) or (isinstance(body, dict) and "url" in value and "method" in value)
    ):
        return "a request of an OpenAI batch", _REQUEST
    if "status" not in value and "error" not in value and _asks(value.get("request")):
        return "a request of a Gemini or Vertex AI batch", _REQUEST
    if "modelOutput" not in value and "error" not in value and _asks(value.get("modelInput")):
        return "a request of a Bedrock batch", _REQUEST
    return None


def _asks(request: Any) -> bool:
    return any(name in mapping(object_in(request)) for name in _PROMPTS)


def _description(value: Mapping[str, Any]) -> tuple[str, str] | None:
    is_batch = value.get("object") == "batch" or value.get("type") == "message_batch"
    if is_batch and not _DESCRIBED.isdisjoint(value):
        return "the description of a batch", "its results are read; download them and give that file"
    return None


def _without_answer(value: Mapping[str, Any]) -> tuple[str, str] | None:
    response, result = value.get("response"), mapping(value.get("result"))
    if "modelInput" in value and "recordId" in value:
        return "a result of a Bedrock batch", "it has neither an output nor an error that can be read"
    is_vertex = _asks(value.get("request")) or ("processed_time" in value and "request" in value)
    is_empty = not response and "response" in value and _KEYED.issuperset(value)
    if (is_vertex and ("response" in value or "status" in value)) or is_empty:
        return "a result of a Gemini or Vertex AI batch", "it has no response that can be read"
    has_id, has_status = either(value, "custom_id") is not None, either(mapping(response), "status_code") is not None
    if "body" in mapping(response) and (has_id or has_status):
        return "a result of an OpenAI batch", "its body is not an object"
    if not has_id:
        return None
    if "result" in value and not value["result"] and _RESULT.issuperset(value):
        return "a result of an Anthropic batch", "it has no result that can be read"
    is_empty = not response and not {"response", "error"}.isdisjoint(value) and _RESULT.issuperset(value)
    if ("response" in value and "error" in value and not isinstance(response, dict)) or is_empty:
        return "a result of an OpenAI batch", "it has neither a response nor an error that can be read"
    if isinstance(response, dict) and ("error" in value or has_status):
        return "a result of an OpenAI batch", "its response has no body"
    if result.get("type") == "succeeded" and not is_body(result.get("message")):
        return "a result of an Anthropic batch", "it has no message"
    if is_body(result.get("message")) or isinstance(result.get("error"), dict):
        return "a result of an Anthropic batch", "its type is not known"
    return None


def _prediction(value: Mapping[str, Any]) -> tuple[str, str] | None:
    """Of Vertex AI's models that are not read, and embeddings."""
    if "instance" in value and holds_embeddings(value):
        return "a prediction of Vertex AI", EMBEDDINGS
    instance = mapping(value.get("instance"))
    if ("prediction" in value or "predictions" in value) and (_asks(instance) or (instance and "status" in value)):
        return "a prediction of Vertex AI", "it has no response that can be read"
    is_keyed = "key" in value or either(value, "custom_id") is not None or "metadata" in value
    if is_keyed and holds_embeddings(value.get("response")):
        return "a result of a batch", EMBEDDINGS
    return None


def _other(value: Mapping[str, Any]) -> tuple[str, str] | None:
    """Of a response that was saved without a batch."""
    if value.get("object") == "list" and holds_embeddings(value):
        return "a response saved without a batch", EMBEDDINGS
    if value.get("type") == "message" and "role" in value and "stop_reason" in value:
        return "a response saved without a batch", "it has no answer that can be read"
    if str(value.get("object")).endswith("completion.chunk"):
        return "a piece of a streamed response", "whole responses are read"
    return None
