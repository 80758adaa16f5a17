"""Firestore's order of names against a plain oracle, and names between two names."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from transforms.firestore.document_order import fraction_below, name_between, numeric_id, sort_key
from transforms.firestore.query import check_document_path
from transforms.testing import name_key

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT_IDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1, max_size=8).filter(
    lambda text: text not in (".", "..") and not (text.startswith("__") and text.endswith("__"))
)
IDS = st.one_of(TEXT_IDS, st.text("ab01", min_size=1, max_size=6), INT64.map(lambda n: f"__id{n}__"))
PATHS = st.lists(st.tuples(st.sampled_from(["posts", "users"]), IDS), min_size=1, max_size=3).map(
    lambda pairs: "/".join(part for pair in pairs for part in pair)
)


@given(st.lists(PATHS, max_size=12))
def test_the_order_is_firestore_s(paths):
    assert sorted(paths, key=sort_key) == sorted(paths, key=name_key)


@pytest.mark.parametrize(
    ("segment", "number"),
    [
        ("__id7__", 7),
        ("__id-9223372036854775808__", -(2**63)),
        ("__id9223372036854775808__", None),
        ("__id07__", None),
        ("__id__", None),
        ("id7", None),
    ],
)
def test_only_an_int64_as_datastore_writes_it_is_a_numeric_id(segment, number):
    assert numeric_id(segment) == number


@given(PATHS, PATHS, st.floats(0.01, 0.99))
def test_a_name_between_two_names_lies_between_them_and_is_one(one, other, fraction):
    low, high = sorted((one, other), key=name_key)
    assume(low != high)
    between = name_between(low, high, fraction)
    if between is not None:
        assert name_key(low) < name_key(between) < name_key(high)
        check_document_path(between)


@given(PATHS, st.floats(0.01, 0.99))
def test_a_name_above_another_is_above_it(low, fraction):
    between = name_between(low, None, fraction)
    if between is not None:
        assert name_key(low) < name_key(between)
        check_document_path(between)


@given(st.integers(0, 99_998), st.integers(1, 50_000))
def test_ids_with_counters_always_have_one_between_them_unless_they_are_neighbours(first, distance):
    assume(first + distance <= 99_999)
    low, high = f"users/cand-{first:05d}", f"users/cand-{first + distance:05d}"
    assert name_between(low, high) is not None


@given(st.lists(st.text("ABCXYZabcxyz019", min_size=20, max_size=20), min_size=2, max_size=2, unique=True))
def test_automatic_ids_always_have_one_between_them(ids):
    low, high = sorted(ids)
    assert name_between(f"users/{low}", f"users/{high}") is not None


def test_halving_meets_the_middle_of_evenly_spread_ids():
    ids = [f"users/{n:04x}" for n in range(0, 65_536, 16)]
    middle = name_between(ids[0], ids[-1])
    assert 0.35 < sum(path < middle for path in ids) / len(ids) < 0.65


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("users/ada", "users/ada\0"),
        ("users/ada", "users/ada/posts/1"),
        ("users/__id7__", "users/__id8__"),
    ],
)
def test_where_arithmetic_finds_no_name_there_is_none(low, high):
    assert name_between(low, high) is None


@pytest.mark.parametrize(
    ("shared_segments", "between"), [(0, "users/o/posts/a"), (1, "users/o/posts/a"), (3, "users/a/posts/o")]
)
def test_without_an_end_only_what_is_behind_the_shared_segments_varies(shared_segments, between):
    assert name_between("users/a/posts/a", None, shared_segments=shared_segments) == between


def test_between_collections_the_lower_one_is_divided_towards_its_end():
    assert name_between("teams/a/posts/1", "users/b/posts/2") == "teams/o/posts/1"


@given(st.lists(PATHS, min_size=3, max_size=3, unique=True))
def test_a_fraction_is_one(paths):
    low, path, high = sorted(paths, key=name_key)
    assert 0 <= fraction_below(path, low, high) <= 1


def test_fractions_grow_with_the_name():
    fractions = [fraction_below(f"users/{n:03d}", "users/000", "users/999") for n in range(0, 999, 37)]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert fractions[-1] > 0.9
