"""An audit refuses exactly what the functions of a copy refuse, whatever the items hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.specs import read_spec
from tests.unit.migrate.test_documents import NOON
from transforms.batch import Batch
from transforms.firestore.target import FirestoreTarget
from transforms.migrate.audit import check
from transforms.migrate.converted import MAX_INTEGER
from transforms.migrate.documents import NESTED_ARRAYS, REFUSE, WRAP
from transforms.migrate.items import ItemForm, MigratedLayout, order_of, record_of
from transforms.unexpected import FAILURES
from transforms.upsert.decide import compare, decide
from transforms.upsert.records import flatten, identify
from transforms.upsert.versions import RunIdentity

SPEC = read_spec("student_attempts")
ORDER = order_of(SPEC, ["/student_id"])
LAYOUT = MigratedLayout(FirestoreTarget("demo-p"), SPEC.full_collection, SPEC.schema_version, ORDER)
RUN = RunIdentity("job", 1, NOON, frozenset({"0123456789ab"}), order=ORDER)

own_names = st.sampled_from(
    ["_meta", "expire_at", "ttl", "_array", "__array", "__x__", "__", "", "x" * 70, "x" * 1_501]
)
names = st.text("ab_.", max_size=4) | own_names
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([MAX_INTEGER, MAX_INTEGER + 1, -MAX_INTEGER, 2.0, 2.0**70])
    | st.floats()
    | st.text(max_size=4)
    | st.just("\ud800")
)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
items = st.dictionaries(names | st.sampled_from([field.name for field in SPEC.fields]), values, max_size=4)


def as_batch(*found):
    versioned = [{"id": f"a-{n}", "_ts": 1, "_etag": "e", **item} for n, item in enumerate(found)]
    records = tuple(record_of(item, n) for n, item in enumerate(versioned))
    return Batch("0123456789ab-00000-00000", "cosmos://school/attempts", len(records), records)


def refused_by_audit(batch, form):
    return {(each.step, each.code, each.record_id) for each in check(batch, SPEC, form, LAYOUT, "job").dead_letters}


def refused_by_copy(batch, form):
    flat = flatten(compare(identify(batch, SPEC, form), {}, LAYOUT.mode, RUN), SPEC, form)
    refused = {(each.step, each.code, each.record_id) for each in flat.dead_letters}
    decision = decide(flat, LAYOUT, RUN, NOON)
    unfit = [(entry, error) for entry, error in decision.unfit]
    for write in decision.writes:
        try:
            write.encoded(LAYOUT)
        except FAILURES as error:
            unfit.append((write.entry, error))
    return refused | {("UpsertPairs", getattr(error, "code", "UNEXPECTED_ERROR"), entry.key) for entry, error in unfit}


def nested(levels, value=1):
    for _ in range(levels):
        value = {"in": value}
    return value


@given(items, st.sampled_from(NESTED_ARRAYS))
def test_an_audit_finds_exactly_what_a_copy_refuses(item, nested_arrays):
    form, batch = ItemForm(ORDER, nested_arrays), as_batch(item)
    assert refused_by_audit(batch, form) == refused_by_copy(batch, form)


EDGES = {
    "the deepest map": ({"a": nested(20)}, None),
    "a map too deep": ({"a": nested(21)}, "TOO_DEEP"),
    "a map too deep in an array": ({"a": nested(19, [{"b": 1}])}, "TOO_DEEP"),
    "an array in an array": ({"a": [[1]]}, "NESTED_ARRAY"),
    "the longest name": ({"a" * 1_500: 1}, None),
    "a name too long": ({"a" * 1_501: 1}, "INVALID_FIELD_NAME"),
    "a path too long": ({"a" * 750: {"b" * 750: 1}}, "FIELD_PATH_TOO_LONG"),
    "an empty name": ({"a": {"": 1}}, "INVALID_FIELD_NAME"),
    "a name of Firestore": ({"a": {"__b__": 1}}, "INVALID_FIELD_NAME"),
    "the largest text": ({"a": "x" * 1_048_000}, None),
    "a text too large": ({"a": "x" * 1_048_576}, "DOCUMENT_TOO_LARGE"),
    "small as JSON, large in Firestore": ({"a": [{}] * 33_000}, "DOCUMENT_TOO_LARGE"),
    "too many index entries": ({"a": list(range(40_001))}, "TOO_MANY_INDEX_ENTRIES"),
    "as many index entries": ({"a": list(range(39_900))}, None),
    "a lone surrogate": ({"a": "\ud800"}, "INVALID_TEXT"),
    "the greatest integer": ({"a": MAX_INTEGER}, None),
    "a greater one": ({"a": MAX_INTEGER + 1}, "INTEGER_OUT_OF_RANGE"),
    "NaN": ({"a": [float("nan")]}, "NOT_JSON"),
    "our own field": ({"expire_at": 1}, "RESERVED_FIELD"),
    "no id": ({"id": None}, "MISSING_ID"),
    "no version": ({"_ts": None}, "NO_VERSION"),
    "a time that no document can hold": ({"ttl": 60, "_ts": 2**52}, "UNEXPECTED_ERROR"),
}


@pytest.mark.parametrize(("item", "code"), EDGES.values(), ids=EDGES)
def test_the_limits_themselves(item, code):
    form, batch = ItemForm(ORDER, REFUSE), as_batch(item)
    refused = refused_by_audit(batch, form)
    assert refused == refused_by_copy(batch, form)
    assert {each for _, each, _ in refused} == ({code} if code else set())


def test_what_becomes_too_deep_by_wrapping_is_refused():
    deepest = nested(19, [1])
    form, batch = ItemForm(ORDER, WRAP), as_batch({"a": deepest}, {"a": nested(18, [[1]])})
    assert refused_by_audit(batch, form) == refused_by_copy(batch, form) == {("FlattenRecords", "TOO_DEEP", "a-1")}
