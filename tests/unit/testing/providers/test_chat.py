"""Single questions at the scripted providers: what they are answered, what goes wrong, and the bill. Official classes
judge every answer."""

import asyncio
import hashlib
import json
import time

import anthropic
import openai
import pytest
from anthropic.types import Message
from google.genai.types import GenerateContentResponse
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from tests.support.chat import INSTRUCTIONS, PAYLOAD, SCHEMA
from tests.support.provider_client import ProviderClient
from tests.support.provider_in_thread import provider_in_thread
from transforms.models.answers import answer_in
from transforms.models.bodies import said_in
from transforms.models.provider_error import ProviderError
from transforms.testing.providers import answer_to, scripted_provider

ANSWER = {"name": "Ada Lovelace", "level": answer_to(SCHEMA, PAYLOAD)["level"]}
COMPLETION = {
    "model": "m-1",
    "messages": [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": PAYLOAD}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}},
}
MESSAGE = {
    "model": "m-1",
    "max_tokens": 200,
    "system": [{"type": "text", "text": INSTRUCTIONS, "cache_control": {"type": "ephemeral"}}],
    "messages": [{"role": "user", "content": PAYLOAD}],
    "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
}
CONTENTS = {
    "systemInstruction": {"parts": [{"text": INSTRUCTIONS}]},
    "contents": [{"role": "user", "parts": [{"text": PAYLOAD}]}],
    "generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA},
}
VERTEX = "/v1/projects/p/locations/l/publishers/google/models/m-1:generateContent"
ASKED = {
    "openai": ("/chat/completions", COMPLETION, ChatCompletion, "OPENAI"),
    "azure_openai": ("/chat/completions", COMPLETION, ChatCompletion, "OPENAI"),
    "groq": ("/chat/completions", COMPLETION, ChatCompletion, "OPENAI"),
    "together": ("/chat/completions", COMPLETION, ChatCompletion, "OPENAI"),
    "mistral": ("/v1/chat/completions", COMPLETION, ChatCompletion, "OPENAI"),
    "anthropic": ("/v1/messages", MESSAGE, Message, "ANTHROPIC"),
    "gemini": ("/v1beta/models/m-1:generateContent", CONTENTS, GenerateContentResponse, "GEMINI"),
    "vertex": (VERTEX, CONTENTS, GenerateContentResponse, "VERTEX"),
}
_OF_GOOGLE = {"refused": "SAFETY", "cut_off": "MAX_TOKENS", "unfinished": "NO_FINISH_REASON"}
CODES = {
    "OPENAI": {"refused": "REFUSAL", "cut_off": "LENGTH", "unfinished": "NO_FINISH_REASON"},
    "ANTHROPIC": {"refused": "REFUSAL", "cut_off": "MAX_TOKENS", "unfinished": "NO_FINISH_REASON"},
    "GEMINI": _OF_GOOGLE,
    "VERTEX": _OF_GOOGLE,
}


def ask(provider, name):
    path, body, _, _ = ASKED[name]
    return ProviderClient(provider.base_url).post(path, body, **{"anthropic-version": "2023-06-01"})


def judged(name, answer):
    """The answer, if the official class accepts it as it is."""
    kind = ASKED[name][2]
    kind.model_validate(answer, strict=True) if name not in ("gemini", "vertex") else kind.model_validate(answer)
    return answer


@pytest.mark.parametrize("name", ASKED)
def test_an_answer_fits_the_schema_repeats_what_the_payload_has_and_is_charged(name):
    with provider_in_thread(name) as provider:
        answered = ask(provider, name)
        assert answered.status == 200, answered
        said = answer_in(said_in(ASKED[name][3], judged(name, answered.json)))
        assert said.records == (ANSWER,)
        (call,) = provider.calls()
        assert call.payload_sha256 == hashlib.sha256(PAYLOAD.encode()).hexdigest()
        assert (call.ordinal, call.model, call.outcome, call.at_once) == (0, "m-1", "answered", 1)
        assert call.input_tokens == len(INSTRUCTIONS) // 4 + len(PAYLOAD) // 4
        assert call.output_tokens == len(json.dumps(ANSWER)) // 4


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("outcome", ["refused", "cut_off", "unfinished"])
def test_an_answer_that_cannot_be_used_is_said_as_the_provider_says_it_and_charged(name, outcome):
    with provider_in_thread(name, {"chat": [{"outcome": outcome}]}) as provider:
        answered = ask(provider, name)
        body = answered.json if outcome == "unfinished" else judged(name, answered.json)
        with pytest.raises(ProviderError) as failed:
            said_in(ASKED[name][3], body)
        assert failed.value.code == f"{ASKED[name][3]}_{CODES[ASKED[name][3]][outcome]}"
        assert [call.outcome for call in provider.calls()] == [outcome]


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ({"outcome": "broken"}, json.dumps(ANSWER)[: len(json.dumps(ANSWER)) // 2]),
        ({"outcome": "violation"}, json.dumps({"level": ANSWER["level"]})),
        ({"outcome": "several"}, json.dumps([ANSWER, {"level": ANSWER["level"]}])),
        ({"answer": {"name": "Grace"}}, '{"name": "Grace"}'),
        ({"answer": "as it is"}, "as it is"),
        ({"has": "Grace", "answer": "not meant"}, json.dumps(ANSWER)),
        ({"has": ["Grace", "Ada"], "answer": "meant"}, "meant"),
        ({"nth": 1, "answer": "not meant"}, json.dumps(ANSWER)),
    ],
)
def test_what_a_script_lets_the_model_say(script, text):
    with provider_in_thread("openai", {"chat": [script]}) as provider:
        assert ask(provider, "openai").json["choices"][0]["message"]["content"] == text


def test_instructions_are_read_from_the_cache_once_they_have_been_written_to_it():
    with provider_in_thread("anthropic", {"cache_min_tokens": 1}) as provider:
        usages = [judged("anthropic", ask(provider, "anthropic").json)["usage"] for _ in range(2)]
        shared = len(INSTRUCTIONS) // 4
        assert [each["cache_creation_input_tokens"] for each in usages] == [shared, 0]
        assert [each["cache_read_input_tokens"] for each in usages] == [0, shared]
        assert [each["input_tokens"] for each in usages] == [len(PAYLOAD) // 4] * 2
        assert [call.cached_tokens for call in provider.calls()] == [0, shared]


def test_a_limit_is_said_by_headers_and_then_by_refusals_with_a_wait():
    with provider_in_thread("openai", {"limits": {"requests_per_min": 2}}, lambda: 1_000.0) as provider:
        answers = [ask(provider, "openai") for _ in range(3)]
        assert [each.status for each in answers] == [200, 200, 429]
        assert [each.headers["x-ratelimit-remaining-requests"] for each in answers] == ["1", "0", "0"]
        assert answers[1].headers["x-ratelimit-reset-requests"] == "60.000s"
        assert answers[2].headers["Retry-After"] == "30"
        assert answers[2].json["error"]["code"] == "rate_limit_exceeded"
        assert len(provider.calls()) == 2


def test_a_limit_may_be_silent():
    script = {"limits": {"requests_per_min": 1, "says": False, "retry_after": False}}
    with provider_in_thread("anthropic", script, lambda: 1_000.0) as provider:
        first, second = ask(provider, "anthropic"), ask(provider, "anthropic")
        assert (first.status, second.status) == (200, 429)
        assert not [
            name for name in (*first.headers, *second.headers) if "limit" in name.lower() or "retry" in name.lower()
        ]


def test_gemini_says_the_wait_in_the_refusal():
    script = {"endpoints": [{"endpoint": "chat", "status": 429, "retry_after": 7}]}
    with provider_in_thread("gemini", script) as provider:
        refused = ask(provider, "gemini")
        assert "Retry-After" not in refused.headers
        assert refused.json["error"]["details"][0]["retryDelay"] == "7s"


def test_each_question_may_fail_once_and_is_not_charged_for_that():
    entry = {"endpoint": "chat", "status": 529, "each": True, "has": "Ada"}
    with provider_in_thread("anthropic", {"endpoints": [entry]}) as provider:
        assert [ask(provider, "anthropic").status for _ in range(3)] == [529, 200, 200]
        other = {**MESSAGE, "messages": [{"role": "user", "content": "Ada again"}]}
        client = ProviderClient(provider.base_url)
        statuses = [client.post("/v1/messages", other, **{"anthropic-version": "x"}).status for _ in range(2)]
        assert statuses == [529, 200]
        assert len(provider.calls()) == 3


def test_an_answer_that_is_lost_is_charged():
    with provider_in_thread("openai", {"endpoints": [{"endpoint": "chat", "lost": "after"}]}) as provider:
        with pytest.raises(OSError):
            ask(provider, "openai")
        assert len(provider.calls()) == 1


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("openai", {**COMPLETION, "max_tokens": 1, "max_completion_tokens": 1}, "at the same time"),
        ("openai", {"model": "m"}, "you must provide"),
        ("anthropic", {**MESSAGE, "max_tokens": None}, "max_tokens: Field required"),
        ("gemini", {**CONTENTS, "generationConfig": {"responseJsonSchema": SCHEMA}}, "needs responseMimeType"),
    ],
)
def test_what_a_provider_would_not_take_is_refused(name, body, message):
    with provider_in_thread(name) as provider:
        refused = ProviderClient(provider.base_url).post(ASKED[name][0], body)
        assert refused.status == 400
        assert message in refused.json["error"]["message"]


@pytest.mark.parametrize("change", [{"additionalProperties": True}, {"required": ["name"]}])
def test_a_schema_that_cannot_be_enforced_is_refused(change):
    schema = {**SCHEMA, **change}
    body = {**MESSAGE, "output_config": {"format": {"type": "json_schema", "schema": schema}}}
    with provider_in_thread("anthropic") as provider:
        refused = ProviderClient(provider.base_url).post("/v1/messages", body)
        assert refused.status == 400
        assert "Invalid schema" in refused.json["error"]["message"]


def test_the_official_clients_are_answered():
    with provider_in_thread("openai") as provider:
        client = openai.OpenAI(api_key="key", base_url=provider.base_url, max_retries=0)
        assert json.loads(client.chat.completions.create(**COMPLETION).choices[0].message.content) == ANSWER
        provider.script({"endpoints": [{"endpoint": "chat", "status": 429, "retry_after": 1}]})
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(**COMPLETION)
    with provider_in_thread("anthropic") as provider:
        with anthropic.Anthropic(api_key="key", base_url=provider.base_url, max_retries=0) as official:
            assert json.loads(official.messages.create(**MESSAGE).content[0].text) == ANSWER


def test_questions_overlap_and_the_server_says_how_many():
    async def many(url):
        async with openai.AsyncOpenAI(api_key="key", base_url=url, max_retries=0) as client:
            await asyncio.gather(*(client.chat.completions.create(**COMPLETION) for _ in range(4)))

    with provider_in_thread("openai", {"chat": [{"latency_s": 1.0}]}) as provider:
        began = time.monotonic()
        asyncio.run(many(provider.base_url))
        assert time.monotonic() - began < 4 * 1.0
        assert max(call.at_once for call in provider.calls()) > 1


def test_a_server_in_a_process_of_its_own_has_a_bill_too():
    with scripted_provider("groq", {"chat": [{"answer": {"name": "Ada"}}]}) as provider:
        assert ask(provider, "groq").status == 200
        assert [call.outcome for call in provider.calls()] == ["answered"]


NULLABLE = {"anyOf": [{"type": "string"}, {"type": "null"}]}
RICH = {
    "type": "object",
    "properties": {
        "city": NULLABLE,
        "tags": {"type": "array", "items": {"type": "string"}},
        "score": {"type": "number"},
        "place": {"$ref": "#/$defs/place"},
        "kind": {"type": ["string", "null"]},
    },
    "$defs": {"place": {"type": "object", "properties": {"zip": {"type": "integer"}}}},
}


@given(st.text())
def test_an_answer_is_the_same_at_any_time_and_of_the_right_types(payload):
    answer = answer_to(RICH, payload)
    assert answer == answer_to(RICH, payload)
    assert [*answer] == [*RICH["properties"]]
    assert isinstance(answer["city"], str)
    assert all(isinstance(tag, str) for tag in answer["tags"])
    assert isinstance(answer["place"]["zip"], int)


def test_what_the_payload_has_is_repeated_where_it_fits():
    payload = json.dumps({"city": None, "tags": ["a"], "score": "high", "place": {"zip": 8_001}, "kind": "x"})
    answer = answer_to(RICH, payload)
    assert (answer["tags"], answer["place"], answer["kind"]) == (["a"], {"zip": 8_001}, "x")
    assert isinstance(answer["score"], float)
