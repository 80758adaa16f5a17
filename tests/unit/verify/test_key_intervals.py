"""Intervals of text never lose a key of a range of names."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transforms.firestore.document_order import sort_key
from transforms.firestore.ranges import Bound, NameRange
from transforms.verify.key_intervals import superset

SEGMENTS = st.one_of(
    st.sampled_from(["a", "b", "a!", "a-b", "a-", "users", "__id7__", "__id70__", "__id-3__", "__id07__", "é", "~"]),
    st.text("ab!-0/_".replace("/", ""), max_size=4),  # keys of databases may have empty segments
)
PATHS = st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join)
BOUNDS = st.none() | st.builds(Bound, PATHS, st.booleans())


@given(BOUNDS, BOUNDS, PATHS)
@example(Bound("a!/x"), None, "a!0/x")
@example(None, Bound("a!b/x"), "a/z")
@example(None, Bound("b"), "__id5__")
@example(Bound("__id7__"), None, "__id70__")
@example(Bound("__id70__"), None, "a")
@example(None, Bound("!"), "/14")
@example(None, Bound("a/!"), "a//14")
def test_every_key_of_a_range_is_in_its_intervals(start, end, key):
    span = NameRange(start, end)
    if span.contains(key):
        assert superset(span).contains(key)


@given(st.lists(st.text("abcxyz019-_", min_size=1), min_size=2, max_size=2, unique=True), st.text("abcxyz019-_"))
def test_between_ordinary_ids_there_is_nothing_else(ends, key):
    low, high = sorted(ends, key=sort_key)
    span = NameRange(Bound(low), Bound(high))
    if "__id" not in key + low + high:
        assert superset(span).contains(key) == span.contains(key)


def test_a_range_of_all_keys_asks_for_all():
    assert superset(NameRange()).contains("")
    assert superset(NameRange()).contains("\U0010ffff")


@pytest.mark.parametrize("key", ["!" * 1500, "-".join("abcdefghijklmnopqrstuvwxyz")])
def test_a_bound_of_many_exceptions_asks_for_all_rather_than_for_each(key):
    assert superset(NameRange(None, Bound(key))).below == superset(NameRange()).below
