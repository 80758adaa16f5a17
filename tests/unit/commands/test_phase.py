"""firebeam phase on a scripted Firestore: what it shows, when it changes the phase, and when it changes nothing."""

import datetime
import json
import os
import socket

import pytest

from pipeline.__main__ import main
from pipeline.commands import phase
from pipeline.present.terminal import Console
from transforms.ledger.jobs import COMPLETED, RUNNING, job_document
from transforms.ledger.migrations import (
    Writes,
    migration_document,
    read_migration,
    read_pairs,
    save_migration,
    save_pair,
    save_writer,
    see,
    writes_since,
)
from transforms.migrate.gates import Facts, failing, gates
from transforms.migrate.phases import (
    COSMOS_ONLY,
    COSMOS_RETIRED,
    DUAL_WRITE,
    FIRESTORE_ANALYTICS,
    FIRESTORE_PRIMARY,
    State,
    phase_of,
)
from transforms.migrate.states import saved_as, state_of
from transforms.retry import Clock
from transforms.testing import PROJECT, ScriptedFirestore

PAIR = "student_attempts"


class Desk:
    """A migration, and the command."""

    def __init__(self, server):
        self.client = server.target.connect()
        self.document = migration_document(self.client, "students")

    @property
    def now(self):
        return datetime.datetime.now(datetime.timezone.utc)

    def set_phase(self, name):
        before = read_migration(self.document)
        save_migration(self.document, saved_as(State(name), before), before)

    def state(self):
        return state_of(read_migration(self.document))

    def pair(self, **changed):
        fields = {
            "container": "attempts",
            "collection": PAIR,
            "heartbeat_at": self.now,
            "direction": "cosmos",
            "lag_s": 1.0,
            "read_to": {"cosmos": self.now, "firestore": None},
            "pending": 0,
            "dead_letters": 0,
            "verified_at": self.now - datetime.timedelta(hours=1),
            "verified_equal": True,
        }
        save_pair(self.document, PAIR, {**fields, **changed})

    def job(self, state, parameters):
        owner = {"host": socket.gethostname(), "pid": os.getpid(), "since": self.now, "dataflow_job": None}
        fields = {
            "job": "migrate",
            "state": state,
            "attempt": 1,
            "parameters": parameters,
            "input_fingerprint": "",
            "spec_fingerprint": "",
            "bytes_total": None,
            "owner": owner,
            "heartbeat_at": self.now,
            "started_at": self.now,
            "finished_at": None,
            "error": None,
            "totals": {},
        }
        job_document(self.client, "migrate-1").write(fields)

    def writes(self, total, success, hours_ago=1):
        hour = (self.now - datetime.timedelta(hours=hours_ago)).strftime("%Y-%m-%dT%H")
        counts = {"total": total, "success": success}
        save_writer(self.document, f"web-{hours_ago}", PAIR, DUAL_WRITE, {"success": success}, {hour: counts})


@pytest.fixture
def desk(monkeypatch):
    with ScriptedFirestore() as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.target.emulator_host)
        yield Desk(server)


def command(*arguments):
    return main(["phase", "students", f"--project={PROJECT}", *arguments])


def test_a_migration_that_nobody_has_begun_is_in_the_first_phase(desk, capsys):
    assert command() == 0
    shown = capsys.readouterr().out
    assert "migration students: cosmos_only, cosmos is the primary" in shown
    assert "no pair of a container and a collection" in " ".join(shown.split())


def test_each_pair_is_shown_with_what_keeps_the_phase_from_changing(desk, capsys):
    desk.set_phase(DUAL_WRITE)
    desk.pair(pending=2, lag_s=31.5)
    desk.writes(2000, 1990)
    desk.writes(9, 0, hours_ago=30)
    assert command("--json") == 0
    shown = json.loads(capsys.readouterr().out)
    (pair,) = shown["pairs"]
    assert (pair["lag_s"], pair["pending"], pair["dual_writes"], pair["dual_writes_success"]) == (31.5, 2, 2000, 1990)
    assert {gate["name"]: gate["found"] for gate in shown["gates"] if not gate["open"]} == {
        "lag": "31.5 s", "pending": "2", "success": "99.500% of 2,000",
    }  # fmt: skip
    assert command() == 0
    assert "99.500%" in capsys.readouterr().out


def test_the_phase_goes_one_step_if_every_gate_holds_and_takes_effect_later(desk, capsys):
    desk.pair()
    assert command("--to=dual_write", "--reason=begin") == 0
    assert "dual_write is announced and takes effect in 30 s" in capsys.readouterr().out
    state = desk.state()
    assert (state.phase, state.change.to) == (COSMOS_ONLY, DUAL_WRITE)
    (entry,) = read_migration(desk.document).history
    assert (entry["from"], entry["to"], entry["reason"], entry["forced"]) == (COSMOS_ONLY, DUAL_WRITE, "begin", False)
    assert command("--to=dual_write") == 2


@pytest.mark.parametrize(
    ("changed", "gate"),
    [
        ({"verified_at": None}, "verified"),
        ({"verified_equal": False}, "verified"),
        ({"verified_at": datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)}, "verified"),
        ({"lag_s": 31.0}, "lag"),
        ({"lag_s": None}, "lag"),
        ({"pending": 1}, "pending"),
        ({"dead_letters": 3}, "dead_letters"),
        ({"heartbeat_at": None}, "job"),
        ({"heartbeat_at": datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc), "lag_s": None}, "job"),
    ],
)
def test_a_gate_that_does_not_hold_keeps_the_phase_and_says_what_to_do(desk, capsys, changed, gate):
    desk.set_phase(COSMOS_ONLY)
    desk.pair(**changed)
    assert command("--to=dual_write", "--json") == 1
    closed = [each for each in json.loads(capsys.readouterr().out)["gates"] if not each["open"]]
    assert [each["name"] for each in closed] == [gate]
    assert all(each["fix"] for each in closed)
    assert desk.state() == State(COSMOS_ONLY)


@pytest.mark.parametrize(
    ("state", "parameters", "exit_code"),
    [
        (RUNNING, {"migration": "students", "mode": "copy"}, 1),
        (COMPLETED, {"migration": "students", "mode": "copy"}, 0),
        (RUNNING, {"migration": "students", "mode": "audit"}, 0),
        (RUNNING, {"migration": "teachers", "mode": "copy"}, 0),
    ],
)
def test_while_its_copy_runs_a_migration_stays_in_its_phase(desk, capsys, state, parameters, exit_code):
    desk.set_phase(COSMOS_ONLY)
    desk.pair()
    desk.job(state, parameters)
    assert command("--to=dual_write", "--json") == exit_code
    closed = [each["name"] for each in json.loads(capsys.readouterr().out)["gates"] if not each["open"]]
    assert closed == ["copy"] * exit_code


def test_a_verify_that_is_wanted_is_named_whole(desk, capsys):
    desk.pair(container="cosmos://school/attempts", collection="firestore://student_attempts", verified_at=None)
    assert command("--to=dual_write", "--json") == 1
    (closed,) = [each["fix"] for each in json.loads(capsys.readouterr().out)["gates"] if not each["open"]]
    wanted = "verify --migration=students --left=cosmos://school/attempts --right=firestore://student_attempts"
    assert wanted in closed


def test_dual_writes_must_have_succeeded_where_there_are_any(desk):
    desk.pair()
    facts = Facts("students", phase_of(DUAL_WRITE), read_pairs(desk.document), {}, desk.now)
    assert [gate.name for gate in failing(gates(facts, 30))] == ["success"]
    enough = Facts("students", phase_of(DUAL_WRITE), facts.pairs, {PAIR: Writes(1000, 999)}, desk.now)
    assert failing(gates(enough, 30)) == []


def test_force_passes_the_gates_with_a_reason_that_is_kept(desk, capsys):
    assert command("--to=dual_write", "--force") == 2
    assert "--force needs --reason=TEXT" in capsys.readouterr().err
    assert command("--to=dual_write", "--force", "--reason=an incident") == 0
    (entry,) = read_migration(desk.document).history
    assert (entry["forced"], entry["reason"]) == (True, "an incident")


def test_a_skipped_phase_and_a_way_back_from_the_first_are_refused(desk, capsys):
    assert command("--to=firestore_primary") == 2
    assert "one step at a time" in " ".join(capsys.readouterr().err.split())
    assert command("--rollback") == 2
    assert command("--to=dual") == 2


@pytest.mark.parametrize("name", [DUAL_WRITE, FIRESTORE_ANALYTICS, COSMOS_RETIRED])
def test_the_way_back_needs_no_gate_where_cosmos_or_firestore_stays_the_primary(desk, name):
    desk.set_phase(name)
    assert command("--rollback") == 0


class Waiting:
    """A clock that sleeping moves."""

    def __init__(self):
        self.slept = []

    def clock(self):
        return Clock(monotonic=lambda: float(sum(self.slept)), sleep=self.slept.append)


@pytest.mark.parametrize("is_drained", [True, False])
def test_the_way_back_from_firestore_waits_until_cosmos_has_everything(desk, capsys, is_drained):
    desk.set_phase(FIRESTORE_PRIMARY)
    read_to = desk.now + datetime.timedelta(seconds=30 if is_drained else -5)
    desk.pair(direction="firestore", read_to={"cosmos": None, "firestore": read_to})
    waiting = Waiting()
    arguments = ["students", f"--project={PROJECT}", "--rollback", "--drain_s=5"]
    assert phase.main(arguments, Console(), waiting.clock()) == (0 if is_drained else 1)
    assert sum(waiting.slept) == (0 if is_drained else 5)
    assert (desk.state().change is not None) == is_drained
    if not is_drained:
        assert "the phase stays firestore_primary" in capsys.readouterr().out


def test_a_change_of_the_primary_is_finished_when_the_job_has_drained_the_old_one(desk, capsys):
    long_ago = desk.now - datetime.timedelta(minutes=5)
    save_migration(
        desk.document, saved_as(State(FIRESTORE_ANALYTICS).announce(FIRESTORE_PRIMARY, long_ago), None), None
    )
    assert command() == 0
    assert "is in effect, and finished when the repairing job" in " ".join(capsys.readouterr().out.split())
    desk.pair(read_to={"cosmos": desk.now, "firestore": desk.now})
    assert command() == 0
    assert desk.state() == State(FIRESTORE_PRIMARY)


def test_an_application_reads_the_phase_with_the_time_of_the_server(desk):
    assert see(desk.client, "students", 5).migration is None
    desk.set_phase(DUAL_WRITE)
    seen = see(desk.client, "students", 5)
    assert seen.migration.phase == DUAL_WRITE
    assert abs((seen.read_at - desk.now).total_seconds()) < 60


def test_counts_of_instances_are_absolute_and_old_hours_do_not_count(desk):
    desk.writes(5, 5)
    desk.writes(7, 6)
    desk.writes(100, 0, hours_ago=30)
    assert writes_since(desk.document, desk.now - datetime.timedelta(hours=24)) == {PAIR: Writes(7, 6)}


def test_somebody_elses_document_is_left_alone(desk, capsys):
    desk.document.write({"page": 1})
    assert command() == 2
    assert "is not a migration of Firebeam" in " ".join(capsys.readouterr().err.split())
