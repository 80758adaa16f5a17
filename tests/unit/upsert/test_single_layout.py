"""Specs of one collection: one document per record, the record as it came, by the rules of pairs."""

import datetime

import pytest

from tests.support.clocks import no_waiting
from transforms.batch import Batch, Record
from transforms.errors import SpecError
from transforms.firestore.packing import RequestLimits
from transforms.records.describe import schema_markdown
from transforms.records.indexes import firestore_indexes
from transforms.records.spec import load_spec
from transforms.retry import Retry
from transforms.testing import ScriptedFirestore
from transforms.upsert.decide import compare
from transforms.upsert.layout import META_FIELD, SingleLayout
from transforms.upsert.modes import VERSIONED
from transforms.upsert.records import flatten, identify
from transforms.upsert.stored import Stored, read_stored
from transforms.upsert.upserter import Upserter
from transforms.upsert.versions import RunIdentity

TEXT = """
name: attempts
schema_version: 2
collection: attempts
label: attempt
owner: student_id
key: {name: attempt_id, from: id}
fields:
  student_id: {type: string, from: [studentId, student.id]}
  score: {type: number, from: score}
  tags: {type: strings, from: "tags[].name"}
"""
SPEC = load_spec(TEXT, "attempts.yaml")
NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)


def ingest(server, *values, run=1, keep_versions=0):
    """What a run makes of records, step by step."""
    layout = SingleLayout(server.target, SPEC.full_collection, SPEC.schema_version, VERSIONED, keep_versions)
    client, retry = server.target.connect(), Retry(1, clock=no_waiting(NOON.timestamp))
    identity = RunIdentity(f"ingest-{run}", 1, NOON)
    records = tuple(Record(position, value) for position, value in enumerate(values))
    keyed = identify(Batch("aaa-0-0", "in.jsonl", len(records), records), SPEC)
    stored = read_stored(client, layout, [entry.key for entry in keyed.entries], retry)
    compared = compare(keyed, stored, VERSIONED, identity)
    return Upserter(client, layout, identity, RequestLimits(), retry).upsert(flatten(compared, SPEC))


def test_a_record_is_one_document_as_it_came_and_meta_beside_it():
    with ScriptedFirestore() as server:
        written = ingest(server, {"id": "a1", "studentId": 7, "score": 1.5})
        [(path, document)] = server.documents.items()
    assert path == "attempts/a1"
    assert {name: value for name, value in document.fields.items() if name != META_FIELD} == {
        "id": "a1", "studentId": 7, "score": 1.5,
    }  # fmt: skip
    assert document.fields[META_FIELD]["schema_version"] == 2
    assert written.entries[0].flat == {"attempt_id": "a1", "student_id": "7", "score": 1.5}


def test_a_second_run_writes_nothing_and_a_change_is_the_next_version():
    with ScriptedFirestore() as server:
        ingest(server, {"id": "a1", "score": 1})
        assert ingest(server, {"id": "a1", "score": 1}, run=2).unchanged == 1
        changed = ingest(server, {"id": "a1", "score": 2}, run=3, keep_versions=5)
        assert [entry.meta["version"] for entry in changed.entries] == [2]
        assert changed.repaired == 0
        assert server.documents.keys() == {"attempts/a1", "attempts/a1/versions/2"}


def test_one_document_is_never_inconsistent():
    with ScriptedFirestore() as server:
        ingest(server, {"id": "a1"})
        layout = SingleLayout(server.target, "attempts", 2)
        stored = read_stored(server.target.connect(), layout, ["a1", "b"], Retry(1))
    assert stored.keys() == {"a1"}
    assert not stored["a1"].is_inconsistent
    assert not Stored().is_inconsistent


def test_a_spec_of_one_collection_names_what_the_application_logs():
    assert (SPEC.collections, SPEC.queried_collection, SPEC.label, SPEC.owner) == (
        ("attempts",), "attempts", "attempt", "student_id",
    )  # fmt: skip


def test_label_and_owner_decide_nothing_that_is_stored():
    assert load_spec(TEXT.replace("label: attempt\n", ""), "a.yaml").fingerprint == SPEC.fingerprint


def test_indexes_are_of_the_documents_own_fields():
    spec = load_spec(TEXT + "indexes: [[student_id, score desc, attempt_id]]\n", "attempts.yaml")
    assert firestore_indexes(spec) == {
        "indexes": [
            {
                "collectionGroup": "attempts",
                "queryScope": "COLLECTION",
                "fields": [
                    {"fieldPath": "studentId", "order": "ASCENDING"},
                    {"fieldPath": "score", "order": "DESCENDING"},
                    {"fieldPath": "id", "order": "ASCENDING"},
                ],
            }
        ],
        "fieldOverrides": [{"collectionGroup": "attempts", "fieldPath": "_meta", "indexes": []}],
    }


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            "indexes: [[tags contains, score]]\n",
            "tags is not in the record as it came; index a field whose first source is a path of names",
        ),
        ("flat_collection: b\n", "does not go with collection, which holds one document per record; remove one of"),
    ],
)
def test_what_one_document_cannot_have_is_refused(more, message):
    with pytest.raises(SpecError, match=message):
        load_spec(TEXT + more, "attempts.yaml")


def test_an_owner_is_a_field():
    with pytest.raises(SpecError, match=r"'student' is no field; did you mean student_id\?"):
        load_spec(TEXT.replace("owner: student_id", "owner: student"), "attempts.yaml")


def test_the_page_of_a_spec_names_its_one_collection():
    page = schema_markdown(SPEC)
    assert "| `attempts/{attempt_id}` | the whole record as it came, and `_meta` |" in page
    assert "Both documents" not in page.partition("## `_meta`")[0]
