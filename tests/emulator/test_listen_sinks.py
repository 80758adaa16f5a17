"""firebeam listen into sinks beside BigQuery, on the emulators."""

import json
import sys

import pytest

from pipeline.__main__ import main
from tests.support.export import people, store
from transforms.batch import DeadLetter
from transforms.dead_letters.folder import DeadLetterFolder
from transforms.dead_letters.lines import Origin
from transforms.firestore.query import Query
from transforms.firestore.reader import read
from transforms.ledger.streams import read_streams

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


def test_a_dead_letter_comes_again_when_it_is_due_and_counts_once(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "listen_handler_of_mine.py").write_text(HANDLER)
    store(target, people(1, 3))
    flags = ("--handler=listen_handler_of_mine:on_change",)
    assert listen(target, tmp_path, *flags) == 0
    assert listen(target, tmp_path, *flags, "--dead_letter_retry_s=0") == 0
    seen = [json.loads(line) for line in (tmp_path / "seen.jsonl").open()]
    assert [change[:2] for change in seen] == [["added", "users/u001"], ["added", "users/u003"]]
    (file,) = (tmp_path / "dead_letters").rglob("*.jsonl")
    assert file.parent.name == "replayed"
    (stream,) = read_streams(target.connect(), "listen-1")
    assert {name: stream.counts[name] for name in ("read", "written", "dead_letter_count")} == {
        "read": 2,
        "written": 2,
        "dead_letter_count": 0,
    }


def replay(target, folder, *flags):
    """Exit code and counts of the summary."""
    summary = folder / "replay.json"
    exit_code = main(
        [
            "replay", f"--project={target.project}", f"--dead_letters={folder / 'dead_letters'}",
            f"--summary={summary}", "--max_dead_letter_ratio=1", *flags,
        ]
    )  # fmt: skip
    counts = json.loads(summary.read_text())
    return exit_code, tuple(counts[name] for name in ("read", "written", "superseded", "dead_letters"))


def places(folder):
    """Where the dead letters of which documents are, each with its attempts."""
    files = (folder / "dead_letters").rglob("*.jsonl")
    lines = [(file.parent.name, json.loads(line)) for file in files for line in file.open()]
    return sorted((place, line["record_id"], line["attempts"]) for place, line in lines)


def test_replay_calls_the_handler_again_with_what_is_still_true(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refusing = tmp_path / "listen_handler_replayed.py"
    refusing.write_text("def on_change(change):\n    raise RuntimeError\n")
    store(target, people(1, 2, 3, 4))
    flags = ("--handler=listen_handler_replayed:on_change",)
    assert listen(target, tmp_path, *flags) == 0
    assert replay(target, tmp_path) == (0, (4, 0, 0, 4))
    assert places(tmp_path) == [("retryable", f"users/u00{n}", 2) for n in (1, 2, 3, 4)]
    refusing.write_text(HANDLER.replace("change.attempts == 0", "True"))
    sys.modules.pop("listen_handler_replayed")
    store(target, {**people(1, age=9), "users/u002": None})
    assert replay(target, tmp_path) == (0, (4, 1, 2, 1))
    assert [json.loads(line)[:2] for line in (tmp_path / "seen.jsonl").open()] == [["added", "users/u004"]]
    assert places(tmp_path) == [
        ("replayed", "users/u001", 2), ("replayed", "users/u002", 2), ("replayed", "users/u004", 2),
        ("retryable", "users/u003", 3),
    ]  # fmt: skip
    assert listen(target, tmp_path, *flags, "--dead_letter_retry_s=0") == 0  # it goes on with what is left
    assert places(tmp_path)[-1] == ("retryable", "users/u003", 4)


def test_replay_names_dead_letters_whose_job_or_stream_nobody_knows(target, tmp_path, capsys):
    assert listen(target, tmp_path, "--to=firestore://copies") == 0
    folder = DeadLetterFolder(str(tmp_path / "dead_letters"))
    dead_letter = DeadLetter("MirrorChanges", "CONFLICT", "no", {"__name__": "posts/1"}, "posts/1", 1)
    flags = ["replay", f"--project={target.project}", f"--dead_letters={folder.path}"]
    for job_id, said in (
        ("listen-9", "does not know listen job listen-9"),
        ("listen-1", "is of stream posts, but job listen-1 listens to users only; move its file elsewhere"),
    ):
        origin = Origin("listen", job_id, "0123456789ab-1", "2026-01-01T00:00:00Z", "posts")
        folder.store(origin, [dead_letter])
        assert main(flags) == 2
        assert said in " ".join(capsys.readouterr().err.split())


def test_a_mirror_follows_with_deletes_and_verify_finds_no_difference(target, tmp_path):
    store(target, people(*range(30)))
    assert listen(target, tmp_path, "--to=firestore://copies") == 0
    store(target, {**people(1, age=9), **people(77), "users/u002": None})
    assert listen(target, tmp_path, "--to=firestore://copies") == 0
    database = [f"--project={target.project}", "--ignore=_meta", f"--report={tmp_path / 'report.jsonl'}"]
    database.append(f"--dead_letters={tmp_path / 'differences'}")
    assert main(["verify", "--left=firestore://users", "--right=firestore://copies", *database]) == 0
    store(target, {"copies/u001": None})
    assert main(["verify", "--left=firestore://users", "--right=firestore://copies", *database]) != 0


def test_candles_are_mirrored_as_pairs_of_their_spec(target, tmp_path):
    begins = 1_759_665_600
    candle = {"o": 1.0, "h": 3.0, "l": 1.0, "c": 2.0, "v": 10, "complete": True}
    paths = [f"candles/EUR_USD/H1/{begins + hour * 3600}" for hour in range(3)]
    store(target, {path: {**candle, "ts": int(path.rpartition("/")[2])} for path in paths})
    flags = (
        "--streams=candles", "--stream_var=instruments=EUR_USD", "--stream_var=granularities=H1", "--to=spec",
        f"--project={target.project}", "--job_id=candles-1", "--once", f"--dead_letters={tmp_path / 'dead_letters'}",
    )  # fmt: skip
    assert main(["listen", *flags]) == 0
    store(target, {paths[0]: None, paths[1]: {**candle, "ts": begins + 3600, "c": 1.5}})
    assert main(["listen", *flags]) == 0
    found = {document.id: document.fields for document in read(target.connect(), Query("candles_raw"))}
    assert list(found) == ["EUR_USD_H1_20251005T130000Z", "EUR_USD_H1_20251005T140000Z"]
    assert [fields["c"] for fields in found.values()] == [1.5, 2.0]
    assert {fields["_meta"]["version"] for fields in found.values()} == {1, 2}


def test_a_topic_gets_a_message_for_every_change_those_of_a_document_in_their_order(target, tmp_path, topic):
    store(target, people(1, 2))
    assert listen(target, tmp_path, "--pubsub_topic=changes") == 0
    store(target, {**people(1, age=9), "users/u002": None})
    assert listen(target, tmp_path, "--pubsub_topic=changes") == 0
    messages = topic.pull(4)
    contents = [json.loads(message.data) for message in messages]
    kinds = {path: [each["kind"] for each in contents if each["path"] == path] for path in ("users/u001", "users/u002")}
    assert kinds == {"users/u001": ["added", "modified"], "users/u002": ["added", "removed"]}
    assert {message.ordering_key for message in messages} == set(kinds)
    assert [each["document"] for each in contents if each["kind"] == "modified"] == [{"n": 1, "age": 9}]
    assert len({message.attributes["event_id"] for message in messages}) == 4


def test_a_topic_that_is_missing_is_named_before_anything_starts(target, tmp_path, topic, capsys):
    assert listen(target, tmp_path, "--pubsub_topic=other") != 0
    assert "gcloud pubsub topics create other" in " ".join(capsys.readouterr().err.split())
