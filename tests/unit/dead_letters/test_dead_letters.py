"""Dead-letter files: named by their batch, replaced as a whole, private, complete enough to be replayed."""

import base64
import datetime
import json
import os
import stat

import apache_beam as beam
import pytest

from transforms.batch import Batch, DeadLetter
from transforms.dead_letters.steps import StoreDeadLetters, check_writable, located, store
from transforms.errors import UsageError
from transforms.firestore.tagged_json import from_tagged_json

HEADER = {"job": "ingest", "job_id": "ingest-1", "batch_id": "b-0", "time": "2026-01-01T00:00:00.000000Z"}


def letter(code="INVALID_JSON", retryable=False, original=b"{", **more):
    return DeadLetter("ReadBatches", code, f"{code} in field x", original, retryable=retryable, **more)


def keep(folder, *letters, batch_id="b-0"):
    store(str(folder), batch_id, "in.jsonl", letters, HEADER)


def files(folder):
    return {str(file.relative_to(folder)): file.read_text() for file in sorted(folder.rglob("*")) if file.is_file()}


def line_of(folder, original):
    keep(folder, letter(original=original))
    (text,) = files(folder).values()
    return json.loads(text)


def test_a_line_says_what_happened_where_to_whom_and_when(tmp_path):
    keep(tmp_path, letter("INVALID_ID", record_id="ada", position=17, line=3, attempts=2))
    assert json.loads(files(tmp_path)["permanent/b-0.jsonl"]) == {
        **HEADER,
        "step": "ReadBatches",
        "record_id": "ada",
        "source": "in.jsonl",
        "line": 3,
        "position": 17,
        "code": "INVALID_ID",
        "message": "INVALID_ID in field x",
        "attempts": 2,
        "record_text": "{",
    }


def test_the_log_names_the_first_dead_letters_of_a_batch_and_never_what_they_hold(tmp_path, caplog):
    caplog.set_level("INFO", "transforms.dead_letters.steps")
    letters = tuple(letter("INVALID_ID", original="secret", record_id=f"r{n}") for n in range(22))
    batch = Batch("b-0", "in.jsonl", 22, (), letters)
    with beam.Pipeline() as pipeline:
        _ = pipeline | beam.Create([batch]) | StoreDeadLetters(str(tmp_path), "ingest", "ingest-1")
    lines = [record.getMessage() for record in caplog.records if record.name == "transforms.dead_letters.steps"]
    assert lines[0] == "job ingest-1, batch b-0, record r0: ReadBatches INVALID_ID"
    assert lines[20:] == ["job ingest-1, batch b-0: 2 further dead letters"]
    assert "secret" not in caplog.text


def test_a_batch_has_one_file_a_kind_named_after_it(tmp_path):
    keep(tmp_path, letter(), letter(retryable=True), letter())
    assert {name: text.count("\n") for name, text in files(tmp_path).items()} == {
        "permanent/b-0.jsonl": 2,
        "retryable/b-0.jsonl": 1,
    }


def test_a_batch_done_again_leaves_the_same_bytes(tmp_path):
    keep(tmp_path, letter(), letter(retryable=True))
    first = files(tmp_path)
    keep(tmp_path, letter(), letter(retryable=True))
    assert files(tmp_path) == first


def test_a_batch_done_again_replaces_its_file_as_a_whole(tmp_path):
    keep(tmp_path, letter("INVALID_JSON", original=b"x" * 10_000), letter("NESTED_ARRAY"))
    keep(tmp_path, letter("MISSING_ID"))
    (line,) = files(tmp_path)["permanent/b-0.jsonl"].splitlines()
    assert json.loads(line)["code"] == "MISSING_ID"


def test_a_batch_done_again_removes_the_file_that_no_longer_applies_and_no_other(tmp_path):
    keep(tmp_path, letter(retryable=True), letter())
    keep(tmp_path, letter(retryable=True), batch_id="b-1")
    keep(tmp_path, letter())
    assert files(tmp_path).keys() == {"permanent/b-0.jsonl", "retryable/b-1.jsonl"}


def test_a_batch_without_dead_letters_makes_no_file(tmp_path):
    keep(tmp_path / "new")
    assert files(tmp_path) == {}


@pytest.mark.parametrize("umask", [0o000, 0o022], ids=oct)
def test_only_the_owner_can_read_a_file_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        keep(tmp_path, letter())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "permanent" / "b-0.jsonl").stat().st_mode) == 0o600


@pytest.mark.parametrize("original", ['{"name": "Ada"}', '{"name": "Zoë 𝄞"}', "a\tb", "line\u2028separator", ""])
def test_a_line_of_text_is_kept_as_it_was(tmp_path, original):
    assert line_of(tmp_path, original.encode())["record_text"] == original


def test_bytes_that_are_no_text_are_kept_exactly(tmp_path):
    original = b'{"name": "\xff\xfe\x00"}'
    line = line_of(tmp_path, original)
    assert base64.b64decode(line["record_base64"]) == original
    assert "record_text" not in line


@pytest.mark.parametrize(
    "original",
    [
        {"name": "Ada", "tags": ["x", None, True, 1, 1.0]},
        {"born": datetime.datetime(1815, 12, 10, 1, 2, 3, 4, tzinfo=datetime.timezone.utc), "photo": b"\xff\x00"},
        {"score": float("inf"), "big": 2**70},
        {"only": {"$bytes": "a map that looks like a tag"}},
        {"text": "\ud800"},
    ],
    ids=["JSON", "timestamp and bytes", "beyond JSON", "a tag's double", "lone surrogate"],
)
def test_a_value_that_never_was_a_line_comes_back_exactly(tmp_path, original):
    restored = from_tagged_json(line_of(tmp_path, original)["record"])
    assert restored == original
    assert [type(value) for value in restored.values()] == [type(value) for value in original.values()]


def test_a_record_whose_line_is_not_known_is_located_by_its_byte(tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_bytes(b'{"a": 1}\n{"b": 2}\n{broken\n')
    letters = [letter(position=18), letter(position=9, line=7), letter(original={"c": 3}, position=2), letter()]
    assert [found.line for found in located(letters, str(source))] == [3, 7, None, None]


def test_a_folder_is_probed_without_leaving_anything_in_it(tmp_path):
    check_writable(str(tmp_path / "new" / "folder"))
    assert files(tmp_path) == {}


def test_a_folder_that_cannot_be_written_is_refused_with_the_flag_to_change(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match=r"cannot write dead letters to .*file/below: .*; pass --dead_letters=DIR"):
        check_writable(str(tmp_path / "file" / "below"))


def test_nothing_half_written_is_left_when_a_file_cannot_be_replaced(tmp_path):
    (tmp_path / "permanent" / "b-0.jsonl").mkdir(parents=True)
    with pytest.raises(OSError):
        keep(tmp_path, letter())
    assert files(tmp_path) == {}
