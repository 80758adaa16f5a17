"""One of several records of an answer is a dead letter of its own: a replay neither doubles nor loses the others."""

import json
from pathlib import Path

import pytest

from tests.unit.models.test_envelopes import answering
from transforms.batch import DeadLetter, ModelAnswer, Record
from transforms.dead_letters.folder import DeadLetterFolder, ReplayRun
from transforms.dead_letters.lines import (
    Origin,
    content_of,
    count_records,
    fields_of,
    read_line,
    records_of,
    still_dead,
)
from transforms.dead_letters.steps import batch_of
from transforms.errors import JobError, RecordError
from transforms.inputs.options import ReadOptions
from transforms.models.results import unwrapped

ORIGIN = Origin("ingest", "ingest-1", "b-0", "2026-01-01T00:00:00.000000Z", "in.jsonl")
RUN = ReplayRun("replay-1", "2026-01-02T00:00:00.000000Z", 3)
NOW = "2026-01-02T00:00:01.000000Z"
SAME = {"name": "Ada"}
VALUES = [SAME, SAME, {"name": "Bob", "$bytes": "a map that looks like a tag"}]
MISSING = RecordError("MISSING_FIELD", "why")


def parts(values=VALUES, position=7):
    raw = json.dumps({**answering(values), "url": "http://x"}).encode()
    return unwrapped(Record(position, json.loads(raw), 3, raw))


def failed(record, error=MISSING):
    return DeadLetter.of("FlattenRecords", record, error)


def folder_of(tmp_path, *dead_letters):
    folder = DeadLetterFolder(str(tmp_path))
    folder.store(ORIGIN, dead_letters)
    return folder


def names(folder, kind):
    lines = Path(folder.path, kind, "b-0.jsonl").read_text().splitlines()
    return [json.loads(line)["answer"]["id"] for line in lines]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_it_keeps_that_record_alone_and_all_that_came_with_it(number):
    record = parts()[number - 1]
    line = content_of([fields_of(failed(record), ORIGIN)])
    assert b"record_text" not in line
    (again,) = records_of(read_line(line))
    assert (again.value, again.position, again.line, again.raw) == (record.value, 7, 3, None)
    assert (again.fallback_id, again.answer) == (f"p1-{number}", record.answer)
    assert again.answer == ModelAnswer(number, source_fields={"url": "http://x"})
    assert failed(again) == failed(record)


def test_lines_of_all_others_are_what_they_were():
    raw = json.dumps(answering(SAME)).encode()
    (alone,) = unwrapped(Record(7, json.loads(raw), 3, raw))
    for record in (alone, Record(7, SAME, 3), Record(7, SAME, 3, raw, "p1")):
        assert "answer" not in fields_of(failed(record), ORIGIN)


def test_those_that_fail_again_stay_and_the_others_leave_also_where_they_are_alike(tmp_path):
    folder = folder_of(tmp_path, *map(failed, parts()))
    stored = folder.read("b-0")
    assert [each.part for each in stored] == [1, 2, 3]
    assert len({each.key for each in stored}) == 3
    batch = batch_of("b-0", stored)
    folder.resolve("b-0", batch.read, [failed(batch.entries[1])], RUN, NOW, count_records)
    folder.clear("b-0", RUN.run)
    assert (names(folder, "permanent"), names(folder, "replayed")) == (["p1-2"], ["p1-1", "p1-3"])


def whole_line(values, code="MODEL_ANSWER_NOT_ONE_OBJECT"):
    """As earlier versions stored it, or as `--repair=safe` did."""
    return DeadLetter("ReadBatches", code, "why", json.dumps(answering(values)).encode(), position=7, line=3)


def test_a_line_that_failed_as_a_whole_stays_until_all_of_its_records_are_stored(tmp_path):
    folder = folder_of(tmp_path, whole_line(VALUES), dead := failed(Record(90, SAME, 5)))
    batch = batch_of("b-0", folder.read("b-0"))
    assert (batch.read, [record.fallback_id for record in batch.entries]) == (4, ["p1-1", "p1-2", "p1-3", None])
    folder.resolve("b-0", batch.read, [failed(batch.entries[2]), dead], RUN, NOW, count_records)
    folder.clear("b-0", RUN.run)
    assert [each.attempts for each in folder.read("b-0")] == [2, 2]
    folder.resolve("b-0", batch.read, [dead], ReplayRun("replay-1", "2026-01-03", 5), NOW, count_records)
    folder.clear("b-0", "2026-01-03")
    assert [each.position for each in folder.read("b-0")] == [90]


def test_what_is_counted_is_what_was_replayed(tmp_path):
    folder = folder_of(tmp_path, whole_line(VALUES))
    with pytest.raises(
        JobError, match=r"^the dead letters of batch b-0 .* changed while they were replayed: 1 were read"
    ):
        folder.resolve("b-0", 1, [], RUN, NOW, count_records)


def test_a_replay_reads_a_line_with_the_options_of_its_job():
    body = {"choices": [{"message": {"content": '{"people": [{"a": ["x" "y"]}, {"b": 1}]}'}, "finish_reason": "stop"}]}
    raw = json.dumps({"custom_id": "p1", "response": {"status_code": 200, "body": body}}).encode()
    stored = read_line(content_of([fields_of(DeadLetter("ReadBatches", "X", "why", raw, position=7), ORIGIN)]))
    options = ReadOptions(repair="aggressive", key="record", records_path="people")
    assert [record.value for record in records_of(stored, options)] == [{"a": ["x", "y"]}, {"b": 1}]
    assert (count_records(stored, options), count_records(stored)) == (2, 1)
    with pytest.raises(RecordError, match=r"^MODEL_ANSWER_NOT_JSON: "):
        records_of(stored)


def test_one_that_still_is_not_a_record_stays_the_same_part():
    stored = read_line(content_of([fields_of(failed(parts()[1]), ORIGIN)]))
    again = still_dead(stored, MISSING)
    assert (again.answer.part, again.fallback_id, again.step) == (2, "p1-2", "FlattenRecords")


@pytest.mark.parametrize("answer", [7, {}, {"part": "2"}, {"part": True}])
def test_what_is_said_about_it_has_to_be_whole(answer):
    line = json.loads(content_of([fields_of(failed(parts()[1]), ORIGIN)]))
    with pytest.raises(RecordError, match=r"^NO_DEAD_LETTER: (answer|part) must be "):
        read_line(json.dumps({**line, "answer": answer}).encode())
