"""Splitting a range while it is read: the splittable DoFn driven by hand, one document at a time."""

import pytest
from apache_beam.runners.sdf_utils import RestrictionTrackerView, ThreadsafeRestrictionTracker
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.firestore.pieces import PathsPiece, QueryPiece
from transforms.firestore.query import Query
from transforms.firestore.ranges import EVERY_NAME, Bound, NameRange
from transforms.firestore.steps import ReadPiecesFn
from transforms.firestore.tracker import NameRangeProvider, NameRangeTracker
from transforms.testing import ScriptedFirestore

SPAN = NameRange(Bound("users/a"), Bound("users/z"))
USERS = [f"users/u{n:03d}" for n in range(60)]


def test_documents_of_the_range_are_granted_until_its_end():
    tracker = NameRangeTracker(SPAN)
    assert tracker.try_claim("users/a")
    assert tracker.try_claim("users/m")
    assert not tracker.try_claim("users/z")
    assert tracker.check_done()


def test_a_range_is_done_when_nothing_is_left_to_read():
    tracker = NameRangeTracker(SPAN)
    assert tracker.try_claim(None)
    assert tracker.check_done()
    assert tracker.try_split(0.5) is None
    assert tracker.current_progress().fraction_completed == 1


def test_a_reader_that_stops_before_the_end_is_an_error():
    tracker = NameRangeTracker(SPAN)
    tracker.try_claim("users/b")
    with pytest.raises(ValueError, match="the range was not read to its end"):
        tracker.check_done()


@pytest.mark.parametrize("second", ["users/m", "users/b"])
def test_documents_out_of_order_are_an_error_because_a_split_would_lose_them(second):
    tracker = NameRangeTracker(SPAN)
    tracker.try_claim("users/m")
    with pytest.raises(ValueError, match=f"must come in order of their names; {second} is behind users/m"):
        tracker.try_claim(second)


def test_after_a_split_the_rest_is_refused():
    tracker = NameRangeTracker(SPAN)
    tracker.try_claim("users/b")
    kept, rest = tracker.try_split(0.5)
    assert tracker.current_restriction() == kept
    assert not tracker.try_claim(rest.start.path)
    assert tracker.check_done()


def test_a_checkpoint_keeps_what_was_read_and_gives_everything_else_away():
    tracker = NameRangeTracker(EVERY_NAME)
    tracker.try_claim("users/b")
    kept, rest = tracker.try_split(0)
    assert kept == NameRange(None, Bound("users/b", after=True))
    assert rest == NameRange(Bound("users/b", after=True), None)
    assert not tracker.try_claim("users/b0")


def test_progress_grows_with_every_document():
    tracker = NameRangeTracker(NameRange(Bound("users/000"), Bound("users/999")))
    fractions = []
    for n in range(0, 999, 100):
        tracker.try_claim(f"users/{n:03d}")
        fractions.append(tracker.current_progress().fraction_completed)
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] < fractions[-1] < 1


class Execution:
    """What a runner does with one element: pairs it with its range, processes it, splits it now and then."""

    def __init__(self, fn, piece, span=None):
        provider = NameRangeProvider()
        self.tracker = ThreadsafeRestrictionTracker(
            provider.create_tracker(provider.initial_restriction(piece) if span is None else span)
        )
        self.documents = fn.process(piece, RestrictionTrackerView(self.tracker))


def run_with_splits(fn, piece, splits):
    """Reads a piece; before the document of each number in `splits` the runner asks for a split by that fraction."""
    paths, waiting, number = [], [None], 0
    while waiting:
        execution = Execution(fn, piece, waiting.pop())
        while True:
            if number in splits and (parts := execution.tracker.try_split(splits[number])):
                waiting.append(parts[1])
            number += 1
            document = next(execution.documents, None)
            if document is None:
                break
            paths.append(document.path)
        execution.tracker.check_done()
    return paths


@settings(max_examples=40)
@given(
    splits=st.dictionaries(st.integers(0, 70), st.floats(0, 0.95), max_size=8),
    hint=st.sampled_from([None, "users/u06"]),
)
def test_whenever_a_range_is_split_every_document_is_read_once(splits, hint, users):
    fn = ReadPiecesFn(users.target)
    piece = QueryPiece(Query("users"), NameRange(busy_until=hint), None)
    assert sorted(run_with_splits(fn, piece, splits)) == USERS


@settings(max_examples=20)
@given(splits=st.dictionaries(st.integers(0, 70), st.floats(0, 0.95), max_size=8))
def test_whenever_a_group_is_split_every_document_is_read_once(splits, users):
    fn = ReadPiecesFn(users.target)
    piece = QueryPiece(Query.group("posts"), EVERY_NAME, None)
    assert sorted(run_with_splits(fn, piece, splits)) == sorted(
        f"{user}/posts/{k}" for user in USERS[::6] for k in "ab"
    )


@pytest.mark.parametrize(
    "piece",
    [
        QueryPiece(Query("users").order_by("n", descending=True), EVERY_NAME, None),
        QueryPiece(Query("users").limit(60), EVERY_NAME, None),
        PathsPiece(tuple(USERS), None),
    ],
    ids=["ordered", "limited", "paths"],
)
def test_what_cannot_be_divided_is_never_split(users, piece):
    execution = Execution(ReadPiecesFn(users.target), piece)
    assert execution.tracker.try_split(0.5) is None
    assert next(execution.documents).path
    assert execution.tracker.try_split(0.5) is None
    assert execution.tracker.try_split(0) is None
    assert 1 + len(list(execution.documents)) == 60
    assert execution.tracker.check_done()


def test_a_split_really_divides_the_work(users):
    execution = Execution(
        ReadPiecesFn(users.target), QueryPiece(Query("users"), NameRange(busy_until="users/u06"), None)
    )
    assert next(execution.documents).path == "users/u000"
    _, rest = execution.tracker.try_split(0.5)
    kept = 1 + len(list(execution.documents))
    assert 15 <= kept <= 45
    assert kept + sum(rest.contains(path) for path in USERS) == 60


@pytest.fixture(scope="module")
def users():
    posts = {f"{user}/posts/{k}": {} for user in USERS[::6] for k in "ab"}
    with ScriptedFirestore({**{path: {"n": n} for n, path in enumerate(USERS)}, **posts}) as server:
        yield server
