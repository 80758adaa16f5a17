"""A position has constant size and survives the ledger."""

import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.firestore.changes.positions import After, Compare, Follow, from_json, to_json

TIMES = st.datetimes(
    datetime.datetime(1970, 1, 1), datetime.datetime(2100, 1, 1), timezones=st.just(datetime.timezone.utc)
)
MAYBE = st.none() | TIMES
PATHS = st.text(min_size=1).map(lambda text: f"users/{text}")
POSITIONS = st.builds(Compare, MAYBE, TIMES, st.none() | PATHS, st.booleans(), MAYBE) | st.builds(
    Follow, TIMES, st.binary(), st.none() | st.integers(0), st.none() | st.builds(After, TIMES, PATHS), MAYBE
)


@given(POSITIONS)
def test_a_position_survives_the_ledger(position):
    assert from_json(json.loads(json.dumps(to_json(position)))) == position


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"kind": "query"}, "a position is of kind compare or follow, got 'query'"),
        ({"kind": "follow"}, "not a position of a stream: KeyError"),
        ({"kind": "compare", "to": "noon"}, "not a position of a stream: TypeError"),
        ({"kind": "follow", "read_time": 7, "after": [7]}, "not a position of a stream: IndexError"),
    ],
)
def test_what_is_no_position_is_refused(value, problem):
    with pytest.raises(ValueError, match=problem):
        from_json(value)
