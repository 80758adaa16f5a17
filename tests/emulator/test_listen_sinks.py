"""firebeam listen into sinks beside BigQuery, on the emulators."""

import json

import pytest

from pipeline.__main__ import main
from tests.support.export import people, store

pytestmark = pytest.mark.emulator

HANDLER = """
import json
async def on_change(change):
    if change.path == "users/u003" and change.attempts == 0:
        raise RuntimeError(change.fields)
    age = (change.fields or {}).get("age")
    with open("seen.jsonl", "a") as file:
        file.write(json.dumps([change.kind, change.path, age, change.event_id]) + "\\n")
"""


def listen(target, folder, *flags):
    return main(
        [
            "listen", f"--project={target.project}", "--collection=users", "--job_id=listen-1", "--once",
            f"--dead_letters={folder / 'dead_letters'}", *flags,
        ]
    )  # fmt: skip


def test_a_handler_sees_every_change_and_what_it_refuses_is_a_dead_letter(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "listen_handler_of_mine.py").write_text(HANDLER)
    store(target, people(1, 2, 3))
    flags = ("--handler=listen_handler_of_mine:on_change",)
    assert listen(target, tmp_path, *flags) == 0
    store(target, {**people(1, age=9), "users/u002": None})
    assert listen(target, tmp_path, *flags) == 0
    seen = [json.loads(line) for line in (tmp_path / "seen.jsonl").open()]
    assert [change[:2] for change in seen] == [
        ["added", "users/u001"], ["added", "users/u002"], ["modified", "users/u001"], ["removed", "users/u002"],
    ]  # fmt: skip
    assert seen[2][2] == 9
    assert len({change[-1] for change in seen}) == 4
    (line,) = [json.loads(line) for file in (tmp_path / "dead_letters").rglob("*.jsonl") for line in file.open()]
    assert (line["code"], line["record_id"]) == ("HANDLER_FAILED", "users/u003")
