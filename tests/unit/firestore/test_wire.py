"""The fast way onto the wire gives what the codec gives."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.firestore.test_values import records, same
from transforms.errors import RecordError
from transforms.firestore import wire
from transforms.firestore.messages import Document
from transforms.firestore.values import GeoPoint, decode_fields, encoded_fields, serialised_fields

UTC = datetime.timezone.utc
long_names = st.builds(lambda letter, n: letter * n, st.sampled_from("aé-"), st.integers(60, 900))
json_like = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=300)),
    lambda inner: st.one_of(
        st.dictionaries(st.one_of(st.text(max_size=8), long_names), inner, max_size=4),
        st.lists(inner.filter(lambda item: type(item) is not list), max_size=4),
    ),
    max_leaves=15,
)


def codec(record):
    try:
        return serialised_fields(record)
    except RecordError as error:
        return (error.code, error.message)


def fast(record):
    try:
        return encoded_fields(record)
    except RecordError as error:
        return (error.code, error.message)


@given(records)
def test_what_is_encoded_the_fast_way_decodes_to_the_same_values_of_the_same_types(record):
    assert same(decode_fields(Document.FromString(encoded_fields(record)).fields), record)


@given(st.dictionaries(st.text(st.characters(), max_size=6), json_like, max_size=6))
def test_both_ways_hold_the_same_or_refuse_it_in_the_same_words(record):
    slow, quick = codec(record), fast(record)
    if isinstance(slow, tuple):
        assert quick == slow
    else:
        assert Document.FromString(quick).SerializeToString(deterministic=True) == slow


@pytest.mark.parametrize(
    "value",
    [
        2**63 - 1,
        -(2**63),
        0,
        1024,
        1025,
        -1,
        -0.0,
        "x" * 127,
        "x" * 128,
        "x" * 1024,
        "x" * 1025,
        "x" * 20_000,
        [],
        {},
        [{}],
        {"a": []},
        b"",
        b"x" * 200,
        datetime.datetime(1, 1, 1, tzinfo=UTC),
        datetime.datetime(1970, 1, 1, tzinfo=UTC),
        datetime.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        [None, True, False, 1, 1.5, "a", b"b"],
    ],
)
def test_sizes_and_bounds_at_which_a_length_takes_another_byte(value):
    for _ in range(2):  # the second time from what was kept
        encoded = wire.serialised({"name": value})
        assert same(decode_fields(Document.FromString(encoded).fields), {"name": value})


@pytest.mark.parametrize(
    "value", [2**63, "\ud800", [[1]], {"": 1}, {"__a__": 1}, {1: 1}, GeoPoint(1.0, 2.0), object(), (1, 2)]
)
def test_what_is_unusual_is_left_to_the_codec(value):
    with pytest.raises(wire.UnusualError):
        wire.serialised({"name": value})
