"""`firebeam preview`: what a spec makes of files, without cloud, emulator or Beam."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.__main__ import main

ROOT = Path(__file__).parents[3]
SPEC = """\
name: people
schema_version: 1
full_collection: people_full
flat_collection: people
key: {name: person_id, from: id}
unwrap: answer
fields:
  name: {type: string, from: [full_name, name]}
  price: {type: number, from: price}
  years: {type: number, cleaner: years, from: years_experience}
"""
LINES = [
    {"id": 1, "answer": {"name": " Ada "}, "price": "9,99", "info": {"yearsOfExperience": 7}},
    {"id": 2, "name": "Bob", "price": 3},
    {"name": "Eve"},
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for variable in ("FIRESTORE_EMULATOR_HOST", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "people.yaml").write_text(SPEC)
    (tmp_path / "people.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES) + "{broken\n")
    return tmp_path


def previewed(capsys, *arguments):
    assert main(["preview", "--spec=./people.yaml", "--input=people.jsonl", *arguments]) == 0
    return [" ".join(line.replace("│", "|").split()) for line in capsys.readouterr().out.splitlines()]


def test_the_first_records_show_where_each_value_came_from_and_both_documents(folder, capsys):
    lines = previewed(capsys, "--records=1")
    assert lines[0] == "line 1: 1"
    assert '| name | "Ada" | answer.name | " Ada " |' in lines
    assert '| price | could not be placed | price | "9,99" |' in lines
    assert "| (nothing) | years | | |" in lines
    assert lines[lines.index("people/1") + 1 :][:4] == ["{", '"person_id": "1",', '"name": "Ada"', "}"]
    assert '"yearsOfExperience": 7' in lines[lines.index("people_full/1") : lines.index("people/1")]
    assert not any(line.startswith("line 2") for line in lines)


def test_counts_hold_for_all_records_and_name_paths_that_look_alike(folder, capsys):
    lines = previewed(capsys, "--records=0")
    assert lines[0] == "3 records"
    assert "| person_id | 2 | 0 | 1 |" in lines
    assert "| name | 3 | 0 | 0 |" in lines
    assert "| price | 1 | 1 | 1 |" in lines
    assert "| years | 0 | 0 | 3 |" in lines
    assert {"dead letters: MISSING_ID 1", "dead letters: INVALID_JSON 1"} <= set(lines)
    assert "| years | years_experience | info.yearsOfExperience |" in lines
    assert len([line for line in lines if line.endswith("years_experience | info.yearsOfExperience |")]) == 1


def test_files_are_read_as_ingest_reads_them(folder, capsys):
    (folder / "people.csv").write_text("sep=;\nkey;name;x\n7;Zoë;1\n", encoding="windows-1252")
    flags = ["--input=people.csv", "--encoding=windows-1252", "--rename_columns=key=id", "--drop_columns=x"]
    assert main(["preview", "--spec=./people.yaml", *flags]) == 0
    shown = capsys.readouterr().out
    assert '"name": "Zoë"' in shown
    assert '"x"' not in shown


def test_a_record_that_fails_says_why(folder, capsys):
    lines = previewed(capsys, "--records=9")
    assert any(line.startswith("line 3: MISSING_ID: person_id is missing") for line in lines)
    assert any(line.startswith("dead letter: INVALID_JSON: ") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input=firestore://users"], "preview reads files"),
        (["--input=none.jsonl"], "--input none.jsonl matches no file"),
        (["--input=empty.jsonl"], "--input empty.jsonl holds no records"),
        (["--input=people.jsonl", "--records=-1"], "records must be at least 0"),
    ],
)
def test_wrong_usage_is_one_line(folder, capsys, arguments, message):
    (folder / "empty.jsonl").write_text("")
    assert main(["preview", "--spec=./people.yaml", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_local_files_are_read_without_beam(folder):
    watch = "import sys; from pipeline.__main__ import main; main(sys.argv[1:]); sys.exit('apache_beam' in sys.modules)"
    command = [sys.executable, "-c", watch, "preview", f"--input={folder / 'people.jsonl'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
