"""`firebeam status` of a comparison: by verify's own counters, also where an older version has stored records."""

import datetime
import json

import pytest
from rich.console import Console

from pipeline.commands.status import main
from transforms.ledger.jobs import job_document
from transforms.ledger.owners import Owner
from transforms.ledger.runs import JobDescription, JobLedger
from transforms.ledger.totals import add_up
from transforms.outcomes import BatchOutcome
from transforms.testing import ScriptedFirestore
from transforms.verify.counters import DOCUMENTS

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
JOB = JobDescription("verify", "verify-1", {}, "input", "")
COUNTED = {
    "documents": 10,
    "equal": 6,
    "differences": 3,
    "differences_by": {"MISSING_RIGHT": 2, "DIFFERENT": 1},
    "changed": 1,
}
# What a range was until verify had counters of its own.
FORMER = {
    "state": "completed",
    "attempt": 1,
    "source": "keys from the first to the last",
    "read": 10,
    "written": 0,
    "unchanged": 6,
    "superseded": 1,
    "dead_letter_count": 3,
    "dead_letters": [
        {"step": "CompareRanges", "code": "DIFFERENT", "count": 1},
        {"step": "CompareRanges", "code": "MISSING_RIGHT", "count": 2},
    ],
    "has_dead_letters": True,
    "retries": 0,
    "overflowed": 0,
    "overflowed_by": [],
    "has_overflow": False,
    "repaired": 0,
    "bytes_read": 0,
    "ids": [],
    "completed_at": NOON,
    "error": None,
}


@pytest.fixture
def server(monkeypatch):
    with ScriptedFirestore() as scripted:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", scripted.target.emulator_host)
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", scripted.target.project)
        yield scripted


@pytest.fixture
def ledger(server):
    ledger = JobLedger(job_document(server.target.connect(), "verify-1"), DOCUMENTS)
    ledger.open(JOB, Owner("another-host", 1))
    return ledger


def outcome():
    numbers = {"documents": 10, "equal": 6, "differences": 3, "changed": 1}
    kinds = {"differences_by": {("MISSING_RIGHT",): 2, ("DIFFERENT",): 1}}
    return BatchOutcome("range-00000", "keys from the first to the last", numbers, kinds)


def shown(capsys, *arguments):
    assert main(arguments, Console(stderr=True)) == 0
    return capsys.readouterr().out


def counted(capsys):
    found = json.loads(shown(capsys, "verify-1", "--json"))
    return {name: found[name] for name in COUNTED}


def test_a_range_is_kept_with_the_counters_of_verify_and_no_others(server, ledger):
    ledger.batches.begin("range-00000", 1, {"source": "all keys"})
    ledger.batches.complete(outcome(), 1)
    fields = server.documents["pipeline_jobs/verify-1/batches/range-00000"].fields
    assert {name: fields[name] for name in DOCUMENTS.names} == {
        "documents": 10,
        "equal": 6,
        "differences": 3,
        "changed": 1,
        "bytes_read": 0,
    }
    assert fields["has_differences"]
    assert fields["differences_by"] == [
        {"difference": "DIFFERENT", "count": 1},
        {"difference": "MISSING_RIGHT", "count": 2},
    ]
    assert not {"read", "unchanged", "superseded", "dead_letters", "dead_letter_count", "written"} & fields.keys()


def test_documents_and_differences_are_shown_by_these_names(ledger, capsys):
    ledger.batches.complete(outcome(), 1)
    assert counted(capsys) == COUNTED
    table = shown(capsys, "verify-1")
    assert all(word in table for word in ("ranges", "documents", "equal", "differences", "MISSING_RIGHT", "changed"))
    assert "dead letters" not in table
    assert "3 differences" in shown(capsys)


def test_a_run_of_an_older_version_is_shown_by_the_same_names(server, ledger, capsys):
    server.put({"pipeline_jobs/verify-1/batches/range-00000": FORMER})
    assert counted(capsys) == COUNTED


def test_a_run_that_an_older_version_began_and_this_one_resumed_adds_up(server, ledger, capsys):
    server.put({"pipeline_jobs/verify-1/batches/range-00001": FORMER})
    ledger.batches.complete(outcome(), 1)
    assert counted(capsys)["documents"] == 20
    assert counted(capsys)["differences_by"] == {"MISSING_RIGHT": 4, "DIFFERENT": 2}


def test_what_an_older_version_stored_when_its_run_ended_is_shown_by_the_same_names(server, ledger, capsys):
    totals = {name: FORMER[name] for name in ("read", "written", "unchanged", "superseded", "dead_letter_count")}
    totals |= {"batches": 1, "processing": 0, "failed": 0, "dead_letters": FORMER["dead_letters"]}
    ledger.finish("completed", None, {**totals, "first_completed_at": NOON, "newest_ids": []})
    (found,) = json.loads(shown(capsys, "--json"))
    assert {name: found[name] for name in COUNTED} == COUNTED


def test_added_up_one_by_one_older_ranges_are_the_same():
    totals = add_up(DOCUMENTS, [FORMER])
    assert (totals["documents"], totals.kinds["differences_by"][("MISSING_RIGHT",)], totals.adds_up) == (10, 2, True)
