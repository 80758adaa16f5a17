"""Any document that Firestore can hold, for hypothesis, and an equality that misses nothing."""

from __future__ import annotations

import datetime

from hypothesis import strategies as st

from transforms.firestore.values import GeoPoint, Reference, Vector

UTC = datetime.timezone.utc
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = text.filter(lambda name: name and not (name.startswith("__") and name.endswith("__")))
int64 = st.integers(-(2**63), 2**63 - 1)
doubles = st.floats(allow_nan=True, allow_infinity=True)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    int64,
    doubles,
    text,
    st.binary(max_size=20),
    st.datetimes(timezones=st.just(UTC)),
    st.builds(GeoPoint, st.floats(-90, 90), st.floats(-180, 180)),
    st.builds(lambda path: Reference(f"projects/p/databases/other/documents/{path}"), st.just("users/ada")),
    st.builds(lambda numbers: Vector(tuple(numbers)), st.lists(doubles, max_size=4)),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.dictionaries(names, inner, max_size=4),
        st.lists(inner.filter(lambda item: type(item) is not list), max_size=4),
    ),
    max_leaves=12,
)
records = st.dictionaries(names, values, max_size=6)


def same(left: object, right: object) -> bool:
    """Equality that tells 1 from 1.0, True from 1 and 0.0 from -0.0, and takes NaN for NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float) and isinstance(right, float):
        return repr(left) == repr(right)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(same(*pair) for pair in zip(left, right, strict=True))
    return left == right
