"""What is digested is Python's own text of built-in values, and every field by its name."""

import dataclasses
import datetime
import enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.firestore.query import AnyOf, Condition, Order, Query
from transforms.firestore.values import GeoPoint, Reference, Vector
from transforms.inputs.identity import Named, of_query, text_of
from transforms.inputs.options import ReadOptions

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
BUILT_IN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.datetimes(timezones=st.just(datetime.timezone.utc)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=12,
)
EVERYTHING = (
    Query.group("posts", "users/ada")
    .where("n", ">=", 1)
    .where_any(("city", "in", ["London"]), ("seen", "==", NOON))
    .where("at", "==", {"point": GeoPoint(1.0, -2.0), "of": [Reference("projects/p/databases/d/documents/a/b")]})
    .where("embedding", "==", Vector((0.5,)))
    .order_by("n", descending=True)
    .limit(3)
    .select("n")
)


@given(BUILT_IN)
def test_a_value_has_the_text_that_python_gives_it(value):
    assert text_of(value) == repr(value)


@pytest.mark.parametrize("query", [Query("users"), Query("users").select(), EVERYTHING])
def test_a_query_has_the_text_under_which_its_batches_have_always_been_known(query):
    assert text_of(of_query(query)) == repr(query)


def test_options_of_reading_have_the_text_under_which_jobs_have_always_been_known():
    known = (
        "batch_size={}, max_batch_bytes={}, input_format={!r}, records_path={!r}, slice_bytes={}, max_record_bytes={}"
    )
    mib_16 = 16 * 1024 * 1024
    for values in ((500, mib_16, "auto", None, mib_16, mib_16), (7, 8, "json", "data.items", 9, 10)):
        assert text_of(ReadOptions(*values).identity) == f"ReadOptions({known.format(*values)})"


LATER = {
    "drop_columns": ("a",),
    "rename_columns": ("a=b",),
    "binary_as_text": True,
    "encoding": "utf-16",
    "repair": "aggressive",
    "key": "record",
    "keyed_by_id": True,
    "types": "tagged",
    "nested_arrays": "wrap",
    "documents": "projects/p/databases/d/documents",
    "for_table": True,
}


@pytest.mark.parametrize("name", LATER)
def test_an_option_of_reading_that_came_later_is_named_where_it_is_not_at_its_default(name):
    before = text_of(ReadOptions().identity)
    changed = ReadOptions(**{name: LATER[name]})
    assert text_of(changed.identity) == f"{before[:-1]}, {name}={LATER[name]!r})"


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    "value",
    [Colour.RED, Reference("a"), Query("users"), datetime.date(2026, 1, 1), object()],
    ids=lambda v: type(v).__name__,
)
def test_a_value_whose_text_would_change_with_its_class_is_refused_wherever_it_is(value):
    for holder in (value, [value], (value,), {"a": value}, Named("a", {"b": value})):
        with pytest.raises(TypeError, match=f"^an identity is made of built-in values, got {type(value).__name__}; "):
            text_of(holder)


def fields_of(kind):
    return [field.name for field in dataclasses.fields(kind)]


def test_every_field_of_what_is_read_is_named():
    """One that is added is named only where it is not at its default."""
    named = of_query(EVERYTHING).fields
    condition, any_of, *_ = named["filters"]
    parts = {Query: named, Condition: condition.fields, AnyOf: any_of.fields, Order: named["orders"][0].fields}
    parts[ReadOptions] = ReadOptions(**LATER).identity.fields
    assert {kind: list(fields) for kind, fields in parts.items()} == {kind: fields_of(kind) for kind in parts}
