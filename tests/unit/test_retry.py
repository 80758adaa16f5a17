"""The one retry loop: how long it waits, and when it gives up."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clocks import no_waiting
from transforms.errors import JobError, TransientError
from transforms.retry import Clock, Retry


class Service:
    """Fails so many times before it answers 7."""

    def __init__(self, failures: int):
        self.failures, self.requests = failures, 0

    def __call__(self) -> int:
        self.requests += 1
        if self.requests <= self.failures:
            raise KeyError(self.requests)
        return 7


def busy(error: KeyError, attempts: int) -> TransientError:
    return TransientError(f"attempt {attempts} failed with {error}")


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_never_longer_than_its_bounds(failures, draw):
    retry = Retry(initial_s=0.5, max_s=30, clock=no_waiting(chance=draw))
    assert 0 <= retry.delay_s(failures) <= min(30, 0.5 * 2 ** min(failures - 1, 10))


def test_the_bound_doubles_until_it_stays():
    retry = Retry(initial_s=1, max_s=5, clock=no_waiting(chance=1.0))
    assert [retry.delay_s(failures) for failures in (1, 2, 3, 4, 5)] == [1, 2, 4, 5, 5]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"max_attempts": 0}, r"max_attempts must be in \[1, 100\], got 0"),
        ({"initial_s": 2, "max_s": 1}, r"initial_s must be in \[0, max_s=1\], got 2"),
    ],
)
def test_an_endless_or_contradictory_policy_is_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        Retry(**setting)


@given(failures=st.integers(0, 10), max_attempts=st.integers(1, 10))
def test_a_request_is_sent_until_it_succeeds_but_never_more_often_than_allowed(failures, max_attempts):
    service, slept = Service(failures), list[float]()
    retry = Retry(max_attempts, initial_s=1, clock=no_waiting(slept=slept, chance=1.0))
    if failures < max_attempts:
        assert retry.call(service, catch=KeyError, meaning=busy) == 7
    else:
        with pytest.raises(TransientError, match=rf"^attempt {max_attempts} failed with {max_attempts}$"):
            retry.call(service, catch=KeyError, meaning=busy)
    assert service.requests == min(failures + 1, max_attempts)
    assert slept == [min(30, 2.0**n) for n in range(service.requests - 1)]


def test_what_is_not_transient_is_raised_at_once():
    service = Service(1)
    with pytest.raises(JobError, match="no permission"):
        Retry().call(service, catch=KeyError, meaning=lambda error, attempts: JobError("no permission"))
    assert service.requests == 1


def test_an_error_that_nobody_expects_passes_through():
    def fail() -> None:
        raise LookupError("unexpected")

    with pytest.raises(LookupError, match="unexpected"):
        Retry().call(fail, catch=KeyError, meaning=busy)


@pytest.mark.parametrize(("outage", "requests"), [(lambda: True, 9), (lambda: False, 2)])
def test_during_an_outage_no_request_is_given_up(outage: Callable[[], bool], requests: int):
    service, retry = Service(8), Retry(max_attempts=2, clock=no_waiting())
    if outage():
        assert retry.call(service, catch=KeyError, meaning=busy, is_outage=outage) == 7
    else:
        with pytest.raises(TransientError):
            retry.call(service, catch=KeyError, meaning=busy, is_outage=outage)
    assert service.requests == requests


@given(failures=st.integers(0, 10), max_attempts=st.integers(1, 10))
def test_an_event_loop_waits_as_a_thread_does(failures, max_attempts):
    def sent(run):
        service, slept = Service(failures), list[float]()
        retry = Retry(max_attempts, initial_s=1, clock=no_waiting(slept=slept, chance=1.0))
        try:
            return run(retry, service), service.requests, slept
        except TransientError as error:
            return str(error), service.requests, slept

    async def answer(service):
        return service()

    def in_a_loop(retry, service):
        return asyncio.run(retry.acall(lambda: answer(service), catch=KeyError, meaning=busy))

    assert sent(in_a_loop) == sent(lambda retry, service: retry.call(service, catch=KeyError, meaning=busy))


def test_what_is_not_transient_is_raised_at_once_in_an_event_loop():
    service = Service(1)

    async def request():
        return service()

    with pytest.raises(JobError, match="no permission"):
        asyncio.run(Retry().acall(request, catch=KeyError, meaning=lambda error, attempts: JobError("no permission")))
    assert service.requests == 1


class TestAServiceThatSaysHowLongToWait:
    def told(self, retry_after_s):
        return lambda error, attempts: TransientError("busy", retry_after_s)

    def test_is_obeyed_and_its_refusals_count_as_no_attempts(self):
        service, slept = Service(20), list[float]()
        retry = Retry(max_attempts=2, clock=no_waiting(slept=slept))
        assert retry.call(service, catch=KeyError, meaning=self.told(1.5)) == 7
        assert slept == [1.5] * 20

    def test_is_obeyed_no_longer_than_a_bound(self):
        service = Service(20)
        retry = Retry(max_attempts=100, clock=no_waiting(), max_told_s=10)
        with pytest.raises(TransientError, match="busy"):
            retry.call(service, catch=KeyError, meaning=self.told(3))
        assert service.requests == 4

    def test_is_never_asked_in_a_loop(self):
        slept = list[float]()
        with pytest.raises(TransientError, match="busy"):
            Retry(clock=no_waiting(slept=slept), max_told_s=0.0055).call(
                Service(20), catch=KeyError, meaning=self.told(0)
            )
        assert slept == [0.001] * 5


@pytest.mark.parametrize("told_s", [None, 2.0])
def test_a_request_with_a_time_is_given_up_once_a_wait_would_end_past_it(told_s):
    service, slept = Service(20), list[float]()
    clock = Clock(monotonic=lambda: sum(slept), sleep=slept.append, random=lambda: 1.0)
    with pytest.raises(TransientError, match="busy"):
        Retry(max_attempts=9, initial_s=2, max_s=2, clock=clock).call(
            service, catch=KeyError, meaning=lambda error, attempts: TransientError("busy", told_s), within_s=5
        )
    assert (service.requests, slept) == (3, [2.0, 2.0])
