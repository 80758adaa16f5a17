"""How often a host is asked: Retry-After holds for everybody, and a flood of refusals never happens."""

import asyncio
import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clocks import Time
from transforms.providers.pace import TOO_MANY_REQUESTS, WINDOW_S, Pace, retry_after_s


async def ask(pace, status=200, after_s=0.0):
    async with pace.turn() as turn:
        turn.status, turn.retry_after_s = status, after_s


def test_what_one_answer_asks_for_holds_for_the_next_request():
    time = Time()

    async def scenario():
        pace = Pace(time.clock)
        await ask(pace, 503, after_s=7)
        await ask(pace)
        assert time.now == 1_007
        await ask(pace, 200, after_s=1)
        await ask(pace)
        assert time.now == 1_008

    asyncio.run(scenario())


def test_a_wait_that_no_job_can_have_meant_ends_after_an_hour():
    time = Time()

    async def scenario():
        pace = Pace(time.clock)
        await ask(pace, 429, after_s=1e9)
        await ask(pace)

    asyncio.run(scenario())
    assert time.now == 1_000 + 3_600


@settings(max_examples=50)
@given(
    workers=st.integers(1, 20),
    rounds=st.integers(1, 8),
    latency=st.floats(0.001, 5),
    refused=st.floats(0, 1),
    draw=st.randoms(use_true_random=False),
)
def test_there_are_never_ten_refusals_within_five_minutes(workers, rounds, latency, refused, draw):
    time, times = Time(), list[float]()

    async def worker(pace):
        for _ in range(rounds):
            async with pace.turn() as turn:
                await time.asleep(latency)
                turn.status = TOO_MANY_REQUESTS if draw.random() < refused else 200
                if turn.status == TOO_MANY_REQUESTS:
                    times.append(time.now)

    async def scenario():
        pace = Pace(time.clock)
        await asyncio.gather(*(worker(pace) for _ in range(workers)))

    asyncio.run(scenario())
    times.sort()
    assert all(later - earlier >= WINDOW_S for earlier, later in zip(times, times[9:], strict=False))


def test_requests_that_are_not_refused_do_not_wait_for_each_other_forever():
    time = Time()

    async def scenario():
        pace = Pace(time.clock)
        await asyncio.gather(*(ask(pace) for _ in range(100)))

    asyncio.run(scenario())
    assert time.now == 1_000


def test_a_request_that_fails_or_is_cancelled_gives_its_turn_back():
    async def scenario():
        pace = Pace(Time().clock)
        for _ in range(20):
            with pytest.raises(OSError, match="broken"):
                async with pace.turn():
                    raise OSError("broken")
        await asyncio.wait_for(ask(pace), 5)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"Retry-After": "20"}, 20),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "-3"}, 0),
        ({"Retry-After": "soon"}, 0),
        ({"Retry-After": "nan"}, 0),
        ({"Retry-After": "inf"}, 0),
        ({"Retry-After-Ms": "250", "Retry-After": "1"}, 0.25),
        ({"Retry-After": "Mon, 30 Nov 2026 09:00:30 GMT"}, 30),
        ({"Retry-After": "Mon, 30 Nov 2026 08:00:00 GMT"}, 0),
    ],
)
def test_seconds_and_dates_are_read_and_nothing_else(headers, seconds):
    now = datetime.datetime(2026, 11, 30, 9, tzinfo=datetime.timezone.utc).timestamp()
    assert retry_after_s(headers, now) == seconds


def test_creates_stop_before_questions_do_and_begin_again():
    time = Time()

    async def scenario():
        pace = Pace(time.clock)
        for n in range(3):
            assert (n, pace.is_too_early_to_create()) == (n, False)
            await ask(pace, TOO_MANY_REQUESTS)
        assert pace.is_too_early_to_create()
        await ask(pace)
        assert time.now == 1_000
        time.now += WINDOW_S
        assert not pace.is_too_early_to_create()

    asyncio.run(scenario())
