"""The ledger of one job over a scripted Firestore: answers that get lost, conflicts that are none, and real ones."""

import dataclasses
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from tests.support.clocks import no_waiting
from transforms.errors import JobError, TransientError, UsageError
from transforms.ledger.job_ledger import COMPLETED, JobDescription, JobLedger, Owner
from transforms.ledger.runs import rows_known_after
from transforms.retry import Retry
from transforms.testing import ScriptedFirestore, always, applied_then, status
from transforms.upsert.versions import ALL_ROWS, NO_ROWS, OWN_ROWS

JOB = JobDescription("ingest", "ingest-1", {}, "input", "spec")
AT_ONCE = Retry(max_attempts=3, initial_s=0, max_s=0)
CONTENTION = status("ABORTED", "Too much contention on these documents. Please try again.")


def opened(server, owner=None, now=time.time):
    ledger = JobLedger(server.target.connect(), "ingest-1", replace(AT_ONCE, clock=no_waiting(now)))
    return ledger.open(JOB, owner or Owner())


def job_in(server):
    return server.documents["pipeline_jobs/ingest-1"]


def test_a_new_job_is_its_first_attempt():
    with ScriptedFirestore() as server:
        opening = opened(server)
        assert (opening.attempt, opening.resumed, opening.completed) == (1, False, frozenset())
        assert job_in(server).fields["owner"]["pid"] == os.getpid()


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN"])
def test_a_write_that_was_applied_unheard_is_found_to_be_our_own(code):
    with ScriptedFirestore(scripts={"Commit": [applied_then(code, "the answer got lost")]}) as server:
        assert opened(server).attempt == 1
        assert len(server.requests("Commit")) == 2  # the second one met the document of the first


def test_contention_on_a_document_that_nobody_changed_is_tried_again():
    with ScriptedFirestore(scripts={"Commit": [CONTENTION] * 2}) as server:
        assert opened(server).attempt == 1
        assert len(server.requests("Commit")) == 3


def test_contention_without_end_is_no_other_process():
    with ScriptedFirestore(scripts={"Commit": always(CONTENTION)}) as server:
        with pytest.raises(
            TransientError,
            match=r"^Firestore did not take the document of job ingest-1; the last answer was ABORTED: Too much cont",
        ):
            opened(server)


def test_a_process_that_comes_second_is_told_and_changes_nothing():
    def overtake(request, earlier):
        if earlier == 0:
            server.put({"pipeline_jobs/ingest-1": {"state": "running"}})

    with ScriptedFirestore(scripts={"Commit": overtake}) as server:
        with pytest.raises(
            JobError, match=r"^job ingest-1 was taken over or removed by another process; this one stops$"
        ):
            opened(server)
        assert list(job_in(server).fields) == ["state"]


def test_a_batch_that_meets_contention_is_written_again():
    with ScriptedFirestore(scripts={"Commit": [CONTENTION]}) as server:
        JobLedger(server.target.connect(), "ingest-1", AT_ONCE).begin_batch("b-0", 1, {"source": "a"})
        assert len(server.documents) == 1


def test_a_ledger_that_may_not_be_written_says_what_to_fix():
    denied = status("PERMISSION_DENIED", "Missing or insufficient permissions.")
    with ScriptedFirestore(scripts={"Commit": always(denied)}) as server:
        with pytest.raises(JobError, match=r"PERMISSION_DENIED: .* Grant the job's account roles/datastore\.user"):
            opened(server)


# Rows.


def finished(*steps, **changed):
    """The document of a run that ended with a dead letter of each of these steps."""
    letters = [{"step": step, "code": "X", "count": 1} for step in steps]
    stored = {
        "state": COMPLETED,
        "parameters": {"bigquery_table": "p:d.t"},
        "input_fingerprint": "input",
        "spec_fingerprint": "spec",
        "totals": {"dead_letters": letters},
    }
    return {**stored, **changed}


@pytest.mark.parametrize(
    ("stored", "known"),
    [
        (finished(), ALL_ROWS),
        (finished("FlattenRecords"), ALL_ROWS),
        (finished(input_fingerprint="another"), OWN_ROWS),
        (finished(spec_fingerprint="another"), OWN_ROWS),
        (finished("InsertRows"), NO_ROWS),
        (finished("LoadRows"), NO_ROWS),
        (finished(state="failed"), NO_ROWS),
        (finished(parameters={"bigquery_table": None}), NO_ROWS),
        # What was given up then may have been replayed since, and its row may have been refused, or never sent.
        (finished("UpsertPairs"), NO_ROWS),
        (finished("FlattenRecords", spec_fingerprint="another"), NO_ROWS),
    ],
)
def test_rows_are_known_only_of_records_that_no_replay_may_have_written(stored, known):
    description = dataclasses.replace(JOB, parameters={"bigquery_table": "p:d.t"})
    assert rows_known_after(stored, description) == known


# Owners.


def ended():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


@pytest.mark.parametrize(
    ("owner", "is_dead"),
    [
        pytest.param(lambda: Owner(), False, id="this process"),
        pytest.param(lambda: Owner(pid=1), False, id="a process of another user or the system"),
        pytest.param(lambda: Owner(pid=ended()), True, id="a process that has ended"),
        pytest.param(lambda: Owner("another-host", ended()), False, id="a process of another host"),
    ],
)
def test_only_a_process_of_this_host_is_known_to_be_dead(owner, is_dead):
    assert owner().is_dead_here is is_dead


def test_a_process_that_was_killed_and_that_its_parent_has_not_asked_about_yet_is_dead():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert not Owner(pid=process.pid).is_dead_here
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
        assert Owner(pid=process.pid).is_dead_here


def test_a_process_takes_a_job_from_one_that_had_its_number_before_but_not_from_itself():
    """A container that is started again keeps its name, and its process the number."""
    before_this_process_began = time.time() - 1e6
    with ScriptedFirestore() as server:
        opened(server, now=lambda: before_this_process_began)
        assert opened(server, now=lambda: before_this_process_began + 1).resumed
        opened(server)
        with pytest.raises(UsageError, match=f"is being run by process {os.getpid()} of {socket.gethostname()}"):
            opened(server)


def test_an_owner_is_this_process_unless_told_otherwise():
    assert Owner() == Owner(socket.gethostname(), os.getpid())
