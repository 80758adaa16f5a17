"""Ranges of names: whatever the cursors and whatever the splits, every name lies in exactly one."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.firestore.ranges import EVERY_NAME, Bound, NameRange, ranges_between
from transforms.testing import name_key

IDS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/."), min_size=1, max_size=5).filter(
        lambda text: not text.startswith("__")
    ),
    st.integers(0, 300).map(lambda n: f"cand-{n:05d}"),
    st.integers(-9, 9).map(lambda n: f"__id{n}__"),
)
PATHS = IDS.map(lambda id_: f"users/{id_}")


def owners(ranges, path):
    return [each for each in ranges if each.contains(path)]


@given(cursors=st.lists(PATHS, max_size=8), names=st.lists(PATHS, max_size=20))
def test_random_cursors_give_disjoint_ranges_that_cover_every_name(cursors, names):
    ranges = ranges_between(cursors)
    assert len(ranges) == len(set(cursors)) + 1
    for name in [*names, *cursors]:
        assert len(owners(ranges, name)) == 1


@given(cursors=st.lists(PATHS, min_size=1, max_size=8))
def test_ranges_are_in_firestore_s_order_and_adjacent(cursors):
    ranges = ranges_between(cursors)
    assert [each.start for each in ranges[1:]] == [each.end for each in ranges[:-1]]
    starts = [name_key(each.start.path) for each in ranges[1:]]
    assert starts == sorted(starts)
    assert (ranges[0].start, ranges[-1].end) == (None, None)


def test_a_cursor_belongs_to_the_range_behind_it():
    before, behind = ranges_between(["users/m"])
    assert not before.contains("users/m")
    assert behind.contains("users/m")


SPLITS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20), st.floats(0, 1)), max_size=12)


@given(names=st.lists(PATHS, min_size=1, max_size=20, unique=True), splits=SPLITS, hint=st.none() | PATHS)
def test_any_sequence_of_splits_gives_disjoint_ranges_that_cover_every_name(names, splits, hint):
    """Each split takes one of the ranges so far, read up to one of its names, and cuts it somewhere."""
    ordered = sorted(names, key=name_key)
    ranges = [NameRange(busy_until=hint)]
    for which, position, fraction in splits:
        span = ranges[which % len(ranges)]
        inside = [name for name in ordered if span.contains(name)]
        read_to = inside[position % len(inside)] if inside else None
        parts = span.split(read_to, fraction)
        if parts is None:
            continue
        kept, rest = parts
        assert read_to is None or kept.contains(read_to)
        ranges[which % len(ranges)] = kept
        ranges.append(rest)
    for name in names:
        assert len(owners(ranges, name)) == 1


def test_keeping_nothing_of_the_rest_cuts_right_behind_the_last_document():
    kept, rest = NameRange(Bound("users/a"), Bound("users/z")).split("users/m", 0)
    assert (kept.end, rest.start) == (Bound("users/m", after=True),) * 2
    assert kept.contains("users/m")
    assert rest.contains("users/m/posts/1")
    assert rest.end == Bound("users/z")


def test_half_of_the_rest_is_cut_off_in_the_middle_of_what_is_left():
    kept, rest = NameRange(Bound("users/a"), Bound("users/z")).split("users/m", 0.5)
    assert "users/m" < kept.end.path < "users/z"
    assert rest.start == kept.end


def test_a_range_without_end_is_cut_before_the_name_where_documents_are_known_to_end():
    kept, _ = NameRange(busy_until="users/cand-02").split("users/cand-00500", 0.5)
    assert kept.end.path.startswith("users/cand-01")


@pytest.mark.parametrize(
    ("span", "position", "fraction"),
    [
        (EVERY_NAME, None, 0.5),
        (EVERY_NAME, None, 0),
        (EVERY_NAME, "users/a", 1),
        (NameRange(Bound("users/a"), Bound("users/b")), "users/b", 0.5),
        (NameRange(Bound("users/a"), Bound("users/a", after=True)), "users/a", 0),
        (NameRange(busy_until="users/b"), "users/c", 0.5),
    ],
)
def test_a_range_of_which_nothing_can_be_given_away_is_not_split(span, position, fraction):
    assert span.split(position, fraction) is None


@given(names=st.lists(PATHS, min_size=3, max_size=3, unique=True))
def test_the_part_that_is_done_is_a_fraction(names):
    first, position, last = sorted(names, key=name_key)
    assert 0 <= NameRange(Bound(first), Bound(last)).fraction_done(position) <= 1


def test_nothing_is_done_before_the_first_document():
    assert NameRange(Bound("users/a"), Bound("users/b")).fraction_done(None) == 0
    assert EVERY_NAME.fraction_done("users/m") == 0


def test_a_range_travels_to_a_worker_as_it_is():
    span = NameRange(Bound("users/a", after=True), Bound("users/b"), "users/c")
    assert pickle.loads(pickle.dumps(span)) == span
