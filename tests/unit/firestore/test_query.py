"""The query value: what it refuses, what it knows about its own order, and what Firestore is sent."""

import math
import pickle

import pytest

from transforms.errors import UsageError
from transforms.firestore import messages
from transforms.firestore.query import Order, Query
from transforms.firestore.query_messages import added_fields, parent_name, remove_field, structured_query
from transforms.firestore.ranges import EVERY_NAME, Bound, NameRange
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import Reference, decode_fields, encode, encode_fields

TARGET = FirestoreTarget("acme")
USERS = Query("users")


def sent(query, span=EVERY_NAME):
    return structured_query(query, TARGET, span)


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (lambda: Query(""), "'' is not a path: a segment must not be empty"),
        (
            lambda: Query("users/ada"),
            "'users/ada' names a document; did you mean its collection, users, or one below it, users/ada/COLLECTION?",
        ),
        (lambda: Query("users//posts"), "'users//posts' is not a path: a segment must not be empty"),
        (lambda: Query("users/__x__/posts"), "segments of the form __id__ are reserved"),
        (lambda: Query("posts", parent="users/ada"), "only a group has a parent; write Query\\('users/ada/posts'\\)"),
        (lambda: Query.group("users/posts"), "a collection group is named by its id alone, got 'users/posts'"),
        (lambda: Query.group("posts", parent="users"), "'users' names no document; a document has an even number"),
        (
            lambda: USERS.where("full name", "==", 1),
            "'full name' is not a field path: join names by dots, and put",
        ),
        (lambda: USERS.where("age", "=", 1), "an operator must be one of ==, in, array-contains, .* got '='"),
        (lambda: USERS.where("age", "in", 1), r"where\('age', 'in', …\) needs a list of 1 to 30 values"),
        (lambda: USERS.where("age", "in", []), "needs a list of 1 to 30 values"),
        (lambda: USERS.where("age", "in", list(range(31))), "needs a list of 1 to 30 values"),
        (lambda: USERS.where("age", "<", None), r"where\('age', '<', …\): null and NaN take only == and !="),
        (lambda: USERS.where("age", "==", object()), "UNSUPPORTED_TYPE: value: Firestore has no type for Python's"),
        (lambda: USERS.where("__name__", ">", "users"), "'users' names no document"),
        (lambda: USERS.where("__name__", "array-contains", "users/a"), "__name__ is not an array; compare it by =="),
        (lambda: USERS.where_any(("age", "==", 1)), "where_any needs at least two conditions, got 1; use where for"),
        (lambda: USERS.order_by("a.").limit(1), "'a.' is not a field path"),
        (lambda: USERS.order_by("age").order_by("age"), r"order_by\('age'\) is given twice"),
        (lambda: USERS.order_by("__name__").order_by("age"), "decides every tie, so it must be the last"),
        (lambda: USERS.limit(0), "limit must be at least 1, got 0"),
        (lambda: USERS.select("a b"), "'a b' is not a field path"),
    ],
)
def test_what_firestore_would_refuse_is_refused_when_the_query_is_built(build, problem):
    with pytest.raises(UsageError, match=problem):
        build()


@pytest.mark.parametrize(
    ("query", "order"),
    [
        (USERS, [("__name__", False)]),
        (USERS.order_by("age"), [("age", False), ("__name__", False)]),
        (USERS.order_by("age", descending=True), [("age", True), ("__name__", True)]),
        (USERS.where("age", ">", 1), [("age", False), ("__name__", False)]),
        (USERS.where("age", ">", 1).order_by("age", descending=True), [("age", True), ("__name__", True)]),
        (USERS.where("city", "==", "x").where("age", "!=", 1), [("age", False), ("__name__", False)]),
        (USERS.where("b", ">", 1).where("a", "<", 1), [("a", False), ("b", False), ("__name__", False)]),
        (USERS.where_any(("b", "not-in", [1]), ("a", "==", 1)), [("b", False), ("__name__", False)]),
        (USERS.where("__name__", ">", "users/a"), [("__name__", False)]),
        (USERS.order_by("__name__", descending=True), [("__name__", True)]),
    ],
)
def test_the_order_is_spelt_out_as_firestore_implies_it(query, order):
    assert query.full_order == tuple(Order(*part) for part in order)
    spelt = [(part.field.field_path, part.direction == 2) for part in sent(query).order_by]
    assert spelt == order


@pytest.mark.parametrize(
    ("query", "divisible"),
    [
        (USERS, True),
        (Query.group("posts"), True),
        (USERS.select("age"), True),
        (USERS.where("age", "==", 1).where("tags", "array_contains", "x"), True),
        (USERS.where("age", "in", [1, 2]), True),
        (USERS.where("age", "==", None), True),
        (USERS.where("__name__", ">=", "users/m"), True),
        (USERS.where("age", ">", 1), False),
        (USERS.where("age", "!=", None), False),
        (USERS.limit(5), False),
        (USERS.order_by("age"), False),
        (USERS.order_by("__name__", descending=True), False),
    ],
)
def test_only_what_comes_by_name_and_as_a_whole_is_read_in_ranges(query, divisible):
    assert query.is_divisible is divisible


@pytest.mark.parametrize(
    ("query", "inside", "outside"),
    [
        (USERS, ["users/ada"], ["users/ada/posts/1", "people/ada", "x/y/users/ada"]),
        (Query("users/ada/posts"), ["users/ada/posts/1"], ["users/bob/posts/1", "posts/1"]),
        (Query.group("posts"), ["posts/1", "users/ada/posts/1"], ["users/ada", "posts/1/likes/2"]),
        (Query.group("posts", "users/ada"), ["users/ada/posts/1"], ["posts/1", "users/adam/posts/1"]),
    ],
)
def test_a_query_knows_which_names_are_its_own(query, inside, outside):
    assert all(query.holds(path) for path in inside)
    assert not any(query.holds(path) for path in outside)


@pytest.mark.parametrize(
    ("query", "parent", "collection_id", "group"),
    [
        (USERS, "projects/acme/databases/(default)/documents", "users", False),
        (Query("users/ada/posts"), "projects/acme/databases/(default)/documents/users/ada", "posts", False),
        (Query.group("posts"), "projects/acme/databases/(default)/documents", "posts", True),
        (Query.group("posts", "users/ada"), "projects/acme/databases/(default)/documents/users/ada", "posts", True),
    ],
)
def test_a_query_is_sent_below_its_parent(query, parent, collection_id, group):
    (selector,) = sent(query).from_
    assert parent_name(query, TARGET) == parent
    assert (selector.collection_id, selector.all_descendants) == (collection_id, group)


def test_a_single_condition_stands_alone_and_several_are_joined():
    one = sent(USERS.where("age", ">=", 21)).where
    assert (one.field_filter.field.field_path, one.field_filter.value.integer_value) == ("age", 21)
    both = sent(USERS.where("age", ">=", 21).where_any(("a", "==", 1), ("b", "==", 2))).where.composite_filter
    assert both.op == both.AND
    assert both.filters[1].composite_filter.op == both.OR
    assert [each.field_filter.field.field_path for each in both.filters[1].composite_filter.filters] == ["a", "b"]


@pytest.mark.parametrize(
    ("operator", "value", "test"),
    [("==", None, "IS_NULL"), ("!=", None, "IS_NOT_NULL"), ("==", math.nan, "IS_NAN"), ("!=", math.nan, "IS_NOT_NAN")],
)
def test_null_and_nan_are_tested_and_not_compared(operator, value, test):
    unary = sent(USERS.where("age", operator, value)).where.unary_filter
    assert unary.DESCRIPTOR.enum_types_by_name["Operator"].values_by_number[unary.op].name == test


def test_names_are_compared_with_paths_of_the_database():
    condition = sent(USERS.where("__name__", "in", ["users/a", "users/b"])).where.field_filter
    full = "projects/acme/databases/(default)/documents/users/"
    assert condition.value == encode([Reference(full + "a"), Reference(full + "b")])


def test_a_range_is_sent_as_cursors_on_the_name():
    query = sent(USERS, NameRange(Bound("users/a", after=True), Bound("users/b")))
    full = "projects/acme/databases/(default)/documents/users/"
    assert (query.start_at.values[0].reference_value, query.start_at.before) == (full + "a", False)
    assert (query.end_at.values[0].reference_value, query.end_at.before) == (full + "b", True)


@pytest.mark.parametrize(
    ("query", "asked", "added"),
    [
        (USERS.select(), ["__name__"], ()),
        (USERS.select("age"), ["age"], ()),
        (USERS.select("age").order_by("name"), ["age", "name"], ("name",)),
        (USERS.select("address").order_by("address.city"), ["address"], ()),
        (
            USERS.select("address.zip").where("address.city", ">", ""),
            ["address.zip", "address.city"],
            ("address.city",),
        ),
    ],
)
def test_a_projection_asks_for_what_a_cursor_will_need(query, asked, added):
    assert [field.field_path for field in sent(query).select.fields] == asked
    assert added_fields(query) == added


@pytest.mark.parametrize(
    ("field", "left"),
    [
        ("a", {"b": {"c": 1, "d": 2}, "e": {"f": {"g": 3}}}),
        ("b.c", {"a": 0, "b": {"d": 2}, "e": {"f": {"g": 3}}}),
        ("e.f.g", {"a": 0, "b": {"c": 1, "d": 2}}),
        ("b.x", {"a": 0, "b": {"c": 1, "d": 2}, "e": {"f": {"g": 3}}}),
        ("x.y", {"a": 0, "b": {"c": 1, "d": 2}, "e": {"f": {"g": 3}}}),
    ],
)
def test_a_field_is_removed_with_the_maps_that_it_leaves_empty(field, left):
    document = messages.Document()
    encode_fields({"a": 0, "b": {"c": 1, "d": 2}, "e": {"f": {"g": 3}}}, document.fields)
    remove_field(document, field)
    assert decode_fields(document.fields) == left


def test_a_query_travels_to_a_worker_as_it_is_and_building_on_it_leaves_it_alone():
    query = (
        USERS.where("age", ">=", 21).where_any(("a", "==", 1), ("b", "in", [1])).order_by("age").limit(3).select("a")
    )
    assert pickle.loads(pickle.dumps(query)) == query
    query.limit(9)
    assert query.max_documents == 3


def test_numeric_ids_of_datastore_are_segments_of_a_path():
    assert Query("users/__id7__/posts").parent_path == "users/__id7__"
