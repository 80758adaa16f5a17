import json
import pickle
from typing import Any

import pytest

from transforms.batch import Record
from transforms.errors import RecordError
from transforms.models.provider_error import ProviderError
from transforms.models.results import unwrapped

_ADA = '{"name": "Ada"}'
_USAGE = {"prompt_tokens": 22, "completion_tokens": 2}


def _chat(content: Any = _ADA, finish: str = "stop", **message: Any) -> dict[str, Any]:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-4o",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
        ],
        "usage": _USAGE,
    }
    return _openai(body)


def _openai(body: Any, status: int = 200, error: Any = None) -> dict[str, Any]:
    response = {"status_code": status, "request_id": "req_1", "body": body}
    return {"id": "batch_req_1", "custom_id": "p1", "response": response, "error": error}


def _response(*output: dict[str, Any], **body: Any) -> dict[str, Any]:
    return _openai({"id": "resp_1", "object": "response", "status": "completed", "output": list(output), **body})


def _said(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": list(content)}


def _anthropic(*content: dict[str, Any], stop: str = "end_turn") -> dict[str, Any]:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": list(content), "stop_reason": stop}
    return {"custom_id": "p1", "result": {"type": "succeeded", "message": message}}


def _gemini_body(*parts: dict[str, Any], finish: str = "STOP") -> dict[str, Any]:
    return {
        "candidates": [{"content": {"parts": list(parts), "role": "model"}, "finishReason": finish}],
        "usageMetadata": {"totalTokenCount": 11},
        "modelVersion": "gemini-2.5-flash",
    }


def _vertex(response: Any, status: str = "", **fields: Any) -> dict[str, Any]:
    request = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "labels": fields.pop("labels", {})}
    return {
        "status": status,
        "processed_time": "2026-11-13T14:04:28.376+00:00",
        "request": request,
        "response": response,
        **fields,
    }


def _errored(kind: str) -> dict[str, Any]:
    error = {"type": "error", "error": {"type": kind, "message": "secret"}, "request_id": "req_1"}
    return {"custom_id": "p1", "result": {"type": "errored", "error": error}}


def _record(value: dict[str, Any]) -> Record:
    return Record(7, value, 3, json.dumps(value).encode())


@pytest.mark.parametrize(
    ("line", "fallback_id"),
    [
        (_chat(), "p1"),
        (_chat([{"type": "text", "text": _ADA}]), "p1"),
        (_chat(None, "tool_calls", tool_calls=[{"function": {"name": "save", "arguments": _ADA}}]), "p1"),
        (_chat(None, "stop", function_call={"name": "save", "arguments": _ADA}), "p1"),
        ({key: value for key, value in _chat().items() if key not in ("id", "error")}, "p1"),
        (_openai({"object": "text_completion", "choices": [{"text": _ADA, "finish_reason": "stop"}]}), "p1"),
        (_response({"type": "reasoning", "summary": []}, _said({"type": "output_text", "text": _ADA})), "p1"),
        (_response({"type": "function_call", "name": "save", "arguments": _ADA}), "p1"),
        (_anthropic({"type": "text", "text": _ADA}), "p1"),
        (_anthropic({"type": "thinking", "thinking": "{}"}, {"type": "text", "text": _ADA}), "p1"),
        (
            _anthropic(
                {"type": "text", "text": "I save it."},
                {"type": "tool_use", "name": "save", "input": {"name": "Ada"}},
                stop="tool_use",
            ),
            "p1",
        ),
        (_vertex(_gemini_body({"text": _ADA})), None),
        (_vertex(_gemini_body({"text": _ADA}), key="p1"), "p1"),
        (_vertex(_gemini_body({"text": _ADA}), labels={"team": "hr", "custom_id": "p1"}), "p1"),
        (
            {
                "custom_id": "p1",
                "request": {"messages": []},
                "response": _anthropic({"type": "text", "text": _ADA})["result"]["message"],
                "status": "",
            },
            "p1",
        ),
        ({"key": "p1", "response": _gemini_body({"text": "hm", "thought": True}, {"text": _ADA})}, "p1"),
        ({"key": "p1", "response": _gemini_body({"functionCall": {"name": "save", "args": {"name": "Ada"}}})}, "p1"),
        ({"metadata": {"key": "p1"}, "response": _gemini_body({"text": '{"name":'}, {"text": ' "Ada"}'})}, "p1"),
        (_gemini_body({"text": _ADA}), None),
    ],
)
def test_the_models_answer_becomes_the_record(line: dict[str, Any], fallback_id: str | None) -> None:
    record = _record(line)
    (found,) = unwrapped(record)
    assert found.value == {"name": "Ada"}
    assert found.fallback_id == fallback_id
    assert (found.position, found.line, found.raw) == (record.position, record.line, record.raw)


def _failed(code: str | None, kind: str = "invalid_request_error", status: int = 400) -> dict[str, Any]:
    return _openai({"error": {"message": "secret", "type": kind, "param": None, "code": code}}, status)


@pytest.mark.parametrize(
    ("line", "code", "ask_again"),
    [
        (_failed("context_length_exceeded"), "OPENAI_CONTEXT_LENGTH_EXCEEDED", False),
        (_failed(None), "OPENAI_INVALID_REQUEST_ERROR", False),
        (_failed("rate_limit_exceeded", status=429), "OPENAI_RATE_LIMIT_EXCEEDED", True),
        (_failed("odd", status=503), "OPENAI_ODD", True),
        (_openai("secret", 502), "OPENAI_HTTP_502", True),
        (
            {"id": "b", "custom_id": "p1", "response": None, "error": {"code": "batch_expired", "message": "secret"}},
            "OPENAI_BATCH_EXPIRED",
            True,
        ),
        (_chat(None, refusal="secret"), "OPENAI_REFUSAL", False),
        (_chat('{"name": "Ad', "length"), "OPENAI_LENGTH", False),
        (_chat("", "content_filter"), "OPENAI_CONTENT_FILTER", False),
        (_chat(None), "OPENAI_NO_ANSWER", False),
        (_openai({"choices": []}), "OPENAI_NO_ANSWER", False),
        (_openai({"object": "list", "data": []}), "OPENAI_NO_ANSWER", False),
        (_response(_said({"type": "refusal", "refusal": "secret"})), "OPENAI_REFUSAL", False),
        (
            _response(status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
            "OPENAI_MAX_OUTPUT_TOKENS",
            False,
        ),
        (_response(status="failed", error={"code": "server_error", "message": "secret"}), "OPENAI_SERVER_ERROR", True),
        (_response(status="cancelled"), "OPENAI_CANCELLED", True),
        (_errored("invalid_request_error"), "ANTHROPIC_INVALID_REQUEST_ERROR", False),
        (_errored("overloaded_error"), "ANTHROPIC_OVERLOADED_ERROR", True),
        ({"custom_id": "p1", "result": {"type": "canceled"}}, "ANTHROPIC_CANCELED", True),
        ({"custom_id": "p1", "result": {"type": "expired"}}, "ANTHROPIC_EXPIRED", True),
        (_anthropic({"type": "text", "text": '{"name": "A'}, stop="max_tokens"), "ANTHROPIC_MAX_TOKENS", False),
        (_anthropic(stop="refusal"), "ANTHROPIC_REFUSAL", False),
        (_anthropic({"type": "text", "text": " "}), "ANTHROPIC_NO_ANSWER", False),
        (
            _vertex({}, 'Bad Request: {"error": {"code": 400, "message": "secret", "status": "INVALID_ARGUMENT"}}'),
            "VERTEX_INVALID_ARGUMENT",
            False,
        ),
        (_vertex({}, "Too Many Requests: secret"), "VERTEX_TOO_MANY_REQUESTS", True),
        (_vertex({}, "Error code: 429 secret"), "VERTEX_RESOURCE_EXHAUSTED", True),
        (_vertex({"promptFeedback": {"blockReason": "SAFETY"}}), "VERTEX_SAFETY", False),
        (_vertex(_gemini_body({"text": "{"}, finish="MAX_TOKENS")), "VERTEX_MAX_TOKENS", False),
        (_vertex({}), "VERTEX_NO_ANSWER", False),
        ({"key": "p1", "response": _gemini_body({"text": "{"}, finish="MAX_TOKENS")}, "GEMINI_MAX_TOKENS", False),
        ({"key": "p1", "response": _gemini_body(finish="RECITATION")}, "GEMINI_RECITATION", False),
        (
            {"key": "p1", "response": {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}},
            "GEMINI_PROHIBITED_CONTENT",
            False,
        ),
        ({"key": "p1", "error": {"code": 3, "message": "secret"}}, "GEMINI_INVALID_ARGUMENT", False),
        ({"key": "p1", "error": {"code": 14, "message": "secret"}}, "GEMINI_UNAVAILABLE", True),
        ({"key": "p1", "error": {"code": 503, "message": "secret"}}, "GEMINI_UNAVAILABLE", True),
    ],
)
def test_what_is_no_complete_answer_carries_the_providers_code(
    line: dict[str, Any], code: str, ask_again: bool
) -> None:
    with pytest.raises(ProviderError) as caught:
        unwrapped(_record(line))
    assert (caught.value.code, caught.value.ask_again) == (code, ask_again)
    assert code.partition("_")[2] in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    "value",
    [
        {"custom_id": "p1", "name": "Ada"},
        {"key": "p1", "response": "yes"},
        {"key": "p1", "response": {"text": "yes"}},
        {"key": "p1", "response": {"candidates": ["Ada"]}},
        {"key": "p1", "error": {"code": "E1"}},
        {"custom_id": "p1", "result": {"type": "hired"}},
        {"request": {"for": "leave"}, "response": {"granted": True}, "status": "done"},
        {"candidates": [{"name": "Ada"}]},
        {"candidates": [{"content": "x"}], "job": "engineer"},
        {"error": "none", "id": 1},
    ],
)
def test_a_record_that_only_resembles_a_result_is_left_alone(value: dict[str, Any]) -> None:
    record = _record(value)
    assert unwrapped(record) == (record,)


def test_several_tools_called_are_not_one_record() -> None:
    calls = [{"function": {"name": "save", "arguments": _ADA}}] * 2
    with pytest.raises(RecordError, match="MODEL_ANSWER_NOT_ONE_OBJECT: the model called 2 tools"):
        unwrapped(_record(_chat(None, "tool_calls", tool_calls=calls)))


def test_a_provider_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(ProviderError("OPENAI", "odd", 503)))
    assert (error.code, error.ask_again) == ("OPENAI_ODD", True)
