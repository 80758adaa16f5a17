"""The order of values and names, each against a list in Firestore's order."""

import datetime
import itertools
import math

from transforms.firestore.values import GeoPoint, Reference, Vector, encode
from transforms.testing import name_key, order_key

TIME = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
IN_ORDER = [
    *(None, False, True, math.nan, -math.inf, -1, 0.5, 2**53, 2**53 + 1, math.inf),
    *(TIME, TIME.replace(microsecond=1), "", "Z", "a", "\uffee", "😀", b"", b"\x00", b"\xff"),
    *(Reference("projects/p/databases/d/documents/a/__id9__"), Reference("projects/p/databases/d/documents/a/A")),
    *(GeoPoint(-1, 9), GeoPoint(1, 0), GeoPoint(1, 1), [], [1], [1, None], [2], Vector((9.0,)), Vector((0.0, 0.0))),
    *({}, {"a": 1}, {"a": 1, "b": None}, {"a": 2}, {"b": 0}),
]


def test_values_are_ordered_by_type_and_within_a_type():
    keys = [order_key(encode(value)) for value in IN_ORDER]
    assert all(low < high for low, high in itertools.pairwise(keys))


def test_a_whole_number_and_a_double_are_the_same_number_but_no_closer_than_they_are():
    assert order_key(encode(1)) == order_key(encode(1.0))
    assert order_key(encode(-0.0)) == order_key(encode(0))
    assert order_key(encode(2**53 + 1)) != order_key(encode(float(2**53)))


def test_names_are_ordered_by_segment_with_numeric_ids_as_numbers():
    names = ["a", "a/__id-3__", "a/__id9__", "a/__id10__", "a/B", "a/a", "a/a/b", "a/a!", "a/\uffee", "a/😀", "b"]
    assert all(name_key(low) < name_key(high) for low, high in itertools.pairwise(names))
