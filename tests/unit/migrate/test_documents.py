"""An item as a document and back: the identity both ways, and what either store cannot hold is refused by name."""

import datetime
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.errors import RecordError
from transforms.firestore.messages import Document
from transforms.firestore.values import decode_fields, serialised_fields
from transforms.migrate import documents
from transforms.migrate.converted import MAX_INTEGER
from transforms.migrate.documents import (
    REFUSE,
    WRAP,
    Stamp,
    content_in,
    content_of,
    copied_from,
    document_of,
    expire_at,
    is_pending,
    is_tombstone,
    item_of,
    meta_of,
    own_fields_of,
    stamp_of,
    tombstone_of,
)

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
STAMP = Stamp(1_767_225_600_000_000, "web-1", 7)

names = st.text("_aàz.%/ 0", min_size=1, max_size=8).filter(lambda name: not (name[:2] == name[-2:] == "__"))
# What the wrapping of arrays might take for its own.
suspicious = st.sampled_from(["_array", "__array", "___array"])
leaves = st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | st.floats(allow_nan=False) | st.text()
finite = leaves.filter(lambda leaf: leaf not in (float("inf"), float("-inf")))
values = st.recursive(
    finite.filter(lambda leaf: not isinstance(leaf, str) or leaf.isprintable()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | suspicious, inner, max_size=3),
    max_leaves=8,
)
own_names = names.filter(lambda name: name not in documents.OWN_FIELDS | documents.SYSTEM_FIELDS | {"id", "ttl"})
contents = st.builds(
    lambda fields, identity, ttl: {**fields, "id": identity, **ttl},
    st.dictionaries(own_names, values, max_size=4),
    st.text(min_size=1, max_size=5),
    st.sampled_from([{}, {"ttl": 60}, {"ttl": -1}, {"ttl": None}, {"ttl": "soon"}, {"ttl": 1.0}]),
)
versions = st.builds(
    lambda ts, etag: {"_ts": ts, "_etag": etag}, st.integers(0, 4_000_000_000), st.text("0af-", max_size=9)
)


def stored(document):
    """The document as Firestore gives it back."""
    return decode_fields(Document.FromString(serialised_fields(document)).fields)


@given(contents, versions)
def test_an_item_comes_back_as_it_was_and_every_document_fits_firestore(content, version):
    item = {**content, **version, "_rid": "r", "_self": "s", "_attachments": "a", "_lsn": 4}
    document = stored(document_of(item, {"content_hash": "1f"}, NOON, WRAP))
    assert item_of(document) == content == content_of(item)
    assert {name: document["_meta"][name] for name in version} == version
    assert (document["source_system"], document["migration_timestamp"]) == ("cosmos_migration", NOON)


@given(contents)
def test_content_that_may_be_shared_is_the_same_and_the_item_stays_as_it_is(content):
    before = typed(content)
    assert typed(content_of(content, may_share=True)) == typed(content_of(content))
    assert typed(content) == before


def test_content_is_the_callers_own_unless_it_may_be_shared():
    item = {"id": "a", "tags": [{"n": 1}]}
    assert content_of(item)["tags"][0] is not item["tags"][0]
    assert content_of(item, may_share=True)["tags"][0] is item["tags"][0]


@given(contents, versions)
def test_a_document_comes_back_as_it_was(content, version):
    first = document_of({**content, **version}, {}, NOON, WRAP)
    again = document_of({**item_of(stored(first)), **version}, {}, NOON, WRAP)
    assert again == first


@given(contents)
def test_whole_numbers_are_integers_in_both_so_that_hashes_agree(content):
    once = content_of(content)
    assert typed(content_in(stored(document_of(content, {}, NOON, WRAP)))) == typed(once)


def typed(value):
    """Text that tells 1 from 1.0, whatever order maps have."""
    if isinstance(value, dict):
        return repr(sorted((name, typed(member)) for name, member in value.items()))
    return repr([typed(member) for member in value]) if isinstance(value, list) else repr(value)


@given(contents)
def test_content_without_nested_arrays_makes_the_same_document_however_they_are_treated(content):
    wrapped = document_of(content, {}, NOON, WRAP)
    if _has_nested_arrays(content):
        with pytest.raises(RecordError, match=r"^NESTED_ARRAY"):
            document_of(content, {}, NOON, REFUSE)
    else:
        assert document_of(content, {}, NOON, REFUSE) == wrapped


def _has_nested_arrays(value):
    members = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    if isinstance(value, list) and any(isinstance(member, list) for member in members):
        return True
    return any(map(_has_nested_arrays, members))


@pytest.mark.parametrize(
    ("field", "code", "message"),
    [
        ({"n": {"m": [1, 2**53 + 1]}}, "INTEGER_OUT_OF_RANGE", r"n\.m\[1\]: Cosmos DB keeps integers up to 2\^53"),
        ({"n": float("nan")}, "NOT_JSON", "n: JSON, and so Cosmos DB, has neither NaN"),
        ({"n": [{"at": NOON}]}, "NOT_JSON", r"n\[0\]\.at: Cosmos DB has no type for datetime"),
        ({"a b": [[1]]}, "NESTED_ARRAY", "`a b`: holds an array directly in an array"),
    ],
)  # fmt: skip
def test_what_one_of_the_stores_cannot_hold_is_refused_by_name(field, code, message):
    with pytest.raises(RecordError, match=f"^{code}: {message}"):
        document_of({"id": "a", **field}, {}, NOON)


def test_a_document_with_a_field_that_cosmos_would_overwrite_is_refused():
    with pytest.raises(RecordError, match="RESERVED_FIELD: _etag: Cosmos DB writes a value of its own there"):
        item_of({"id": "a", "_etag": "1"})


def test_a_document_without_id_gets_that_of_its_name_and_must_have_one():
    assert item_of({"n": 1}, document_id="a/b") == {"n": 1, "id": "a/b"}
    with pytest.raises(RecordError, match="NO_ID"):
        item_of({"n": 1})


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"ttl": 60, "_ts": 0}, datetime.datetime(1970, 1, 1, 0, 1, tzinfo=datetime.timezone.utc)),
        ({"ttl": 60}, NOON + datetime.timedelta(seconds=60)),
        ({"ttl": -1, "_ts": 0}, None),
        ({"ttl": True, "_ts": 0}, None),
        ({"_ts": 0}, None),
    ],
)
def test_an_item_expires_after_its_ttl(item, expected):
    assert expire_at(item, NOON) == expected


def test_what_we_write_beside_an_item_is_told_from_what_it_has_itself():
    ours = {"id": "a", "_meta": copied_from(STAMP, NOON, is_pending=True)}
    assert (stamp_of(ours), is_pending(ours), own_fields_of(ours)) == (STAMP, True, [])
    assert meta_of({**ours, "_ts": 3, "_etag": "e", "ttl": 5}) == {
        "_ts": 3, "_etag": "e", "ttl": 5, "stamp": STAMP.as_fields(), "pending": True,
    }  # fmt: skip
    assert own_fields_of({"id": "a", "_meta": copied_from(None, NOON)}) == []
    assert own_fields_of({"id": "a", "_meta": {"stamp": "x"}, "_deleted": True}) == ["_deleted", "_meta"]
    assert own_fields_of({**ours, "source_system": "x"}) == ["source_system"]


def test_a_tombstone_is_only_what_we_made():
    ours = tombstone_of("a", {"student": "s"}, copied_from(STAMP, None))
    assert is_tombstone(ours)
    assert not is_tombstone({"id": "a", "_deleted": True})
    assert content_of(ours) == {"id": "a", "student": "s"}


def test_an_application_that_only_knows_cosmos_loads_no_client_of_firestore():
    heavy = "'grpc' in sys.modules, 'google.cloud.firestore_v1' in sys.modules"
    code = f"import sys, transforms.migrate.documents; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
