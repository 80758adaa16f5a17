"""A group of streams is interrupted and divided between two batches: no stream is lost, none is read twice."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.firestore.changes.options import ListenedQuery
from transforms.firestore.changes.positions import Follow
from transforms.firestore.changes.tracker import Claim, GroupPositions, GroupProvider, GroupTracker
from transforms.firestore.listen import StreamGroup
from transforms.firestore.query import Query
from transforms.firestore.target import FirestoreTarget

IDS = [f"s{n}" for n in range(5)]


def at(minute):
    return Follow(datetime.datetime(2026, 1, 1, 12, minute, tzinfo=datetime.timezone.utc))


def tracker_of(*ids):
    return GroupTracker(GroupPositions(tuple((stream_id, at(0)) for stream_id in ids)))


def test_after_a_checkpoint_nothing_is_claimed_and_everything_continues_at_its_last_claim():
    tracker = tracker_of("a", "b")
    assert tracker.try_claim(Claim("a", at(1)))
    primary, residual = tracker.try_split(0)
    assert primary == GroupPositions(())
    assert residual == GroupPositions((("a", at(1)), ("b", at(0))))
    assert not tracker.try_claim(Claim("a", at(2)))
    assert tracker.check_done()
    assert tracker.try_split(0) is None


def test_half_of_the_streams_are_given_away_and_the_others_stay():
    tracker = tracker_of("a", "b", "c")
    tracker.try_claim(Claim("c", at(1)))
    kept, given = tracker.try_split(0.7)
    assert (kept, given) == (GroupPositions((("a", at(0)), ("b", at(0)))), GroupPositions((("c", at(1)),)))
    assert tracker.try_claim(Claim("a", at(2)))
    assert not tracker.try_claim(Claim("c", at(2)))


def test_a_single_stream_cannot_be_divided():
    assert tracker_of("a").try_split(0.5) is None


def test_streams_that_are_left_are_an_error():
    tracker = tracker_of("a", "b")
    tracker.try_claim(Claim("a", None, is_end=True))
    with pytest.raises(ValueError, match="streams were left without an end: b"):
        tracker.check_done()
    tracker.try_claim(None)
    assert tracker.check_done()
    assert (tracker.current_progress().completed_work, tracker.is_bounded()) == (2, False)


STEPS = st.tuples(st.sampled_from(["claim", "end"]), st.sampled_from(IDS), st.integers(0, 59)) | st.tuples(
    st.just("split"), st.floats(0, 1)
)


@given(st.lists(STEPS))
def test_however_it_is_divided_each_stream_belongs_to_one_part_at_its_last_claim(steps):
    trackers, expected = [tracker_of(*IDS)], {stream_id: at(0) for stream_id in IDS}
    for kind, *step in steps:
        if kind == "split":
            for tracker in list(trackers):
                if parts := tracker.try_split(step[0]):
                    assert tracker.current_restriction() == parts[0]
                    trackers.append(GroupTracker(parts[1]))
            continue
        stream_id, minute = step
        claim = Claim(stream_id, at(minute), is_end=kind == "end")
        taken = [tracker.try_claim(claim) for tracker in trackers]
        assert taken.count(True) == (stream_id in expected)
        if kind == "end":
            expected.pop(stream_id, None)
        elif stream_id in expected:
            expected[stream_id] = at(minute)
    found = [pair for tracker in trackers for pair in tracker.current_restriction().positions]
    assert sorted(found, key=str) == sorted(expected.items(), key=str)


def test_every_stream_begins_at_its_position_or_with_a_snapshot():
    streams = tuple(ListenedQuery(stream_id, Query("users")) for stream_id in ("a", "b"))
    group = StreamGroup(FirestoreTarget("p"), streams, (("b", at(3)),))
    restriction = GroupProvider().initial_restriction(group)
    assert restriction == GroupPositions((("a", None), ("b", at(3))))
    assert GroupProvider().restriction_size(group, restriction) == 2
    assert GroupProvider().truncate(group, restriction) is None
