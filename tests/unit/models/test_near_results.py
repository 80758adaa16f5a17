"""What is only nearly a provider's line says so instead of becoming a record; what only resembles one is a record."""

import json

import pytest

from tests.unit.models.test_envelopes import (
    ADA,
    BEDROCK_LINE,
    GEMINI,
    MESSAGE,
    OPENAI_LINE,
    PROMPT,
    VERTEX_LINE,
    record,
    records,
)
from transforms.errors import RecordError


@pytest.mark.parametrize(
    ("line", "what", "why"),
    [
        (
            {
                "custom_id": "p1",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {"model": "m", "messages": []},
            },
            "a request of an OpenAI batch",
            "results are read",
        ),
        (
            {"custom_id": "p1", "body": {"model": "m", "input": "hi"}},
            "a request of an OpenAI batch",
            "results are read",
        ),
        (
            {"custom_id": "p1", "params": {"model": "m", "max_tokens": 9, "messages": []}},
            "a request of an Anthropic batch",
            "results are read",
        ),
        ({"key": "p1", "request": PROMPT}, "a request of a Gemini or Vertex AI batch", "results are read"),
        ({"id": "x", "request": PROMPT}, "a request of a Gemini or Vertex AI batch", "results are read"),
        ({"recordId": "p1", "modelInput": {"messages": []}}, "a request of a Bedrock batch", "results are read"),
        (
            {"id": "batch_1", "object": "batch", "request_counts": {}, "status": "completed"},
            "the description of a batch",
            "its results are read",
        ),
        (
            {"id": "b", "type": "message_batch", "request_counts": {}},
            "the description of a batch",
            "its results are read",
        ),
        ({"custom_id": "p1", "response": None, "error": None}, "a result of an OpenAI batch", "it has neither"),
        (
            {"custom_id": "p1", "response": {"status_code": 200}, "error": None},
            "a result of an OpenAI batch",
            "its response has no body",
        ),
        ({"custom_id": "p1", "result": {"type": "succeeded"}}, "a result of an Anthropic batch", "it has no message"),
        (
            {"custom_id": "p1", "result": {"type": "done", "message": MESSAGE}},
            "a result of an Anthropic batch",
            "its type is not known",
        ),
        (
            {
                **OPENAI_LINE,
                "response": {"status_code": 200, "body": {"object": "list", "data": [{"embedding": [0.1]}]}},
            },
            "a result of a batch",
            "it holds embeddings",
        ),
        ({"key": "p1", "response": {"embedding": {"values": [0.1]}}}, "a result of a batch", "it holds embeddings"),
        ({**BEDROCK_LINE, "modelOutput": {"embedding": [0.1]}}, "a result of a batch", "it holds embeddings"),
        (
            {"instance": {"content": "hi"}, "predictions": [{"embeddings": {"values": [0.1]}}], "status": ""},
            "a prediction of Vertex AI",
            "it holds embeddings",
        ),
        (
            {"instance": {"prompt": "hi"}, "predictions": [{"content": ADA}]},
            "a prediction of Vertex AI",
            "it has no response that can be read",
        ),
        (
            {"instance": {"content": "hi"}, "predictions": [{"content": ADA}], "status": ""},
            "a prediction of Vertex AI",
            "it has no response that can be read",
        ),
        (
            {"instance": PROMPT, "prediction": json.dumps(GEMINI)},
            "a prediction of Vertex AI",
            "it has no response that can be read",
        ),
        (
            {"custom_id": "p1", "method": "POST", "url": "/v1/responses", "body": {"model": "m", "instructions": "x"}},
            "a request of an OpenAI batch",
            "results are read",
        ),
        ({"request": json.dumps(PROMPT)}, "a request of a Gemini or Vertex AI batch", "results are read"),
        (
            {"request": json.dumps(PROMPT), "response": json.dumps([GEMINI]), "status": ""},
            "a result of a Gemini or Vertex AI batch",
            "it has no response that can be read",
        ),
        (
            {"id": "batch_1", "object": "batch", "endpoint": "/v1/responses", "status": "completed"},
            "the description of a batch",
            "its results are read",
        ),
        (
            {"object": "list", "data": [{"object": "embedding", "embedding": [0.1]}], "model": "m"},
            "a response saved without a batch",
            "it holds embeddings",
        ),
        (
            {"id": "c", "object": "chat.completion.chunk", "choices": [{"delta": {"content": ADA}}]},
            "a piece of a streamed response",
            "whole responses are read",
        ),
        (
            {**OPENAI_LINE, "response": {"status_code": 200, "body": "<html>"}},
            "a result of an OpenAI batch",
            "its body is not an object",
        ),
        (
            {**OPENAI_LINE, "response": {"status_code": 200, "body": None}},
            "a result of an OpenAI batch",
            "its body is not an object",
        ),
        ({"response": {"status_code": 200, "body": "x"}}, "a result of an OpenAI batch", "its body is not an object"),
        ({"custom_id": "p1", "response": {"body": [1]}}, "a result of an OpenAI batch", "its body is not an object"),
    ],
)
@pytest.mark.parametrize(
    "own", [{}, {"candidate_id": "cand-1", "url": "http://x"}], ids=["as it is", "with own fields"]
)
def test_a_line_that_is_nearly_a_result_says_what_it_looks_like(line, what, why, own):
    with pytest.raises(RecordError) as caught:
        records({**line, **own})
    assert caught.value.code == "NOT_A_MODEL_ANSWER"
    assert caught.value.message.startswith(f"the line looks like {what}, but {why}")


@pytest.mark.parametrize(
    "value",
    [
        {"custom_id": "p1", "name": "Ada", "body": {"height": 180}},
        {"custom_id": "p1", "params": {"colour": "red"}},
        {"key": "p1", "request": "please", "response": "yes"},
        {"id": 1, "object": "chair", "status": "done"},
        {"id": 1, "instance": "prod", "prediction": 0.7},
        {"id": 1, "response": {"embedding": "deep"}},
        {"id": 1, "choices": ["a", "b"], "candidates": [{"name": "x", "content": "y"}]},
        {"id": 1, "stop_reason": "end of contract", "content": "x"},
        {"id": 1, "error": {"code": 404, "message": "x"}},
        {"recordId": 1, "error": "none"},
        {"id": 1, "custom_id": "p1", "response": "yes"},
        {"custom_id": "p1", "result": {"score": 1}},
        {"custom_id": "p1", "result": None, "name": "Ada"},
        {"key": "p1", "response": None, "name": "Ada"},
        {"custom_id": "p1", "name": "Ada", "error": "none"},
        {"id": 1, "object": "list", "data": ["a"]},
        {"id": 1, "object": "batch", "size": 7},
        {"id": 1, "instance": {"size": "large"}, "predictions": [0.7]},
        {"id": 1, "error": {"code": 404, "message": "x"}, "type": "error"},
        {"error": {"code": 404}},
    ],
)
def test_a_record_that_has_a_field_of_the_same_name_is_left_alone(value):
    assert record(value).answer is None
    assert record(value).value == value


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ({"custom_id": "p1", "error": "timeout"}, "a result of an OpenAI batch"),
        ({"id": "b", "custom_id": "p1", "error": "timeout", "response": ""}, "a result of an OpenAI batch"),
        ({"id": "b", "custom_id": "p1", "error": None}, "a result of an OpenAI batch"),
        ({"id": "b", "customId": 7, "response": {}}, "a result of an OpenAI batch"),
        ({"custom_id": "p1", "result": None}, "a result of an Anthropic batch"),
        ({"custom_id": "p1", "result": {}}, "a result of an Anthropic batch"),
        ({"key": "p1", "response": None}, "a result of a Gemini or Vertex AI batch"),
        ({"key": "p1", "response": {}}, "a result of a Gemini or Vertex AI batch"),
        ({**VERTEX_LINE, "request": None, "response": {}}, "a result of a Gemini or Vertex AI batch"),
        (
            {**VERTEX_LINE, "request": {"x": 1}, "response": "", "status": "late"},
            "a result of a Gemini or Vertex AI batch",
        ),
        ({**MESSAGE, "content": None}, "a response saved without a batch"),
    ],
)
def test_what_has_nothing_but_what_a_provider_writes_is_no_record(line, what):
    with pytest.raises(RecordError, match=f"^NOT_A_MODEL_ANSWER: the line looks like {what}, but it has n"):
        records(line)
