"""Local files are found as Beam finds them, without Beam; and replaced as a whole."""

import stat as mode
import subprocess
import sys
from pathlib import Path

import pytest
from apache_beam.io.filesystems import FileSystems

from transforms import files
from transforms.objects.store import FileStat

TREE = [
    "a.jsonl",
    "b.jsonl",
    "ab.csv",
    ".hidden.jsonl",
    "c[1].jsonl",
    "^.jsonl",
    "x/a.jsonl",
    "x/y/a.jsonl",
    "x.y/b.csv",
]
PATTERNS = [
    "a.jsonl",
    "nothing.jsonl",
    "*.jsonl",
    "?.jsonl",
    "[ab].jsonl",
    "[!a].jsonl",
    "[^a].jsonl",
    "[a-c]*",
    "**",
    "**/*.jsonl",
    "x/*",
    "x/**",
    "*/a.jsonl",
    "x*/*",
    "x[.]y/*",
    "c[1].jsonl",
    "c[[]1].jsonl",
    "[",
    "nowhere/*",
]

WITHOUT_BEAM = """
import sys
from transforms import files
pattern, target = sys.argv[1:]
for found in files.match(pattern):
    files.open_file(found.path).close()
with files.replaced_file(target, "text/plain") as file:
    file.write(b"new")
assert files.exists(files.join(target)) and files.stat(target).size == 3
files.delete([target])
print([name for name in sys.modules if name.partition(".")[0] == "apache_beam"])
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in TREE:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_local_pattern_means_the_files_that_it_means_for_beam(tree: Path, pattern: str) -> None:
    (expected,) = FileSystems.match([f"{tree}/{pattern}"])
    wanted = {FileStat(each.path, each.size_in_bytes, each.last_updated_in_seconds) for each in expected.metadata_list}
    assert set(files.match(f"{tree}/{pattern}")) == wanted


def test_a_pattern_without_a_folder_is_one_of_this_folder(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    here = {name for name in TREE if name.endswith(".jsonl") and "/" not in name}
    assert {found.path for found in files.match("*.jsonl")} == here
    assert {found.path for found in files.match("x/*")} == {"x/a.jsonl"}


def test_local_files_need_nothing_of_beam(tree: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_BEAM, f"{tree}/**", f"{tree}/new/file"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_brackets_in_the_path_of_a_single_file_are_its_name(tree: Path) -> None:
    path = f"{tree}/c[1].jsonl"
    assert files.exists(path)
    files.delete([path])
    assert not files.exists(path)
    assert files.exists(f"{tree}/a.jsonl")


def test_a_file_is_replaced_as_a_whole_and_its_owner_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    with files.replaced_file(str(path), "text/plain") as file:
        file.write(b"old")
    assert mode.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(TypeError), files.replaced_file(str(path), "text/plain") as file:
        file.write("text where bytes belong")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]
