"""`firebeam status` of migrations that are followed: in the list, one alone, and on the page of `firebeam serve`."""

import datetime
import json
import os
import socket

import pytest

from pipeline.__main__ import main
from pipeline.commands.status import main as status
from pipeline.present.page.document import jobs_document
from pipeline.present.page.render import render_jobs
from pipeline.present.terminal import Console
from pipeline.serve.followed import followed_pairs
from transforms.dual.repairs import COPIED
from transforms.ledger.migrations import migration_document, read_migration, save_migration, save_pair
from transforms.migrate.phases import DUAL_WRITE, State
from transforms.migrate.states import saved_as
from transforms.retry import Clock, Retry
from transforms.testing import PROJECT, ScriptedFirestore

PAIR = "student_attempts"
ID = f"students/{PAIR}"


class Desk:
    def __init__(self, server):
        self.client = server.target.connect()
        self.document = migration_document(self.client, "students")
        before = read_migration(self.document)
        save_migration(self.document, saved_as(State(DUAL_WRITE), before), before)

    def pair(self, *, owner=True, pid=None, **changed):
        now = datetime.datetime.now(datetime.timezone.utc)
        me = {"host": socket.gethostname(), "pid": pid or os.getpid(), "since": now}
        fields = {
            "container": "cosmos://school/attempts",
            "collection": "firestore://student_attempts",
            "owner": me if owner else None,
            "heartbeat_at": now,
            "direction": "cosmos",
            "lag_s": 0.5,
            "read_to": {"cosmos": now - datetime.timedelta(seconds=90), "firestore": None},
            "pending": 2,
            "dead_letters": 0,
            "latency": {"p50_ms": 420.0, "p99_ms": 900.5},
            "counts": {COPIED: 1200, "lost": 1, "rows": 1201},
            "waits": "",
        }
        save_pair(self.document, PAIR, {**fields, **changed})


@pytest.fixture
def server(monkeypatch):
    with ScriptedFirestore() as scripted:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", scripted.target.emulator_host)
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", PROJECT)
        monkeypatch.setenv("COLUMNS", "200")
        yield scripted


@pytest.fixture
def desk(server):
    return Desk(server)


def asked(capsys, *arguments):
    assert main(["status", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_list_has_what_is_followed_beside_the_jobs(desk, capsys):
    desk.pair()
    assert main(["status"]) == 0
    printed = capsys.readouterr().out
    for text in (ID, "running", "dual_write", "Cosmos DB → Firestore", "0.5 s", "1,200", "1,201", "0:01:3"):
        assert text in printed
    (found,) = asked(capsys)
    assert (found["job_id"], found["job"], found["state"], found["phase"]) == (ID, "follow", "running", "dual_write")


@pytest.mark.parametrize(
    ("owner", "pid", "state"), [(True, None, "running"), (False, None, "stopped"), (True, 2**22 + 1, "interrupted")]
)
def test_one_that_ended_is_stopped_and_one_that_was_killed_interrupted(desk, capsys, owner, pid, state):
    desk.pair(owner=owner, pid=pid)
    found = asked(capsys, ID)
    assert found["state"] == state
    lag_s = found["lag_s"]
    assert lag_s == 0.5 if state == "running" else lag_s >= 90, "nobody knows what has changed since"
    assert main(["status", ID, "--follow"] if state != "running" else ["status", ID]) == (
        130 if state == "interrupted" else 0
    )
    assert "position in cosmos" in capsys.readouterr().out


def test_what_it_waits_for_is_said(desk, capsys):
    desk.pair(waits="the store is down")
    assert main(["status", ID]) == 0
    assert "the store is down" in capsys.readouterr().out


def test_it_is_shown_until_nobody_follows_it_any_more(desk, capsys):
    desk.pair()
    clock = Clock(sleep=lambda _: desk.pair(owner=False))
    assert status([ID, "--follow"], Console(stderr=True), clock) == 0
    printed = capsys.readouterr()
    assert "1,200 repaired, 2 pending, 1 dead letters" in printed.err.replace("\n", " ")
    assert f"{ID}: stopped" in printed.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["students/reviews"], "nobody has followed reviews of a migration students"),
        ([ID, "--html=page.html"], "is on the page of `firebeam serve`"),
    ],
)
def test_what_is_not_there_is_said(desk, capsys, arguments, says):
    desk.pair()
    assert main(["status", *arguments]) == 2
    assert says in capsys.readouterr().err.replace("\n", " ")


def test_a_pair_that_only_verify_knows_is_not_shown(desk, capsys):
    save_pair(desk.document, PAIR, {"verified_equal": True})
    assert asked(capsys) == []


def test_the_page_of_the_jobs_has_a_section_of_what_is_followed(desk):
    desk.pair(waits="<b>down</b>")
    found, foreign = followed_pairs(desk.client, Retry())
    document = jobs_document("db", [], found[0].at, found)
    html = render_jobs(document).parts["followed"]
    assert (foreign, "&lt;b&gt;down&lt;/b&gt;" in html, ID in html, "state-running" in html) == ([], True, True, True)
    assert render_jobs(jobs_document("db", [], found[0].at)).parts["followed"] == ""
