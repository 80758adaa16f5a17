"""How fast is written: never over budget, whatever the clock, the sizes and the answers are."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms import retry
from transforms.firestore.qos import (
    OFF,
    RAMP_UP_FACTOR,
    RAMP_UP_INTERVAL_S,
    RAMP_UP_WRITES_PER_S,
    AdaptiveThrottle,
    BatchSize,
    QosSettings,
    QualityOfService,
    WriteBudget,
)


class Clock:
    """Time that passes only in sleep."""

    def __init__(self, now=1000.0):
        self.now = now
        self.slept = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.slept += seconds


def never_held():
    return 1.0


def qos(clock, random=never_held, **settings):
    return QualityOfService(QosSettings(**settings), retry.Clock(monotonic=clock, sleep=clock.sleep, random=random))


def budget_until(elapsed_s, parallelism, most):
    """What may be written in the first seconds: the ramp's steps, added up."""
    total, step = 0.0, 0
    while step * RAMP_UP_INTERVAL_S < elapsed_s:
        seconds = min(RAMP_UP_INTERVAL_S, elapsed_s - step * RAMP_UP_INTERVAL_S)
        total += seconds * min(most, RAMP_UP_WRITES_PER_S * RAMP_UP_FACTOR ** min(step, 100)) / parallelism
        step += 1
    return total


@given(
    steps=st.lists(st.tuples(st.integers(1, 500), st.floats(0, 400)), min_size=1, max_size=40),
    parallelism=st.integers(1, 2000),
    most=st.none() | st.floats(0.5, 5000),
    draw=st.floats(0, 1, exclude_max=True),
)
def test_whatever_was_sent_is_paid_for_before_anything_more_is_sent(steps, parallelism, most, draw):
    clock = Clock()
    pace = qos(clock, lambda: draw, parallelism=parallelism, max_writes_per_s=most)
    began, sent = None, 0
    for n_writes, idle_s in steps:
        clock.now += idle_s
        pace.admit(n_writes)
        began = clock.now if began is None else began
        allowed = budget_until(clock.now - began, parallelism, math.inf if most is None else most)
        assert sent <= allowed + 1e-3
        sent += n_writes
        pace.answered(n_writes, 0.0, 0.1)


@given(parallelism=st.integers(1, 10_000), most=st.none() | st.floats(0.1, 10_000))
def test_a_request_holds_no_more_than_a_second_s_budget_and_at_least_one_write(parallelism, most):
    pace = qos(Clock(), parallelism=parallelism, max_writes_per_s=most)
    rate = min(RAMP_UP_WRITES_PER_S, math.inf if most is None else most) / parallelism
    assert 1 <= pace.batch_size() <= max(1, rate)


def test_the_ramp_begins_with_the_first_write_not_with_the_object():
    budget = WriteBudget(None, parallelism=1)
    assert budget.rate(10_000.0) == 500
    budget.spend(1, now=10_000.0)
    assert [budget.rate(10_000.0 + minutes * 60) for minutes in (0, 4.9, 5, 10)] == [500, 500, 750, 1125]


def test_the_ramp_of_a_year_is_a_number():
    budget = WriteBudget(None, parallelism=1)
    budget.spend(1, now=0.0)
    assert budget.rate(365 * 86_400.0) > 1e9


def test_processes_divide_the_budget():
    clock = Clock()
    pace = qos(clock, parallelism=10)
    sent = 0
    while clock.now < 1010:
        sent += pace.batch_size()
        pace.admit(pace.batch_size())
    assert sent == 50 * 11  # one request a second, the first at once


def test_a_limit_of_the_user_s_holds_where_it_is_below_the_ramp():
    clock = Clock()
    pace = qos(clock, max_writes_per_s=100)
    assert [pace.admit(100), pace.admit(100), pace.admit(100)] == pytest.approx([0, 1, 1])


def test_a_group_larger_than_the_budget_is_sent_once_what_came_before_is_paid_and_then_paid_itself():
    clock = Clock()
    pace = qos(clock, max_writes_per_s=10)
    assert [pace.admit(500), pace.admit(1)] == pytest.approx([0, 50])


@pytest.mark.parametrize("settings", [OFF, QosSettings(max_writes_per_s=0)])
def test_off_is_off(settings):
    clock = Clock()
    pace = QualityOfService(settings, retry.Clock(monotonic=clock, sleep=clock.sleep, random=lambda: 0.0))
    for _ in range(100):
        assert pace.batch_size() == 500
        assert pace.admit(500) == 0
        pace.answered(500, 0.0, 0.1)
    assert clock.slept == 0


def test_a_slow_request_makes_the_next_ones_smaller_and_fast_ones_larger_again():
    size = BatchSize(target_latency_s=2.0)
    assert size.writes == 500
    size.learn(500, 10.0)
    assert size.writes == 100
    size.learn(100, 1.0)
    assert size.writes == 125
    for _ in range(20):
        size.learn(size.writes, 1.0)
    assert size.writes == 500


def test_a_small_request_says_nothing_about_a_large_one():
    size = BatchSize(target_latency_s=2.0)
    size.learn(500, 20.0)
    size.learn(1, 0.01)
    assert size.writes == 50


def test_a_failure_is_no_reason_for_larger_requests():
    size = BatchSize(target_latency_s=2.0)
    size.learn(500, 20.0)
    size.learn(50, 0.01, grow=False)
    assert size.writes == 50


@given(st.lists(st.tuples(st.integers(1, 500), st.floats(0, 1000))))
def test_a_request_always_holds_at_least_one_write_and_at_most_500(answers):
    size = BatchSize(target_latency_s=0.5)
    for n_writes, latency_s in answers:
        size.learn(n_writes, latency_s)
        assert 1 <= size.writes <= 500


def test_nothing_is_held_back_while_half_of_the_requests_are_accepted():
    throttle = AdaptiveThrottle()
    for second in range(100):
        throttle.learn(second % 2, float(second))
    assert throttle.probability(99.0) < 0.01


@pytest.mark.parametrize(("requests", "accepted"), [(1, 0), (10, 0), (10, 2), (100, 49)])
def test_requests_are_held_back_as_the_formula_says(requests, accepted):
    throttle = AdaptiveThrottle()
    for n in range(requests):
        throttle.learn(float(n < accepted), 0.0)
    assert throttle.probability(0.0) == pytest.approx((requests - 2 * accepted) / (requests + 1))


def test_what_happened_more_than_two_minutes_ago_is_forgotten():
    throttle = AdaptiveThrottle()
    throttle.learn(0.0, 0.0)
    assert throttle.probability(119.0) == 0.5
    assert throttle.probability(121.0) == 0.0


def test_a_request_held_back_is_sent_at_last():
    clock = Clock()
    pace = qos(clock, random=lambda: 0.0)
    for _ in range(50):
        pace.answered(1, 0.0, 0.1)
    assert pace.admit(1) == pytest.approx(30)


def test_one_process_has_one_object_for_the_same_settings_and_database():
    settings = QosSettings(max_writes_per_s=17)
    assert settings.shared("a") is QosSettings(max_writes_per_s=17).shared("a")
    assert settings.shared("a") is not settings.shared("b")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"max_writes_per_s": -1}, r"max_writes_per_s must be 0 \(off\) or more, got -1"),
        ({"max_writes_per_s": math.nan}, r"max_writes_per_s must be 0 \(off\) or more, got nan"),
        ({"parallelism": 0}, "parallelism must be at least 1, got 0"),
        ({"target_latency_s": -1}, r"target_latency_s must be 0 \(off\) or more, got -1"),
    ],
)
def test_settings_out_of_bounds_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        QosSettings(**setting)
