"""A provider's line is recognised by what it has, and gives the record, or the records, that the model gave."""

import json

import pytest

from transforms.batch import Record
from transforms.errors import RecordError
from transforms.models.options import AnswerOptions
from transforms.models.results import unwrapped

ADA = '{"name": "Ada"}'
CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "choices": [{"message": {"content": ADA}, "finish_reason": "stop"}],
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": ADA}],
    "stop_reason": "end_turn",
}
RESPONSE = {
    "object": "response",
    "status": "completed",
    "output": [{"type": "message", "content": [{"type": "output_text", "text": ADA}]}],
}
GEMINI = {"candidates": [{"content": {"parts": [{"text": ADA}]}, "finishReason": "STOP"}], "usageMetadata": {}}
PROMPT = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}

OPENAI_LINE = {
    "id": "batch_req_1",
    "custom_id": "p1",
    "response": {"status_code": 200, "request_id": "r", "body": CHAT},
    "error": None,
}
ANTHROPIC_LINE = {"custom_id": "p1", "result": {"type": "succeeded", "message": MESSAGE}}
VERTEX_LINE = {"status": "", "processed_time": "2026-11-13T14:04:28Z", "request": PROMPT, "response": GEMINI}
GEMINI_LINE = {"key": "p1", "response": GEMINI}
BEDROCK_LINE = {"recordId": "p1", "modelInput": {"prompt": "hi"}, "modelOutput": MESSAGE}
LINES = {
    "OpenAI": OPENAI_LINE,
    "Anthropic": ANTHROPIC_LINE,
    "Vertex": VERTEX_LINE,
    "Gemini": GEMINI_LINE,
    "Bedrock": BEDROCK_LINE,
}


def records(line, **options):
    raw = json.dumps(line).encode()
    return unwrapped(Record(5, json.loads(raw), 2, raw), AnswerOptions(**options))


def record(line, **options):
    (found,) = records(line, **options)
    return found


def code_of(line):
    with pytest.raises(RecordError) as caught:
        records(line)
    return caught.value.code


@pytest.mark.parametrize("provider", LINES)
def test_fields_of_the_users_own_do_not_hide_a_result_and_go_with_the_record(provider):
    own = {"candidate_id": "cand-1", "url": "http://x", "n": 7, "score": 0.5, "new": True}
    dropped = {
        "tags": ["a"],
        "map": {"b": 1},
        "none": None,
        "long": "x" * 1501,
        "big": 2**63,
        "é" * 201: 1,
        "odd": "\ud800",
        "__a__": 1,
        "": 2,
    }
    found = record({**LINES[provider], **own, **dropped})
    assert (found.value, found.answer.source_fields) == ({"name": "Ada"}, own)
    # All of them but the null, which says nothing.
    assert found.answer.n_fields_dropped == len(dropped) - 1


@pytest.mark.parametrize("provider", LINES)
def test_what_the_provider_wrote_itself_is_neither_carried_nor_counted(provider):
    answer = record(LINES[provider]).answer
    assert (answer.source_fields, answer.n_fields_dropped) == ({}, 0)


@pytest.mark.parametrize(
    "body",
    [
        {**CHAT, "created": 1, "model": "m", "usage": {}, "system_fingerprint": "fp", "service_tier": None},
        {**CHAT, "prompt_filter_results": [{}], "usage": {}},
        {**MESSAGE, "model": "claude", "stop_sequence": None, "usage": {}, "container": {}, "context_management": {}},
        {**RESPONSE, "error": None, "incomplete_details": None, "reasoning": {}, "text": {}, "tools": [], "usage": {}},
        {**GEMINI, "modelVersion": "g", "responseId": "r", "promptFeedback": {}, "createTime": "2026-01-01T00:00:00Z"},
    ],
)
def test_a_response_saved_without_a_batch_has_fields_of_the_user_s_own_only_where_no_provider_has_them(body):
    answer = record(body).answer
    assert (answer.source_fields, answer.n_fields_dropped) == ({}, 0)
    answer = record({**body, "run": 7, "mine": {"a": 1}}).answer
    assert (answer.source_fields, answer.n_fields_dropped) == ({"run": 7}, 1)


def test_several_records_of_an_answer_each_lack_what_was_dropped():
    found = records({**answering(BOTH), "mine": [1], "url": "http://x"})
    assert [each.answer.n_fields_dropped for each in found] == [1, 1]


@pytest.mark.parametrize(
    ("line", "request_id"),
    [
        (OPENAI_LINE, "p1"),
        ({**OPENAI_LINE, "custom_id": 42}, "42"),
        ({"customId": "p1", "response": {"statusCode": 200, "body": CHAT}}, "p1"),
        ({"custom_id": "p1", "response": {"body": CHAT}}, "p1"),
        ({"custom_id": "p1", "response": {"status_code": "200", "body": json.dumps(CHAT)}}, "p1"),
        ({"custom_id": "p1", "response": CHAT}, "p1"),
        ({"custom_id": " ", "response": {"status_code": 200, "body": RESPONSE}}, None),
        ({"response": {"status_code": 200, "body": CHAT}}, None),
        ({"custom_id": 7, "result": {"type": "succeeded", "message": MESSAGE}}, "7"),
        (VERTEX_LINE, None),
        ({**VERTEX_LINE, "request": {**PROMPT, "labels": {"custom_id": "p1"}}}, "p1"),
        ({**VERTEX_LINE, "request": json.dumps(PROMPT), "response": json.dumps(GEMINI)}, None),
        ({**VERTEX_LINE, "request": "not JSON", "key": 3}, "3"),
        ({"request": PROMPT, "response": GEMINI}, None),
        ({**GEMINI_LINE, "key": 12}, "12"),
        ({"metadata": {"key": "p1", "run": 2}, "response": GEMINI}, "p1"),
        ({"id": "x", "response": GEMINI}, None),
        (BEDROCK_LINE, "p1"),
        ({"modelInput": {}, "modelOutput": {"generation": ADA, "stop_reason": "stop"}}, None),
        (CHAT, None),
        (MESSAGE, None),
        (RESPONSE, None),
        (GEMINI, None),
    ],
)
def test_a_result_is_recognised_by_what_it_has(line, request_id):
    found = record(line)
    assert (found.value, found.fallback_id) == ({"name": "Ada"}, request_id)
    assert found.raw == json.dumps(line).encode()


@pytest.mark.parametrize(
    "output",
    [
        {"results": [{"outputText": ADA, "completionReason": "FINISH"}], "inputTextTokenCount": 5},
        {"generation": ADA, "stop_reason": "stop", "prompt_token_count": 5},
        {"outputs": [{"text": ADA, "stop_reason": "stop"}]},
        {"generations": [{"text": ADA, "finish_reason": "COMPLETE"}]},
        {"text": ADA, "finish_reason": "COMPLETE"},
        {"message": {"role": "assistant", "content": [{"type": "text", "text": ADA}]}, "finish_reason": "COMPLETE"},
        {"completion": ADA, "stop_reason": "stop_sequence"},
        {"choices": [{"text": ADA, "stop_reason": "stop"}]},
        {"output": {"message": {"content": [{"text": ADA}]}}, "stopReason": "end_turn"},
        {
            "output": {
                "message": {"content": [{"reasoningContent": {"reasoningText": {"text": "{}"}}}, {"text": ADA}]}
            },
            "stopReason": "end_turn",
        },
        {
            "output": {"message": {"content": [{"toolUse": {"name": "save", "input": {"name": "Ada"}}}]}},
            "stopReason": "tool_use",
        },
    ],
)
def test_every_model_of_bedrock_is_read(output):
    assert record({**BEDROCK_LINE, "modelOutput": output}).value == {"name": "Ada"}


def test_what_is_in_snake_case_elsewhere_is_the_same():
    candidate = {
        "content": {"parts": [{"function_call": {"name": "save", "args": {"name": "Ada"}}}]},
        "finish_reason": "STOP",
    }
    assert record({"key": "p1", "response": {"candidates": [candidate], "usage_metadata": {}}}).value == {"name": "Ada"}
    message = {"toolCalls": [{"function": {"arguments": ADA}}]}
    chat = {"choices": [{"message": message, "finishReason": "toolCalls"}]}
    assert record({"custom_id": "p1", "response": {"body": chat}}).value == {"name": "Ada"}
    assert code_of({"key": "p1", "response": {"prompt_feedback": {"block_reason": "SAFETY"}}}) == "GEMINI_SAFETY"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ({**OPENAI_LINE, "name": "x", "response": {"status_code": 200, "body": {}}}, "OPENAI_NO_ANSWER"),
        ({**OPENAI_LINE, "response": {"status_code": 0, "body": ""}}, "OPENAI_HTTP_0"),
        ({**OPENAI_LINE, "response": {"status_code": 400, "body": {"error": {"code": "too_long"}}}}, "OPENAI_TOO_LONG"),
        ({**OPENAI_LINE, "response": {"status_code": 400, "body": {"error": "secret"}}}, "OPENAI_HTTP_400"),
        ({**OPENAI_LINE, "response": {"body": {"error": "secret"}}}, "OPENAI_ERROR"),
        (
            {
                **OPENAI_LINE,
                "response": {"status_code": 529, "body": {"type": "error", "error": {"type": "overloaded_error"}}},
            },
            "OPENAI_OVERLOADED_ERROR",
        ),
        ({"custom_id": 1, "result": {"type": "expired"}}, "ANTHROPIC_EXPIRED"),
        ({"key": "p1", "response": {"candidates": []}}, "GEMINI_NO_ANSWER"),
        ({"key": 1, "response": {"candidates": [], "usageMetadata": {}}}, "GEMINI_NO_ANSWER"),
        (
            {"recordId": "p1", "modelInput": {}, "error": {"errorCode": 400, "errorMessage": "secret"}},
            "BEDROCK_INVALID_ARGUMENT",
        ),
        (
            {"recordId": "p1", "modelInput": {}, "error": {"errorCode": 503, "errorMessage": "secret"}},
            "BEDROCK_UNAVAILABLE",
        ),
        ({"recordId": "p1", "modelInput": {}, "error": {"errorCode": 400, "expired": True}}, "BEDROCK_EXPIRED"),
        ({"recordId": "p1", "modelInput": {}, "modelOutput": {}}, "BEDROCK_NO_ANSWER"),
        (
            {"recordId": "p1", "modelInput": {}, "error": {"errorCode": "ThrottlingException", "errorMessage": "x"}},
            "BEDROCK_THROTTLINGEXCEPTION",
        ),
        ({**OPENAI_LINE, "error": {"code": "server_error", "message": "secret"}}, "OPENAI_SERVER_ERROR"),
        ({"custom_id": "p1", "response": {"error": {"code": "rate_limit", "message": "secret"}}}, "OPENAI_RATE_LIMIT"),
        ({**OPENAI_LINE, "response": {"error": {"type": "overloaded", "message": "secret"}}}, "OPENAI_OVERLOADED"),
        ({"key": "p1", "response": {"error": {"code": 429, "message": "secret"}}}, "GEMINI_RESOURCE_EXHAUSTED"),
        ({**VERTEX_LINE, "status": "Error code: 429 secret"}, "VERTEX_RESOURCE_EXHAUSTED"),
        ({**VERTEX_LINE, "status": 'secret {"error": {"status": "INVALID_ARGUMENT"}}'}, "VERTEX_INVALID_ARGUMENT"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "secret"}}, "ANTHROPIC_OVERLOADED_ERROR"),
        ({"error": {"message": "secret", "type": "invalid_request", "code": None}}, "OPENAI_INVALID_REQUEST"),
        ({"error": {"code": 429, "message": "secret", "status": "RESOURCE_EXHAUSTED"}}, "GEMINI_RESOURCE_EXHAUSTED"),
    ],
)
def test_what_a_provider_could_not_answer_carries_its_code(line, code):
    with pytest.raises(RecordError) as caught:
        records(line)
    assert (caught.value.code, "secret" in caught.value.message) == (code, False)


# Several records.

BOTH = [{"name": "Ada", "candidate_id": "ada"}, {"name": "Bob"}]


def answering(value):
    body = {"choices": [{"message": {"content": json.dumps(value)}, "finish_reason": "stop"}]}
    return {**OPENAI_LINE, "response": {"status_code": 200, "body": body}}


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (BOTH, ()),
        (BOTH, ("profiles",)),
        ({"profiles": BOTH}, ("profiles",)),
        ({"data": {"profiles": BOTH, "n": 2}}, ("data", "profiles")),
        ([{"profiles": [BOTH[0]]}, {"profiles": BOTH[1]}], ("profiles",)),
        ([{"profiles": BOTH}], ("profiles",)),
        ([{"profiles": [BOTH[0]]}, BOTH[1]], ("profiles",)),
    ],
)
def test_an_answer_with_several_records_gives_each_its_place_and_an_id(value, path):
    found = records(answering(value), records_path=path)
    assert [each.value for each in found] == BOTH
    assert [(each.fallback_id, each.answer.part) for each in found] == [("p1-1", 1), ("p1-2", 2)]
    assert {(each.position, each.line, each.raw) for each in found} == {(5, 2, None)}
    assert found[1].original == {"name": "Bob"}


def test_several_records_of_a_line_without_an_id_have_none():
    found = records({"response": {"status_code": 200, "body": answering(BOTH)["response"]["body"]}})
    assert [each.fallback_id for each in found] == [None, None]


@pytest.mark.parametrize(
    ("value", "path", "kept"),
    [
        ([BOTH[0]], (), BOTH[0]),
        ({"profiles": [BOTH[0]]}, ("profiles",), BOTH[0]),
        ({"profiles": BOTH[0]}, ("profiles",), BOTH[0]),
        ({"profiles": BOTH}, (), {"profiles": BOTH}),
        ({"other": BOTH}, ("profiles",), {"other": BOTH}),
        ({"profiles": 7}, ("profiles", "x"), {"profiles": 7}),
    ],
)
def test_an_answer_with_one_record_is_named_by_the_request(value, path, kept):
    found = record(answering(value), records_path=path)
    assert (found.value, found.fallback_id, found.answer.part) == (kept, "p1", 0)
    assert found.raw is not None


@pytest.mark.parametrize("value", [[], [1], {"profiles": []}, {"profiles": [1]}, {"profiles": "x"}])
def test_an_answer_without_an_object_where_records_should_be_is_refused(value):
    with pytest.raises(RecordError, match=r"^MODEL_ANSWER_NOT_OBJECTS: "):
        records(answering(value), records_path=("profiles",))


def test_what_was_repaired_is_told_with_the_record():
    body = {"choices": [{"message": {"content": "{'name': 'Ada',}"}, "finish_reason": "stop"}]}
    line = {**OPENAI_LINE, "response": {"status_code": 200, "body": body}}
    assert record(line).answer.repairs == ("single_quotes", "trailing_commas")
    assert record(OPENAI_LINE).answer.repairs == ()


@pytest.mark.parametrize("status", ["OK", "200", "success", "JOB_STATE_SUCCEEDED"])
def test_a_status_of_vertex_that_names_no_error_does_not_hide_the_answer(status):
    assert record({**VERTEX_LINE, "status": status}).value == {"name": "Ada"}


def test_an_error_that_says_nothing_is_none():
    assert record({**OPENAI_LINE, "error": {"code": None, "message": ""}}).value == {"name": "Ada"}
    assert record({**OPENAI_LINE, "error": {}}).value == {"name": "Ada"}
