"""A container as one side of a comparison: which keys a range finds, what is content, and what counts as changed."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.specs import read_spec
from tests.support.cosmos import OwnContainer, new_container
from transforms.firestore import messages
from transforms.firestore.document_order import sort_key
from transforms.firestore.documents import Document
from transforms.firestore.ranges import Bound, NameRange
from transforms.firestore.values import encode_fields
from transforms.migrate.documents import document_of
from transforms.records.keys import escaped, id_of
from transforms.verify.cosmos_form import ItemForm
from transforms.verify.cosmos_store import CosmosStore, _condition
from transforms.verify.entries import content_hash
from transforms.verify.ignored import Ignored

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.timezone.utc)
FORM = ItemForm(Ignored(), now=NOW.timestamp)
ODD_IDS = ["..", "__x__", "__id7__", "100%", " ada", "Ωmega", "\ud7ff", "\ue000", "😀", "a b", "-", "~", "Z", "a"]


def document(fields, name="a"):
    message = messages.Document(name=f"projects/p/databases/d/documents/c/{name}")
    encode_fields(fields, message.fields)
    return Document(message)


def store_of(container: OwnContainer, spec=None) -> CosmosStore:
    return CosmosStore(container.target(), FORM, spec)


@pytest.fixture(scope="module")
def container(cosmos) -> OwnContainer:
    made = new_container(cosmos)
    made.put(*({"id": name, "student_id": f"s{n}", "n": n} for n, name in enumerate(ODD_IDS)))
    return made


@pytest.mark.parametrize(
    "span",
    [
        NameRange(),
        NameRange(Bound("%1"), Bound("-")),
        NameRange(None, Bound("Z")),
        NameRange(Bound("Z"), Bound("a", after=True)),
        NameRange(Bound("a", after=True), Bound("\ud7ff")),
        NameRange(Bound("\ud7ff"), Bound("😀")),
        NameRange(Bound("\ue000"), None),
        NameRange(Bound("100%24"), Bound("100%26")),
        NameRange(Bound("__id6__"), Bound("__id8__")),
    ],
    ids=str,
)
def test_a_range_has_exactly_its_keys(container, span):
    keys = {escaped(id_of(name)): name for name in ODD_IDS}
    found = [entry.key for entry in store_of(container).entries(span)]
    assert sorted(found, key=sort_key) == sorted((key for key in keys if span.contains(key)), key=sort_key)


IDS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="/\\?#\t\r\n"), min_size=1, max_size=4)


@given(IDS.filter(lambda name: id_of(name)), IDS, IDS)
def test_a_query_never_misses_an_id_of_its_range(name, low, high):
    from transforms.testing.cosmos.sql import parse_query
    from transforms.testing.cosmos.sql_values import is_true

    span = NameRange(Bound(low), Bound(high, after=True))
    if span.contains(escaped(id_of(name))):
        condition, parameters = _condition(span)
        query = parse_query(f"SELECT * FROM c{condition}", {f"@{each}": value for each, value in parameters.items()})
        assert is_true(query.where, {"id": name})


def test_keys_are_read_again_as_they_are_now(container):
    keys = [escaped(id_of(name)) for name in ("100%", "..", "a")]
    assert sorted(entry.key for entry in store_of(container).refetch([*keys, "missing"])) == sorted(keys)


def test_a_version_counts_from_the_end_of_its_second(container):
    entry = next(iter(store_of(container).refetch(["a"])))
    item = container.proxy.read_item("a", f"s{ODD_IDS.index('a')}")
    assert entry.update_time.microsecond == 999_999
    assert int(entry.update_time.timestamp()) == item["_ts"]


def test_a_spec_says_which_document_an_item_becomes(cosmos):
    container = new_container(cosmos)
    skill = {"student_id": "s1", "subject": "math", "skill_id": "k1", "subskill_id": "u1", "score": 1}
    container.put({"id": "x", **skill}, {"id": "y", "student_id": "s2"})
    store = store_of(container, read_spec("student_competencies"))
    assert sorted(entry.key for entry in store.entries(NameRange())) == ["s1_math_k1_u1", "y"]
    assert [entry.key for entry in store.entries(NameRange(Bound("s1"), Bound("s2")))] == ["s1_math_k1_u1"]
    assert [entry.content["id"] for entry in store.refetch(["s1_math_k1_u1", "missing"])] == ["x"]


@pytest.mark.parametrize(
    "item",
    [
        {"id": "a", "n": 1.0, "deep": {"list": [1, 2.5, None, "x"]}},
        {"id": "a", "ttl": 10**8},
        {"id": "a", "_meta": {"stamp": {"time": 1, "instance": "i", "n": 2}, "pending": True}},
    ],
)
def test_an_item_equals_the_document_that_is_its_copy(item):
    stored = {**item, "_ts": int(NOW.timestamp()), "_etag": '"1"', "_rid": "r", "_self": "s", "_attachments": "a"}
    copy = document(document_of(stored, {"content_hash": "…"}, NOW))
    assert content_hash("a", FORM.of_document(copy)) == content_hash("a", FORM.of_item(stored))


def test_one_is_one_point_zero_and_other_values_differ():
    def of(value):
        return content_hash("a", FORM.of_document(document({"id": "a", "n": value})))

    assert of(1) == of(1.0)
    assert len({of(1), of(2), of("1"), of(True), of(None), of([1]), of(NOW), of(float("nan"))}) == 8


def test_tombstones_and_what_has_expired_are_on_neither_side():
    assert FORM.of_item({"id": "a", "_deleted": True, "_meta": {"stamp": {"time": 1, "instance": "i", "n": 2}}}) is None
    assert FORM.of_document(document({"id": "a", "expire_at": NOW})) is None
    assert FORM.of_document(document({"id": "a", "expire_at": NOW + datetime.timedelta(seconds=1)})) == {"id": "a"}


def test_ignored_fields_are_not_content():
    form = ItemForm(Ignored.of(["n"]))
    assert form.of_item({"id": "a", "n": 1}) == form.of_document(document({"id": "a", "n": 2})) == {"id": "a"}
