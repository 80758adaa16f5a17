"""Turns of streams that cannot all be open at once."""

import math

from hypothesis import given
from hypothesis import strategies as st

from transforms.listen.turns import MAX_TURN_S, Turns


def opened(turns, stream_ids, now_s):
    """The streams that are open, all of which come on."""
    open_now = list(turns.open_of(stream_ids, now_s))
    for stream_id in open_now:
        turns.came_on(stream_id)
    return open_now


def test_all_streams_are_open_while_they_are_not_too_many():
    turns = Turns(3, 60)
    for now_s in (0, 100, 10_000):
        assert opened(turns, ["a", "b", "c"], now_s) == ["a", "b", "c"]


def test_a_turn_ends_when_it_has_lasted_and_somebody_waits():
    turns = Turns(2, 60)
    assert opened(turns, ["a", "b", "c"], 0) == ["a", "b"]
    assert opened(turns, ["a", "b", "c"], 59) == ["a", "b"]
    assert opened(turns, ["a", "b", "c"], 60) == ["b", "c"]
    assert opened(turns, ["a", "b", "c"], 61) == ["a", "c"]
    assert opened(turns, ["a", "b", "c"], 119) == ["a", "c"]
    assert opened(turns, ["a", "b", "c"], 121) == ["a", "b"]


def test_a_stream_that_ended_makes_room():
    turns = Turns(1, 60)
    assert opened(turns, ["a", "b"], 0) == ["a"]
    turns.ended("a")
    assert opened(turns, ["b"], 1) == ["b"]


def test_a_stream_that_has_not_come_on_keeps_its_turn_up_to_ten_minutes():
    turns = Turns(1, 60)
    for now_s in range(0, int(MAX_TURN_S), 50):
        assert turns.open_of(["slow", "b"], now_s) == ["slow"]
    assert turns.open_of(["slow", "b"], MAX_TURN_S) == ["b"]


def test_a_stream_that_comes_on_late_leaves_then():
    turns = Turns(1, 60)
    turns.open_of(["slow", "b"], 0)
    assert turns.open_of(["slow", "b"], 100) == ["slow"]
    turns.came_on("slow")
    assert turns.open_of(["slow", "b"], 101) == ["b"]


def test_a_stream_that_nobody_asks_about_is_forgotten():
    turns = Turns(1, 600)
    assert opened(turns, ["given away"], 0) == ["given away"]
    assert opened(turns, ["b"], 60) == []
    assert opened(turns, ["b"], 61) == ["b"]


@given(
    n_streams=st.integers(1, 25),
    max_open=st.integers(1, 10),
    turn_s=st.integers(5, 120),
    ended=st.dictionaries(st.integers(0, 24), st.integers(0, 300)),
)
def test_every_stream_has_a_turn_within_turn_s_times_the_rounds(n_streams, max_open, turn_s, ended):
    turns = Turns(max_open, turn_s)
    stream_ids = [f"s{n}" for n in range(n_streams)]
    rounds, look_s = math.ceil(n_streams / max_open), turn_s / 10
    last_open = dict.fromkeys(stream_ids, 0.0)
    for look in range(20 * rounds):
        now_s = look * look_s
        for n in [n for n, ended_s in ended.items() if f"s{n}" in stream_ids and ended_s <= now_s]:
            stream_ids.remove(f"s{n}")
            turns.ended(f"s{n}")
        open_now = opened(turns, stream_ids, now_s)
        assert len(open_now) == min(max_open, len(stream_ids))
        last_open.update(dict.fromkeys(open_now, now_s))
        for stream_id in stream_ids:
            assert now_s - last_open[stream_id] <= (turn_s + look_s) * rounds
