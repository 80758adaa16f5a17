import gzip
import json
import math
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.inputs.conftest import Read
from transforms.batch import DeadLetter
from transforms.inputs.files import match_inputs
from transforms.inputs.formats.json_lines import JsonLines
from transforms.inputs.lines import split_lines
from transforms.inputs.options import ReadOptions
from transforms.inputs.slices import plan_slices, read_slice


class _Dripping:
    """A stream that hands out pieces of a given size."""

    def __init__(self, content: bytes, piece_bytes: int):
        self._content, self._piece_bytes = content, piece_bytes

    def read(self, size: int, /) -> bytes:
        piece, self._content = self._content[: self._piece_bytes], self._content[self._piece_bytes :]
        return piece


@given(
    st.lists(
        st.one_of(st.binary(max_size=12).map(lambda raw: raw.replace(b"\n", b"-")), st.sampled_from([b"", b"\r"]))
    ),
    st.booleans(),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 14),
)
def test_every_line_belongs_to_exactly_one_slice(
    lines: list[bytes], ends_in_newline: bool, slice_bytes: int, piece_bytes: int, max_bytes: int
) -> None:
    content = b"#" + b"\n".join(lines) + (b"\n" if ends_in_newline else b"")
    expected, position = [], 0
    for line in content.split(b"\n"):
        if position + len(line) < len(content) or line:
            expected.append((position, line[:max_bytes], len(line)))
        position += len(line) + 1
    found = []
    for start in range(0, len(content), slice_bytes):
        stream = _Dripping(content[max(0, start - 1) :], piece_bytes)
        found += [
            (line.position, line.raw, line.length)
            for line in split_lines(stream, start, min(start + slice_bytes, len(content)), max_bytes)
        ]
    assert found == expected


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    st.lists(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5)), max_size=30),
    st.integers(1, 200),
    st.integers(1, 7),
    st.integers(1, 100),
)
def test_cutting_into_slices_and_batches_loses_and_repeats_nothing(
    read: Read, values: list[dict[str, object]], slice_bytes: int, batch_size: int, max_batch_bytes: int
) -> None:
    content = b"".join(json.dumps(value).encode() + b"\n" for value in values)
    found = read(
        content, input_format="jsonl", slice_bytes=slice_bytes, batch_size=batch_size, max_batch_bytes=max_batch_bytes
    )
    assert found.values == values
    assert not found.dead_letters
    assert all(batch.read <= batch_size for batch in found.batches)
    assert len({batch.batch_id for batch in found.batches}) == len(found.batches)
    assert [content[record.position :][: len(record.raw or b"")] for record in found.records] == [
        record.raw for record in found.records
    ]


def test_a_batch_is_bounded_in_bytes_and_in_records(read: Read) -> None:
    found = read(b'{"a":"%s"}\n' % (b"x" * 90) * 10, max_batch_bytes=250, batch_size=500)
    assert [batch.read for batch in found.batches] == [2, 2, 2, 2, 2]
    assert [batch.read for batch in read(b"{}\n" * 10, batch_size=4).batches] == [4, 4, 2]


def test_batches_are_named_by_file_slice_and_ordinal(read: Read) -> None:
    found = read(b'{"a":1}\n' * 8, slice_bytes=32, batch_size=3)
    fingerprint = found.slices[0].file.fingerprint
    assert [batch.batch_id for batch in found.batches] == [
        f"{fingerprint}-{name}" for name in ("00000-00000", "00000-00001", "00001-00000", "00001-00001")
    ]
    assert {batch.source for batch in found.batches} == {found.slices[0].file.path}


def test_lines_are_counted_in_the_first_slice_only(read: Read) -> None:
    found = read(b'\n{"a":1}\n{"a":2}\n{"a":3}\n', slice_bytes=12)
    assert [record.line for record in found.records] == [2, 3, None]
    assert [record.position for record in found.records] == [1, 9, 17]


@pytest.mark.parametrize(
    "content",
    [
        b'{"a":1}\n\n  \n{"a":2}\n\n',
        b'\xef\xbb\xbf{"a":1}\n{"a":2}\n',
        b'{"a":1}\r\n\r\n{"a":2}\r\n',
        b'{"a":1}\n{"a":2}',
        b'  {"a":1}  \n\t{"a":2}',
    ],
    ids=["blank lines", "byte order mark", "CRLF", "no final newline", "indented"],
)
def test_layout_around_the_records_makes_no_difference(read: Read, content: bytes) -> None:
    for form in (content, gzip.compress(content)):
        found = read(form)
        assert found.values == [{"a": 1}, {"a": 2}]
        assert [record.raw for record in found.records] == [b'{"a":1}', b'{"a":2}']
        assert not found.dead_letters


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
def test_an_empty_file_has_no_batch(read: Read, content: bytes) -> None:
    assert read(content).batches == []


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        (b"42", "NOT_AN_OBJECT", "a record is a JSON object, but this one is a number"),
        (b'["secret"]', "NOT_AN_OBJECT", "a record is a JSON object, but this one is an array"),
        (b"null", "NOT_AN_OBJECT", "a record is a JSON object, but this one is null"),
        (b'{"a": "secret" "b"}', "INVALID_JSON", "the record is not valid JSON at column 16: Expecting ',' delimiter"),
        (b'{"a": "secret\xff"}', "NOT_UTF8", "byte 14 of the record is not UTF-8; convert the file to UTF-8"),
        (b'{"a": ' + b"[" * 100_000 + b"}", "TOO_DEEP", "the record nests objects and arrays too deeply to be parsed"),
        (b'{"a": ' + b"1" * 5000 + b"}", "NUMBER_TOO_LONG", "a number in the record has more than 4,300 digits"),
        (b'{"a": -1e400}', "NUMBER_OUT_OF_RANGE", "a number in the record is larger than any double, 1.8e308"),
        (b'{"a": NaN, "b": 1e400}', "NUMBER_OUT_OF_RANGE", "a number in the record is larger than any double, 1.8e308"),
    ],
    ids=["scalar", "array", "null", "broken", "not UTF-8", "deep", "long number", "large number", "beside NaN"],
)
def test_a_line_that_is_no_record_is_one_dead_letter_and_the_others_are_read(
    read: Read, line: bytes, code: str, message: str
) -> None:
    found = read(b'{"a":1}\n' + line + b'\n{"a":2}\n')
    assert found.values == [{"a": 1}, {"a": 2}]
    (letter,) = found.dead_letters
    assert (letter.step, letter.code, letter.message) == ("ReadBatches", code, message)
    assert (letter.original, letter.position, letter.line, letter.retryable) == (line, 8, 2, False)
    assert "secret" not in letter.message


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**63) - 1, 10**30])
def test_integers_beyond_64_bit_stay_exact(read: Read, number: int) -> None:
    (value,) = read(b'{"a": %d}\n' % number).values
    assert value == {"a": number}
    assert isinstance(value["a"], int)


def test_nan_infinity_and_lone_surrogates_are_carried_through(read: Read) -> None:
    (value,) = read(b'{"nan": NaN, "inf": -Infinity, "lone": "\\ud800"}\n').values
    assert math.isnan(value["nan"])
    assert (value["inf"], value["lone"]) == (-math.inf, "\ud800")


def test_a_50_mb_line_is_one_dead_letter_and_is_never_held_whole(read: Read) -> None:
    long_line = b'{"a": "' + b"x" * 50_000_000 + b'"}'
    content = b'{"a":1}\n' + long_line + b'\n{"a":2}\n'
    tracemalloc.start()
    try:
        found = read(content, max_record_bytes=4 * 1024 * 1024)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.values == [{"a": 1}, {"a": 2}]
    (letter,) = found.dead_letters
    assert letter.code == "RECORD_TOO_LARGE"
    assert letter.message == (
        f"the record has {len(long_line)} bytes, more than max_record_bytes=4194304; the first 65536 are kept here, "
        f"the rest stands at bytes 65544 to {8 + len(long_line)} of the file"
    )
    assert letter.original == long_line[:65536]
    assert (letter.position, letter.line) == (8, 2)
    assert peak_bytes < 16 * 1024 * 1024


def test_a_truncated_gzip_is_read_up_to_where_it_breaks_off(read: Read) -> None:
    values = [{"n": n, "noise": str(n * 7919 % 1000003)} for n in range(2000)]
    whole = gzip.compress(b"".join(json.dumps(value).encode() + b"\n" for value in values))
    found = read(whole[: len(whole) // 2])
    assert 100 < len(found.values) < 2000
    assert found.values == values[: len(found.values)]
    (letter,) = found.dead_letters
    assert letter.code == "UNREADABLE_FILE"
    assert "the gzip data ends too early" in letter.message
    assert letter.line == len(found.values) + 1
    assert isinstance(letter.original, bytes)
    assert json.dumps(values[len(found.values)]).encode().startswith(letter.original)


def test_a_broken_gzip_is_read_up_to_the_damage(read: Read) -> None:
    content = b"".join(b'{"n":%d}\n' % n for n in range(50))
    broken = bytearray(gzip.compress(content, compresslevel=0))
    broken[-6] ^= 0xFF  # the checksum behind the data
    found = read(bytes(broken))
    assert [value["n"] for value in found.values] == list(range(50))
    assert found.codes == ["UNREADABLE_FILE"]
    assert "the gzip data is damaged, after 440 decompressed bytes" in found.dead_letters[0].message


def test_a_gzip_that_is_none_behind_its_magic_is_one_dead_letter(read: Read) -> None:
    found = read(b"\x1f\x8b no gzip at all", name="a.jsonl.gz")
    assert (found.values, found.codes) == ([], ["UNREADABLE_FILE"])


def test_gzip_members_one_after_another_are_one_file(read: Read) -> None:
    assert read(gzip.compress(b'{"a":1}\n{"a"') + gzip.compress(b":2}\n") + b"\0\0").values == [{"a": 1}, {"a": 2}]


def test_a_scan_finds_records_without_parsing_them() -> None:
    reader = JsonLines(_Dripping(b"not json\n" * 3, 5), 0, None, 100)
    assert [isinstance(item, DeadLetter) for item in reader.scan()] == [False, False, False]


def test_batches_that_are_complete_are_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"a":1}\n' * 10)
    (file,) = match_inputs([f"{tmp_path}/a.jsonl"])
    options = ReadOptions(batch_size=4)
    (piece,) = plan_slices(file, options)
    every = [batch.batch_id for batch in read_slice(piece, options)]
    assert [batch.batch_id for batch in read_slice(piece, options, lambda batch_id: batch_id == every[1])] == [
        every[0],
        every[2],
    ]


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" + "0" * 308 + "0.5", "1.8e308"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_number_beyond_every_double_is_a_dead_letter_and_never_infinity(read: Read, number: str, name: str) -> None:
    lines = ['{"id": 1, "n": 1.7e308}', f'{{"id": 2, "n": [{number}]}}', '{"id": 3, "n": Infinity}']
    content = "\n".join(lines) if name == "a.jsonl" else f"[{', '.join(lines)}]"
    found = read(content.encode(), name=name)
    assert [value["id"] for value in found.values] == [1, 3]
    (letter,) = found.dead_letters
    assert letter.code == "NUMBER_OUT_OF_RANGE"
    assert letter.message == "a number in the record is larger than any double, 1.8e308"
