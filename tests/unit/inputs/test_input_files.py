import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from transforms.errors import JobError, UsageError
from transforms.inputs.files import line_numbers, match_inputs, open_input
from transforms.inputs.options import ReadOptions
from transforms.inputs.slices import plan_slices, read_slice


def _write(folder: Path, **contents: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / f"{name}.jsonl").write_text(content)


def test_patterns_give_each_file_once_sorted_by_path(tmp_path: Path) -> None:
    _write(tmp_path, b="{}\n", a="{}\n")
    found = match_inputs([f"{tmp_path}/*.jsonl", f"{tmp_path}/a.jsonl", f"{tmp_path}/./a.jsonl"])
    assert [Path(file.path).name for file in found] == ["a.jsonl", "b.jsonl"]


def test_a_pattern_without_match_is_a_usage_error_that_names_it(tmp_path: Path) -> None:
    _write(tmp_path, a="{}\n")
    with pytest.raises(UsageError, match=re.escape(f"--input {tmp_path}/*.csv matches no file")):
        match_inputs([f"{tmp_path}/a.jsonl", f"{tmp_path}/*.csv"])


def test_a_missing_file_is_a_usage_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(f"--input {tmp_path}/nowhere.jsonl matches no file")):
        match_inputs([f"{tmp_path}/nowhere.jsonl"])


def test_no_pattern_at_all_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="name at least one file or pattern with --input"):
        match_inputs([])


def test_a_directory_is_a_usage_error_that_says_to_add_a_star(tmp_path: Path) -> None:
    _write(tmp_path / "results", a="{}\n")
    with pytest.raises(
        UsageError, match=re.escape(f"is a directory; add /* to read the files in it: '{tmp_path}/results/*'")
    ):
        match_inputs([f"{tmp_path}/results"])


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Path]:
    """A folder with what is not a regular file."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "status").symlink_to("/proc/self/status")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tmp_path / "socket"))
        yield tmp_path


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("pipe", "is a pipe, which can be read only once; write what it gives into a file, and name that"),
        ("p*e", "pipe is a pipe"),
        ("zero", "is a device, which may have no end"),
        ("socket", "is a socket"),
        ("status", "is not 0 bytes long, as the system says; something writes to it, or it is not an ordinary file"),
        ("loop", "matches no file"),
        ("gone", "matches no file"),
    ],
)
def test_what_is_not_a_regular_file_is_refused_without_waiting_for_its_end(odd: Path, name: str, problem: str) -> None:
    with pytest.raises(UsageError, match=re.escape(problem)) as refused:
        match_inputs([f"{odd}/{name}"])
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="Linux only")
def test_a_file_that_opens_but_cannot_be_read_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot read --input /proc/self/mem: Input/output error"):
        match_inputs(["/proc/self/mem"])


def test_a_link_to_a_regular_file_is_one(tmp_path: Path) -> None:
    _write(tmp_path, a="{}\n")
    (tmp_path / "link").symlink_to(tmp_path / "a.jsonl")
    (file,) = match_inputs([f"{tmp_path}/link"])
    assert file.size == 3


def test_a_file_that_is_named_in_several_ways_is_read_once(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    _write(folder, a="{}\n", b="{}\n")
    (tmp_path / "linked").symlink_to(folder)
    (tmp_path / "c.jsonl").symlink_to(folder / "b.jsonl")
    names = ["folder/../folder/a.jsonl", "folder/*", "linked/*.jsonl", "c.jsonl"]
    found = match_inputs([f"{tmp_path}/{name}" for name in names])
    assert [Path(file.path).name for file in found] == ["a.jsonl", "b.jsonl"]


@pytest.mark.parametrize("path", ["a" * 5_000, "/tmp/" + "a/" * 5_000, "x" * 5_000 + "*", "a\nb\n" * 1_000, "a\0b"])
def test_a_path_that_no_file_can_have_is_refused_in_one_line(path: str) -> None:
    with pytest.raises(UsageError, match=r"^(cannot list )?--input .+") as refused:
        match_inputs([path])
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_an_unknown_scheme_is_a_usage_error_that_names_the_pattern_and_the_schemes_there_are() -> None:
    with pytest.raises(UsageError, match=r"cannot list --input nosuch://bucket/a\.jsonl: .* gs://, s3:// or azfs://$"):
        match_inputs(["nosuch://bucket/a.jsonl"])


def test_a_file_whose_name_is_not_utf8_is_refused_before_anything_starts(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.jsonl")).write_bytes(b"{}\n")
    with pytest.raises(UsageError, match=r"caf\\udce9\.jsonl' has a name that is not UTF-8; rename the file"):
        match_inputs([f"{tmp_path}/*.jsonl"])


def test_a_file_with_brackets_in_its_name_is_found_by_its_name(tmp_path: Path) -> None:
    _write(tmp_path, **{"a[1]": "{}\n"})
    (file,) = match_inputs([f"{tmp_path}/a[1].jsonl"])
    assert file.path == f"{tmp_path}/a[1].jsonl"


def test_the_fingerprint_changes_with_the_content_and_only_then(tmp_path: Path) -> None:
    _write(tmp_path, a="{}\n")
    before, again = (match_inputs([f"{tmp_path}/a.jsonl"])[0] for _ in range(2))
    _write(tmp_path, a="{}\n{}\n")
    (after,) = match_inputs([f"{tmp_path}/a.jsonl"])
    assert before == again
    assert after.fingerprint != before.fingerprint
    assert re.fullmatch("[0-9a-f]{12}", before.fingerprint)


def test_a_file_that_vanishes_after_it_was_matched_stops_the_job(tmp_path: Path) -> None:
    _write(tmp_path, a="{}\n")
    (file,) = match_inputs([f"{tmp_path}/a.jsonl"])
    (piece,) = plan_slices(file, ReadOptions())
    (tmp_path / "a.jsonl").unlink()
    with pytest.raises(
        JobError, match=re.escape(f"cannot open input {file.path}, which was there when the job started")
    ):
        plan_slices(file, ReadOptions())
    with pytest.raises(JobError, match="put it back or make it readable"):
        list(read_slice(piece, ReadOptions()))


def test_a_file_that_changes_after_it_was_matched_stops_the_job(tmp_path: Path) -> None:
    _write(tmp_path, a="{}\n")
    (file,) = match_inputs([f"{tmp_path}/a.jsonl"])
    _write(tmp_path, a="{}\n{}\n")
    with pytest.raises(JobError, match=re.escape(f"input {file.path} has changed since the job started")):
        open_input(file)


def test_a_line_number_counts_the_newlines_before_a_byte(tmp_path: Path) -> None:
    file = tmp_path / "profiles.jsonl"
    file.write_bytes(b'{"a":1}\n\n{"a":2}\n{"a":3}\n')
    assert line_numbers(str(file), [17, 0, 9, 7]) == {0: 1, 7: 1, 9: 3, 17: 4}
    assert line_numbers(str(file), [9, 17], limit_bytes=16) == {9: 3}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"slice_bytes": -1}, "slice_bytes must be at least 1, got -1"),
        ({"input_format": "xml"}, "input_format must be one of auto, jsonl, json, csv, parquet, got xml"),
        ({"records_path": "data..items"}, "records_path must be field names joined by dots, got 'data..items'"),
    ],
)
def test_an_option_out_of_its_bounds_is_a_usage_error(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        ReadOptions(**options)  # type: ignore[arg-type]


def test_a_file_that_changes_while_it_is_read_stops_the_job(tmp_path: Path) -> None:
    path = tmp_path / "profiles.jsonl"
    path.write_bytes(b'{"a":1}\n' * 100)
    (file,) = match_inputs([str(path)])
    options = ReadOptions(batch_size=10)
    (piece,) = plan_slices(file, options)
    batches = read_slice(piece, options)
    next(batches)
    path.write_bytes(b'{"a":1}\n' * 50)
    with pytest.raises(JobError, match="has changed since the job started"):
        list(batches)
