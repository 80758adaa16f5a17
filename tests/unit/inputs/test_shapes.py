"""Records keyed by their ids, tagged types, nested arrays: what is chosen is done, and can be turned back."""

import datetime
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.inputs.conftest import Read
from transforms.batch import DeadLetter
from transforms.dead_letters.lines import Origin, content_of, fields_of, read_line
from transforms.dead_letters.steps import batch_of
from transforms.errors import RecordError
from transforms.firestore.tagged_json import to_tagged_json
from transforms.firestore.values import GeoPoint, Reference, encoded_fields
from transforms.inputs.options import ReadOptions
from transforms.inputs.shapes import shaped, with_nested_arrays, without_nested_arrays
from transforms.records.keys import escaped, id_problem, unescaped

DOCUMENTS = "projects/p/databases/(default)/documents"
AT = datetime.datetime(2026, 1, 1, 0, 0, 0, 7, tzinfo=datetime.timezone.utc)
SECONDS = int(AT.timestamp())


def _keyed(found: Any) -> list[tuple[str | None, Any]]:
    return [(record.fallback_id, record.value) for record in found.records]


@pytest.mark.parametrize(
    ("content", "records_path"),
    [
        (b'{"p1": {"name": "Ada"}, "p/2": {"name": "Bo", "x": {"y": 1}}}', None),
        (b'{\n  "p1": {"name": "Ada"},\n  "p/2": {"name": "Bo", "x": {"y": 1}}\n}\n', None),
        (b'{"p1": {"name": "Ada"}}\n{"p/2": {"name": "Bo", "x": {"y": 1}}}\n', None),
        (b'[{"p1": {"name": "Ada"}}, {"p/2": {"name": "Bo", "x": {"y": 1}}}]', None),
        (b'{"v": 1, "people": {"p1": {"name": "Ada"}, "p\\/2": {"name": "Bo", "x": {"y": 1}}}, "z": []}', "people"),
    ],
    ids=["one line", "printed", "lines", "array", "path"],
)
def test_records_keyed_by_their_ids_are_records(read: Read, content: bytes, records_path: str | None) -> None:
    found = read(content, keyed_by_id=True, records_path=records_path)
    assert _keyed(found) == [("p1", {"name": "Ada"}), ("p/2", {"name": "Bo", "x": {"y": 1}})]
    assert found.codes == []


def test_a_member_that_is_no_record_is_one_dead_letter_and_the_others_are_read(read: Read) -> None:
    found = read(b'{"p1": {"a": 1}, "p2": 7, "p3": {"a": oops}, "p4": {}}', keyed_by_id=True, input_format="json")
    assert _keyed(found) == [("p1", {"a": 1}), ("p4", {})]
    assert sorted(found.codes) == ["INVALID_JSON", "NOT_KEYED_BY_ID"]
    assert {letter.position for letter in found.dead_letters} == {1, 2}


def test_a_document_keyed_by_id_that_breaks_off_is_read_up_to_there(read: Read) -> None:
    found = read(b'{"p1": {"a": 1}, "p2": {"a": ', keyed_by_id=True, input_format="json")
    assert (_keyed(found), found.codes) == ([("p1", {"a": 1})], ["UNREADABLE_FILE"])


@pytest.mark.parametrize(
    ("tagged", "value"),
    [
        (to_tagged_json(AT), AT),
        ({"_seconds": SECONDS, "_nanoseconds": 7_999}, AT),
        ({"seconds": SECONDS, "nanoseconds": 7_000}, AT),
        ({"__datatype__": "timestamp", "value": {"_seconds": SECONDS, "_nanoseconds": 7_000}}, AT),
        ({"_latitude": 52.5, "_longitude": 13}, GeoPoint(52.5, 13.0)),
        ({"__datatype__": "geopoint", "value": {"_latitude": 52.5, "_longitude": 13}}, GeoPoint(52.5, 13.0)),
        ({"$geopoint": [52.5, 13.0]}, GeoPoint(52.5, 13.0)),
        ({"__datatype__": "documentReference", "value": "users/ada"}, Reference(f"{DOCUMENTS}/users/ada")),
        ({"_firestore": {"x": 1}, "_path": {"segments": ["users", "ada"]}}, Reference(f"{DOCUMENTS}/users/ada")),
        ({"$reference": "projects/q/databases/d/documents/a/b"}, Reference("projects/q/databases/d/documents/a/b")),
        ({"type": "Buffer", "data": [1, 255]}, b"\x01\xff"),
        ({"$bytes": "Af8="}, b"\x01\xff"),
        ({"$map": {"$bytes": 1}}, {"$bytes": 1}),
        ({"_seconds": 1, "other": 2}, {"_seconds": 1, "other": 2}),
        ({"type": "Buffer", "data": 1, "more": 2}, {"type": "Buffer", "data": 1, "more": 2}),
        ({"latitude": 1, "longitude": 2}, {"latitude": 1, "longitude": 2}),
    ],
    ids=str,
)
def test_tags_of_firebeam_and_other_tools_are_the_types_they_name(read: Read, tagged: Any, value: Any) -> None:
    content = json.dumps({"id": "a", "v": tagged, "in": [{"deep": tagged}]}).encode()
    expected = {"id": "a", "v": value, "in": [{"deep": value}]}
    assert read(content, types="tagged", documents=DOCUMENTS).values == [expected]
    assert read(content).values == [json.loads(content)]


@pytest.mark.parametrize(
    "tagged",
    [
        {"_seconds": "1", "_nanoseconds": 0},
        {"_seconds": 10**15, "_nanoseconds": 0},
        {"_seconds": True, "_nanoseconds": 0},
        {"_latitude": None, "_longitude": 1},
        {"__datatype__": "unknown", "value": 1},
        {"__datatype__": "timestamp", "value": None},
        {"__datatype__": "documentReference", "value": "users"},
        {"__datatype__": "documentReference", "value": 7},
        {"_path": {"segments": [1]}},
        {"type": "Buffer", "data": [256]},
        {"$timestamp": "yesterday"},
        {"$bytes": 7},
    ],
    ids=str,
)
def test_a_tag_with_a_wrong_value_is_a_dead_letter_that_names_the_field(read: Read, tagged: Any) -> None:
    found = read(json.dumps({"id": "a"}).encode() + b"\n" + json.dumps({"v": [tagged]}).encode(), types="tagged")
    assert found.values == [{"id": "a"}]
    (letter,) = found.dead_letters
    assert (letter.code, letter.line) == ("INVALID_TAG", 2)
    assert letter.message == "v[0] is tagged as a value of Firestore's, but is none"


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text("ab$", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "$array", "$json", "$map", "$bytes"]), inner, max_size=2)
    ),
    max_leaves=12,
)


@given(JSON_VALUES, st.sampled_from(["wrap", "json"]))
def test_nested_arrays_can_be_had_back_and_none_is_left(value: Any, form: str) -> None:
    stored = without_nested_arrays(value, form)
    assert repr(with_nested_arrays(stored)) == repr(value)
    encoded_fields({"v": stored})  # raises where an array stands in an array


def test_nested_arrays_are_refused_wrapped_or_text_in_every_format(read: Read) -> None:
    content = b'{"id": "a", "at": [[1, 2], [3]]}\n'
    assert read(content).values == [{"id": "a", "at": [[1, 2], [3]]}]
    assert read(content, nested_arrays="wrap").values == [{"id": "a", "at": [{"$array": [1, 2]}, {"$array": [3]}]}]
    assert read(content, nested_arrays="json").values == [{"id": "a", "at": {"$json": "[[1, 2], [3]]"}}]


@pytest.mark.parametrize(
    "options",
    [
        ReadOptions(keyed_by_id=True, types="tagged", nested_arrays="wrap", documents=DOCUMENTS),
        ReadOptions(keyed_by_id=True, types="tagged", nested_arrays="json", documents=DOCUMENTS),
    ],
    ids=["wrap", "json"],
)
def test_a_dead_letter_is_read_again_as_the_record_was(read: Read, options: ReadOptions) -> None:
    content = b'{"p1": {"at": {"_seconds": 1, "_nanoseconds": 0}, "m": [[1], [2]]}, "p2": {"at": {"$bytes": 7}}}'
    fields = {name: getattr(options, name) for name in ("keyed_by_id", "types", "nested_arrays", "documents")}
    found = read(content, **fields)
    (record,) = found.records
    origin = Origin("ingest", "j", "b", "2026-01-01T00:00:00Z", "s")
    later = DeadLetter.of("IdentifyRecords", record, RecordError("MISSING_ID", "of a later step"))
    lines = [read_line(content_of([fields_of(letter, origin)])) for letter in (later, *found.dead_letters)]
    again = shaped(batch_of("b", lines, options), options, is_replay=True)
    assert [(each.fallback_id, each.value) for each in again.entries] == [(record.fallback_id, record.value)]
    assert [letter.code for letter in again.dead_letters] == ["INVALID_TAG"]


@given(st.text(max_size=8) | st.sampled_from([".", "..", "__x__", "____", "a/b", "%2F", "100%"]))
def test_an_escaped_id_is_one_that_firestore_takes_and_can_be_had_back(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    assert unescaped(escaped(text)) == text
    assert not text or id_problem(escaped(text)) is None
