"""A dead letter read back is the record it was; a line that is none says what it lacks."""

import base64
import datetime
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.stored import stored_document
from transforms.batch import Batch, DeadLetter
from transforms.dead_letters.folder import LetterFolder, ReplayRun
from transforms.dead_letters.lines import read_letter, record_of, still_dead
from transforms.dead_letters.replay import batch_of, set_aside_older
from transforms.dead_letters.steps import as_json, store
from transforms.errors import JobError, RecordError, UsageError
from transforms.inputs.files import match_inputs
from transforms.inputs.slices import ReadOptions, plan_slices, read_slice
from transforms.upsert.entries import Compared
from transforms.upsert.versions import StoredPair

HEADER = {"job": "ingest", "job_id": "ingest-1", "batch_id": "b-0", "time": "2026-01-01T00:00:00.000000Z"}
FAILED_AT = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
RUN = ReplayRun("replay-1", "2026-01-02T00:00:00.000000Z", 3)
NOW = "2026-01-02T00:00:01.000000Z"


def line_of(original, code="INVALID_JSON", step="ReadBatches", **more):
    letter = DeadLetter(step, code, "message", original, **{"position": 7, "line": 3, **more})
    return as_json(letter, "in.jsonl", HEADER).encode()


def replayed(original, **more):
    return record_of(read_letter(line_of(original, **more)))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes(timezones=st.just(datetime.timezone.utc)).map(lambda moment: moment.replace(fold=0)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_a_value_comes_back_as_the_value_it_was(value):
    assert repr(replayed(value).value) == repr(value)


@given(st.dictionaries(st.text(), st.integers() | st.floats() | st.text() | st.none(), max_size=4))
def test_a_line_comes_back_as_its_reader_read_it(value):
    raw = json.dumps(value).encode()
    record = replayed(raw)
    assert (repr(record.value), record.raw) == (repr(json.loads(raw)), raw)


def test_a_record_has_the_place_and_the_time_it_had():
    record = replayed(b'{"id": "a"}')
    assert (record.position, record.line, record.failed_at) == (7, 3, FAILED_AT)
    fields = {**json.loads(line_of(b"{}")), "first_time": "2025-12-31T00:00:00.000000Z"}
    assert record_of(read_letter(json.dumps(fields).encode())).failed_at == FAILED_AT - datetime.timedelta(days=1)


def test_a_model_result_is_unwrapped_and_keeps_its_id():
    line = {"key": "k-1", "response": {"candidates": [{"content": {"parts": [{"text": '{"name": "Ada"}'}]}}]}}
    line["response"]["candidates"][0]["finishReason"] = "STOP"
    record = replayed(json.dumps(line).encode())
    assert (record.value, record.fallback_id, record.failed_at) == ({"name": "Ada"}, "k-1", FAILED_AT)


@pytest.mark.parametrize(
    ("original", "code"),
    [
        (b"{", "INVALID_JSON"),
        (b'{"a": "\xff"}', "NOT_UTF8"),
        (b"7", "NOT_AN_OBJECT"),
        (b"id,name\n1,Ada,x\n", "WRONG_COLUMN_COUNT"),
    ],
    ids=["JSON", "bytes", "scalar", "CSV"],
)
def test_what_still_is_no_record_says_so_as_its_reader_did(original, code):
    with pytest.raises(RecordError) as refused:
        replayed(original, code="WHATEVER")
    assert refused.value.code == code


def test_a_row_of_csv_that_was_put_right_is_a_record_whatever_its_delimiter():
    assert replayed(b'id;name\n1;"Lovelace; Ada"\n', code="WRONG_COLUMN_COUNT").value == {
        "id": "1",
        "name": "Lovelace; Ada",
    }


def test_a_row_of_csv_is_named_by_its_place_in_the_source():
    with pytest.raises(RecordError, match=r"row 8 \(line 3\) has 3 cells, the header has 2"):
        replayed(b"id,name\n1,Ada,x\n")


@pytest.mark.parametrize(("step", "known"), [("LoadRows", "ada"), ("FlattenRecords", None)])
def test_only_a_record_whose_row_was_refused_late_is_given_the_id_it_had(step, known):
    assert replayed({"name": "Ada"}, step=step, record_id="ada").fallback_id == known


def test_two_rows_in_place_of_one_are_refused():
    with pytest.raises(RecordError, match="INVALID_CSV: the dead letter has 2 rows below its header instead of one"):
        replayed(b"id,name\n1,Ada\n2,Bo\n")


@pytest.mark.parametrize("original", [b'{"id": "a"}', b"id,name\n1,Ada", None], ids=repr)
@pytest.mark.parametrize("code", ["RECORD_TOO_LARGE", "UNREADABLE_FILE"])
def test_the_beginning_of_a_record_is_never_taken_for_the_whole(original, code):
    letter = read_letter(line_of(original, code=code))
    with pytest.raises(RecordError) as refused:
        record_of(letter)
    again = still_dead(letter, refused.value)
    assert (again.step, again.code, again.message) == ("ReadBatches", code, "message")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"position": None}, "position must be a whole number, is another value"),
        ({"attempts": True}, "attempts must be a whole number, is another value"),
        ({"source": 7}, "source must be a text, is another value"),
        ({"time": "yesterday"}, "time must be like 2026-01-01T00:00:00.000000Z"),
        ({"record": {}}, "it must have one of record_text, record, record_base64, has 2 of them"),
        ({"record_text": 7}, "record_text must be a text, is another value"),
        ({"record_text": "\ud800"}, "record_text has lone surrogates"),
        ({"record_text": ..., "record_base64": "%"}, "record_base64 is not base64"),
        ({"record_text": ..., "record": []}, "record must be an object"),
        ({"record_text": ..., "record": {"$bytes": 7}}, "record holds a tag, such as $bytes, with a wrong value"),
        ({"record_text": ...}, "it must have one of record_text, record, record_base64, has 0 of them"),
    ],
    ids=str,
)
def test_a_line_that_is_no_dead_letter_says_what_is_wrong(change, problem):
    fields = {**json.loads(line_of(b"{}")), **change}
    with pytest.raises(RecordError) as refused:
        read_letter(json.dumps({name: value for name, value in fields.items() if value is not ...}).encode())
    assert refused.value.message == problem


def test_letters_of_a_csv_that_still_are_no_records_keep_their_reasons_and_places(tmp_path):
    source = tmp_path / "in.csv"
    source.write_bytes(b'id;name\n1;Ada\n2\n3;"\xff"\n4;B;o\n')
    (file,) = match_inputs([str(source)])
    (piece,) = plan_slices(file, ReadOptions())
    (batch,) = read_slice(piece, ReadOptions())
    store(str(tmp_path), batch.batch_id, batch.source, batch.dead_letters, {**HEADER, "batch_id": batch.batch_id})
    again = batch_of(batch.batch_id, LetterFolder(str(tmp_path)).letters(batch.batch_id))
    assert (again.source, again.read, again.entries) == (batch.source, 3, ())
    assert [(letter.code, letter.message, letter.position, letter.line) for letter in again.dead_letters] == [
        (letter.code, letter.message, letter.position, letter.line) for letter in batch.dead_letters
    ]


def keep(folder, *letters, batch_id="b-0", **header):
    store(str(folder), batch_id, "in.jsonl", letters, {**HEADER, "batch_id": batch_id, **header})


def letter(position, retryable=False):
    return DeadLetter("ReadBatches", "INVALID_JSON", "message", b"{", position=position, retryable=retryable)


def test_the_letters_of_a_batch_are_one_batch_in_the_order_of_their_source(tmp_path):
    keep(tmp_path, letter(30), letter(10), letter(20, retryable=True))
    keep(tmp_path, letter(40), batch_id="b-0-rows")
    keep(tmp_path, letter(1), batch_id="b-1")
    folder = LetterFolder(str(tmp_path))
    assert folder.batches() == [("b-0", "ingest-1", 4), ("b-1", "ingest-1", 1)]
    assert [found.position for found in folder.letters("b-0")] == [10, 20, 30, 40]
    assert [found.position for found in LetterFolder(str(tmp_path), ["retryable"]).letters("b-0")] == [20]


def test_a_folder_with_brackets_in_its_name_is_a_folder(tmp_path):
    keep(tmp_path / "dead[1]", letter(1))
    assert LetterFolder(str(tmp_path / "dead[1]")).batches() == [("b-0", "ingest-1", 1)]


def test_a_file_under_another_name_is_refused(tmp_path):
    keep(tmp_path, letter(1))
    (tmp_path / "permanent" / "b-0.jsonl").rename(tmp_path / "permanent" / "mine.jsonl")
    with pytest.raises(
        UsageError, match=r"mine.jsonl, line 1 is of batch b-0, but the file is named after mine; move it back"
    ):
        LetterFolder(str(tmp_path)).batches()


def test_letters_of_two_jobs_in_one_batch_are_refused(tmp_path):
    keep(tmp_path, letter(1))
    file = tmp_path / "permanent" / "b-0.jsonl"
    file.write_text(file.read_text() + file.read_text().replace("ingest-1", "ingest-2"))
    with pytest.raises(
        UsageError, match=r"b-0.jsonl, line 2 is of job ingest-2 and source in.jsonl, but others of batch b-0"
    ):
        LetterFolder(str(tmp_path)).batches()


def test_letters_that_come_while_a_batch_is_replayed_stop_it(tmp_path):
    keep(tmp_path, letter(1), letter(2))
    with pytest.raises(JobError, match=r"batch b-0 in .* changed while they were replayed: 1 were read, 2 are there"):
        LetterFolder(str(tmp_path)).settle("b-0", 1, [], RUN, NOW)
    assert [file.name for file in tmp_path.iterdir()] == ["permanent"]


def places(folder):
    return {
        str(file.relative_to(folder)): [json.loads(line)["position"] for line in file.read_text().splitlines()]
        for file in sorted(folder.rglob("*.jsonl"))
    }


@given(fates=st.lists(st.sampled_from(["lands", "fails"]), min_size=1, max_size=5), stops=st.integers(0, 3))
def test_every_letter_ends_in_exactly_one_place_wherever_a_replay_stopped(tmp_path_factory, fates, stops):
    """Stopped after settling, or between settling and clearing, with other fates the next time."""
    folder = tmp_path_factory.mktemp("letters")
    keep(folder, *(letter(n, retryable=n % 2 == 0) for n in range(len(fates))))
    letters = LetterFolder(str(folder))
    failing = [letter(n) for n, fate in enumerate(fates) if fate == "fails"]
    for _ in range(stops):  # everything turns out the other way
        letters.settle("b-0", len(fates), [letter(n) for n, fate in enumerate(fates) if fate == "lands"], RUN, NOW)
    letters.settle("b-0", len(fates), failing, RUN, NOW)
    letters.clear("b-0", RUN.run)
    found = places(folder)
    assert sorted(n for positions in found.values() for n in positions) == list(range(len(fates)))
    assert sorted(found.get("replayed/b-0.jsonl", [])) == [n for n, fate in enumerate(fates) if fate == "lands"]


def test_an_attempt_is_counted_once_a_run_and_parked_when_there_were_enough(tmp_path):
    keep(tmp_path, letter(1))
    folder = LetterFolder(str(tmp_path))
    file = tmp_path / "permanent" / "b-0.jsonl"
    for _ in range(2):
        folder.settle("b-0", 1, [letter(1)], RUN, NOW)
        folder.clear("b-0", RUN.run)
        assert json.loads(file.read_text())["attempts"] == 2
    later = RUN._replace(run="2026-01-03T00:00:00.000000Z")
    folder.settle("b-0", 1, [letter(1)], later, NOW)
    folder.clear("b-0", later.run)
    assert places(tmp_path) == {"parked/b-0.jsonl": [1]}


def test_what_earlier_replays_have_moved_stays(tmp_path):
    folder = LetterFolder(str(tmp_path))
    for position in (1, 2):
        keep(tmp_path, letter(position))
        folder.settle("b-0", 1, [], RUN, NOW)
        folder.clear("b-0", RUN.run)
    assert places(tmp_path) == {"replayed/b-0.jsonl": [1, 2]}


def document(job_id="other", batch_id="other-0-0", seconds=0):
    moment = FAILED_AT + datetime.timedelta(seconds=seconds)
    return stored_document(moment, moment, 1, "hash", moment, moment, "other.jsonl", 0, job_id, batch_id)


@pytest.mark.parametrize(
    ("stored", "survives"),
    [
        (None, True),
        (document(seconds=-1), True),
        (document(seconds=1), False),
        (document(batch_id="mine-0-0", seconds=1), True),
        (document(job_id="", batch_id="", seconds=1), False),
        (document(job_id="yesterday", seconds=1), True),
        (document(job_id="tomorrow", seconds=1), False),
    ],
    ids=["nothing", "before", "since", "the same input", "somebody else", "an earlier job's replay", "a later job"],
)
def test_a_record_is_set_aside_if_another_input_has_written_its_documents_since(stored, survives):
    record = replayed(b'{"id": "a"}')
    entry = Compared("a", record, "mine", StoredPair(stored, stored))
    day = datetime.timedelta(days=1)
    finished_at = {"yesterday": FAILED_AT - day, "tomorrow": FAILED_AT + day}
    batch = set_aside_older(Batch("b-0", "in.jsonl", 1, (entry,)), {"mine"}, finished_at)
    assert (len(batch.entries), batch.superseded) == ((1, 0) if survives else (0, 1))


def test_bytes_that_are_no_text_come_back_exactly():
    assert base64.b64decode(json.loads(line_of(b"\xff"))["record_base64"]) == read_letter(line_of(b"\xff")).original


def test_whatever_is_written_can_be_read_by_its_owner_only(tmp_path):
    keep(tmp_path, letter(1), letter(2))
    folder = LetterFolder(str(tmp_path))
    folder.settle("b-0", 2, [letter(1)], RUN, NOW)
    folder.clear("b-0", RUN.run)
    files = [file for file in Path(tmp_path).rglob("*") if file.is_file()]
    assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}
