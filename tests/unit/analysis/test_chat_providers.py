"""Every shipped `chat:` section, asked through the client, against the scripted server of its provider."""

import asyncio
import json

import anthropic.types
import openai.types.chat
import pydantic
import pytest
from aiohttp import web

from tests.support.chat import PAYLOAD, SCHEMA, VARIABLES, chat_api, request
from tests.support.clocks import Time
from tests.support.provider_host import host, in_turn
from tests.support.provider_in_thread import provider_in_thread
from transforms.analysis.chat import CallFailedError, Tokens
from transforms.models.answers import answer_in
from transforms.models.bodies import said_in
from transforms.testing.providers import answer_to

CHATS = ("anthropic", "azure_openai", "gemini", "groq", "mistral", "openai", "together", "vertex")
SAY_THEIR_LIMITS = ("anthropic", "azure_openai", "groq", "mistral", "openai")


def asked_of(name, script, *payloads, clock=None, max_attempts=3, now=None):
    """Answers to questions one after another, the bill, and the statuses of all requests."""

    async def scenario(url):
        async with chat_api(url, name, clock=clock, max_attempts=max_attempts) as api:
            return [await api.ask(request(payload)) for payload in payloads]

    options = {"now": now} if now else {}
    with provider_in_thread(name, script, **options) as provider:
        answers = asyncio.run(scenario(provider.base_url))
        return answers, provider.calls(), [each.status for each in provider.requests("chat")]


@pytest.mark.parametrize("name", CHATS)
def test_an_answer_is_the_record_that_the_schema_wants_and_costs_what_is_billed(name):
    payloads = [PAYLOAD, '{"name": "Grace Hopper"}']
    answers, bill, _ = asked_of(name, {"cache_min_tokens": 1}, *payloads)
    for answer, payload in zip(answers, payloads, strict=True):
        assert answer_in(said_in(answer.provider, answer.body)).records == (answer_to(SCHEMA, payload),)
    is_marked = name == "anthropic"  # only there it is said what was written to the cache
    assert [answer.tokens for answer in answers] == [
        Tokens(each.input_tokens, each.cached_tokens, each.output_tokens, each.written_tokens * is_marked)
        for each in bill
    ]
    assert [each.cached_tokens > 0 for each in bill] == [False, True]


@pytest.mark.parametrize("name", CHATS)
def test_one_refusal_and_one_lost_answer_later_there_is_an_answer(name):
    script = {"endpoints": [{"endpoint": "chat", "status": 429}, {"endpoint": "chat", "lost": "before"}]}
    answers, bill, statuses = asked_of(name, script, PAYLOAD)
    assert (len(answers), len(bill), statuses) == (1, 1, [429, 0, 200])


@pytest.mark.parametrize("name", CHATS)
def test_the_wait_that_a_refusal_asks_for_is_waited(name):
    time = Time()
    script = {"endpoints": [{"endpoint": "chat", "status": 429, "retry_after": 9}]}
    asked_of(name, script, PAYLOAD, clock=time.clock, now=lambda: time.now)
    assert time.now == pytest.approx(1_009, abs=1)  # the wait of the attempt may be longer than what is left


@pytest.mark.parametrize("name", SAY_THEIR_LIMITS)
@pytest.mark.parametrize("limit", [{"requests_per_min": 4}, {"tokens_per_min": 120}])
def test_nobody_is_refused_whose_provider_says_what_is_left(name, limit):
    time = Time()
    answers, _, statuses = asked_of(
        name, {"limits": limit}, *map(str, range(12)), clock=time.clock, now=lambda: time.now
    )
    assert len(answers) == 12
    assert statuses == [200] * 12
    assert time.now > 1_040


@pytest.mark.parametrize("name", CHATS)
def test_everybody_is_answered_in_the_end_where_nothing_is_said(name):
    time = Time()
    script = {"limits": {"requests_per_min": 4, "says": False}}
    answers, bill, statuses = asked_of(
        name, script, *map(str, range(12)), clock=time.clock, now=lambda: time.now, max_attempts=8
    )
    assert len(answers) == len(bill) == statuses.count(200) == 12


@pytest.mark.parametrize("name", CHATS)
def test_a_request_that_is_refused_is_about_this_call_alone(name):
    script = {"endpoints": [{"endpoint": "chat", "status": 400, "text": "no"}]}
    with pytest.raises(CallFailedError) as failed:
        asked_of(name, script, PAYLOAD)
    assert (failed.value.text, failed.value.retryable) == ("no", False)


def body_of(name):
    """What the client sends."""

    async def scenario():
        async with host(in_turn(lambda asked: web.json_response({}))) as server, chat_api(server.url, name) as api:
            await api.ask(request())
            return server.asked[0].body

    return json.loads(asyncio.run(scenario()))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("openai", openai.types.chat.completion_create_params.CompletionCreateParamsNonStreaming),
        ("azure_openai", openai.types.chat.completion_create_params.CompletionCreateParamsNonStreaming),
        ("anthropic", anthropic.types.message_create_params.MessageCreateParamsNonStreaming),
    ],
)
def test_a_request_has_only_what_the_official_client_could_send(name, parameters):
    body = body_of(name)
    pydantic.TypeAdapter(parameters).validate_python(body)
    assert {*body} <= {*parameters.__annotations__, *_inherited(parameters)}


def _inherited(parameters):
    return {name for base in parameters.__orig_bases__ for name in getattr(base, "__annotations__", ())}


@pytest.mark.parametrize("name", ["gemini", "vertex"])
def test_a_request_has_what_google_s_client_knows(name):
    from google.genai import types

    body = body_of(name)
    types.GenerateContentConfig.model_validate(
        {**body["generationConfig"], "systemInstruction": body["systemInstruction"]}
    )
    types.Content.model_validate(body["contents"][0])
    assert {*body} == {"systemInstruction", "contents", "generationConfig"}


def test_every_chat_is_tried():
    from pipeline.providers import read_provider, shipped_providers

    assert {name for name in shipped_providers() if read_provider(name).chat} == {*CHATS}
    assert {*VARIABLES} <= {*CHATS}
