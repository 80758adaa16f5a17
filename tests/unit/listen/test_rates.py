"""Rates per minute: kept in every sliding minute, lent while they are not used, and returned."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.errors import UsageError
from transforms.listen.priorities import parse_rates
from transforms.listen.rates import MINUTE_S, Rates, SlidingMinute


def test_what_happened_a_minute_ago_is_forgotten():
    minute = SlidingMinute()
    minute.add(0.0, 3)
    minute.add(30.0, 4)
    assert [minute.sum(now_s) for now_s in (30.0, 59.9, 60.0, 89.9, 90.0)] == [7, 7, 4, 4, 0]


def test_a_stream_has_its_rate_and_no_more():
    rates = Rates({"a": 10}, lends=False)
    rates.add("a", 7, (), 0.0)
    assert rates.own("a", 1.0) == 3
    rates.add("a", 3, (), 1.0)
    assert [rates.own("a", now_s) for now_s in (59.9, 60.0, 61.0)] == [0, 7, 10]


def test_a_stream_without_a_rate_has_any():
    rates = Rates({"a": 10})
    assert (rates.own("b", 0.0), rates.overall("b", 0.0)) == (None, None)


def test_a_quiet_stream_lends_half_of_its_rate_and_keeps_the_rest_for_itself():
    rates = Rates({"late": 10, "quiet": 100})
    assert rates.lendable("late", {"late"}, 0.0) == 50
    rates.add("late", 60, {"late"}, 0.0)
    assert (rates.own("late", 0.0), rates.lendable("late", {"late"}, 0.0)) == (0, 0)
    assert rates.own("quiet", 0.0) == 50
    assert rates.borrowed("late", 0.0) == 50


def test_a_stream_that_has_something_lends_nothing_and_gets_back_what_it_lent_within_a_minute():
    rates = Rates({"late": 10, "quiet": 100})
    rates.add("late", 60, {"late"}, 0.0)
    busy = {"late", "quiet"}
    assert rates.lendable("late", busy, 30.0) == 0
    assert [rates.own("quiet", now_s) for now_s in (30.0, 60.0)] == [50, 100]


def test_nothing_is_lent_where_that_is_switched_off():
    assert Rates({"late": 10, "quiet": 100}, lends=False).lendable("late", {"late"}, 0.0) == 0


def test_what_the_overall_rate_has_beyond_all_others_is_lent():
    rates = Rates({"late": 10}, 100)
    assert rates.lendable("late", {"late"}, 0.0) == 90


def test_the_last_tenth_of_the_overall_rate_is_for_the_highest_priority():
    rates = Rates({}, 100, first={"urgent"})
    rates.add("other", 90, {"other"}, 0.0)
    assert (rates.overall("other", 0.0), rates.overall("urgent", 0.0)) == (0, 10)
    assert rates.may_pass("urgent", 10, 0.0)
    rates.add("urgent", 4, {"urgent"}, 1.0)
    assert not rates.may_pass("urgent", 7, 2.0)
    assert not rates.may_pass("other", 1, 2.0)


STREAMS = ("a", "b", "c", "d")
RATES = st.dictionaries(st.sampled_from(STREAMS), st.integers(1, 60), min_size=1)
STEPS = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from(STREAMS), st.sets(st.sampled_from(STREAMS)), st.floats(0, 1)),
    max_size=80,
)


def within_a_minute(handed_out, end_s):
    return [each for each in handed_out if end_s - MINUTE_S < each[0] <= end_s]


@given(RATES, st.none() | st.integers(1, 200), st.sets(st.sampled_from(STREAMS), max_size=2), STEPS)
def test_no_sliding_minute_ever_has_more_than_the_rates_allow(per_minute, overall, first, steps):
    rates = Rates(per_minute, overall, first)
    now_s, handed_out = 0.0, []
    for passed_s, stream_id, busy, part in steps:
        now_s += passed_s
        busy = busy | {stream_id}
        own, left = rates.own(stream_id, now_s), rates.overall(stream_id, now_s)
        allowed = 1000 if own is None else own + rates.lendable(stream_id, busy, now_s)
        n = int(min(allowed, 1000 if left is None else left) * part)
        rates.add(stream_id, n, busy, now_s)
        handed_out.append((now_s, stream_id, n, 0 if own is None else max(0, n - own)))
    total = max(sum(per_minute.values()), overall or 0)
    for end_s, *_ in handed_out:
        minute = within_a_minute(handed_out, end_s)
        assert overall is None or sum(n for _, _, n, _ in minute) <= overall
        assert sum(n for _, stream_id, n, _ in minute if stream_id in per_minute) <= total
        for stream_id, rate in per_minute.items():
            assert sum(n - borrowed for _, each, n, borrowed in minute if each == stream_id) <= rate


@given(RATES, STEPS)
def test_a_stream_that_is_busy_for_a_minute_has_its_whole_rate(per_minute, steps):
    rates = Rates(per_minute)
    owner = min(per_minute)
    now_s = 0.0
    for passed_s, stream_id, busy, part in steps:
        now_s += passed_s
        if stream_id in per_minute:
            allowed = rates.own(stream_id, now_s) + rates.lendable(stream_id, busy | {stream_id}, now_s)
            rates.add(stream_id, int(allowed * part), busy | {stream_id}, now_s)
    begun_s = now_s
    for passed_s, stream_id, busy, part in steps:
        if stream_id in per_minute and stream_id != owner and now_s + passed_s < begun_s + MINUTE_S:
            now_s += passed_s
            busy = busy | {stream_id, owner}
            allowed = rates.own(stream_id, now_s) + rates.lendable(stream_id, busy, now_s)
            rates.add(stream_id, int(allowed * part), busy, now_s)
    assert rates.own(owner, begun_s + MINUTE_S) == per_minute[owner]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["critical"], "--rates must be like critical=500,low=50, got 'critical'"),
        (["urgent=5"], "--rates: unknown priority 'urgent'; use one of critical, high, medium, low"),
        (["low=5", "low=6"], "--rates has two rates for low; give one"),
        (["low=0"], "--rates: low must be a whole number in [1, 1,000,000], got '0'"),
        (["low=²"], "--rates: low must be a whole number in [1, 1,000,000], got '²'"),
        (["low=-1"], "--rates: low must be a whole number in [1, 1,000,000], got '-1'"),
    ],
)
def test_rates_that_are_none(texts, message):
    with pytest.raises(UsageError) as refused:
        parse_rates(texts)
    assert str(refused.value) == message
