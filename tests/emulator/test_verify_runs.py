"""A comparison beside writers, one that was interrupted, and what it leaves behind, on the real emulator."""

import datetime
import json
import stat
from dataclasses import replace

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from rich.console import Console

from pipeline.jobs import verify as job
from pipeline.run import local
from pipeline.run.flags import parse
from tests.support.memory_store import MemoryStore
from tests.support.verified import put, remove, verify
from transforms.firestore import messages
from transforms.firestore.committer import AtomicGroup, Committer
from transforms.firestore.query import Query
from transforms.firestore.ranges import NameRange, ranges_between
from transforms.firestore.read_time import JOB_START, fix_read_time
from transforms.runtime.stopping import ask_to_stop
from transforms.verify.comparison import Comparison
from transforms.verify.entries import Entry
from transforms.verify.firestore_store import FirestoreStore
from transforms.verify.forms import FieldsForm
from transforms.verify.ignored import Ignored
from transforms.verify.parts import Parts

pytestmark = pytest.mark.emulator


class Disturbed(FirestoreStore):
    """A collection that somebody writes to once the first documents have been read."""

    def entries(self, span):
        yield from super().entries(span)
        put(self.target, {"users/changed": {"n": 9}, "users/new": {"n": 1}, "copies/caught-up": {"n": 1}})
        remove(self.target, "users/gone")


@pytest.mark.parametrize("reads_past", [True, False], ids=["start", "latest"])
def test_documents_that_change_during_the_run_do_not_count(target, reads_past):
    users = {"changed": {"n": 1}, "gone": {"n": 1}, "caught-up": {"n": 1}, "same": {"n": 1}, "wrong": {"n": 1}}
    put(target, {f"users/{key}": fields for key, fields in users.items()})
    put(target, {"copies/changed": {"n": 2}, "copies/same": {"n": 1}, "copies/wrong": {"n": 2}})
    moment = fix_read_time(target.connect(), JOB_START)
    form = FieldsForm(Ignored())
    left = Disturbed(target, Query("users"), False, form, reads_past).as_of(moment)
    right = FirestoreStore(target, Query("copies"), False, form, reads_past).as_of(moment)
    comparison = Comparison(left, right, moment, max_keys=100)
    assert [(each.key, each.kind) for each in comparison.differences(NameRange())] == [("wrong", "DIFFERENT")]
    found = comparison.found
    assert (found.equal, found.changed) == (3, 1)  # two have become equal: one there, one gone


def test_copies_in_files_are_told_with_their_number(target, tmp_path):
    put(target, {"users/ada": {"n": 1}, "users/edi": {"n": 1}})
    lines = [{"__name__": "users/ada", "n": 1}, {"__name__": "edi", "n": 1}, {"__name__": "ada", "n": 1}]
    (tmp_path / "users.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (line,) = verify(tmp_path, target, "firestore://users", f"jsonl:{tmp_path}/users.jsonl").differences
    assert (line["key"], line["fields"], line["left_copies"], line["right_copies"]) == ("ada", [], 1, 2)


def interrupted(target, job_id, *batch_ids):
    """Makes the ledger look as if the process had been killed before these batches were completed."""
    job = target.document_name(f"pipeline_jobs/{job_id}")
    fields = messages.Document(name=job)
    fields.fields["state"].string_value = "interrupted"
    writes = [messages.update(fields.SerializeToString()) + messages.update_mask(["state"])]
    writes += [messages.delete(f"{job}/batches/{batch_id}") for batch_id in batch_ids]
    writes.append(messages.delete(f"{job}/results/1"))
    Committer(target.connect()).commit([AtomicGroup((write,)) for write in writes])


def test_an_interrupted_run_goes_on_with_its_ranges_and_reports_every_difference_once(target, tmp_path, capsys):
    put(target, {f"users/{n:02d}": {"n": n} for n in range(40)})
    put(target, {f"copies/{n:02d}": {"n": n} for n in range(40) if n % 10})
    stores = ("firestore://users", "firestore://copies")
    whole = verify(tmp_path, target, *stores)
    wrong = {f"{n:02d}": "MISSING_RIGHT" for n in range(0, 40, 10)}
    assert whole.kinds == wrong
    job_id = whole.summary["job_id"]
    parts = Parts(str(tmp_path / "dead_letters"), job_id, 1)
    now = fix_read_time(target.connect(), JOB_START)
    parts.write_plan(now, ranges_between(["10", "20", "30"]))  # as if there had been more to compare

    interrupted(target, job_id, "range-00000")
    assert verify(tmp_path, target, *stores).kinds == wrong
    with parts.written("range-00002") as write:
        write("what a process that was killed has left")
    interrupted(target, job_id, "range-00002")
    again = verify(tmp_path, target, *stores)
    assert "3 ranges are done" in capsys.readouterr().err
    assert (again.kinds, again.counts, again.summary["batches"]) == (wrong, (40, 36, 0, 4), 4)


class Stopping(MemoryStore):
    """Asks the run to stop when its second range is read."""

    def ranges(self, max_ranges):
        return ranges_between(["10", "20", "30"])

    def entries(self, span):
        if span.contains("15"):
            ask_to_stop()
        return super().entries(span)


def test_a_run_that_is_stopped_finishes_no_range_half_and_goes_on_later(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entries = [Entry(f"{n:02d}", {"n": n}) for n in range(40)]
    put(target, {f"users/{n:02d}": {"n": n} for n in range(40) if n % 10})
    options = PipelineOptions([])
    flags = [f"--project={target.project}", "--left=firestore://none", "--right=firestore://users", "--max_keys=2"]
    config, _ = parse(job.USAGE, [*flags, "--report=report.jsonl"])

    def run(store):
        plan = job.prepare(config, options)
        plan = replace(plan, sides=replace(plan.sides, left=store))
        summary = local.run(job.JOB, plan, options, Console(stderr=True), "again", streaming=False)
        return job.present(plan, summary, Console(stderr=True)), summary

    exit_code, summary = run(Stopping(entries))
    assert (exit_code, summary.state) == (130, "interrupted")
    assert summary.totals.batches in (0, 1, 2, 3)  # ranges come in any order
    assert not (tmp_path / "report.jsonl").exists()
    exit_code, summary = run(MemoryStore(entries))
    assert (exit_code, summary.totals.batches, summary.totals["documents"], summary.totals["equal"]) == (3, 4, 40, 36)
    keys = [json.loads(line)["key"] for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert keys == ["00", "10", "20", "30"]


def test_a_new_run_begins_without_what_earlier_ones_found(target, tmp_path):
    put(target, {"users/ada": {"n": 1}, "copies/ada": {"n": 2}})
    stores = ("firestore://users", "firestore://copies")
    assert verify(tmp_path, target, *stores).exit_code == 3
    put(target, {"copies/ada": {"n": 1}})
    found = verify(tmp_path, target, *stores)
    assert (found.exit_code, found.differences) == (0, [])
    folders = [path.name for path in (tmp_path / "dead_letters" / "differences").glob("*/*") if any(path.iterdir())]
    assert folders == ["000002"]


def test_what_is_left_behind_can_be_read_by_its_owner_only(target, tmp_path):
    put(target, {"users/ada": {"n": 1}})
    verify(tmp_path, target, "firestore://users", "firestore://copies", "--show_values")
    files = [path for path in (tmp_path / "dead_letters" / "differences").rglob("*") if path.is_file()]
    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in (*files, tmp_path / "report.jsonl")} == {0o600}


def test_the_past_is_read_as_of_one_moment(target):
    put(target, {"users/ada": {"n": 1}})
    moment = fix_read_time(target.connect(), JOB_START)
    put(target, {"users/ada": {"n": 2}, "users/edi": {"n": 1}})
    store = FirestoreStore(target, Query("users"), False, FieldsForm(Ignored()))
    then = {entry.key: entry.content for entry in store.as_of(moment).entries(NameRange())}
    now = {entry.key: entry.content for entry in store.entries(NameRange())}
    assert (then, now) == ({"ada": {"n": 1}}, {"ada": {"n": 2}, "edi": {"n": 1}})
    assert moment < datetime.datetime.now(datetime.timezone.utc)
