"""Only an answer that its provider is known to call finished is used, in whichever spelling it says so."""

import json

import pytest

from transforms.batch import Record
from transforms.errors import RecordError
from transforms.models.bodies import is_finished
from transforms.models.results import unwrapped

ADA, CUT = '{"name": "Ada"}', '{"name": "Ada", "skills": ["Py'


def chat(reason, text=ADA, name="finish_reason"):
    choice = {"index": 0, "message": {"role": "assistant", "content": text}}
    return {"choices": [choice if reason is ... else {**choice, name: reason}]}


def responses(status, text=ADA, item_status="completed", **body):
    item = {"type": "message", "content": [{"type": "output_text", "text": text}], "status": item_status}
    return {"object": "response", "output": [item], **({} if status is ... else {"status": status}), **body}


def anthropic(reason, text=ADA, name="stop_reason"):
    body = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": text}]}
    return body if reason is ... else {**body, name: reason}


def gemini(reason, text=ADA, name="finishReason"):
    candidate = {"content": {"parts": [{"text": text}]}}
    return {"candidates": [candidate if reason is ... else {**candidate, name: reason}], "modelVersion": "g"}


def converse(reason, text=ADA, name="stopReason"):
    body = {"output": {"message": {"role": "assistant", "content": [{"text": text}]}}, "usage": {}}
    return body if reason is ... else {**body, name: reason}


def openai_line(body):
    return {"custom_id": "p1", "response": {"status_code": 200, "body": body}, "error": None}


def anthropic_line(body):
    return {"custom_id": "p1", "result": {"type": "succeeded", "message": body}}


def gemini_line(body):
    return {"key": "p1", "response": body}


def bedrock_line(body):
    return {"recordId": "p1", "modelInput": {"messages": []}, "modelOutput": body}


PROVIDERS = {
    "OPENAI chat": (openai_line, chat, ("finish_reason", "finishReason")),
    "ANTHROPIC": (anthropic_line, anthropic, ("stop_reason", "stopReason")),
    "GEMINI": (gemini_line, gemini, ("finishReason", "finish_reason")),
    "BEDROCK converse": (bedrock_line, converse, ("stopReason", "stop_reason")),
    "BEDROCK claude": (bedrock_line, anthropic, ("stop_reason", "stopReason")),
    "BEDROCK chat": (bedrock_line, chat, ("finish_reason", "stop_reason")),
}


def read(line):
    (record,) = unwrapped(Record(0, line, 1, json.dumps(line).encode()))
    return record.value


def code_of(line):
    with pytest.raises(RecordError) as caught:
        read(line)
    return caught.value.code


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    "verdict",
    ["stop", "STOP", "Stop", "end_turn", "END_TURN", "endTurn", "stop_sequence", "tool_use", "toolUse", "TOOL_CALLS",
     "tool_calls", "COMPLETE", "eos_token", "FinishReason.STOP", "FINISH_REASON_STOP", " stop "],
)  # fmt: skip
def test_finished_is_finished_in_every_spelling(provider, verdict):
    line, body, names = PROVIDERS[provider]
    for name in names:
        assert read(line(body(verdict, name=name))) == {"name": "Ada"}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        ("length", "LENGTH"),
        ("MAX_TOKENS", "MAX_TOKENS"),
        ("maxTokens", "MAXTOKENS"),
        ("content_filter", "CONTENT_FILTER"),
        ("guardrail_intervened", "GUARDRAIL_INTERVENED"),
        ("FINISH_REASON_UNSPECIFIED", "FINISH_REASON_UNSPECIFIED"),
        ("something new", "SOMETHING_NEW"),
        ("stop!", "STOP"),
        ("non-stop", "NON_STOP"),
        ("", "NO_FINISH_REASON"),
        (None, "NO_FINISH_REASON"),
        (..., "NO_FINISH_REASON"),
        ([], "NO_FINISH_REASON"),
        (True, "NO_FINISH_REASON"),
        (0, "0"),
    ],
)
@pytest.mark.parametrize("text", [ADA, CUT], ids=["whole", "cut"])
def test_anything_else_is_not_finished_though_the_text_may_be_whole(provider, verdict, code, text):
    line, body, names = PROVIDERS[provider]
    for name in names:
        assert code_of(line(body(verdict, text, name))) == f"{provider.partition(' ')[0]}_{code}"


def test_the_number_that_stands_for_stop_is_that_of_gemini_alone():
    assert read(gemini_line(gemini(1))) == {"name": "Ada"}
    assert code_of(openai_line(chat(1, name="stop_reason"))) == "OPENAI_1"


def test_what_ends_a_text_for_vllm_does_not_hide_why_it_ended():
    choice = {"message": {"content": ADA}, "finish_reason": "length", "stop_reason": "stop"}
    assert code_of(openai_line({"choices": [choice]})) == "OPENAI_LENGTH"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (responses("incomplete", incomplete_details={"reason": "max_output_tokens"}), "OPENAI_MAX_OUTPUT_TOKENS"),
        (responses("incomplete", incompleteDetails={"reason": "max_output_tokens"}), "OPENAI_MAX_OUTPUT_TOKENS"),
        (responses("in_progress"), "OPENAI_IN_PROGRESS"),
        (responses(...), "OPENAI_NO_FINISH_REASON"),
        (responses(None), "OPENAI_NO_FINISH_REASON"),
        ({"object": "response", "output": []}, "OPENAI_NO_ANSWER"),
        (responses("completed", item_status="incomplete"), "OPENAI_INCOMPLETE"),
        (responses("completed", item_status=None), "OPENAI_NO_FINISH_REASON"),
    ],
)
def test_a_response_and_each_of_its_items_has_to_be_completed(body, code):
    assert read(openai_line(responses("completed"))) == {"name": "Ada"}
    assert code_of(openai_line(body)) == code


def test_a_tool_call_that_is_not_completed_is_not_used():
    call = {"type": "function_call", "name": "save", "arguments": ADA}
    body = {"object": "response", "status": "completed", "output": [call]}
    assert read(openai_line(body)) == {"name": "Ada"}
    assert code_of(openai_line({**body, "output": [{**call, "status": "incomplete"}]})) == "OPENAI_INCOMPLETE"


CALLS = {
    "OPENAI chat": lambda text, verdict: openai_line(
        {
            "choices": [
                {
                    "message": {"content": text, "tool_calls": [{"function": {"arguments": ADA}}]},
                    "finish_reason": verdict,
                }
            ]
        }
    ),
    "GEMINI": lambda text, verdict: gemini_line(
        {
            "candidates": [
                {
                    "content": {"parts": [{"text": text}, {"functionCall": {"args": {"name": "Ada"}}}]},
                    "finishReason": verdict,
                }
            ]
        }
    ),
    "OPENAI responses": lambda text, verdict: openai_line(
        {
            **responses("completed", text),
            "output": [*responses("completed", text)["output"], {"type": "function_call", "arguments": ADA}],
        }
    ),
}


@pytest.mark.parametrize("provider", CALLS)
def test_a_text_beside_a_tool_call_is_another_answer_if_it_is_json(provider):
    bob = '{"name": "Bob"}'
    assert code_of(CALLS[provider](bob, "stop")) == "AMBIGUOUS_ANSWER"
    assert read(CALLS[provider]("I save it.", "stop")) == read(CALLS[provider](ADA, "stop")) == {"name": "Ada"}


@pytest.mark.parametrize("verdict", ["tool_calls", "toolUse", "FUNCTION_CALL"])
def test_a_provider_that_says_so_means_the_tool_call(verdict):
    bob = '{"name": "Bob"}'
    assert read(CALLS["OPENAI chat"](bob, verdict)) == read(CALLS["GEMINI"](bob, verdict)) == {"name": "Ada"}


def test_of_several_choices_those_count_that_are_finished():
    def choices(*pairs):
        return openai_line({"choices": [chat(reason, text)["choices"][0] for reason, text in pairs]})

    bob = '{"name": "Bob"}'
    assert (
        read(choices(("length", CUT), ("stop", ADA)))
        == read(choices(("stop", ADA), ("length", bob)))
        == {"name": "Ada"}
    )
    assert (
        read(choices(("stop", ADA), ("stop", ADA))) == read(choices(("stop", "no"), ("stop", ADA))) == {"name": "Ada"}
    )
    assert (
        code_of(choices(("stop", ADA), ("stop", bob)))
        == code_of(choices(("stop", bob), ("stop", ADA)))
        == "AMBIGUOUS_ANSWER"
    )
    assert code_of(choices(("length", CUT), ("content_filter", ""))) == "OPENAI_LENGTH"


def test_of_several_candidates_those_count_that_are_finished():
    def candidates(*pairs):
        found = [gemini(reason, text)["candidates"][0] for reason, text in pairs]
        return gemini_line({"candidates": found, "modelVersion": "g"})

    assert read(candidates(("SAFETY", ""), ("STOP", ADA))) == {"name": "Ada"}
    assert code_of(candidates(("STOP", ADA), ("STOP", '{"name": "Bob"}'))) == "AMBIGUOUS_ANSWER"


def test_the_message_that_a_response_calls_final_is_the_answer():
    def messages(*pairs):
        items = [
            {**responses("completed", text)["output"][0], **({"phase": phase} if phase else {})}
            for phase, text in pairs
        ]
        return openai_line({"object": "response", "status": "completed", "output": items})

    bob = '{"name": "Bob"}'
    assert read(messages(("commentary", bob), ("final_answer", ADA))) == {"name": "Ada"}
    assert code_of(messages((None, bob), (None, ADA))) == "AMBIGUOUS_ANSWER"
    assert code_of(messages((None, '{"name": "A'), (None, 'da"}'))) == "MODEL_ANSWER_CUT_OFF"


def test_texts_with_something_else_between_them_are_not_put_together():
    def blocks(*found):
        return anthropic_line({**anthropic("end_turn"), "content": list(found)})

    text = {"type": "text", "text": '{"name": "A'}
    rest = {"type": "text", "text": 'da"}'}
    assert read(blocks(text, rest)) == {"name": "Ada"}
    assert code_of(blocks(text, {"type": "thinking", "thinking": "hm"}, rest)) == "MODEL_ANSWER_CUT_OFF"


def test_a_verdict_of_another_type_is_no_verdict():
    assert not any(map(is_finished, (None, 1.0, {}, ["stop"], b"stop", False)))
