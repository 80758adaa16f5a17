"""Queries on documents in memory: what is found, in which order, and what is made of it."""

import itertools

import pytest

from transforms.firestore import messages
from transforms.firestore.client import RpcError
from transforms.firestore.values import decode, decode_fields, encode, encode_fields
from transforms.testing import ScriptedFirestore
from transforms.testing.queries import aggregated, partition_cursors, projected, run

ROOT = "projects/p/databases/d/documents"


def document(path, fields):
    message = messages.Document(name=f"{ROOT}/{path}")
    encode_fields(fields, message.fields)
    return message


PEOPLE = [document(f"people/{n}", {"n": n, "age": n % 3, "a": {"b": n % 2}, "tags": [n, "x"]}) for n in range(6)]
ODD = [document("people/null", {"n": None}), document("people/nan", {"n": float("nan")}), document("people/none", {})]
POSTS = [document(f"people/{n}/posts/{k}", {"likes": n * k}) for n in range(2) for k in range(3)]
DOCUMENTS = [*reversed(PEOPLE), *POSTS, document("posts/r", {"likes": 9}), *ODD]


def select(collection, *, group=False, **parts):
    return messages.StructuredQuery(from_=[{"collection_id": collection, "all_descendants": group}], **parts)


def field(path, op, value):
    return {"field_filter": {"field": {"field_path": path}, "op": op, "value": encode(value)}}


def unary(path, op):
    return {"unary_filter": {"field": {"field_path": path}, "op": op}}


def joined(op, *filters):
    return {"composite_filter": {"op": op, "filters": filters}}


def ordered(*fields):
    return [
        {"field": {"field_path": each.lstrip("-")}, "direction": "DESCENDING" if each[0] == "-" else "ASCENDING"}
        for each in fields
    ]


def ids(query, parent=""):
    return [found.name.removeprefix(f"{ROOT}/") for found in run(DOCUMENTS, ROOT + parent, query)]


AGE_0 = field("age", "EQUAL", 0)


def people(**parts):
    return " ".join(path.removeprefix("people/") for path in ids(select("people", **parts)))


@pytest.mark.parametrize(
    ("query", "parent", "paths"),
    [
        (select("posts"), "", ["posts/r"]),
        (select("posts"), "/people/1", ["people/1/posts/0", "people/1/posts/1", "people/1/posts/2"]),
        (select("posts", group=True), "/people/1", ["people/1/posts/0", "people/1/posts/1", "people/1/posts/2"]),
        (
            select("posts", group=True, order_by=ordered("-likes"), limit={"value": 2}),
            "",
            ["posts/r", "people/1/posts/2"],
        ),
        (select("nobody"), "", []),
    ],
)
def test_a_query_reads_its_own_collection_or_group(query, parent, paths):
    assert ids(query, parent) == paths


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (field("n", "EQUAL", 2.0), "2"),
        (field("n", "NOT_EQUAL", 2), "nan 0 1 3 4 5"),
        (field("n", "LESS_THAN", 2), "0 1"),
        (field("n", "LESS_THAN_OR_EQUAL", 2), "0 1 2"),
        (field("n", "GREATER_THAN", 3), "4 5"),
        (field("n", "GREATER_THAN_OR_EQUAL", "3"), ""),
        (field("n", "IN", [1, 5, 9]), "1 5"),
        (field("n", "NOT_IN", [1, 5, 9]), "nan 0 2 3 4"),
        (field("tags", "ARRAY_CONTAINS", 3), "3"),
        (field("tags", "ARRAY_CONTAINS_ANY", [3, 4, "y"]), "3 4"),
        (field("a.b", "EQUAL", 1), "1 3 5"),
        (field("__name__", "EQUAL", 1), ""),
        (unary("n", "IS_NULL"), "null"),
        (unary("n", "IS_NOT_NULL"), "nan 0 1 2 3 4 5"),
        (unary("n", "IS_NAN"), "nan"),
        (unary("n", "IS_NOT_NAN"), "0 1 2 3 4 5"),
        (joined("AND", AGE_0, field("n", "GREATER_THAN", 0)), "3"),
        (joined("OR", AGE_0, field("n", "EQUAL", 5)), "0 3 5"),
        (
            joined("AND", field("n", "LESS_THAN", 4), joined("OR", field("age", "EQUAL", 0), field("a.b", "EQUAL", 1))),
            "0 1 3",
        ),
    ],
)
def test_a_filter_finds_what_firestore_finds(where, found):
    assert people(where=where) == found


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ({"order_by": ordered("age")}, "0 3 1 4 2 5"),
        ({"order_by": ordered("-age")}, "5 2 4 1 3 0"),
        ({"order_by": ordered("-age", "n")}, "2 5 1 4 0 3"),
        ({"order_by": ordered("n")}, "null nan 0 1 2 3 4 5"),
        ({"where": field("age", "NOT_EQUAL", 1)}, "0 3 2 5"),
        ({"where": field("n", "GREATER_THAN", 1), "order_by": ordered("-age")}, "5 2 4 3"),
        ({"limit": {"value": 2}, "offset": 1}, "1 2"),
        ({"order_by": ordered("age"), "start_at": {"values": [encode(1)], "before": True}}, "1 4 2 5"),
        ({"order_by": ordered("age"), "start_at": {"values": [encode(1)]}}, "2 5"),
        ({"order_by": ordered("age"), "end_at": {"values": [encode(1)]}}, "0 3 1 4"),
        ({"order_by": ordered("-age"), "end_at": {"values": [encode(1)], "before": True}}, "5 2"),
        ({"order_by": ordered("-age", "n"), "start_at": {"values": [encode(1), encode(1)]}}, "4 0 3"),
    ],
)
def test_order_cursors_and_limit(parts, found):
    assert people(**parts) == found


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (select("people", where=field("n", "IN", [])), "IN needs a list of at least one value"),
        (select("people", start_at={"values": [encode(1), encode(2)]}), "a cursor has more values than the query has"),
        (messages.StructuredQuery(), "a query reads one collection or group, got 0"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(query, message):
    with pytest.raises(RpcError, match=f"^INVALID_ARGUMENT: {message}"):
        run(DOCUMENTS, ROOT, query)


def test_a_projection_keeps_its_fields_only():
    kept = projected(PEOPLE[3], ["a.b", "none", "__name__"])
    assert (kept.name, decode_fields(kept.fields)) == (PEOPLE[3].name, {"a": {"b": 1}})


def calculated(documents, **aggregations):
    message = messages.RunAggregationQueryRequest().structured_aggregation_query
    for alias, aggregation in aggregations.items():
        message.aggregations.add(alias=alias, **aggregation)
    return {alias: decode(value) for alias, value in aggregated(documents, message.aggregations)}


def of(kind, path):
    return {kind: {"field": {"field_path": path}}}


@pytest.mark.parametrize(
    ("documents", "aggregations", "values"),
    [
        (PEOPLE, {"c": {"count": {}}, "s": of("sum", "n"), "a": of("avg", "n")}, {"c": 6, "s": 15, "a": 2.5}),
        (PEOPLE, {"c": {"count": {"up_to": {"value": 4}}}}, {"c": 4}),
        ([*PEOPLE, ODD[0], ODD[2]], {"c": {"count": {}}, "s": of("sum", "n")}, {"c": 7, "s": 15}),
        ([], {"s": of("sum", "n"), "a": of("avg", "n")}, {"s": 0, "a": None}),
        ([document("a/b", {"n": 2**63 - 1}), document("a/c", {"n": 1})], {"s": of("sum", "n")}, {"s": float(2**63)}),
    ],
    ids=["all three", "up to", "only documents with the field", "nothing", "beyond 64 bit"],
)
def test_aggregations(documents, aggregations, values):
    assert calculated(documents, **aggregations) == values


@pytest.mark.parametrize(("n_wanted", "n_cursors"), [(3, 3), (100, 4), (0, 0)])
def test_partitions_have_about_the_same_size_and_a_minimum(n_wanted, n_cursors):
    request = messages.PartitionQueryRequest(
        parent=ROOT, structured_query=select("people", group=True), partition_count=n_wanted
    )
    documents = [document(f"people/{n:03}", {}) for n in range(100)]
    cursors = partition_cursors(documents, request, 20)
    assert len(cursors) == n_cursors
    bounds = [0, *(int(name.rpartition("/")[2]) for name in cursors), 100]
    assert all(high - low >= 20 for low, high in itertools.pairwise(bounds))


def test_partitions_come_in_pages():
    with ScriptedFirestore({f"people/{n}": {} for n in range(9)}, documents_per_partition=1) as server:
        request = messages.PartitionQueryRequest(
            parent=f"{server.target.name}/documents",
            structured_query=select("people", group=True),
            partition_count=5,
            page_size=3,
        )
        first = server.target.connect().partition_query(request, 10)
        request.page_token = first.next_page_token
        second = server.target.connect().partition_query(request, 10)
    assert (len(first.partitions), len(second.partitions), second.next_page_token) == (3, 2, "")


def test_only_a_whole_group_is_partitioned():
    request = messages.PartitionQueryRequest(parent=ROOT, structured_query=select("people"), partition_count=3)
    with pytest.raises(RpcError, match=r"^INVALID_ARGUMENT: only a collection group without filters"):
        partition_cursors(DOCUMENTS, request, 1)
