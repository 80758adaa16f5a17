"""What ranges leave behind is complete or not there."""

import datetime

import pytest

from transforms.firestore.ranges import NameRange, ranges_between
from transforms.verify.comparison import Compared
from transforms.verify.parts import Parts, replaced

MOMENT = datetime.datetime(2026, 1, 1, 12, 0, 0, 7, tzinfo=datetime.timezone.utc)


def test_a_plan_comes_back_as_it_was_kept(tmp_path):
    parts, spans = Parts(str(tmp_path), "job", 1), ranges_between(["a", "é/b", "__id7__"])
    assert parts.read_plan() is None
    parts.write_plan(MOMENT, spans)
    pieces = parts.read_plan()
    assert [(piece.span, piece.read_time) for piece in pieces] == [(span, MOMENT) for span in spans]
    assert [piece.batch_id for piece in pieces] == [f"range-{n:05d}" for n in range(4)]
    assert Parts(str(tmp_path), "job", 2).read_plan() is None


def test_ranges_add_up_and_their_lines_come_in_order(tmp_path):
    parts = Parts(str(tmp_path), "job", 1)
    parts.write_plan(MOMENT, ranges_between(["m"]))
    for number in (1, 0):
        with parts.written(f"range-{number:05d}") as write:
            write(f"line {number}")
        parts.write_found(f"range-{number:05d}", Compared(5, {"DIFFERENT": number + 1}, 1, 2, 3, 4))
    assert parts.read_found() == Compared(10, {"DIFFERENT": 3}, 2, 4, 6, 8)
    assert list(parts.lines()) == ["line 0", "line 1"]


def test_a_file_whose_writer_fails_stays_as_it_was(tmp_path):
    path = tmp_path / "a.jsonl"
    with replaced(str(path)) as write:
        write("before")

    def fail():
        with replaced(str(path)) as write:
            write("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "before\n"
    assert list(tmp_path.iterdir()) == [path]


def test_only_other_runs_are_removed(tmp_path):
    for job, attempt in (("job", 1), ("job", 2), ("other", 1)):
        Parts(str(tmp_path), job, attempt).write_plan(MOMENT, [NameRange()])
    Parts(str(tmp_path), "job", 2).remove_others()
    assert Parts(str(tmp_path), "job", 1).read_plan() is None
    assert Parts(str(tmp_path), "job", 2).read_plan() is not None
    assert Parts(str(tmp_path), "other", 1).read_plan() is not None
