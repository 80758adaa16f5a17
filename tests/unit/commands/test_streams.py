"""firebeam streams on a scripted Firestore: what it shows, of which streams, and that a dead owner's are stopped."""

import json

import pytest

from pipeline.__main__ import main
from transforms.firestore.changes.positions import Follow
from transforms.firestore.changes.times import from_micros
from transforms.ledger.jobs import COMPLETED, job_document
from transforms.ledger.owners import Owner
from transforms.ledger.runs import JobDescription, JobLedger
from transforms.ledger.stream_writer import Progress, StreamWriter
from transforms.ledger.streams import LIVE, StreamDescription, claim, stream_document
from transforms.listen.counters import CHANGES
from transforms.testing import PROJECT, ScriptedFirestore

NOW = from_micros(1_900_000_000_000_000)  # not late, whenever the test runs


class Jobs:
    """Listen jobs whose streams have written something."""

    def __init__(self, server):
        self._client = server.target.connect()

    def begin(self, job_id, *stream_ids, owner=None):
        ledger = JobLedger(job_document(self._client, job_id), CHANGES)
        ledger.open(JobDescription("listen", job_id, {}, "", ""), owner or Owner())
        for stream_id in stream_ids:
            document = stream_document(self._client, job_id, stream_id)
            claim(document, StreamDescription(stream_id, stream_id, "q"), owner or Owner(), 1, None, CHANGES)
            writer = StreamWriter(document, 1, 5, 30)
            counts = {"read": 3, "written": 2, "dead_letter_count": 1, "removed": 1}
            error = ("OUT_OF_RANGE", "age must be at least 0")
            writer.add(Progress(Follow(NOW, b"secret token"), NOW, LIVE, "", counts, (12.0,), error))
        return ledger


@pytest.fixture
def jobs(monkeypatch):
    with ScriptedFirestore() as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.target.emulator_host)
        yield Jobs(server)


def streams(*arguments):
    return main(["streams", f"--project={PROJECT}", *arguments])


def test_all_streams_are_shown_a_row_each(jobs, capsys):
    assert streams() == 0
    assert "nobody has listened to" in capsys.readouterr().out
    jobs.begin("listen-1", "users", "teams/a/x")
    jobs.begin("listen-2", "users")
    assert streams() == 0
    shown = capsys.readouterr().out
    for name in ("listen-1:users", "listen-1:teams%2Fa%2Fx", "listen-2:users"):
        assert name in shown
    assert shown.count(LIVE) == 3


@pytest.mark.parametrize(
    ("named", "ids"),
    [
        ("listen-1", ["listen-1:teams", "listen-1:users"]),
        ("listen-1:users", ["listen-1:users"]),
        ("users", ["listen-1:users", "listen-2:users"]),
    ],
)
def test_a_stream_may_be_named_by_its_id_its_job_or_its_own_name(jobs, capsys, named, ids):
    jobs.begin("listen-1", "users", "teams")
    jobs.begin("listen-2", "users")
    assert streams(named, "--json") == 0
    assert [each["id"] for each in json.loads(capsys.readouterr().out)] == ids


def test_one_stream_is_shown_in_full(jobs, capsys):
    jobs.begin("listen-1", "users")
    assert streams("listen-1:users") == 0
    shown = capsys.readouterr().out
    for text in (
        "follow 2030-03-17T17:46:40+00:00",
        "OUT_OF_RANGE: age must be at least 0",
        "dead_letter_count",
        "12.0",
    ):
        assert text in shown


def test_json_has_every_field_of_the_document(jobs, capsys):
    jobs.begin("listen-1", "users")
    assert streams("--json") == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert (shown["state"], shown["counts"]["read"], shown["position"]["kind"]) == (LIVE, 3, "follow")
    assert {"owner", "rates", "latency", "lag_s", "heartbeat_at", "last_error", "optimizations_applied"} <= shown.keys()


def test_a_stream_whose_owner_is_dead_is_stopped_whatever_it_wrote_last(jobs, capsys):
    jobs.begin("listen-1", "users", owner=Owner(pid=2**22 + 1))
    assert streams("--json", "--follow") == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown["state"] == "stopped"


def test_a_stream_of_a_job_that_has_ended_is_stopped(jobs, capsys):
    jobs.begin("listen-1", "users").finish(COMPLETED, None, {})
    assert streams("--json", "--follow") == 0
    assert json.loads(capsys.readouterr().out)[0]["state"] == "stopped"


def test_a_health_check_passes_while_a_stream_is_well_and_fails_when_nobody_listens(jobs, capsys):
    assert streams("--check") == 1
    ledger = jobs.begin("listen-1", "users")
    assert streams("listen-1", "--check", "--max_error_rate=1") == 0
    assert "healthy: 1 of 1 streams are active" in capsys.readouterr().out
    assert streams("listen-1", "--check") == 1
    assert "33.3 % of its changes in the last five minutes became dead letters" in capsys.readouterr().out
    ledger.finish(COMPLETED, None, {})
    assert streams("--check", "--json", "--max_error_rate=1") == 1
    assert json.loads(capsys.readouterr().out)["overall_status"] == "unhealthy"


def test_prometheus_reads_their_numbers(jobs, capsys):
    jobs.begin("listen-1", "users")
    assert streams("--prometheus") == 0
    assert 'firebeam_stream_changes{job_id="listen-1",stream="users",outcome="written"} 2' in capsys.readouterr().out


def test_an_id_that_nobody_has_is_refused(jobs, capsys):
    assert streams("listen-9") == 2
    assert "there is no stream or listen job listen-9 in projects/demo-scripted" in capsys.readouterr().err.replace(
        "\n", " "
    )


def test_its_flags_may_be_set_in_the_environment(jobs, capsys, monkeypatch):
    jobs.begin("listen-1", "users")
    monkeypatch.setenv("FIREBEAM_JSON", "true")
    assert streams() == 0
    assert json.loads(capsys.readouterr().out)
