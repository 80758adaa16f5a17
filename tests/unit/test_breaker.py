"""When failures are an outage, and when an outage has lasted too long."""

import pytest

from transforms.breaker import CircuitBreaker
from transforms.errors import OutageError


class Clock:
    """Time that stands still until told."""

    def __init__(self):
        self.time_s = 1000.0

    def now(self):
        return self.time_s


@pytest.fixture
def clock():
    return Clock()


def test_a_few_failures_are_no_outage_however_far_apart(clock):
    breaker = CircuitBreaker("Firestore", 300, clock.now)
    breaker.failed("UNAVAILABLE")
    clock.time_s += 1000
    breaker.failed("UNAVAILABLE")
    assert not breaker.is_down()


def test_many_in_a_row_are_one_until_something_succeeds(clock):
    breaker = CircuitBreaker("Firestore", 300, clock.now)
    for _ in range(5):
        breaker.failed("UNAVAILABLE")
    assert breaker.is_down()
    breaker.succeeded()
    assert not breaker.is_down()


def test_an_outage_that_lasts_too_long_stops_the_job_and_says_what_to_do(clock):
    breaker = CircuitBreaker("Firestore", 300, clock.now)
    for _ in range(5):
        breaker.failed("UNAVAILABLE")
    clock.time_s += 301
    with pytest.raises(OutageError, match="Firestore has not answered for 301 s, the last time with UNAVAILABLE: down"):
        breaker.failed("UNAVAILABLE: down")


def test_a_success_starts_the_clock_anew(clock):
    breaker = CircuitBreaker("Firestore", 300, clock.now)
    for _ in range(5):
        breaker.failed("UNAVAILABLE")
    clock.time_s += 299
    breaker.succeeded()
    for _ in range(5):
        clock.time_s += 50
        breaker.failed("UNAVAILABLE")
    assert breaker.is_down()


def test_a_negative_bound_is_refused():
    with pytest.raises(ValueError, match="max_outage_s must not be negative, got -1"):
        CircuitBreaker("Firestore", -1)
