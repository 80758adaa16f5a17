"""The ledger of one job over a scripted Firestore: answers that get lost, conflicts that are none, and real ones."""

import os
import socket
import time
from dataclasses import replace

import pytest

from tests.support.clocks import no_waiting
from transforms.errors import JobError, TransientError, UsageError
from transforms.ledger.jobs import job_document
from transforms.ledger.owners import Owner
from transforms.ledger.runs import JobDescription, JobLedger
from transforms.outcomes import RECORDS
from transforms.retry import Retry
from transforms.testing import ScriptedFirestore, always, applied_then, status

JOB = JobDescription("ingest", "ingest-1", {}, "input", "spec")
AT_ONCE = Retry(max_attempts=3, initial_s=0, max_s=0)
ELSEWHERE = Owner("another-host", 1)
CONTENTION = status("ABORTED", "Too much contention on these documents. Please try again.")


def ledger_of(server, now=time.time):
    return JobLedger(
        job_document(server.target.connect(), "ingest-1", replace(AT_ONCE, clock=no_waiting(now))), RECORDS
    )


def opened(server, owner=None, now=time.time, **how):
    return ledger_of(server, now).open(JOB, owner or Owner(), **how)


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
            match=r"^Firestore did not take pipeline_jobs/ingest-1; the last answer was ABORTED: Too much cont",
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
        ledger_of(server).batches.begin("b-0", 1, {"source": "a"})
        assert len(server.documents) == 1


def test_a_ledger_that_may_not_be_written_says_what_to_fix():
    denied = status("PERMISSION_DENIED", "Missing or insufficient permissions.")
    with ScriptedFirestore(scripts={"Commit": always(denied)}) as server:
        with pytest.raises(JobError, match=r"PERMISSION_DENIED: .* Grant the job's account roles/datastore\.user"):
            opened(server)


def test_a_process_takes_a_job_from_one_that_had_its_number_before_but_not_from_itself():
    """A container that is started again keeps its name, and its process the number."""
    before_this_process_began = time.time() - 1e6
    with ScriptedFirestore() as server:
        opened(server, now=lambda: before_this_process_began)
        assert opened(server, now=lambda: before_this_process_began + 1).resumed
        opened(server)
        with pytest.raises(UsageError, match=f"is being run by process {os.getpid()} of {socket.gethostname()}"):
            opened(server)


# What a job keeps.


def test_a_job_s_own_values_are_kept_with_its_run_and_given_back_when_it_is_resumed():
    def kept(before):
        return {"seen": [] if before is None else [*before.kept["seen"], before.state]}

    with ScriptedFirestore() as server:
        first = opened(server, ELSEWHERE, keep=kept)
        resumed = opened(server, take_over=True, keep=kept)
        assert [first.kept, resumed.kept] == [{"seen": []}] * 2
        assert opened(server, restart=True, take_over=True, keep=kept).kept == {"seen": ["running"]}
        assert job_in(server).fields["seen"] == ["running"]
