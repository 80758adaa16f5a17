"""Many small files share batches; what is said of each record is the same as if its file were alone."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from transforms.batch import Batch, Home, Record
from transforms.errors import JobError
from transforms.inputs.files import InputFile, match_inputs
from transforms.inputs.options import ReadOptions
from transforms.inputs.packs import Pack, packed, read_pack
from transforms.inputs.slices import plan_slices, read_slice

MIB = 1024 * 1024


def _write(folder: Path, n: int, first: int = 0) -> list[InputFile]:
    for at in range(first, n):
        (folder / f"f{at:03}.json").write_text(json.dumps({"id": f"p{at}"}))
    return match_inputs([f"{folder}/*"])


def _alone(files: list[InputFile], options: ReadOptions) -> list[Batch[Record]]:
    return [batch for file in files for piece in plan_slices(file, options) for batch in read_slice(piece, options)]


def _together(files: list[InputFile], options: ReadOptions) -> list[Batch[Record]]:
    return [batch for pack in packed(files, options.batch_size) for batch in read_pack(pack, options)]


def test_every_record_and_dead_letter_is_what_it_is_alone_but_for_its_batch(tmp_path: Path) -> None:
    _write(tmp_path, 20)
    (tmp_path / "a.csv").write_text("id,name\n1,Ada\n2\n" + "3,x\n" * 30)
    (tmp_path / "b.jsonl").write_text('{"id": 1}\n{broken\n')
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(b'{"id": 1}\n')[:-3])
    (tmp_path / "d.bin").write_bytes(b"PK\x03\x04")
    (tmp_path / "e.json").write_bytes(b"")
    files, options = match_inputs([f"{tmp_path}/*"]), ReadOptions(batch_size=8)
    alone, together = _alone(files, options), _together(files, options)

    def placed(batches: list[Batch[Record]]) -> list[tuple[object, ...]]:
        found = []
        for batch in batches:
            for each in (*batch.entries, *batch.dead_letters):
                home = each.home or Home(batch.source, batch.batch_id)
                content = each.value if isinstance(each, Record) else (each.code, each.message, each.original)
                found.append((home, each.position, each.line, content))
        return sorted(found, key=repr)

    assert placed(together) == placed(alone)
    assert [batch.batch_id for batch in together] == [batch.batch_id for batch in _together(files, options)]
    assert sum(batch.bytes_read for batch in together) == sum(batch.bytes_read for batch in alone)
    assert all(batch.read <= 8 for batch in together)
    assert [home for batch in together for home in batch.homes] == [Home(each.source, each.batch_id) for each in alone]
    assert len(together) < len(alone) / 2


def test_a_batch_is_named_by_its_files_and_says_how_many_it_has(tmp_path: Path) -> None:
    files = _write(tmp_path, 20)
    (batch,) = _together(files, ReadOptions())
    assert (batch.source, batch.read) == (f"{tmp_path}/f000.json and 19 more", 20)
    (again,) = _together(files[::1], ReadOptions())
    (other,) = _together(files[:-1], ReadOptions())
    assert batch.batch_id == again.batch_id != other.batch_id
    assert batch.batch_id[12:] == "-00000-00000"


@pytest.mark.parametrize("n", [1, 2, 7])
def test_few_files_keep_batches_of_their_own(tmp_path: Path, n: int) -> None:
    assert [len(pack.files) for pack in packed(_write(tmp_path, n), 500)] == [1] * n


def test_large_files_stay_alone_and_packs_are_bounded() -> None:
    files = [InputFile(f"{n:04}", 200_000 if n % 2 else 300_000, 0.0, f"{n:012}") for n in range(100)]
    packs = packed(files, 500)
    assert sorted(file.path for pack in packs for file in pack.files) == [file.path for file in files]
    assert sum(len(pack.files) == 1 for pack in packs) == 50
    assert all(sum(file.size for file in pack.files) <= 4 * MIB for pack in packs)
    assert [len(pack.files) for pack in packed(files[1::2], 7)] == [7] * 7 + [1]


def test_batches_of_one_file_are_not_cut_and_may_be_large(tmp_path: Path) -> None:
    _write(tmp_path, 10)
    (tmp_path / "f004.json").write_text('{"id": 1}\n' * 25)
    batches = _together(match_inputs([f"{tmp_path}/*"]), ReadOptions(batch_size=10))
    assert [batch.read for batch in batches] == [4, 10, 10, 10]
    assert len(batches[-1].homes) == 6


def test_batches_are_bounded_in_bytes(tmp_path: Path) -> None:
    for n in range(10):
        (tmp_path / f"{n}.json").write_text(json.dumps({"id": "x" * 1000}))
    batches = _together(match_inputs([f"{tmp_path}/*"]), ReadOptions(max_batch_bytes=3100))
    assert [batch.read for batch in batches] == [3, 3, 3, 1]


def test_complete_batches_are_passed_over_and_a_stop_is_heard_between_them(tmp_path: Path) -> None:
    (pack,), options = packed(_write(tmp_path, 30), 500), ReadOptions(batch_size=10)
    assert len(pack.files) == 30
    first, second, third = (batch.batch_id for batch in read_pack(pack, options))
    assert [batch.batch_id for batch in read_pack(pack, options, {second}.__contains__)] == [first, third]
    asked = iter([False, True])
    assert [batch.batch_id for batch in read_pack(pack, options, is_to_stop=lambda: next(asked))] == [first]


CHANGES: dict[str, Callable[[Path], object]] = {
    "it is gone": Path.unlink,
    "it has another size": lambda path: path.write_text('{"id": "other"}'),
    "it was written again": lambda path: os.utime(path, (0, 0)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_file_that_changes_stops_the_job(tmp_path: Path, change: Callable[[Path], object]) -> None:
    files = _write(tmp_path, 10)
    change(tmp_path / "f005.json")
    with pytest.raises(JobError, match=r"f005\.json"):
        list(read_pack(Pack(tuple(files)), ReadOptions()))
