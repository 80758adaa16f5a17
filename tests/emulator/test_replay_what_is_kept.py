"""What dead letters keep of their records decides what a replay can do: all of it, or say what to do instead."""

import pytest

from tests.support.ingest import ingest, profile
from tests.support.replay_desk import Desk, nameless
from tests.support.verified import put

pytestmark = pytest.mark.emulator


@pytest.fixture
def desk(tmp_path, target):
    return Desk(tmp_path, target)


def test_dead_letters_without_a_record_are_counted_apart_and_say_what_to_do(desk, capsys):
    desk.ingest(profile(0), nameless(1, candidate_id="a/b"), "{not JSON\n", nameless(3, candidate_id="c/d"))

    def without_record(line):
        if line["line"] == 2:
            return {**{name: value for name, value in line.items() if name != "record_text"}, "record": None}
        return {**line, "code": "RECORD_TOO_LARGE"} if line["line"] == 3 else line

    desk.edit("permanent", without_record)
    before = desk.lines("permanent")
    capsys.readouterr()
    assert desk.replay() == (0, (3, 0, 0, 0, 3))
    assert desk.summary["not_replayable"] == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "2 of the dead letters keep no record, or only a part of one, and cannot be replayed" in said
    assert f"run ingest again on {desk.folder / 'profiles.jsonl'}" in said
    assert [(line["code"], line["message"]) for line in desk.lines("permanent")] == [
        (line["code"], line["message"]) for line in before
    ]


def test_a_document_is_replayed_under_its_own_id_though_its_fields_hold_none(desk, target):
    ids = ("cand-7", "Zoë 100%", "a.b")
    fields = {name: value for name, value in nameless(7).items() if name != "candidate_id"}
    put(target, {f"raw/{key}": fields for key in ids})
    strict = desk.spec("  name:\n    type: string\n", "  name:\n    type: string\n    required: true\n", "strict.yaml")
    ingest(desk.folder, target, "--input=firestore://raw", "--max_dead_letter_ratio=1", strict)
    assert [line["code"] for line in desk.lines("permanent")] == ["MISSING_FIELD"] * 3
    assert desk.replay("--spec=profiles") == (0, (3, 3, 0, 0, 0))
    assert sorted(desk.flat) == sorted(desk.full) == sorted(ids)
