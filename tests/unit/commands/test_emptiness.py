"""A spec that looks in the wrong places says so: in the summary, in its file and in `firebeam status`."""

import json

import pytest

from pipeline.__main__ import main
from transforms.testing import PROJECT, ScriptedFirestore

SPEC = """\
name: people
schema_version: 1
full_collection: people_full
flat_collection: people
key: {name: person_id, from: id}
fields:
  name: {type: string, from: name}
  price: {type: number, from: price}
  years: {type: number, cleaner: years, from: years_experience}
"""
WARNING = (
    "years had a value in none of 25 records: looked for in years_experience; the records have info.yearsOfExperience"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    people = [
        {"id": n, "name": "Ada", "price": "9,99" if n < 4 else n, "info": {"yearsOfExperience": n}} for n in range(25)
    ]
    (folder / "people.jsonl").write_text("".join(json.dumps(each) + "\n" for each in people))
    (folder / "people.yaml").write_text(SPEC)
    with ScriptedFirestore() as server, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("FIRESTORE_EMULATOR_HOST", server.target.emulator_host)
        flags = [
            "--input=people.jsonl",
            "--spec=./people.yaml",
            "--batch_size=10",
            "--summary=summary.json",
            "--job_id=j",
        ]
        assert main(["ingest", *flags, f"--project={PROJECT}"]) == 0
        yield json.loads((folder / "summary.json").read_text())


def test_the_summary_counts_every_field_and_warns_of_one_that_is_always_empty(run):
    assert run["flattened"] == 25
    assert run["fields"] == {
        "person_id": {"with_value": 25, "uncleaned": 0},
        "name": {"with_value": 25, "uncleaned": 0},
        "price": {"with_value": 21, "uncleaned": 4},
        "years": {"with_value": 0, "uncleaned": 0},
    }
    assert run["warnings"] == [WARNING]


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_status_shows_the_same(run, capsys, flags):
    assert main(["status", "j", f"--project={PROJECT}", *flags]) == 0
    shown = capsys.readouterr().out
    if flags:
        found = json.loads(shown)
        assert {name: found[name] for name in ("flattened", "fields", "warnings")} == {
            name: run[name] for name in ("flattened", "fields", "warnings")
        }
        return
    lines = [" ".join(line.replace("│", "|").split()) for line in shown.splitlines()]
    assert {"| flattened | 25 |", "| price | 21, 4 uncleaned |", "| years | 0 |", f"| warning | {WARNING} |"} <= set(
        lines
    )
