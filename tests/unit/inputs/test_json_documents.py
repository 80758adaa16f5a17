import gzip
import json
import math
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.inputs.conftest import Read
from transforms.inputs.formats.json_document import JsonDocument
from transforms.inputs.items import Item
from transforms.inputs.streams import DamagedError

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


class _Dripping:
    def __init__(self, content: bytes, piece_bytes: int):
        self._content, self._piece_bytes = content, piece_bytes

    def read(self, size: int, /) -> bytes:
        piece, self._content = self._content[: self._piece_bytes], self._content[self._piece_bytes :]
        return piece


@given(st.lists(_JSON, max_size=6), st.integers(1, 9), st.sampled_from([None, 1]), st.booleans(), st.booleans())
def test_the_elements_found_are_those_of_the_document(
    values: list[object], piece_bytes: int, indent: int | None, ascii_only: bool, nested: bool
) -> None:
    document = {"before": {"a": '"]}'}, "data": {"list": values}, "after": [[]]} if nested else values
    content = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode()
    path = ("data", "list") if nested else ()
    items = list(JsonDocument(_Dripping(content, piece_bytes), path, 10_000).scan())
    assert [json.loads(item.content) for item in items if isinstance(item, Item)] == values
    assert [item.position for item in items] == list(range(len(values)))


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_is_its_elements(read: Read, indent: int | None) -> None:
    values = [{"id": n, "deep": {"list": [1, {"x": '}"]'}]}} for n in range(20)]
    for content in (json.dumps(values, indent=indent).encode(), gzip.compress(json.dumps(values).encode())):
        found = read(content, batch_size=7)
        assert found.values == values
        assert [record.position for record in found.records] == list(range(20))
        assert [batch.read for batch in found.batches] == [7, 7, 6]


@pytest.mark.parametrize("indent", [None, 2])
def test_an_object_holds_its_records_under_a_path(read: Read, indent: int | None) -> None:
    document = {"meta": {"records": [0]}, "data": {"note": "x", "records": [{"id": 1}, {"id": 2}], "n": 2}, "z": []}
    content = json.dumps(document, indent=indent).encode()
    assert read(content, records_path="data.records").values == [{"id": 1}, {"id": 2}]
    assert read(content, records_path="data.note").codes == ["NOT_AN_OBJECT"]


def test_an_object_printed_over_several_lines_is_one_record(read: Read) -> None:
    found = read(b'{\n  "id": 1,\n  "skills": [\n    "a",\n    "b"\n  ]\n}\n')
    assert found.values == [{"id": 1, "skills": ["a", "b"]}]


def test_records_know_their_line(read: Read) -> None:
    found = read(b'\xef\xbb\xbf[\n{"a":1},\n\n{"a":\n2}, {"a":3}]')
    assert [(record.value["a"], record.line) for record in found.records] == [(1, 2), (2, 4), (3, 5)]


def test_a_path_that_leads_nowhere_is_one_dead_letter_that_names_the_fields(read: Read) -> None:
    found = read(b'{"profiles": [{"id": 1}], "count": 1}', records_path="data")
    (letter,) = found.dead_letters
    assert letter.code == "UNREADABLE_FILE"
    assert "records_path=data leads nowhere, there is no 'data' among: profiles, count" in letter.message


@pytest.mark.parametrize("element", [b'{"a": secret}', b'{"a": "secret\xff"}', b'"secret"', b"7", b"[{}]", b"{]"])
def test_an_element_that_is_no_record_is_one_dead_letter_and_the_others_are_read(read: Read, element: bytes) -> None:
    found = read(b'[{"a":1},' + element + b',{"a":2}]', input_format="json")
    assert found.values == [{"a": 1}, {"a": 2}]
    (letter,) = found.dead_letters
    assert letter.code in ("INVALID_JSON", "NOT_UTF8", "NOT_AN_OBJECT")
    assert (letter.original, letter.position, letter.line) == (element, 1, 1)
    assert "secret" not in letter.message


def test_numbers_and_text_come_out_of_an_array_as_exact_as_out_of_a_line(read: Read) -> None:
    found = read(b'[{"a": 123456789012345678901, "b": NaN, "c": "\\ud800", "d": 1.0}, {"a": 1}]')
    assert (found.values[0]["a"], found.values[0]["c"]) == (123456789012345678901, "\ud800")
    assert math.isnan(found.values[0]["b"])
    assert isinstance(found.values[0]["d"], float)
    assert found.values[1] == {"a": 1}


def test_absurd_depth_is_one_dead_letter_and_the_others_are_read(read: Read) -> None:
    deep = b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    found = read(b'[{"a":1},\n' + deep + b',\n{"a":2}]')
    assert (found.values, found.codes) == ([{"a": 1}, {"a": 2}], ["TOO_DEEP"])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'[{"a":1},\n{"a":2},\n{"a":3, "b": [', "breaks off in the value that begins at byte 19"),
        (b'[{"a":1},\n{"a":2},', "damaged at its end: a value was expected"),
        (b'[{"a":1},\n{"a":2}', "damaged at its end: ']' was expected"),
        (b'[{"a":1},\n{"a":2} {"a":3}]', "damaged at byte 18: ']' was expected"),
        (b'[{"a":1},\n{"a":2}]\n{"a":3}', "damaged at byte 19: something follows behind the end"),
    ],
)
def test_a_document_that_breaks_off_is_read_up_to_there(read: Read, content: bytes, why: str) -> None:
    found = read(content)
    assert found.values == [{"a": 1}, {"a": 2}]
    (letter,) = found.dead_letters
    assert (letter.code, letter.position) == ("UNREADABLE_FILE", 2)
    assert why in letter.message


def test_an_element_beyond_the_limit_is_never_held_whole(read: Read) -> None:
    content = b'[{"a":1},{"a":"' + b"x" * 20_000_000 + b'"},{"a":2}]'
    tracemalloc.start()
    try:
        found = read(content, max_record_bytes=1024 * 1024)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found.values, found.codes) == ([{"a": 1}, {"a": 2}], ["RECORD_TOO_LARGE"])
    assert "the record has 20000008 bytes, more than max_record_bytes=1048576" in found.dead_letters[0].message
    assert peak_bytes < 8 * 1024 * 1024


def test_damage_of_the_stream_within_an_element_keeps_what_was_read_of_it() -> None:
    class Breaking(_Dripping):
        def read(self, size: int, /) -> bytes:
            piece = super().read(size)
            if not piece:
                raise DamagedError("the cable is cut", 0)
            return piece

    *items, letter = JsonDocument(Breaking(b'[{"a":1},{"a":', 4), (), 100).scan()
    assert len(items) == 1
    assert not isinstance(letter, Item)
    assert letter.original == b'{"a":'
    assert "the cable is cut" in letter.message
