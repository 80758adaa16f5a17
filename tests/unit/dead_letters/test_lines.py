"""The line of a dead letter: read back it is the record it was; a line that is not one says what it lacks."""

import base64
import datetime
import decimal
import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import any_documents
from transforms.batch import DeadLetter, Record
from transforms.dead_letters.lines import Origin, content_of, fields_of, read_line, records_of, still_dead
from transforms.errors import RecordError
from transforms.inputs.options import ReadOptions

ORIGIN = Origin("ingest", "ingest-1", "b-0", "2026-01-01T00:00:00.000000Z", "in.jsonl")
FAILED_AT = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def line_of(original, code="INVALID_JSON", step="ReadBatches", **more):
    dead_letter = DeadLetter(step, code, "message", original, **{"position": 7, "line": 3, **more})
    return content_of([fields_of(dead_letter, ORIGIN)])


def record_of(stored, *reading):
    (record,) = records_of(stored, *reading)
    return record


def replayed(original, **more):
    return record_of(read_line(line_of(original, **more)))


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
    assert record_of(read_line(json.dumps(fields).encode())).failed_at == FAILED_AT - datetime.timedelta(days=1)


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
def test_what_still_is_not_a_record_says_so_as_its_reader_did(original, code):
    with pytest.raises(RecordError) as refused:
        replayed(original, code="WHATEVER")
    assert refused.value.code == code


def test_a_row_of_csv_that_was_corrected_is_a_record_whatever_its_delimiter():
    assert replayed(b'id;name\n1;"Lovelace; Ada"\n', code="WRONG_COLUMN_COUNT").value == {
        "id": "1",
        "name": "Lovelace; Ada",
    }


def test_a_row_of_csv_is_read_with_the_columns_and_the_delimiter_of_its_file():
    reading = ReadOptions(drop_columns=("#3",), rename_columns=("key=id",))
    stored = read_line(line_of(b"sep=^\nkey^name^\n1^Lovelace, Ada^7\n", code="UNNAMED_COLUMN"))
    assert record_of(stored, reading).value == {"id": "1", "name": "Lovelace, Ada"}


def test_a_row_of_csv_is_named_by_its_place_in_the_source():
    with pytest.raises(RecordError, match=r"row 8 \(line 3\) has 3 cells, the header has 2"):
        replayed(b"id,name\n1,Ada,x\n")


@pytest.mark.parametrize(("step", "known"), [("LoadRows", "ada"), ("FlattenRecords", None)])
def test_only_a_record_whose_row_was_refused_late_is_given_the_id_it_had(step, known):
    assert replayed({"name": "Ada"}, step=step, record_id="ada").fallback_id == known


def test_a_document_keeps_its_id_which_its_fields_need_not_hold():
    record = Record(7, {"name": "Ada"}, fallback_id="ada")
    dead_letter = DeadLetter.of("FlattenRecords", record, RecordError("MISSING_FIELD", "why"), "ada")
    line = content_of([fields_of(dead_letter, ORIGIN._replace(source="firestore://people"))])
    assert json.loads(line)["document_id"] == "ada"
    found = record_of(read_line(line))
    assert (found.value, found.fallback_id) == (record.value, "ada")


def test_the_id_of_what_is_read_again_from_its_text_is_not_kept_twice():
    record = Record(7, {"name": "Ada"}, raw=b'{"name": "Ada"}', fallback_id="ada")
    dead_letter = DeadLetter.of("FlattenRecords", record, RecordError("MISSING_FIELD", "why"), "ada")
    assert "document_id" not in fields_of(dead_letter, ORIGIN)


@pytest.mark.parametrize(
    ("source", "record_id", "known"),
    [
        ("firestore://people", "ada", "ada"),
        ("firestore://people", "a%2Fb", None),  # as it was escaped, which it is not again
        ("firestore://people", None, None),
        ("in.parquet", "ada", None),
    ],
)
def test_lines_of_earlier_versions_have_the_id_of_a_document_as_that_of_the_record(source, record_id, known):
    dead_letter = DeadLetter("FlattenRecords", "X", "why", {"name": "Ada"}, record_id, position=7)
    line = content_of([fields_of(dead_letter, ORIGIN._replace(source=source))])
    assert record_of(read_line(line)).fallback_id == known


def test_two_rows_in_place_of_one_are_refused():
    with pytest.raises(RecordError, match="INVALID_CSV: the dead letter has 2 rows below its header instead of one"):
        replayed(b"id,name\n1,Ada\n2,Bo\n")


@pytest.mark.parametrize("original", [b'{"id": "a"}', b"id,name\n1,Ada", None], ids=repr)
@pytest.mark.parametrize("code", ["RECORD_TOO_LARGE", "UNREADABLE_FILE", "UNREADABLE_VALUE", "INVALID_COLUMNS"])
def test_what_is_only_shown_of_a_record_is_never_taken_for_it(original, code):
    dead_letter = read_line(line_of(original, code=code))
    with pytest.raises(RecordError) as refused:
        records_of(dead_letter)
    again = still_dead(dead_letter, refused.value)
    assert (again.step, again.code, again.message) == ("ReadBatches", code, "message")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"position": None}, "position must be a whole number, is another value"),
        ({"attempts": True}, "attempts must be a whole number, is another value"),
        ({"source": 7}, "source must be text, is another value"),
        ({"document_id": 7}, "document_id must be text, is another value"),
        ({"time": "yesterday"}, "time must be like 2026-01-01T00:00:00.000000Z"),
        ({"record": {}}, "it must have one of record_text, record, record_base64, has 2 of them"),
        ({"record_text": 7}, "record_text must be text, is another value"),
        ({"record_text": "\ud800"}, "record_text has lone surrogates"),
        ({"record_text": ..., "record_base64": "%"}, "record_base64 is not base64"),
        ({"record_text": ..., "record": []}, "record must be an object"),
        ({"record_text": ..., "record": {"$bytes": 7}}, "record holds a tag, such as $bytes, with a wrong value"),
        ({"record_text": ...}, "it must have one of record_text, record, record_base64, has 0 of them"),
    ],
    ids=str,
)
def test_a_line_that_is_not_a_dead_letter_says_what_is_wrong(change, problem):
    fields = {**json.loads(line_of(b"{}")), **change}
    with pytest.raises(RecordError) as refused:
        read_line(json.dumps({name: value for name, value in fields.items() if value is not ...}).encode())
    assert refused.value.message == problem


def test_bytes_that_are_not_text_come_back_exactly():
    assert base64.b64decode(json.loads(line_of(b"\xff"))["record_base64"]) == read_line(line_of(b"\xff")).original


@given(any_documents.records)
def test_every_value_of_firestore_s_is_kept_exactly(record):
    stored = read_line(line_of(record))
    assert stored.keeps_record
    assert any_documents.same(stored.original, record)


def _nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        uuid.UUID(int=1),
        datetime.date(2026, 1, 1),
        decimal.Decimal("1.5"),
        object(),
        {1, 2},
        {("a", "b"): 1},
        10**5000,
        _nested(100_000),
        {1: "a"},
        {None: "a"},
        datetime.datetime(2026, 1, 1),
    ],
    ids=["UUID", "date", "decimal", "object", "set", "key", "integer", "depth", "number as name", "no name", "naive"],
)
def test_a_dead_letter_can_be_written_whatever_its_value_and_is_not_taken_for_the_record(value):
    line = line_of({"id": "a", "v": value}, code="UNEXPECTED_ERROR")
    stored = read_line(line)
    assert not stored.keeps_record
    assert json.loads(line)["record_lost"] == (
        "a value of the record has no exact form in JSON, so it is not kept; to store it, ingest in.jsonl again"
    )
    with pytest.raises(RecordError, match="UNEXPECTED_ERROR: message"):
        record_of(stored)
