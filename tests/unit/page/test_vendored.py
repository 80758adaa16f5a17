"""Files of others are as their table says, with the licence they come under."""

import hashlib
import re
from pathlib import Path

import pytest

from pipeline.present.page import assets

FOLDER = Path(assets.__file__).with_name("vendored")
ROW = re.compile(r"^\| (\S+) \| (\S+) \| (\S+) \| (\w+), (\S+) \| ([0-9a-f]{64}) \|$", re.MULTILINE)
ROWS = ROW.findall((FOLDER / "README.md").read_text())


def test_every_file_is_in_the_table():
    licences = {licence for _, _, _, _, licence, _ in ROWS}
    assert {file.name for file in FOLDER.iterdir()} == {name for name, *_ in ROWS} | licences | {"README.md"}


@pytest.mark.parametrize(
    ("name", "package", "version", "licence", "licence_file", "digest"), ROWS, ids=lambda each: each
)
def test_a_file_is_what_its_row_says(name, package, version, licence, licence_file, digest):
    content = (FOLDER / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest
    assert f"v{version}".encode() in content[:200]
    assert b"Permission to use, copy, modify" in (FOLDER / licence_file).read_bytes()
    assert b"</script" not in content.lower()


def test_only_files_that_pages_need_are_given_out():
    assert assets.asset("page.js").content_type.startswith("text/javascript")
    assert [assets.asset(name) for name in ("../assets.py", "README.md", "d3.LICENSE", "nope.js", "")] == [None] * 5
