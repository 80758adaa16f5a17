"""Which id a model's answer is stored under: the request's, the line's own, the record's."""

import dataclasses

import pytest

from pipeline.specs import read_spec
from transforms.batch import Batch, ModelAnswer, Record
from transforms.errors import RecordError
from transforms.upsert.records import identify, key_of

SPEC = read_spec("profiles")
OWN = {"candidate_id": "12345", "name": "Ada"}
FIRST, LAST = ModelAnswer(), ModelAnswer(is_named_by_request=False)
AROUND = ModelAnswer(source_fields={"candidate_id": "cand-1", "url": "http://x"})


def key(value, came_with, answer):
    return key_of(Record(0, value, fallback_id=came_with, answer=answer), SPEC)


@pytest.mark.parametrize(
    ("value", "came_with", "answer", "expected"),
    [
        (OWN, "c1", FIRST, "c1"),
        (OWN, "c1", LAST, "12345"),
        (OWN, "c1", None, "12345"),
        (OWN, None, FIRST, "12345"),
        (OWN, "  ", FIRST, "12345"),
        (OWN, None, AROUND, "cand-1"),
        (OWN, "c1", AROUND, "c1"),
        ({"name": "Ada"}, "c1", LAST, "c1"),
        ({"name": "Ada"}, None, AROUND, "cand-1"),
        ({"name": "Ada"}, "c1", None, "c1"),
        (OWN, "c1-2", ModelAnswer(2), "12345"),
        ({"name": "Ada"}, "c1-2", ModelAnswer(2), "c1-2"),
        ({"name": "Ada"}, None, ModelAnswer(2, source_fields={"id": "cand-1"}), "cand-1-2"),
        (OWN, None, ModelAnswer(2, source_fields={"id": "cand-1"}), "12345"),
    ],
)
def test_the_id_is_the_first_that_there_is(value, came_with, answer, expected):
    assert key(value, came_with, answer) == expected


def test_an_id_of_the_request_that_firestore_does_not_take_is_refused():
    with pytest.raises(RecordError, match=r"^INVALID_ID: candidate_id must not contain \"/\""):
        key(OWN, "a/b", FIRST)


def test_three_answers_that_name_the_same_person_are_three_records_which_keep_what_they_say():
    records = tuple(Record(at, OWN, fallback_id=f"c{at}", answer=FIRST) for at in (1, 2, 3))
    keyed = identify(Batch("b-0", "in.jsonl", 3, records), SPEC)
    assert [(entry.key, entry.record.value["candidate_id"]) for entry in keyed.entries] == [
        ("c1", "12345"), ("c2", "12345"), ("c3", "12345")
    ]  # fmt: skip
    assert keyed.counts == {"ids_differing": 3}


def test_an_id_that_is_only_escaped_does_not_differ():
    spec = dataclasses.replace(SPEC, escapes_ids=True)
    records = tuple(
        Record(at, {"id": "a/b"}, answer=FIRST, fallback_id=came) for at, came in enumerate((None, "a/b", "c"))
    )
    keyed = identify(Batch("b-0", "in.jsonl", 3, records), spec)
    assert keyed.entries[0].key == keyed.entries[1].key != "a/b"
    assert keyed.counts == {"ids_differing": 1}


def test_what_was_dropped_of_a_line_is_counted_by_value():
    answers = [ModelAnswer(n_fields_dropped=2), ModelAnswer(1, n_fields_dropped=1), ModelAnswer(), None]
    records = tuple(Record(at, {"id": f"p{at}"}, answer=answer) for at, answer in enumerate(answers))
    assert identify(Batch("b-0", "in.jsonl", 4, records), SPEC).counts == {"source_fields_dropped": 3}


def test_what_was_repaired_is_counted_and_what_was_not_is_not():
    answers = [ModelAnswer(repairs=("comments", "single_quotes")), ModelAnswer(), None]
    records = tuple(Record(at, {"id": f"p{at}"}, answer=answer) for at, answer in enumerate(answers))
    assert identify(Batch("b-0", "in.jsonl", 3, records), SPEC).counts == {"answers_repaired": 1}
    assert identify(Batch("b-0", "in.jsonl", 1, records[2:]), SPEC).counts == {}
