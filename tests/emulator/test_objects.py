"""Objects of S3 and Azure Blob, on real servers: found as files are, read as they were found, refused in one line."""

import dataclasses
import gzip
import io
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.azurite import ACCOUNT
from tests.support.objects import Bucket, Container, ObjectFolder
from transforms import files
from transforms.dead_letters.folder import DeadLetterFolder
from transforms.errors import JobError, UsageError
from transforms.inputs.files import InputFile, check_unchanged, match_inputs, open_input, read_input
from transforms.inputs.options import ReadOptions
from transforms.inputs.packs import packed, read_pack
from transforms.inputs.slices import plan_slices, read_slice
from transforms.objects.azure import AzureStore
from transforms.objects.s3 import S3Store

TREE = ["a.jsonl", "b.jsonl", "ab.csv", "c[1].jsonl", "x/a.jsonl", "x/y/ä b.jsonl", "x/y/%41.jsonl", "x.y/b.csv"]
PATTERNS = ["a.jsonl", "*.jsonl", "?.jsonl", "[!a].jsonl", "**", "**/*.jsonl", "x/**", "*/a.jsonl", "x[.]y/*", "none*"]


@pytest.fixture(params=["bucket", "container"])
def folder(request: pytest.FixtureRequest) -> ObjectFolder:
    found: ObjectFolder = request.getfixturevalue(request.param)
    return found


def values(found: list[InputFile], options: ReadOptions) -> list[Any]:
    batches = [batch for file in found for piece in plan_slices(file, options) for batch in read_slice(piece, options)]
    assert not any(batch.dead_letters for batch in batches)
    return [record.value for batch in batches for record in batch.entries]


def test_patterns_find_objects_as_they_find_local_files(folder: ObjectFolder, tmp_path: Path) -> None:
    for name in TREE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
        folder.put(name, name.encode())
    for pattern in PATTERNS:
        local = {Path(each.path).relative_to(tmp_path).as_posix() for each in files.match(f"{tmp_path}/{pattern}")}
        there = {each.path.removeprefix(f"{folder.path}/") for each in files.match(f"{folder.path}/{pattern}")}
        assert there == local, pattern
    (bracketed,) = match_inputs([f"{folder.path}/c[1].jsonl"])
    assert read_input(bracketed) == b"c[1].jsonl"


def test_what_is_listed_is_what_is_found_by_name(folder: ObjectFolder) -> None:
    path = folder.put("a.jsonl", b"{}")
    assert files.match(f"{folder.path}/*") == files.match(path) == [files.stat(path)]
    assert (files.stat(path).size, files.exists(path), files.exists(f"{path}x")) == (2, True, False)
    with pytest.raises(FileNotFoundError):
        files.stat(f"{path}x")


def test_more_objects_than_one_page_of_a_listing_are_all_found(bucket: Bucket, container: Container) -> None:
    for folder, store in (
        (bucket, S3Store.connected(page_size=2)),
        (container, AzureStore.connected(ACCOUNT, page_size=2)),
    ):
        paths = [folder.put(f"many/{n}.json", b"{}") for n in range(5)]
        assert [found.path for found in store.list(f"{folder.path}/many/")] == paths


def test_any_range_in_any_order_is_what_is_stored(folder: ObjectFolder) -> None:
    chance = random.Random(17)  # no secret
    content = chance.randbytes(6 * 1024 * 1024 + 11)
    (found,) = match_inputs([folder.put("large.bin", content)])
    with open_input(found) as stored:
        assert stored.read() == content
        for _ in range(12):
            at, size = chance.randrange(len(content)), chance.choice([0, 1, 8, 100_000, 5 * 1024 * 1024])
            assert stored.seek(at) == at
            assert stored.read(size) == content[at : at + size]
        stored.seek(-4, io.SEEK_END)
        assert (stored.read(), stored.read(1)) == (content[-4:], b"")


def test_an_empty_object_is_an_empty_file(folder: ObjectFolder) -> None:
    (found,) = match_inputs([folder.put("empty.jsonl", b"")])
    assert (found.size, read_input(found), plan_slices(found, ReadOptions())) == (0, b"", [])


@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_gzip_is_unpacked_once_whatever_the_object_says_of_itself(folder: ObjectFolder, encoding: str | None) -> None:
    lines = b"".join(b'{"n":%d}\n' % n for n in range(1_000))
    found = match_inputs([folder.put("rows.jsonl.gz", gzip.compress(lines), encoding)])
    assert values(found, ReadOptions()) == [{"n": n} for n in range(1_000)]


def test_lines_and_row_groups_are_read_in_slices(folder: ObjectFolder) -> None:
    lines = b"".join(b'{"n":%d,"text":"%s"}\n' % (n, b"x" * 100) for n in range(20_000))
    options = ReadOptions(slice_bytes=1024 * 1024)
    found = match_inputs([folder.put("rows.jsonl", lines)])
    assert len(plan_slices(found[0], options)) > 1
    assert sorted(value["n"] for value in values(found, options)) == list(range(20_000))
    table = io.BytesIO()
    pq.write_table(pa.table({"n": range(20_000), "text": ["y" * 100] * 20_000}), table, row_group_size=5_000)
    found = match_inputs([folder.put("rows.parquet", table.getvalue())])
    assert sorted(value["n"] for value in values(found, options)) == list(range(20_000))


def test_small_objects_share_batches(folder: ObjectFolder) -> None:
    for n in range(20):
        folder.put(f"small/{n:02d}.json", b'{"n":%d}' % n)
    options = ReadOptions()
    (pack,) = packed(match_inputs([f"{folder.path}/small/*.json"]), options.batch_size)
    (batch,) = read_pack(pack, options)
    assert [record.value for record in batch.entries] == [{"n": n} for n in range(20)]


def test_an_object_that_changes_stops_the_job_rather_than_being_read_in_part(folder: ObjectFolder) -> None:
    path = folder.put("a.jsonl", b"before" * 100_000)
    (found,) = match_inputs([path])
    with open_input(found) as stored:
        assert stored.read(6) == b"before"
        folder.put("a.jsonl", b"behind" * 100_000)  # as long, and within the same second
        with pytest.raises(JobError, match="has changed since the job started"):
            stored.read()
    with pytest.raises(JobError, match="has changed since the job started"):
        plan_slices(found, ReadOptions())
    (again,) = match_inputs([path])
    assert again.fingerprint != found.fingerprint
    folder.remove("a.jsonl")
    with pytest.raises(JobError, match=r"is gone|has changed"):
        read_input(again)


def test_a_changed_parquet_file_is_not_taken_for_a_damaged_one(folder: ObjectFolder) -> None:
    table = io.BytesIO()
    pq.write_table(pa.table({"text": [f"{n}" * 50 for n in range(20_000)]}), table, row_group_size=1_000)
    (found,) = match_inputs([folder.put("a.parquet", table.getvalue())])
    pieces = plan_slices(found, ReadOptions())
    folder.put("a.parquet", table.getvalue()[::-1])
    with pytest.raises(JobError, match="has changed since the job started"):
        list(read_slice(pieces[0], ReadOptions()))


def test_the_same_content_stored_again_is_the_same_input_on_s3(bucket: Bucket) -> None:
    (first,) = match_inputs([bucket.put("a.jsonl", b"{}")])
    (second,) = match_inputs([bucket.put("a.jsonl", b"{}")])
    assert second == dataclasses.replace(first, modified_s=second.modified_s)
    check_unchanged(first)


def test_a_folder_is_not_a_file(folder: ObjectFolder) -> None:
    folder.put("x/a.jsonl", b"{}")
    with pytest.raises(UsageError, match=r"is a directory; add /\* to read the files in it"):
        match_inputs([f"{folder.path}/x"])
    with pytest.raises(UsageError, match="matches no file"):
        match_inputs([f"{folder.path}/y/*.jsonl"])


def test_a_place_that_is_not_there_is_one_line(folder: ObjectFolder) -> None:
    kind = "bucket" if isinstance(folder, Bucket) else "container"
    for pattern in ("a.jsonl", "*.jsonl"):
        with pytest.raises(UsageError) as refused:
            match_inputs([f"{folder.path}-none/{pattern}"])
        assert str(refused.value).startswith(f"--input: there is no {kind} {folder.name}-none")
        assert "\n" not in str(refused.value)


def test_nothing_is_written_there(folder: ObjectFolder) -> None:
    with pytest.raises(UsageError, match=r"is read, not written; name a local folder or gs://"):
        DeadLetterFolder(f"{folder.path}/dead").check_writable()
