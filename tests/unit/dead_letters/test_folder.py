"""Files of dead letters: named by their batch, replaced as a whole, private, and in exactly one place of a replay."""

import base64
import datetime
import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.batch import DeadLetter
from transforms.dead_letters.folder import DeadLetterFolder, ReplayRun
from transforms.dead_letters.lines import Origin
from transforms.errors import JobError, UsageError
from transforms.firestore.tagged_json import from_tagged_json

ORIGIN = Origin("ingest", "ingest-1", "b-0", "2026-01-01T00:00:00.000000Z", "in.jsonl")
RUN = ReplayRun("replay-1", "2026-01-02T00:00:00.000000Z", 3)
NOW = "2026-01-02T00:00:01.000000Z"


def dead_letter(code="INVALID_JSON", retryable=False, original=b"{", **more):
    return DeadLetter("ReadBatches", code, f"{code} in field x", original, retryable=retryable, **more)


def dead_letter_at(position, retryable=False):
    return dead_letter(position=position, retryable=retryable)


def keep(folder, *dead_letters, batch_id="b-0"):
    DeadLetterFolder(str(folder)).store(ORIGIN._replace(batch_id=batch_id), dead_letters)


def files(folder):
    return {str(file.relative_to(folder)): file.read_text() for file in sorted(folder.rglob("*")) if file.is_file()}


def line_of(folder, original):
    keep(folder, dead_letter(original=original))
    (text,) = files(folder).values()
    return json.loads(text)


def test_a_line_says_what_happened_where_to_whom_and_when(tmp_path):
    keep(tmp_path, dead_letter("INVALID_ID", record_id="ada", position=17, line=3, attempts=2))
    assert json.loads(files(tmp_path)["permanent/b-0.jsonl"]) == {
        "job": "ingest",
        "job_id": "ingest-1",
        "batch_id": "b-0",
        "time": "2026-01-01T00:00:00.000000Z",
        "step": "ReadBatches",
        "record_id": "ada",
        "source": "in.jsonl",
        "line": 3,
        "position": 17,
        "code": "INVALID_ID",
        "message": "INVALID_ID in field x",
        "attempts": 2,
        "record_text": "{",
    }


def test_a_batch_has_one_file_per_kind_named_after_it(tmp_path):
    keep(tmp_path, dead_letter(), dead_letter(retryable=True), dead_letter())
    assert {name: text.count("\n") for name, text in files(tmp_path).items()} == {
        "permanent/b-0.jsonl": 2,
        "retryable/b-0.jsonl": 1,
    }


def test_a_batch_done_again_leaves_the_same_bytes(tmp_path):
    keep(tmp_path, dead_letter(), dead_letter(retryable=True))
    first = files(tmp_path)
    keep(tmp_path, dead_letter(), dead_letter(retryable=True))
    assert files(tmp_path) == first


def test_a_batch_done_again_replaces_its_file_as_a_whole(tmp_path):
    keep(tmp_path, dead_letter("INVALID_JSON", original=b"x" * 10_000), dead_letter("NESTED_ARRAY"))
    keep(tmp_path, dead_letter("MISSING_ID"))
    (line,) = files(tmp_path)["permanent/b-0.jsonl"].splitlines()
    assert json.loads(line)["code"] == "MISSING_ID"


def test_a_batch_done_again_removes_the_file_that_no_longer_applies_and_no_other(tmp_path):
    keep(tmp_path, dead_letter(retryable=True), dead_letter())
    keep(tmp_path, dead_letter(retryable=True), batch_id="b-1")
    keep(tmp_path, dead_letter())
    assert files(tmp_path).keys() == {"permanent/b-0.jsonl", "retryable/b-1.jsonl"}


def test_a_batch_without_dead_letters_makes_no_file(tmp_path):
    keep(tmp_path / "new")
    assert files(tmp_path) == {}


@pytest.mark.parametrize("umask", [0o000, 0o022], ids=oct)
def test_only_the_owner_can_read_a_file_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        keep(tmp_path, dead_letter())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "permanent" / "b-0.jsonl").stat().st_mode) == 0o600


@pytest.mark.parametrize("original", ['{"name": "Ada"}', '{"name": "Zoë 𝄞"}', "a\tb", "line\u2028separator", ""])
def test_a_line_of_text_is_kept_as_it_was(tmp_path, original):
    assert line_of(tmp_path, original.encode())["record_text"] == original


def test_bytes_that_are_not_text_are_kept_exactly(tmp_path):
    original = b'{"name": "\xff\xfe\x00"}'
    line = line_of(tmp_path, original)
    assert base64.b64decode(line["record_base64"]) == original
    assert "record_text" not in line


@pytest.mark.parametrize(
    "original",
    [
        {"name": "Ada", "tags": ["x", None, True, 1, 1.0]},
        {"born": datetime.datetime(1815, 12, 10, 1, 2, 3, 4, tzinfo=datetime.timezone.utc), "photo": b"\xff\x00"},
        {"score": float("inf"), "big": 2**70},
        {"only": {"$bytes": "a map that looks like a tag"}},
        {"text": "\ud800"},
    ],
    ids=["JSON", "timestamp and bytes", "beyond JSON", "a tag's double", "lone surrogate"],
)
def test_a_value_that_never_was_a_line_comes_back_exactly(tmp_path, original):
    restored = from_tagged_json(line_of(tmp_path, original)["record"])
    assert restored == original
    assert [type(value) for value in restored.values()] == [type(value) for value in original.values()]


def test_a_folder_is_probed_without_leaving_anything_in_it(tmp_path):
    DeadLetterFolder(str(tmp_path / "new" / "folder")).check_writable()
    assert files(tmp_path) == {}


def test_a_folder_that_cannot_be_written_is_refused_with_the_flag_to_change(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match=r"cannot write dead letters to .*file/below: .*; pass --dead_letters=DIR"):
        DeadLetterFolder(str(tmp_path / "file" / "below")).check_writable()


def test_nothing_half_written_is_left_when_a_file_cannot_be_replaced(tmp_path):
    (tmp_path / "permanent" / "b-0.jsonl").mkdir(parents=True)
    with pytest.raises(OSError):
        keep(tmp_path, dead_letter())
    assert files(tmp_path) == {}


def places(folder):
    return {
        str(file.relative_to(folder)): [json.loads(line)["position"] for line in file.read_text().splitlines()]
        for file in sorted(folder.rglob("*.jsonl"))
    }


def test_the_dead_letters_of_a_batch_are_one_batch_in_the_order_of_their_source(tmp_path):
    keep(tmp_path, dead_letter_at(30), dead_letter_at(10), dead_letter_at(20, retryable=True))
    keep(tmp_path, dead_letter_at(40), batch_id="b-0-rows")
    keep(tmp_path, dead_letter_at(1), batch_id="b-1")
    folder = DeadLetterFolder(str(tmp_path))
    assert [batch[:3] for batch in folder.batches()] == [("b-0", "ingest-1", 4), ("b-1", "ingest-1", 1)]
    assert [found.position for found in folder.read("b-0")] == [10, 20, 30, 40]
    assert [found.position for found in DeadLetterFolder(str(tmp_path), ("retryable",)).read("b-0")] == [20]


def test_a_folder_with_brackets_in_its_name_is_a_folder(tmp_path):
    keep(tmp_path / "dead[1]", dead_letter_at(1))
    assert [batch[:3] for batch in DeadLetterFolder(str(tmp_path / "dead[1]")).batches()] == [("b-0", "ingest-1", 1)]


def test_a_file_under_another_name_is_refused(tmp_path):
    keep(tmp_path, dead_letter_at(1))
    (tmp_path / "permanent" / "b-0.jsonl").rename(tmp_path / "permanent" / "mine.jsonl")
    with pytest.raises(
        UsageError, match=r"mine.jsonl, line 1 is of batch b-0, but the file is named after mine; move it back"
    ):
        DeadLetterFolder(str(tmp_path)).batches()


def test_dead_letters_of_two_jobs_in_one_batch_are_refused(tmp_path):
    keep(tmp_path, dead_letter_at(1))
    file = tmp_path / "permanent" / "b-0.jsonl"
    file.write_text(file.read_text() + file.read_text().replace("ingest-1", "ingest-2"))
    with pytest.raises(
        UsageError, match=r"b-0.jsonl, line 2 is of job ingest-2 and source in.jsonl, but others of batch b-0"
    ):
        DeadLetterFolder(str(tmp_path)).batches()


def test_dead_letters_that_come_while_a_batch_is_replayed_stop_it(tmp_path):
    keep(tmp_path, dead_letter_at(1), dead_letter_at(2))
    with pytest.raises(JobError, match=r"batch b-0 in .* changed while they were replayed: 1 were read, 2 are there"):
        DeadLetterFolder(str(tmp_path)).resolve("b-0", 1, [], RUN, NOW)
    assert [file.name for file in tmp_path.iterdir()] == ["permanent"]


@given(fates=st.lists(st.sampled_from(["lands", "fails"]), min_size=1, max_size=5), stops=st.integers(0, 3))
def test_every_dead_letter_ends_in_exactly_one_place_wherever_a_replay_stopped(tmp_path_factory, fates, stops):
    """Stopped after `resolve`, or between `resolve` and `clear`, with other fates the next time."""
    folder = tmp_path_factory.mktemp("dead_letters")
    keep(folder, *(dead_letter_at(n, retryable=n % 2 == 0) for n in range(len(fates))))
    stored = DeadLetterFolder(str(folder))
    failing = [dead_letter_at(n) for n, fate in enumerate(fates) if fate == "fails"]
    for _ in range(stops):  # everything turns out the other way
        landing = [dead_letter_at(n) for n, fate in enumerate(fates) if fate == "lands"]
        stored.resolve("b-0", len(fates), landing, RUN, NOW)
    stored.resolve("b-0", len(fates), failing, RUN, NOW)
    stored.clear("b-0", RUN.run)
    found = places(folder)
    assert sorted(n for positions in found.values() for n in positions) == list(range(len(fates)))
    assert sorted(found.get("replayed/b-0.jsonl", [])) == [n for n, fate in enumerate(fates) if fate == "lands"]


def test_an_attempt_is_counted_once_per_run_and_parked_when_there_were_enough(tmp_path):
    keep(tmp_path, dead_letter_at(1))
    folder = DeadLetterFolder(str(tmp_path))
    file = tmp_path / "permanent" / "b-0.jsonl"
    for _ in range(2):
        folder.resolve("b-0", 1, [dead_letter_at(1)], RUN, NOW)
        folder.clear("b-0", RUN.run)
        assert json.loads(file.read_text())["attempts"] == 2
    later = RUN._replace(run="2026-01-03T00:00:00.000000Z")
    folder.resolve("b-0", 1, [dead_letter_at(1)], later, NOW)
    folder.clear("b-0", later.run)
    assert places(tmp_path) == {"parked/b-0.jsonl": [1]}


def test_what_earlier_replays_have_moved_stays(tmp_path):
    folder = DeadLetterFolder(str(tmp_path))
    for position in (1, 2):
        keep(tmp_path, dead_letter_at(position))
        folder.resolve("b-0", 1, [], RUN, NOW)
        folder.clear("b-0", RUN.run)
    assert places(tmp_path) == {"replayed/b-0.jsonl": [1, 2]}


def test_whatever_is_written_can_be_read_by_its_owner_only(tmp_path):
    keep(tmp_path, dead_letter_at(1), dead_letter_at(2))
    folder = DeadLetterFolder(str(tmp_path))
    folder.resolve("b-0", 2, [dead_letter_at(1)], RUN, NOW)
    folder.clear("b-0", RUN.run)
    files = [file for file in Path(tmp_path).rglob("*") if file.is_file()]
    assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}


def test_several_batches_are_stored_as_each_would_be_alone(tmp_path):
    several, alone = tmp_path / "several", tmp_path / "alone"
    origins = [ORIGIN._replace(batch_id=f"b-{n}", source=f"{n}.json") for n in range(4)]
    rounds = [
        [[dead_letter()], [dead_letter(retryable=True)], [], [dead_letter(), dead_letter(retryable=True)]],
        [[], [dead_letter()], [], [dead_letter("INVALID_ID")]],
    ]
    for dead_letters in rounds:
        batches = list(zip(origins, dead_letters, strict=True))
        DeadLetterFolder(str(several)).store_several(batches)
        for origin, own in batches:
            DeadLetterFolder(str(alone)).store(origin, own)
        assert files(several) == files(alone)
    assert files(several).keys() == {"permanent/b-1.jsonl", "permanent/b-3.jsonl"}
