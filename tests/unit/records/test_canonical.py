"""What a record's hash is made of: its content and types, and nothing else."""

import datetime
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.firestore.test_values import records, same
from transforms.records.canonical import canonical


@given(records)
def test_the_order_of_keys_does_not_matter(record):
    assert canonical(dict(reversed(record.items()))) == canonical(record)


@given(records, records)
def test_records_that_differ_in_a_value_or_a_type_differ(left, right):
    if not same(left, right):
        assert canonical(left) != canonical(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        (math.nan, None),
        (math.inf, None),
        (math.inf, -math.inf),
        ("2026-01-01T00:00:00+00:00", datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)),
        ("", None),
        ([], {}),
        (b"a", "a"),
        ([None], [math.nan]),
        ({"a": {"b": None}}, {"a": {"b": math.nan}}),
    ],
)
def test_values_that_look_alike_are_told_apart(left, right):
    assert canonical({"a": left}) != canonical({"a": right})


def test_it_is_the_one_that_stored_hashes_were_made_of():
    assert (
        canonical({"b": 1, "a": {"y": [1.0, None, True], "x": "é"}})
        == b'{"a":{"x":"\xc3\xa9","y":[1.0,null,true]},"b":1}'
    )


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5), st.integers(0, 9)))
def test_an_absent_field_is_not_a_null(record):
    assert canonical({**record, "\x00absent": None}) != canonical(record)
