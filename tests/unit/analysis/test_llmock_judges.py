"""A server that is not ours understands our questions, and finds nothing wrong with how they are asked again."""

import asyncio
import json
import urllib.request

import pytest

from tests.support.chat import chat_api, request
from tests.support.llmock import llmock
from transforms.analysis.chat import CallFailedError
from transforms.models.answers import answer_in
from transforms.models.bodies import said_in
from transforms.retry import SYSTEM_CLOCK

N_QUESTIONS = 8
BASES = {"openai": "/v1", "anthropic": "/anthropic", "gemini": "/gemini"}


@pytest.fixture(scope="module")
def address():
    with llmock() as found:
        yield found


@pytest.fixture(autouse=True)
def forgotten(address):
    told(address, "reset", {})


def told(address, what, body=None):
    data = None if body is None else json.dumps(body).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(f"{address}/_llmock/{what}", data), timeout=30) as answered:
        return json.load(answered)


def asked(address, provider, n=N_QUESTIONS):
    async def scenario():
        async with chat_api(address + BASES[provider], provider, clock=SYSTEM_CLOCK, max_attempts=6) as api:
            return await asyncio.gather(*(api.ask(request(f'{{"n": {n}}}')) for n in range(n)))

    return asyncio.run(scenario())


@pytest.mark.parametrize("provider", ["openai", "gemini"])
def test_it_answers_by_the_schema_and_says_what_it_costs(address, provider):
    for answer in asked(address, provider):
        (record,) = answer_in(said_in(answer.provider, answer.body)).records
        assert {*record} == {"name", "level"}
        assert record["level"] in ("junior", "senior")
        assert answer.tokens.input > 0
        assert answer.tokens.output > 0


def test_it_reads_the_payload_of_a_message(address):
    # Of Anthropic's schemas it knows only the name that they had before they were released, so it echoes.
    for n, answer in enumerate(asked(address, "anthropic")):
        assert answer_in(said_in(answer.provider, answer.body)).records == ({"n": n},)
        assert answer.tokens.input > 0


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_it_finds_nothing_wrong_with_how_a_busy_server_is_asked_again(address, provider):
    faults = [
        {"type": "fail", "status": 429, "retry_after": 0.4, "times": 3},
        {"type": "fail", "status": 503, "times": 2},
    ]
    told(address, "scenario", {"behaviors": faults})
    assert len(asked(address, provider)) == N_QUESTIONS
    verdict = told(address, "verdict")
    assert (verdict["passed"], verdict["findings"]) == (True, []), verdict
    assert (verdict["calls"], verdict["faults_injected"]) == (N_QUESTIONS, 5)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_it_is_not_asked_again_what_it_will_never_answer(address, provider):
    told(address, "scenario", {"behaviors": [{"type": "fail", "status": 400}]})
    with pytest.raises(CallFailedError) as failed:
        asked(address, provider, n=1)
    assert not failed.value.retryable
    verdict = told(address, "verdict")
    assert verdict["attempts"] == 1, verdict
