"""Whatever a provider's line holds in any place: it is one record or one dead letter, and the next line is read."""

import json

import pytest

from tests.unit.models.test_envelopes import (
    BEDROCK_LINE,
    BOTH,
    CHAT,
    GEMINI,
    LINES,
    MESSAGE,
    PROMPT,
    RESPONSE,
    answering,
)

ADA = '{"name": "Ada"}'
ERROR = {"code": "too_long", "message": "x", "type": "error", "error": {"type": "overloaded_error"}}
CALL = {"type": "function", "function": {"name": "save", "arguments": ADA}}
CALLING = {
    "content": [{"type": "text", "text": "{}"}],
    "refusal": None,
    "tool_calls": [CALL],
    "function_call": {"arguments": ADA},
}
FUNCTION = {"content": {"parts": [{"functionCall": {"args": {"name": "Ada"}}}]}, "finishReason": "STOP"}
CONVERSED = {"content": [{"text": "{}"}, {"toolUse": {"input": {"a": 1}}}]}


def openai(body, status=200):
    return {**LINES["OpenAI"], "response": {"status_code": status, "body": body}}


def bedrock(output):
    return {**BEDROCK_LINE, "modelOutput": output}


SHAPES = {
    **LINES,
    "responses": openai({**RESPONSE, "error": None, "incomplete_details": None}),
    "tools": openai({"choices": [{"index": 0, "message": CALLING, "finish_reason": "stop"}]}),
    "failed": openai({"error": ERROR}, 400),
    "error": {**LINES["OpenAI"], "response": None, "error": ERROR},
    "errored": {"custom_id": "p1", "result": {"type": "errored", "error": ERROR}},
    "tool use": {
        "custom_id": "p1",
        "result": {"type": "succeeded", "message": {**MESSAGE, "content": [{"type": "tool_use", "input": {"a": 1}}]}},
    },
    "labels": {**LINES["Vertex"], "request": {**PROMPT, "labels": {"key": "p1"}}, "status": 'Bad: {"code": 400}'},
    "blocked": {"metadata": {"key": "p1"}, "response": {"promptFeedback": {"blockReason": "SAFETY"}}},
    "function": {"key": "p1", "response": {**GEMINI, "candidates": [FUNCTION]}},
    "google error": {"key": "p1", "error": {"code": 3, "message": "x", "status": "INVALID"}},
    "converse": bedrock({"output": {"message": CONVERSED}, "stopReason": "end_turn"}),
    "titan": bedrock({"results": [{"outputText": "{}", "completionReason": "FINISH"}]}),
    "bedrock error": {"recordId": "p1", "modelInput": {}, "error": {"errorCode": 400, "errorMessage": "x"}},
    "request": {"custom_id": "p1", "url": "/v1", "body": {"messages": []}, "params": {"messages": []}},
    "embeddings": {"instance": {}, "predictions": [{"embeddings": {"values": [0.1]}}]},
    "several": answering({"profiles": BOTH}),
    "bare": CHAT,
}
SCALARS = [None, True, False, 0, -1, 1.5, 10**30, float("nan"), "", "x", "1", "{", '{"a": 1}', "\ud800"]
VALUES = [*SCALARS, [], [None], [[]], [0], ["x"], [{}], {}, {"x": None}, {"type": []}]


def places(value, path=()):
    """The paths of everything in a value, the value itself included."""
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from places(member, (*path, name))


def mutated(value, path, new):
    """A copy of a value that has another one in a place."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = mutated(value[path[0]], path[1:], new)
    return copy


@pytest.mark.parametrize("shape", SHAPES)
def test_a_line_of_any_shape_is_a_record_or_a_dead_letter_of_its_own_and_no_error(read, shape):
    lines = [json.dumps(mutated(SHAPES[shape], path, value)) for path in places(SHAPES[shape]) for value in VALUES]
    found = read("\n".join(lines).encode(), records_path="profiles", batch_size=10_000)
    assert [letter.message for letter in found.dead_letters if letter.code == "UNEXPECTED_ERROR"] == []
    of_records = {record.line for record in found.records}
    of_dead_letters = [letter.line for letter in found.dead_letters]
    assert sorted([*of_records, *of_dead_letters]) == list(range(1, len(lines) + 1))
