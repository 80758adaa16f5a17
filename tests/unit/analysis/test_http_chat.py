"""Questions to a chat API: what is sent, what is sent again, and what a failure means."""

import asyncio
import pickle

import pytest
from aiohttp import web

from pipeline.providers import read_provider
from tests.support.chat import INSTRUCTIONS, PAYLOAD, SCHEMA, chat_api, request
from tests.support.clocks import Time, no_waiting
from tests.support.provider_host import KEY, cut, hang_up, host, in_turn, refused
from transforms.analysis.chat import CallFailedError, ChatAnswer, Tokens
from transforms.analysis.connect import ConnectChat
from transforms.analysis.http_chat import HttpChatApi
from transforms.errors import JobError
from transforms.retry import Retry
from transforms.secrets import parse_secret

GOOD = {
    "choices": [{"message": {"content": '{"name": "Ada", "level": "senior"}'}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 40, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 30}},
}


def asking(*answers, n=1, **options):
    """The answers to so many calls, one after another, and what the host was asked."""

    async def scenario():
        async with host(in_turn(*answers)) as server, chat_api(server.url, **options) as api:
            return [await api.ask(request()) for _ in range(n)], server.asked, api.throttled_s()

    return asyncio.run(scenario())


def test_a_question_has_everything_the_provider_is_to_enforce_and_its_answer_has_its_tokens():
    (answer,), (asked,), _ = asking(GOOD)
    assert asked.json == {
        "model": "m-1",
        "messages": [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": PAYLOAD}],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
        },
        "max_completion_tokens": 200,
        "prompt_cache_key": asked.json["prompt_cache_key"],
    }
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.headers["Content-Type"] == "application/json"
    assert answer == ChatAnswer("OPENAI", GOOD, Tokens(input=40, cached=30, output=9))


def test_the_tokens_of_an_answer_that_says_nothing_of_them_are_unknown():
    (answer,), _, _ = asking({"choices": []})
    assert answer.tokens is None


def test_questions_that_share_instructions_begin_alike_and_have_one_cache_key():
    async def scenario():
        async with host(in_turn(*[GOOD] * 4)) as server, chat_api(server.url) as api:
            for payload in ("1", "2"):
                await api.ask(request(payload))
            await api.ask(request("1", instructions="Other ones."))
            await api.ask(request("1"))
            return [asked.body for asked in server.asked], [asked.json["prompt_cache_key"] for asked in server.asked]

    bodies, keys = asyncio.run(scenario())
    assert keys[0] == keys[1] == keys[3] != keys[2]
    assert bodies[0] == bodies[3]
    assert bodies[0].replace(b'"content":"1"', b'"content":"2"') == bodies[1]


@pytest.mark.parametrize("payload", ['"quoted" \\ back\nslash', "Ünïcödé 🎉", "{payload} {schema}", "half \ud83d"])
def test_any_payload_arrives_as_it_is(payload):
    async def scenario():
        async with host(in_turn(GOOD)) as server, chat_api(server.url) as api:
            await api.ask(request(payload))
            return server.asked[0].json["messages"][1]["content"]

    assert asyncio.run(scenario()) == payload


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_asked_again(status):
    answers, asked, _ = asking(status, status, GOOD)
    assert len(asked) == 3
    assert asked[0].body == asked[2].body
    assert answers[0].body == GOOD


@pytest.mark.parametrize(
    "failure", [hang_up, lambda asked: cut(asked, b'{"cho', 100), lambda asked: web.Response(text="<p>")]
)
def test_an_answer_that_does_not_arrive_is_asked_for_again(failure):
    answers, asked, _ = asking(failure, failure, GOOD)
    assert (len(answers), len(asked)) == (1, 3)


@pytest.mark.parametrize(
    ("failure", "code", "text"),
    [
        (lambda asked: refused(429, "rate_limit_exceeded", "slow down"), "rate_limit_exceeded", "slow down"),
        (529, "HTTP_529", "status 529"),
        (hang_up, "NO_ANSWER", "openai (127.0.0.1): the connection broke (ServerDisconnectedError)"),
        (lambda asked: web.Response(text="[1]"), "NO_ANSWER", "openai (127.0.0.1): an answer that is not JSON"),
    ],
)
def test_what_fails_as_often_as_it_is_sent_is_given_up_but_may_be_asked_later(failure, code, text):
    with pytest.raises(CallFailedError) as given_up:
        asking(failure, failure, failure)
    error = given_up.value
    assert (error.code, error.retryable) == (code, True)
    assert error.text.startswith(text)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_refused_for_what_it_asks_is_about_this_call_alone(status):
    with pytest.raises(CallFailedError) as failed:
        asking(lambda asked: refused(status, "context_length_exceeded", "at most 8,192 tokens"))
    error = failed.value
    assert (error.code, error.text, error.retryable) == ("context_length_exceeded", "at most 8,192 tokens", False)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda asked: refused(401, "invalid_api_key", f"Incorrect key: {KEY}"), "openai does not accept the key"),
        (402, "openai has no credit left"),
        (403, "openai does not permit this"),
        (lambda asked: refused(429, "insufficient_quota", "You exceeded your quota"), "openai has no credit left"),
        (lambda asked: refused(404, "model_not_found", "no m-1"), "openai has no model 'm-1' at 127.0.0.1"),
        (
            lambda asked: web.Response(status=302, headers={"Location": "https://elsewhere"}),
            "openai answers with a redirect",
        ),
    ],
)
def test_what_no_call_can_get_past_stops_the_job_at_once(answer, message):
    with pytest.raises(JobError) as stopped:
        asking(answer)
    assert str(stopped.value).startswith(message)
    assert KEY not in str(stopped.value)


def test_a_refusal_that_repeats_what_was_asked_is_shown_without_its_text():
    with pytest.raises(CallFailedError) as failed:
        asking(lambda asked: refused(400, "content_policy_violation", "'Ada Lovelace' is not allowed"))
    assert str(failed.value) == "content_policy_violation"
    with pytest.raises(CallFailedError) as failed:
        asking(lambda asked: refused(400, "bad", f"cannot follow: {INSTRUCTIONS[:20]}…"))
    assert str(failed.value) == "bad"


def test_nothing_that_is_shown_has_what_was_asked_or_answered():
    (answer,), _, _ = asking(GOOD)
    shown = f"{request()!r} {answer!r}"
    assert "Ada" not in shown
    assert "experienced" not in shown


def test_a_wait_that_one_refusal_asks_for_is_waited_by_everybody_and_counts_as_throttled():
    time = Time()
    busy = web.json_response({}, status=429, headers={"Retry-After": "7"})
    _, asked, throttled_s = asking(busy, GOOD, GOOD, n=2, clock=time.clock)
    assert len(asked) == 3
    assert time.now == pytest.approx(1_007)
    assert throttled_s == pytest.approx(7)


def test_the_wait_of_a_provider_without_a_header_for_it_is_read_from_its_refusal():
    time = Time()
    details = [{"@type": "type.googleapis.com/google.rpc.QuotaFailure"}, {"@type": "…RetryInfo", "retryDelay": "12.5s"}]
    busy = web.json_response({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": details}}, status=429)
    asking(busy, {"candidates": []}, provider="gemini", clock=time.clock)
    assert time.now == pytest.approx(1_012.5)


def test_an_answer_that_takes_too_long_is_not_waited_for():
    async def scenario():
        answered = asyncio.Event()

        async def late(asked):
            await answered.wait()
            return web.json_response(GOOD)

        async with host(in_turn(late, GOOD)) as server, chat_api(server.url, timeout_s=1.0) as api:
            answer = await api.ask(request())
            answered.set()
            return answer, len(server.asked)

    answer, n_asked = asyncio.run(scenario())
    assert answer.body == GOOD
    assert n_asked == 2


def test_a_server_of_ones_own_is_asked_without_a_key():
    async def scenario():
        async with host(in_turn(GOOD)) as server:
            description = read_provider("openai").for_chat({}, url=server.url)
            connect = pickle.loads(pickle.dumps(ConnectChat(description, "llama", retry=Retry(1))))
            async with connect() as api:
                await api.ask(request())
            return server.asked[0]

    asked = asyncio.run(scenario())
    assert "Authorization" not in asked.headers
    assert asked.json["max_tokens"] == 200


def test_a_key_that_is_given_for_a_server_of_ones_own_is_sent_there():
    async def scenario():
        async with host(in_turn(GOOD)) as server:
            description = read_provider("openai").for_chat({}, url=server.url)
            async with HttpChatApi(description, "llama", parse_secret("env:TEST_PROVIDER_KEY", "--api_key")) as api:
                await api.ask(request())
            return server.asked[0].headers["Authorization"]

    assert asyncio.run(scenario()) == f"Bearer {KEY}"


def test_the_environments_proxy_is_used_and_no_account_that_happens_to_be_on_the_computer(monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine llm.internal login me password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    monkeypatch.delenv("no_proxy", raising=False)

    async def scenario():
        async with host(in_turn(GOOD)) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            description = read_provider("openai").for_chat({}, url="http://llm.internal/v1")
            async with HttpChatApi(description, "llama", None, Retry(1)) as api:
                await api.ask(request())
            return proxy.asked[0]

    asked = asyncio.run(scenario())
    assert asked.path == "http://llm.internal/v1/chat/completions"
    assert "Authorization" not in asked.headers


def test_a_key_that_is_not_there_or_not_accepted_names_the_flag_for_it(monkeypatch):
    async def scenario(*answers):
        async with host(in_turn(*answers)) as server, chat_api(server.url, key=False) as api:
            await api.ask(request())

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(JobError, match=r"OPENAI_API_KEY is not set: .* another --analyse_api_key"):
        asyncio.run(scenario())
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(JobError, match=r"check env:OPENAI_API_KEY, or pass another --analyse_api_key"):
        asyncio.run(scenario(401))


def test_a_description_without_chat_is_refused_before_anything_is_opened():
    with pytest.raises(ValueError, match="apify has no chat: section"):
        HttpChatApi(read_provider("apify"), "m", None, Retry(clock=no_waiting()))
