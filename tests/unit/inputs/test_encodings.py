"""Files in other encodings are read as if they were UTF-8, in every format; a byte order mark may begin any of them."""

import gzip

import pytest

from tests.unit.inputs.conftest import Read
from transforms.inputs.encodings import ENCODINGS

ZOE = {"id": "1", "name": "Zoe"}
MARK = "\ufeff"
TEXTS = {
    "csv": "id;name\r\n1;Zoe\r\n2;{}\r\n",
    "jsonl": '{{"id": "1", "name": "Zoe"}}\n{{"id": "2", "name": "{}"}}\n',
    "json": '[\n{{"id": "1", "name": "Zoe"}},\n{{"id": "2", "name": "{}"}}\n]\n',
}
# What each encoding has beside ASCII.
WORDS = {
    "utf-8": "Zoë €𝄞",
    "utf-16": "Zoë €𝄞",
    "utf-16-le": "Zoë €𝄞",
    "utf-16-be": "Zoë €𝄞",
    "windows-1250": "Łódź",
    "windows-1251": "Москва",
    "iso-8859-2": "Łódź",
    "shift_jis": "東京",
    "gb18030": "北京",
    "big5": "臺北",
    "euc-kr": "서울",
}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_format_is_read_in_every_encoding(read: Read, encoding: str, name: str, compressed: bool) -> None:
    word = WORDS.get(encoding, "Zoë")
    content = TEXTS[name].format(word).encode(encoding)
    found = read(gzip.compress(content) if compressed else content, encoding=encoding)
    assert (found.values, found.codes) == ([ZOE, {"id": "2", "name": word}], [])


@pytest.mark.parametrize("name", TEXTS)
def test_what_begins_with_the_mark_of_utf8_is_that_whatever_was_said(read: Read, name: str) -> None:
    content = (MARK + TEXTS[name].format("Zoë")).encode()
    assert read(content, encoding="windows-1252").values == [ZOE, {"id": "2", "name": "Zoë"}]


@pytest.mark.parametrize("marks", [1, 2])
@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_marks_at_the_beginning_are_no_content(read: Read, encoding: str, name: str, marks: int) -> None:
    content = (MARK * marks + TEXTS[name].format("Zoë")).encode(encoding)
    for stored in (content, gzip.compress(content)):
        assert read(stored, encoding=encoding).values == [ZOE, {"id": "2", "name": "Zoë"}]


def test_a_mark_where_another_file_of_json_lines_was_appended_is_no_content(read: Read) -> None:
    one = b'\xef\xbb\xbf{"id": 1}\n'
    assert read(one * 3).values == [{"id": 1}] * 3


@pytest.mark.parametrize("size", [1, 2, 3])
def test_files_shorter_than_a_mark_are_read(read: Read, size: int) -> None:
    assert read(b"{}\n"[:size], encoding="windows-1252", input_format="jsonl").codes == (
        ["INVALID_JSON"] if size == 1 else []
    )


def test_a_byte_that_the_encoding_lacks_is_the_fault_of_its_row(read: Read) -> None:
    found = read(b"id;name\n1;Zoe\n2;\x81\n3;Zo\xeb\n", encoding="windows-1252")
    assert [value["id"] for value in found.values] == ["1", "3"]
    assert found.codes == ["NOT_UTF8"]


def test_a_lone_surrogate_in_utf16_is_the_fault_of_its_line(read: Read) -> None:
    content = '{"id": 1}\n{"id": "\ud83d"}\n{"id": 3}\n'.encode("utf-16", "surrogatepass")
    found = read(content, encoding="utf-16")
    assert ([value["id"] for value in found.values], found.codes) == ([1, 3], ["NOT_UTF8"])


def test_utf16_that_ends_within_a_character_is_read_up_to_there(read: Read) -> None:
    content = '{"id": 1}\n{"id": 2}\n'.encode("utf-16-le")
    found = read(content + b"x", encoding="utf-16-le")
    assert found.values == [{"id": 1}, {"id": 2}]
    (letter,) = found.dead_letters
    assert letter.code == "UNREADABLE_FILE"
    assert "it is not utf-16-le (truncated data)" in letter.message


def test_large_files_are_decoded_block_by_block(read: Read) -> None:
    line = '{"id": "Zoë €𝄞", "pad": "' + "ß" * 1000 + '"}\n'
    found = read((line * 2000).encode("utf-16"), encoding="utf-16", slice_bytes=1000)
    assert len(found.slices) == 1  # a byte of the file is not a byte of the text
    assert len(found.records) == 2000
    assert found.records[1].line == 2


@pytest.mark.parametrize("name", TEXTS)
def test_utf16_that_does_not_say_its_order_is_unreadable_and_says_what_to_pass(read: Read, name: str) -> None:
    content = TEXTS[name].format("Zoë").encode("utf-16-le")
    (letter,) = read(content, encoding="utf-16").dead_letters
    assert (letter.code, letter.unread_bytes) == ("UNREADABLE_FILE", len(content))
    assert "it has no byte order mark; --encoding=utf-16-le or utf-16-be says which order it has" in letter.message
