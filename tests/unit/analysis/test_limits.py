"""When a call may be sent: by what headers say, by what refusals say, and by what the user says."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.simulated import Simulation
from transforms.analysis.chat import Tokens
from transforms.analysis.levels import Level, LevelHeaders, level_in
from transforms.analysis.limits import Cost, Forecast, Limits

TOKENS = {"tokens": "x-ratelimit-*-tokens"}
UNKNOWN = Level(None, None, None)
BOTH = {"requests": "x-ratelimit-*-requests", **TOKENS}


def said(counted, limit, remaining, reset=None):
    headers = {f"x-ratelimit-limit-{counted}": str(limit), f"x-ratelimit-remaining-{counted}": str(remaining)}
    return headers | ({f"x-ratelimit-reset-{counted}": reset} if reset else {})


async def call(limits, sim, tokens=100, latency=1.0, headers=None, sent=None):
    entered = await limits.enter(limits.place(), Cost(tokens, 0))
    if sent is not None:
        sent.append(sim.now)
    await sim.asleep(latency)
    limits.note(headers or {})
    limits.leave(entered, True, Tokens(tokens, 0, 0))


def test_nothing_waits_before_somebody_says_so():
    sim = Simulation()
    limits, sent = Limits(sim.clock, BOTH), []
    sim.run(*(call(limits, sim, tokens=10**6, sent=sent) for _ in range(100)))
    assert {*sent} == {1_000}
    assert limits.throttled_s() == 0


def test_tokens_that_are_used_up_are_waited_for_as_they_come_back():
    sim = Simulation()
    limits, sent = Limits(sim.clock, TOKENS), []
    limits.note(said("tokens", 6_000, 200))
    sim.run(*(call(limits, sim, latency=0, sent=sent) for _ in range(5)))
    assert [at - 1_000 for at in sent] == pytest.approx([0, 0, 1, 2, 3])
    assert limits.throttled_s() == pytest.approx(3)
    assert limits.throttled_s() == 0


def test_requests_are_counted_beside_tokens():
    sim = Simulation()
    limits, sent = Limits(sim.clock, BOTH), []
    limits.note(said("requests", 60, 1) | said("tokens", 6_000, 6_000))
    sim.run(*(call(limits, sim, latency=0, sent=sent) for _ in range(3)))
    assert [at - 1_000 for at in sent] == pytest.approx([0, 1, 2])


def test_a_limit_of_a_day_fills_as_slowly_as_its_reset_says():
    sim = Simulation()
    limits, sent = Limits(sim.clock, BOTH), []
    limits.note(said("requests", 14_400, 0, "24h0m0s"))  # as Groq: one in 6 seconds
    sim.run(*(call(limits, sim, latency=0, sent=sent) for _ in range(2)))
    assert [at - 1_000 for at in sent] == pytest.approx([6, 12])


def test_what_another_process_uses_is_believed():
    sim = Simulation()
    limits, sent = Limits(sim.clock, TOKENS), []
    limits.note(said("tokens", 6_000, 6_000))
    limits.note(said("tokens", 6_000, 0))
    sim.run(call(limits, sim, sent=sent))
    assert sent == [pytest.approx(1_001)]


def test_what_is_read_from_a_cache_does_not_count():
    sim = Simulation()
    limits, sent = Limits(sim.clock, TOKENS), []

    async def cached():
        entered = await limits.enter(limits.place(), Cost(6_000, 0))
        limits.leave(entered, True, Tokens(6_000, 6_000, 0))
        sent.append(sim.now)

    limits.note(said("tokens", 6_000, 6_000))
    sim.run(cached(), cached())
    assert sent == [1_000, 1_000]


def test_a_call_that_needs_more_than_there_ever_is_waits_until_all_of_it_is_there():
    sim = Simulation()
    limits, sent = Limits(sim.clock, TOKENS), []
    limits.note(said("tokens", 600, 0))
    sim.run(call(limits, sim, tokens=6_000, sent=sent))
    assert sent == [pytest.approx(1_060)]


@settings(max_examples=30, deadline=None)
@given(
    per_minute=st.integers(600, 60_000),
    tokens=st.integers(1, 500),
    n_calls=st.integers(1, 150),
    at_once=st.integers(1, 32),
)
def test_in_no_minute_more_than_the_users_tokens_and_a_sixth_are_asked_for(per_minute, tokens, n_calls, at_once):
    sim = Simulation()
    limits, sent = Limits(sim.clock, {}, per_minute), []

    async def worker(n):
        for _ in range(n):
            await call(limits, sim, tokens, 0.5, sent=sent)

    sim.run(*(worker(n_calls // at_once) for _ in range(at_once)))
    for first in sent:
        in_a_minute = sum(first <= at < first + 60 for at in sent) * tokens
        assert in_a_minute <= per_minute * 7 / 6 + tokens + 1e-6


@settings(max_examples=30, deadline=None)
@given(per_minute=st.integers(4, 120), at_once=st.integers(1, 32), retry_after=st.sampled_from([0, 1, 6, 30]))
def test_a_provider_that_says_nothing_of_its_limits_never_refuses_a_call_to_death(per_minute, at_once, retry_after):
    sim = Simulation()
    limits, refusals = Limits(sim.clock, {}), []
    state = {"left": float(per_minute), "at": sim.now}

    def is_allowed():
        state["left"] = min(per_minute, state["left"] + (sim.now - state["at"]) * per_minute / 60)
        state["at"] = sim.now
        if state["left"] < 1:
            return False
        state["left"] -= 1
        return True

    async def one():
        place = limits.place()
        for n_refused in range(100):
            entered = await limits.enter(place, Cost(1, 1))
            await sim.asleep(0.2)
            if is_allowed():
                limits.leave(entered, True, Tokens(1, 0, 1))
                refusals.append(n_refused)
                return
            limits.refused(entered)
            limits.hold(retry_after)
            limits.hold(0.5 * min(30, 0.5 * 2**n_refused))
            limits.leave(entered, False, None)
        raise AssertionError

    async def worker():
        for _ in range(120 // at_once):
            await one()

    sim.run(*(worker() for _ in range(at_once)))
    assert max(refusals) < 8  # attempts of a call, by default


def test_whoever_came_first_is_sent_first():
    sim = Simulation()
    limits, order = Limits(sim.clock, TOKENS), []
    limits.note(said("tokens", 600, 0))

    async def named(name, tokens):
        await limits.enter(limits.place(), Cost(tokens, 0))
        order.append(name)

    sim.run(named("large", 500), named("small", 1), named("smaller", 1))
    assert order == ["large", "small", "smaller"]


def test_a_call_that_is_cancelled_while_it_waits_lets_the_others_through():
    sim = Simulation()
    limits, sent = Limits(sim.clock, TOKENS), []
    limits.note(said("tokens", 600, 0))

    async def scenario():
        first = asyncio.create_task(call(limits, sim, sent=sent))
        await sim.asleep(1)
        second = asyncio.create_task(call(limits, sim, tokens=1, sent=sent))
        first.cancel()
        await second

    sim.run(scenario())
    assert len(sent) == 1


@pytest.mark.parametrize(
    ("headers", "level"),
    [
        (
            {
                "anthropic-ratelimit-tokens-limit": "80000",
                "anthropic-ratelimit-tokens-remaining": "79000",
                "anthropic-ratelimit-tokens-reset": "1970-01-01T00:16:47Z",
            },
            Level(80_000, 79_000, 7),
        ),
        (
            {"anthropic-ratelimit-tokens-limit": "many", "anthropic-ratelimit-tokens-reset": "soon"},
            Level(None, None, None),
        ),
        (
            {"anthropic-ratelimit-tokens-limit": "-1", "anthropic-ratelimit-tokens-remaining": "nan"},
            Level(None, None, None),
        ),
        ({"anthropic-ratelimit-tokens-reset": "1h2m3.5s"}, Level(None, None, 3_723.5)),
        ({"anthropic-ratelimit-tokens-reset": "120ms"}, Level(None, None, 0.12)),
        ({}, UNKNOWN),
    ],
)
def test_headers_are_read_and_what_makes_no_sense_is_not_believed(headers, level):
    assert level_in(headers, LevelHeaders.of("anthropic-ratelimit-tokens-*"), 1_000) == level


def test_what_a_call_takes_is_foreseen_from_those_before():
    forecast = Forecast()
    assert forecast.of(400, 1_000) == Cost(100, 1_000)
    forecast.learn(400, Tokens(200, 0, 50))
    assert forecast.of(800, 1_000) == Cost(400, 50)
    for _ in range(100):
        forecast.learn(400, Tokens(100, 0, 80))
    assert forecast.of(400, 1_000) == Cost(pytest.approx(100, rel=0.01), pytest.approx(80, rel=0.01))
