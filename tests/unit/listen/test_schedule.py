"""Whose changes go next: shares, rates, turns, and what streams say of themselves."""

import pickle

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.support.paced import PacedStreams
from transforms.firestore.changes.change_batch import StreamState
from transforms.firestore.changes.limits import DEFAULT_LIMITS, Limits
from transforms.firestore.changes.pace import Choice, Offer, Report
from transforms.listen.priorities import DEFAULT_RATES, PRIORITIES
from transforms.listen.schedule import PacedStream, PaceSettings, schedule_of
from transforms.retry import SYSTEM_CLOCK

UNLIMITED = (("critical", 10**6), ("high", 10**6), ("medium", 10**6), ("low", 10**6))


def test_a_schedule_is_of_its_process_wherever_its_settings_come_from():
    schedule = schedule_of(PaceSettings("listen-pickled", (PacedStream("a", "low"),)))
    assert pickle.loads(pickle.dumps(schedule)) is schedule
    assert schedule.settings.clock is SYSTEM_CLOCK


def test_a_stream_that_has_nothing_is_passed_over_and_a_message_goes_before_what_has_no_rate_left():
    streams = PacedStreams({"a": "low", "b": None})
    assert streams.serve() == []
    streams.waiting["a"] += 50
    streams.serve()
    streams.waiting["a"] += 1
    assert streams.schedule.choose([Offer("a", 1, 1), Offer("b", 0)]) == Choice("b", 0)


def test_where_not_all_can_go_at_once_a_priority_has_its_share():
    streams = PacedStreams(dict(zip("chml", PRIORITIES, strict=True)), rates=UNLIMITED, max_changes_per_min=85)
    for stream_id in streams.waiting:
        streams.waiting[stream_id] += 10_000
    streams.run(60 * 20)
    n = {stream_id: streams.sent_within(0, 1200, stream_id) for stream_id in "chml"}
    assert 1600 < sum(n.values()) <= 1700
    assert n["c"] / n["l"] == pytest.approx(10, rel=0.1)
    assert n["h"] / n["m"] == pytest.approx(2, rel=0.1)


def test_what_comes_to_a_quiet_urgent_stream_goes_at_once_also_while_others_have_a_backlog():
    streams = PacedStreams({"urgent": "critical", "late": "low"}, rates=UNLIMITED, max_changes_per_min=600)
    streams.waiting["late"] += 10_000
    streams.run(90)
    assert streams.serve(1) == []
    streams.waiting["urgent"] += 40
    assert streams.serve() == ["urgent"]


def test_a_stream_that_was_quiet_does_not_save_up_its_share():
    streams = PacedStreams({"quiet": None, "busy": None})
    streams.waiting["busy"] += 500 * 100
    streams.serve(50)
    streams.waiting["quiet"] += 500 * 100
    assert streams.serve(20).count("quiet") in (10, 11)


def test_a_stream_that_is_held_hands_out_nothing_says_why_and_does_not_save_up_its_share():
    streams = PacedStreams({"a": None, "b": None})
    streams.schedule.hold({"a": "1,000 dead letters wait"})
    streams.waiting["a"] += 500 * 100
    streams.waiting["b"] += 500 * 100
    assert set(streams.serve(50)) == {"b"}
    streams.time.seconds = 31
    assert streams.schedule.reports(["a"]) == [Report("a", "1,000 dead letters wait")]
    assert streams.schedule.choose([Offer("a", 0)]) == Choice("a", 0)
    streams.schedule.hold({})
    assert streams.serve(20).count("a") in (10, 11)


def test_a_stream_waits_in_pieces_that_spread_its_rate():
    streams = PacedStreams({"low": "low", "critical": "critical", "none": None})
    pieces = {each: streams.schedule.limits(each, DEFAULT_LIMITS).changes for each in streams.waiting}
    assert pieces == {"low": 4, "critical": 41, "none": 500}
    assert streams.schedule.limits("critical", Limits(10, 99)) == Limits(10, 99)


def test_a_late_stream_gets_unused_rates_and_larger_batches_and_both_are_listed():
    streams = PacedStreams({"late": "low", "quiet": "critical"})
    streams.waiting["late"] += 1_000
    streams.serve()
    assert streams.sent_within(0, 1, "late") == 300
    pace = streams.schedule.pace_of("late")
    assert (pace.changes_per_min, pace.limit_per_min, pace.buffered) == (300, 50, 700)
    assert pace.optimizations_applied == (
        "250 changes by rates that others do not use",
        "batches of up to 300 changes",
    )
    streams.time.seconds = 60
    assert streams.schedule.pace_of("late").optimizations_applied == ()


def test_streams_that_share_an_overall_rate_take_small_snapshots_together_up_to_a_fair_piece():
    late = [Offer("a", 1, 300), Offer("b", 1, 300)]
    schedule = PacedStreams({"a": None, "b": None}, max_changes_per_min=600).schedule
    assert schedule.choose(late) == Choice("a", 50)
    assert schedule.choose(late[:1]) == Choice("a", 500)


def test_a_batch_of_several_snapshots_is_listed_for_a_minute():
    streams = PacedStreams({"late": None})
    streams.hand_out("late", n_snapshots=7)
    streams.hand_out("late", n_snapshots=3)
    assert streams.schedule.pace_of("late").optimizations_applied == ("up to 7 snapshots in a batch",)
    streams.time.seconds = 60
    assert streams.schedule.pace_of("late").optimizations_applied == ()
    streams.hand_out("late")
    assert streams.schedule.pace_of("late").optimizations_applied == ()


def test_without_lending_a_stream_has_its_own_rate():
    streams = PacedStreams({"late": "low", "quiet": "critical"}, lend_rates=False)
    streams.waiting["late"] += 1_000
    streams.run(120)
    assert [streams.sent_within(begin, begin + 60, "late") for begin in (0, 60)] == [48, 48]


def test_the_first_changes_of_a_lender_go_at_once_and_a_minute_later_it_has_its_whole_rate():
    streams = PacedStreams({"late": "low", "lender": "critical"})
    streams.waiting["late"] += 10_000
    streams.run(100)
    streams.waiting["lender"] += 10_000
    streams.run(200)
    assert streams.sent_within(100, 101, "lender") >= 240
    assert streams.sent_within(160, 220, "lender") >= 490
    assert streams.sent_within(160, 220, "late") <= 50


def test_streams_take_turns_urgent_ones_first():
    streams = PacedStreams({"a": "low", "b": None, "c": "critical"}, max_concurrent_streams=2, turn_s=10)
    assert streams.schedule.to_open(["a", "b", "c"]) == ["c", "b"]
    streams.hand_out("c")
    streams.hand_out("b", state=StreamState.FAILED, reason="PERMISSION_DENIED")
    streams.time.seconds = 10
    assert sorted(streams.schedule.to_open(["a", "b", "c"])) == ["a", "b"]
    assert streams.schedule.failure_of("b") == "PERMISSION_DENIED"
    streams.schedule.ended("b")
    assert sorted(streams.schedule.to_open(["a", "c"])) == ["a", "c"]


def test_the_message_with_which_a_comparison_begins_is_not_a_reason_to_end_a_turn():
    streams = PacedStreams({"a": None, "b": None}, max_concurrent_streams=1, turn_s=10)
    streams.schedule.to_open(["a", "b"])
    streams.hand_out("a", save_now=True)
    streams.time.seconds = 10
    assert streams.schedule.to_open(["a", "b"]) == ["a"]
    streams.hand_out("a")
    assert streams.schedule.to_open(["a", "b"]) == ["b"]


def test_a_stream_without_a_batch_for_a_while_says_how_it_is():
    streams = PacedStreams({"a": None, "b": None}, max_concurrent_streams=1, report_s=30)
    streams.schedule.to_open(["a", "b"])
    streams.time.seconds = 29
    assert streams.schedule.reports(["a", "b"]) == []
    streams.hand_out("a")
    streams.time.seconds = 30
    assert streams.schedule.reports(["a", "b"]) == [Report("b", "waits for its turn; 1 streams are open at once")]
    assert streams.schedule.reports(["a", "b"]) == []
    streams.time.seconds = 59
    assert streams.schedule.reports(["a", "b"]) == [Report("a")]


def test_reports_can_be_switched_off():
    streams = PacedStreams({"a": None}, report_s=0)
    streams.time.seconds = 10_000
    assert streams.schedule.reports(["a"]) == []


def test_a_stream_that_cannot_connect_again_for_a_while_is_opened_anew():
    streams = PacedStreams({"a": None}, silence_s=600)
    quiet = [Offer("a", None)]
    streams.hand_out("a")
    streams.time.seconds = 10_000
    assert streams.schedule.to_reopen(quiet) == []  # it is connected, and quiet
    streams.hand_out("a", state=StreamState.RECONNECTING)
    streams.time.seconds = 10_600
    streams.hand_out("a", state=StreamState.RECONNECTING)
    assert streams.schedule.to_reopen(quiet) == []
    streams.time.seconds = 10_601
    assert streams.schedule.to_reopen([Offer("a", 3)]) == []  # it waits to be served
    assert streams.schedule.to_reopen(quiet) == ["a"]
    assert streams.schedule.to_reopen(quiet) == []
    streams.time.seconds = 11_202
    assert streams.schedule.to_reopen(quiet) == ["a"]
    assert streams.schedule.pace_of("a").restarts == 2
    streams.hand_out("a")
    streams.time.seconds = 20_000
    assert streams.schedule.to_reopen(quiet) == []


def test_a_stream_that_failed_is_tried_again_by_itself():
    streams = PacedStreams({"a": None}, silence_s=600)
    streams.hand_out("a", state=StreamState.FAILED)
    streams.time.seconds = 10_000
    assert streams.schedule.to_reopen([Offer("a", None)]) == []


def test_no_stream_is_opened_anew_where_that_is_switched_off():
    streams = PacedStreams({"a": None}, silence_s=0)
    streams.hand_out("a", state=StreamState.RECONNECTING)
    streams.time.seconds = 10_000
    assert streams.schedule.to_reopen([Offer("a", None)]) == []


def test_cuts_and_full_buffers_are_counted_across_connections():
    streams = PacedStreams({"a": None})
    streams.hand_out("a", state=StreamState.RECONNECTING)
    for n_full in (2, 3, 0, 1):
        streams.schedule.choose([Offer("a", None, 7, n_full)])
    pace = streams.schedule.pace_of("a")
    assert (pace.reconnects, pace.backpressure_events, pace.buffered) == (1, 4, 7)


JOBS = st.fixed_dictionaries(
    {
        "priorities": st.dictionaries(
            st.sampled_from("abcdef"), st.sampled_from([*PRIORITIES, None]), min_size=2, max_size=6
        ),
        "max_changes_per_min": st.none() | st.integers(1, 1000),
        "lend_rates": st.booleans(),
        "rates": st.fixed_dictionaries({each: st.integers(1, 400) for each in PRIORITIES}).map(
            lambda rates: tuple(rates.items())
        ),
    }
)
SNAPSHOTS = st.lists(st.tuples(st.integers(0, 20), st.sampled_from("abcdef"), st.integers(1, 400)), max_size=10)


def a_job(job, snapshots):
    """Its streams, each snapshot added when it comes."""
    streams = PacedStreams(**job)
    for passed_s, stream_id, n_changes in snapshots:
        streams.run(passed_s)
        if stream_id in streams.waiting:
            streams.waiting[stream_id] += n_changes
    return streams


@settings(max_examples=25, deadline=None)
@given(JOBS, SNAPSHOTS)
def test_no_sliding_minute_has_more_than_the_rates_allow(job, snapshots):
    streams = a_job(job, snapshots)
    streams.run(150)
    limits = streams.schedule.settings.rates_of_streams()
    overall = job["max_changes_per_min"]
    for end_s in {at_s for at_s, _ in streams.sent}:
        sent = {each: streams.sent_within(end_s - 59, end_s + 1, each) for each in streams.waiting}
        assert overall is None or sum(sent.values()) <= overall
        assert sum(sent[each] for each in limits) <= max(sum(limits.values()), overall or 0)
        assert job["lend_rates"] or all(sent[each] <= limit for each, limit in limits.items())


@settings(max_examples=25, deadline=None, phases=[Phase.generate])
@given(JOBS, st.integers(10, 1000), SNAPSHOTS)
def test_no_stream_starves_while_all_others_have_a_backlog_without_end(job, overall, snapshots):
    streams = a_job({**job, "max_changes_per_min": overall}, snapshots)
    for stream_id in streams.waiting:
        streams.waiting[stream_id] = 10**9
    begin_s = streams.time.seconds + 60
    streams.run(60 + 300)
    shares = {stream_id: DEFAULT_RATES[priority or "medium"] for stream_id, priority in job["priorities"].items()}
    for stream_id, priority in job["priorities"].items():
        share = overall * shares[stream_id] / sum(shares.values())
        due = 5 * min(share, dict(job["rates"]).get(priority, share))
        assert streams.sent_within(begin_s, begin_s + 300, stream_id) >= due * 0.8 - overall / 3 - 3
