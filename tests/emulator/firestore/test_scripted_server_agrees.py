"""The scripted server against the real emulator: the same requests on both, the same results."""

import datetime
import itertools
import math

import pytest

from transforms.firestore import messages
from transforms.firestore.client import RpcError
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import GeoPoint, Reference, Vector, decode, decode_fields, encode, serialised_fields
from transforms.testing import PROJECT, ScriptedFirestore

pytestmark = pytest.mark.emulator
UTC = datetime.timezone.utc
NAMES = FirestoreTarget(PROJECT)

VALUES = {
    "null": None,
    "false": False,
    "true": True,
    "nan": math.nan,
    "-inf": -math.inf,
    "-0.0": -0.0,
    "0": 0,
    "1": 1,
    "1.0": 1.0,
    "large": 2**53 + 1,
    "large double": float(2**53),
    "time": datetime.datetime(2026, 1, 1, tzinfo=UTC),
    "later": datetime.datetime(2026, 1, 1, microsecond=1, tzinfo=UTC),
    "empty": "",
    "text": "é",
    "high text": "\uffee",
    "higher text": "😀",
    "bytes": b"\x00",
    "reference": Reference(NAMES.document_name("users/b")),
    "numeric reference": Reference(NAMES.document_name("users/__id7__")),
    "point": GeoPoint(1.0, -2.0),
    "no items": [],
    "items": [1, "a"],
    "more items": [1, "a", None],
    "vector": Vector((1.0,)),
    "long vector": Vector((0.0, 0.0)),
    "no keys": {},
    "map": {"a": 1, "b": None},
    "other map": {"b": 0},
}
DOCUMENTS = {
    **{f"values/{name}": {"v": value, "n": n % 3} for n, (name, value) in enumerate(VALUES.items())},
    "values/without": {"n": 1},
    **{f"people/{n}": {"n": n, "age": n % 3, "a": {"b": n % 2, "c d": n}} for n in range(6)},
    **{f"people/{n}/posts/{k}": {"likes": n * k} for n in range(3) for k in range(3)},
    "posts/r": {"likes": 1.5},
    "posts/s": {"likes": "many"},
    "posts/t": {},
}
FIELD_OPERATORS = [
    *("EQUAL", "NOT_EQUAL", "LESS_THAN", "LESS_THAN_OR_EQUAL", "GREATER_THAN", "GREATER_THAN_OR_EQUAL"),
    "ARRAY_CONTAINS",
]


class Server:
    """Any server of Firestore's API, by its own messages."""

    def __init__(self, host):
        self.client = FirestoreTarget(PROJECT, emulator_host=host).connect()
        self.root = f"{NAMES.name}/documents"

    def outcome(self, request):
        """What came back, or the code with which the request failed."""
        try:
            return request(self)
        except RpcError as error:
            return error.code

    def documents(self, query, parent=""):
        answers = self.client.run_query(f"{self.root}{parent}", query, 10)
        found = [answer.document for answer in answers if answer.HasField("document")]
        return [(document.name.split("/documents/")[1], shown(decode_fields(document.fields))) for document in found]

    def aggregate(self, query, **aggregations):
        message = messages.RunAggregationQueryRequest().structured_aggregation_query
        message.structured_query.CopyFrom(query)
        for alias, aggregation in aggregations.items():
            message.aggregations.add(alias=alias, **aggregation)
        (answer,) = self.client.aggregate(self.root, message, 10)
        return shown(decode_fields(answer.result.aggregate_fields))

    def commit(self, *writes):
        response = self.client.commit([write.SerializeToString() for write in writes], 10).result()
        return [[shown(decode(value)) for value in result.transform_results] for result in response.write_results]

    def update_time(self, write):
        """The version that a write leaves."""
        (result,) = self.client.commit([write.SerializeToString()], 10).result().write_results
        return result.update_time.ToMicroseconds()

    def lookup(self, *paths, mask=()):
        answers = self.client.batch_get([NAMES.document_name(path) for path in paths], mask, 10)
        return {answer.found.name: shown(decode_fields(answer.found.fields)) for answer in answers}


def shown(value):
    """A text that tells apart what Firestore does: 1 from 1.0; and not the order of a map's keys."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {shown(value[name])}" for name in sorted(value)) + "}"
    return f"[{', '.join(map(shown, value))}]" if isinstance(value, list) else repr(value)


@pytest.fixture(scope="module")
def servers(firestore_host):
    writes = [
        messages.update(messages.document(NAMES.document_name(path), serialised_fields(fields)))
        for path, fields in DOCUMENTS.items()
    ]
    with ScriptedFirestore() as scripted:
        both = Server(scripted.target.emulator_host), Server(firestore_host)
        for server in both:
            server.client.commit(writes, 30).result()
        yield both


def both(servers, request):
    scripted, emulator = (server.outcome(request) for server in servers)
    assert scripted == emulator
    return scripted


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


def cursor(*values, before):
    return {"values": [encode(value) for value in values], "before": before}


def test_all_values_have_the_same_order(servers):
    found = both(servers, lambda server: server.documents(select("values", order_by=ordered("v"))))
    assert len(found) == len(VALUES)
    both(servers, lambda server: server.documents(select("values", order_by=ordered("-v"))))


@pytest.mark.parametrize("op", FIELD_OPERATORS)
def test_every_comparison_with_every_value_finds_the_same(servers, op):
    for value in VALUES.values():
        if value is None or value != value:
            continue
        both(servers, lambda server, value=value: server.documents(select("values", where=field("v", op, value))))


@pytest.mark.parametrize("op", ["IN", "NOT_IN", "ARRAY_CONTAINS_ANY"])
def test_every_list_of_two_values_finds_the_same(servers, op):
    values = [value for value in VALUES.values() if value is not None and value == value]
    for pair in itertools.pairwise(values):
        if op != "ARRAY_CONTAINS_ANY" or list not in map(type, pair):
            where = field("v", op, [value for value in pair if type(value) is not list])
            both(servers, lambda server, where=where: server.documents(select("values", where=where)))


USERS_5 = Reference(NAMES.document_name("people/5"))
AGE_2 = field("age", "EQUAL", 2)
QUERIES = {
    "null": select("values", where=unary("v", "IS_NULL")),
    "not null": select("values", where=unary("v", "IS_NOT_NULL")),
    "NaN": select("values", where=unary("v", "IS_NAN")),
    "not NaN": select("values", where=unary("v", "IS_NOT_NAN")),
    "nested": select("people", where=field("a.b", "EQUAL", 1)),
    "nested, quoted": select("people", where=field("a.`c d`", "GREATER_THAN", 3)),
    "and": select("people", where=joined("AND", AGE_2, field("a.b", "EQUAL", 0))),
    "or": select("people", where=joined("OR", AGE_2, field("n", "EQUAL", 1))),
    "or in and": select(
        "people", where=joined("AND", field("n", "LESS_THAN", 5), joined("OR", AGE_2, field("a.b", "EQUAL", 0)))
    ),
    "two inequalities": select(
        "people", where=joined("AND", field("n", "GREATER_THAN", 0), field("age", "LESS_THAN", 2))
    ),
    "inequality, descending": select("people", where=field("age", "NOT_EQUAL", 1), order_by=ordered("-age")),
    "inequality, another order": select("people", where=field("n", "GREATER_THAN", 1), order_by=ordered("-age")),
    "name": select("people", where=field("__name__", "LESS_THAN", Reference(NAMES.document_name("people/3")))),
    "names": select("people", where=field("__name__", "IN", [USERS_5, Reference(NAMES.document_name("people/9"))])),
    "group": select("posts", group=True),
    "group, ordered": select("posts", group=True, order_by=ordered("-likes")),
    "order": select("people", order_by=ordered("age", "-n")),
    "order by a field that some lack": select("values", order_by=ordered("v", "n"), limit={"value": 3}),
    "limit and offset": select("people", offset=2, limit={"value": 2}),
    "offset alone": select("people", offset=5),
    "start at": select("people", order_by=ordered("age"), start_at=cursor(1, before=True)),
    "start after": select("people", order_by=ordered("age"), start_at=cursor(1, before=False)),
    "end at": select("people", order_by=ordered("age"), end_at=cursor(1, before=False)),
    "end before": select("people", order_by=ordered("-age"), end_at=cursor(1, before=True)),
    "between names": select(
        "people",
        order_by=ordered("age", "__name__"),
        start_at=cursor(2, Reference(NAMES.document_name("people/2")), before=False),
    ),
    "cursor with too many values": select("people", order_by=ordered("age"), start_at=cursor(1, 2, 3, before=True)),
    "projection": select("people", select={"fields": [{"field_path": "a.b"}, {"field_path": "none"}]}),
    "names only": select("people", select={"fields": [{"field_path": "__name__"}]}),
    "nothing there": select("nobody"),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_finds_the_same_in_the_same_order(servers, name):
    both(servers, lambda server: server.documents(QUERIES[name]))


def test_a_group_below_a_document_and_a_subcollection_are_the_same(servers):
    both(servers, lambda server: server.documents(select("posts", group=True), "/people/1"))
    both(servers, lambda server: server.documents(select("posts"), "/people/1"))


@pytest.mark.parametrize(
    ("query", "aggregations"),
    [
        (select("people"), {"n": {"count": {}}, "s": {"sum": {"field": {"field_path": "n"}}}}),
        (select("people"), {"n": {"count": {"up_to": {"value": 4}}}}),
        (select("people"), {"a": {"avg": {"field": {"field_path": "a.b"}}}}),
        (select("posts", group=True), {"n": {"count": {}}, "s": {"sum": {"field": {"field_path": "likes"}}}}),
        (
            select("nobody"),
            {"s": {"sum": {"field": {"field_path": "n"}}}, "a": {"avg": {"field": {"field_path": "n"}}}},
        ),
        (select("values"), {"s": {"sum": {"field": {"field_path": "v"}}}}),
        (select("people", limit={"value": 3}), {"s": {"sum": {"field": {"field_path": "n"}}}, "c": {"count": {}}}),
    ],
    ids=["count and sum", "count up to", "average", "mixed types", "no documents", "NaN", "limit"],
)
def test_an_aggregation_gives_the_same(servers, query, aggregations):
    both(servers, lambda server: server.aggregate(query, **aggregations))


def test_a_lookup_with_a_mask_gives_the_same(servers):
    both(servers, lambda server: server.lookup("people/1", "people/nobody", mask=["a.`c d`", "n", "none"]))


STORED = {"n": 1, "x": 2.5, "tags": [1, "a", 1.0, None], "a": {"b": 1, "c": {"d": 2}}, "text": "t"}


def write(fields=None, *, mask=None, transforms=(), path="target/stored", **precondition):
    message = messages.Write(current_document=precondition or None)
    message.update.name = NAMES.document_name(path)
    message.update.MergeFromString(serialised_fields(fields or {}))
    if mask is not None:
        message.update_mask.field_paths.extend(mask)
        message.update_mask.SetInParent()
    for field_path, transform in transforms:
        message.update_transforms.add(field_path=field_path, **transform)
    return message


def delete(path="target/stored", **precondition):
    return messages.Write(delete=NAMES.document_name(path), current_document=precondition or None)


def add(kind, path, operand):
    return path, {kind: encode(operand)}


def array(kind, path, *operands):
    return path, {kind: {"values": [encode(operand) for operand in operands]}}


WRITES = {
    "set": [write({"z": 1})],
    "merge": [write({"n": 2, "ignored": 1, "a": {"c": {"d": 3}}}, mask=["n", "a.c.d", "x", "none.there"])],
    "merge into what is no map": [write({"n": {"m": 1}}, mask=["n.m"])],
    "merge with an empty mask": [write({"n": 2}, mask=[])],
    "merge a new document": [write({"a": {"b": 1}}, mask=["a.b", "c"], path="target/new")],
    "remove below what is no map": [write({}, mask=["n.m.k"])],
    "delete": [delete()],
    "delete what is not there": [delete("target/new")],
    "exists": [write({}, exists=True)],
    "does not exist": [write({}, exists=False)],
    "new, exists": [write({}, path="target/new", exists=True)],
    "new, does not exist": [write({}, path="target/new", exists=False)],
    "delete, exists": [delete("target/new", exists=True)],
    "another version": [write({}, update_time={"seconds": 1})],
    "version of nothing": [write({}, path="target/new", update_time={"seconds": 1})],
    "delete another version": [delete(update_time={"seconds": 1})],
    "all or none": [write({}, path="target/new"), write({}, exists=False)],
    "created, then required": [write({}, path="target/new"), write({"k": 1}, path="target/new", exists=True)],
    "deleted, then created": [delete(), write({"k": 1}, exists=False)],
    "created, then deleted": [write({}, path="target/new"), delete("target/new", exists=True)],
    "increment": [write(mask=[], transforms=[add("increment", "n", 2), add("increment", "x", 1)])],
    "increment by a double": [write(mask=[], transforms=[add("increment", "n", 0.5)])],
    "increment what is no number": [
        write(mask=[], transforms=[add("increment", "text", 2), add("increment", "q.r", 1)])
    ],
    "increment beyond 64 bit": [write(mask=[], transforms=[add("increment", "n", 2**63 - 1)])],
    "maximum": [write(mask=[], transforms=[add("maximum", "n", 2), add("maximum", "x", 2), add("maximum", "text", 1)])],
    "maximum of equals": [write(mask=[], transforms=[add("maximum", "n", 1.0)])],
    "maximum of NaN": [write(mask=[], transforms=[add("maximum", "n", math.nan)])],
    "minimum": [write(mask=[], transforms=[add("minimum", "n", 0.5), add("minimum", "x", 7)])],
    "minimum of equals": [write(mask=[], transforms=[add("minimum", "n", 1.0)])],
    "append": [write(mask=[], transforms=[array("append_missing_elements", "tags", 1.0, "b", None, "b", 2)])],
    "append to what is no array": [write(mask=[], transforms=[array("append_missing_elements", "n", 1, 1)])],
    "remove": [write(mask=[], transforms=[array("remove_all_from_array", "tags", 1, "q")])],
    "remove from nothing": [write(mask=[], transforms=[array("remove_all_from_array", "none", 1)])],
    "set and transform": [write({"k": 1}, transforms=[add("increment", "k", 1)])],
    "two transforms of a field": [write(mask=[], transforms=[add("increment", "n", 1), add("increment", "n", 1)])],
}


@pytest.mark.parametrize("name", WRITES)
def test_a_commit_leaves_the_same_and_says_the_same(servers, name):
    for server in servers:
        server.commit(write(STORED), delete("target/new"))
    both(servers, lambda server: server.commit(*WRITES[name]))
    both(servers, lambda server: server.lookup("target/stored", "target/new"))


@pytest.mark.parametrize(
    ("second", "is_kept"),
    [
        (write(STORED), True),
        (write({"n": 1}, mask=["n"]), True),
        (write(mask=[], transforms=[add("maximum", "n", 0)]), True),
        (write({**STORED, "n": 1.0}), False),
    ],
    ids=["set", "merge", "transform", "another type"],
)
def test_a_write_that_changes_nothing_keeps_the_version(servers, second, is_kept):
    for server in servers:
        first = server.update_time(write(STORED))
        assert (server.update_time(second) == first) is is_kept
