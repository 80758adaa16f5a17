"""What names a record in both stores, and what a query may ask."""

import math

import pytest

from pipeline.specs import read_spec
from transforms.dual.connect import open_async_dual_store, open_dual_store
from transforms.dual.finding import Search
from transforms.dual.kinds import Kind
from transforms.errors import RecordError, UsageError

ATTEMPTS = read_spec("student_attempts")
ENVIRON = {"COSMOS_ENDPOINT": "https://a.documents.azure.com", "COSMOS_KEY": "c2VjcmV0"}


def test_ids_that_firestore_does_not_take_are_escaped():
    key = Kind.of(ATTEMPTS, "/student_id").key_of({"id": "__a__", "student_id": 7, "score": 1})
    assert (key.document_id, key.item_id, key.partition_key) == ("%5F_a__", "__a__", (7,))
    assert key.naming == {"id": "__a__", "student_id": 7}


def test_a_key_of_several_paths_and_of_a_template():
    kind = Kind.of(read_spec("student_competencies"), ("/student_id", "/subject"))
    fields = {"id": "x", "student_id": "s", "subject": "m", "skill_id": "k", "subskill_id": "u"}
    key = kind.key_of(fields)
    assert (key.document_id, key.partition_key) == ("s_m_k_u", ("s", "m"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": "a/b", "student_id": "s"}, "INVALID_ID: an id of Cosmos DB has none of"),
        # Their address would be that of the container, which a delete would delete.
        ({"id": "..", "student_id": "s"}, "INVALID_ID: an item of this id cannot be asked for"),
        ({"id": ".", "student_id": "s"}, "INVALID_ID: an item of this id cannot be asked for"),
        ({"id": 7, "student_id": "s"}, "MISSING_ID"),
        ({"id": "a", "student_id": ["s"]}, "MISSING_PARTITION_KEY: student_id must be text"),
    ],
)
def test_fields_that_name_no_record_are_refused(fields, message):
    with pytest.raises(RecordError, match=message):
        Kind.of(ATTEMPTS, "/student_id").key_of(fields)


def test_a_spec_of_pairs_and_a_path_without_slash_are_refused():
    with pytest.raises(UsageError, match="the spec profiles stores two documents per record"):
        Kind.of(read_spec("profiles"), "/id")
    with pytest.raises(UsageError, match="partition_key must be paths such as /student_id, got student_id"):
        Kind.of(ATTEMPTS, "student_id")


@pytest.mark.parametrize(
    ("item", "is_found"),
    [({"n": 1}, True), ({"n": 1.0}, True), ({"n": True}, False), ({"n": "1"}, False), ({}, False)],
)
def test_only_values_of_one_kind_are_compared(item, is_found):
    assert bool(Search((("n", "==", 1),)).of([item])) == is_found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"where": (("a", "==", None),)}, "the value must be text or a number"),
        ({"where": (("a", "<", True),)}, "true or false with =="),
        ({"where": (("a", "==", math.nan),)}, "not a value that both stores can hold"),
        ({"where": (("a", "<", 2**53 + 1),)}, "not a value that both stores can hold"),
        ({"where": (("a", "==", "\ud800"),)}, "not a value that both stores can hold"),
        ({"where": (("ttl", ">", 5),)}, "ttl: only one of the stores has this field"),
        ({"where": (("_ts", ">", 5),)}, "_ts: only one of the stores has this field"),
        ({"where": (("_meta.stamp.n", ">", 5),)}, "only one of the stores has this field"),
        ({"where": (("a..b", ">", 5),)}, "names are joined by dots, and none is empty"),
        ({"order_by": "expire_at"}, "expire_at: only one of the stores has this field"),
        ({"order_by": ""}, "'' is not a field"),
        ({"limit": 0}, r"limit must be in \[1, 10,000\], got 0"),
    ],
)
def test_what_the_stores_would_answer_differently_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        Search(**arguments)


@pytest.mark.parametrize("opened", [open_dual_store, open_async_dual_store])
def test_opening_calls_nothing_and_says_what_is_missing(opened):
    opened(ATTEMPTS, "cosmos://school/attempts", "/student_id", "students", environ=ENVIRON)
    with pytest.raises(UsageError, match="container must be cosmos://DATABASE/CONTAINER"):
        opened(ATTEMPTS, "school/attempts", "/student_id", "students", environ=ENVIRON)
    with pytest.raises(UsageError, match="a migration's name becomes a document id"):
        opened(ATTEMPTS, "cosmos://school/attempts", "/student_id", "a/b", environ=ENVIRON)
    forced = {**ENVIRON, "FIREBEAM_PHASE": "dual_write"}
    with pytest.raises(UsageError, match="FIREBEAM_PHASE=dual_write writes Firestore; set GOOGLE_CLOUD_PROJECT"):
        opened(ATTEMPTS, "cosmos://school/attempts", "/student_id", "students", environ=forced)


def test_what_a_tombstone_keeps_names_the_same_document_as_the_record():
    kind = Kind.of(read_spec("student_competencies"), "/student_id")
    item = {"id": "x", "student_id": "s", "subject": "m", "skill_id": "a", "subskill_id": "b", "level": 3}
    key = kind.key_of(item)
    assert key.document_id == "s_m_a_b"
    assert kind.key_of(key.naming) == key


def test_a_record_is_not_stored_under_another_id_where_a_part_of_its_own_is_missing():
    kind = Kind.of(read_spec("student_competencies"), "/student_id")
    with pytest.raises(RecordError, match="is missing"):
        kind.key_of({"id": "x", "student_id": "s", "subject": "m"})


@pytest.mark.parametrize(
    ("fields", "is_another"),
    [
        ({"id": "a", "who": {"n": 1.0}}, False),
        ({"who": {"n": 1}, "score": 2}, False),
        ({"id": "b", "who": {"n": 1}}, True),
        ({"id": "a", "who": {"n": True}}, True),
        ({"id": "a", "who": {"n": "1"}}, True),
        ({"id": "a", "who": 1}, True),
        ({"id": "a"}, True),
    ],
)
def test_a_document_of_another_item_is_told_by_id_and_partition_key(fields, is_another):
    kind = Kind.of(ATTEMPTS, "/who/n")
    assert kind.is_of_another(kind.key_of({"id": "a", "who": {"n": 1}}), fields) == is_another
    assert kind.names_of_item == ("id", "who")
