"""What surely fits is encoded without an error and passes the limits; what every item looks like surely fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.firestore import messages
from transforms.firestore.fit import surely_fits
from transforms.firestore.limits import check_document
from transforms.firestore.values import encoded_fields

NAME = "projects/p/databases/(default)/documents/things/" + "k" * 1_500

names = st.text("ab_.é", max_size=4) | st.sampled_from(["__x__", "__", "x" * 64, "x" * 65, "x" * 1_501, "\ud800"])
leaves = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=4) | st.just("\ud800")
)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))


def is_document(fields):
    check_document(messages.document(NAME, encoded_fields(fields)))
    return True


@given(st.dictionaries(names, values, max_size=4))
def test_what_surely_fits_is_a_document(fields):
    assert not surely_fits(fields) or is_document(fields)


def nested(levels, value):
    for _ in range(levels):
        value = {"n" * 64: value}
    return value


EDGES = {
    "plain": ({"a": [{"b": None, "c": 1.5, "d": [True]}], "e": {}}, True),
    "deepest": (nested(20, {}), True),
    "deepest array": (nested(20, [1, None]), True),
    "too deep": (nested(21, {}), False),
    "array too deep": (nested(21, []), False),
    "nested array": ({"a": [[]]}, False),
    "most bytes that are counted for one of JSON": ({"a": [{}] * 21_800}, True),
    "most index entries for a byte of JSON": ({"a": list(range(11_000))}, True),
    "larger": ({"a": "x" * 65_536}, False),
    "empty name": ({"a": [{"": 1}]}, False),
    "two underscores": ({"__a": 1}, False),
    "NaN": ({"a": float("nan")}, False),
    "infinity in an array": ({"a": [float("inf")]}, False),
    "beyond 53 bit": ({"a": 2**53}, False),
    "bytes": ({"a": b""}, False),
}


@pytest.mark.parametrize(("fields", "fits"), EDGES.values(), ids=EDGES)
def test_where_it_is_sure(fields, fits):
    assert surely_fits(fields) is fits
    assert not fits or is_document(fields)
