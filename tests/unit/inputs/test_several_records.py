"""A line whose answer holds several records gives all of them; batches, places and dead letters stay what they were."""

import gzip
import json

import pytest

from tests.unit.models.test_envelopes import ADA, BOTH, OPENAI_LINE, answering


def lines(*values):
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def test_all_records_of_a_line_are_read_in_its_batch_and_counted(read):
    found = read(lines(answering(BOTH), {"id": "plain"}, answering([*BOTH, *BOTH])), batch_size=2)
    assert [(batch.read, len(batch.entries)) for batch in found.batches] == [(3, 3), (4, 4)]
    assert [(record.line, record.answer and record.answer.part) for record in found.records] == [
        (1, 1), (1, 2), (2, None), (3, 1), (3, 2), (3, 3), (3, 4)
    ]  # fmt: skip


def test_batches_end_where_they_did_when_such_a_line_was_a_dead_letter(read):
    one = read(lines(*[answering(BOTH[0])] * 5), batch_size=2)
    two = read(lines(*[answering(BOTH)] * 5), batch_size=2)
    assert [batch.batch_id[12:] for batch in one.batches] == [batch.batch_id[12:] for batch in two.batches]


def test_they_are_read_alike_from_lines_from_gzip_and_from_an_array(read):
    values = [OPENAI_LINE, answering(BOTH)]
    found = [
        read(content, name).records
        for name, content in {
            "a.jsonl": lines(*values),
            "a.jsonl.gz": gzip.compress(lines(*values)),
            "a.json": json.dumps(values).encode(),
        }.items()
    ]
    assert {json.dumps([record.value for record in records]) for records in found} == {
        json.dumps([json.loads(ADA), *BOTH])
    }
    assert {tuple(record.fallback_id for record in records) for records in found} == {("p1", "p1-1", "p1-2")}


def test_the_path_leads_to_the_records_of_an_answer_and_changes_no_plain_line(read):
    plain = {"profiles": BOTH, "id": "plain"}
    found = read(lines(answering({"profiles": BOTH}), plain), records_path="profiles", input_format="jsonl")
    assert found.values == [*BOTH, plain]


@pytest.mark.parametrize(("option", "count"), [({}, 0), ({"repair": "aggressive"}, 1)])
def test_what_is_broken_is_guessed_only_if_that_is_asked_for(read, option, count):
    body = {"choices": [{"message": {"content": '{"a": ["x" "y"]}'}, "finish_reason": "stop"}]}
    found = read(lines({**OPENAI_LINE, "response": {"status_code": 200, "body": body}}), **option)
    assert [record.value for record in found.records] == [{"a": ["x", "y"]}] * count
    assert found.codes == ["MODEL_ANSWER_NOT_JSON"] * (1 - count)


@pytest.mark.parametrize(("option", "first"), [({}, True), ({"key": "record"}, False)])
def test_the_record_knows_which_id_comes_first(read, option, first):
    (record,) = read(lines(OPENAI_LINE), **option).records
    assert record.answer.is_named_by_request is first
