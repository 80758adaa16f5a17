"""The ledger on the real emulator: who may take a job, what a run finds when it begins, what batches come to."""

import contextlib
import datetime
import os
import socket
from dataclasses import replace

import pytest

from tests.support import counted
from tests.support.clocks import STARTED_AT, Clock, no_waiting
from tests.support.documents import read_collection
from tests.support.faulty_firestore import AMBIGUOUS, RETRYABLE, Fault, FaultyFirestore, How, in_turn
from transforms.errors import JobError, UsageError
from transforms.firestore.target import FirestoreTarget
from transforms.ledger.jobs import COMPLETED, FAILED, INTERRUPTED, job_document
from transforms.ledger.owners import Owner
from transforms.ledger.runs import JobDescription, JobLedger
from transforms.ledger.totals import add_up, read_totals
from transforms.outcomes import RECORDS
from transforms.retry import Retry

pytestmark = pytest.mark.emulator

HERE = socket.gethostname()
AT_ONCE = Retry(initial_s=0, max_s=0)
JOB = JobDescription("ingest", "ingest-1", {"batch_size": 500, "input": ["a", "b"]}, "input-1", "spec-1", 2_000)
ELSEWHERE = Owner("another-host", 1)
DEAD = Owner(HERE, 2**22 + 1)  # above the largest process id that Linux gives


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger_of(target, clock):
    """Makes the ledger of a process of its own."""
    return lambda job_id="ingest-1": JobLedger(
        job_document(target.connect(), job_id, replace(AT_ONCE, clock=no_waiting(clock))), RECORDS
    )


def changed(**fields):
    settings = {**vars(JOB), **fields}
    return JobDescription(**settings)


def outcome(batch_id, read=10, written=10, **more):
    return counted.outcome(batch_id, "in.jsonl", read, written, **more)


def moment(seconds):
    return datetime.datetime.fromtimestamp(STARTED_AT + seconds, datetime.timezone.utc)


def job_of(target, job_id="ingest-1"):
    return read_collection(target, "pipeline_jobs")[job_id]


def batches_of(target, job_id="ingest-1"):
    return read_collection(target, f"pipeline_jobs/{job_id}/batches")


# Totals are those of the batches.


def test_totals_are_the_sum_of_the_batches(target, ledger_of, clock):
    ledger = ledger_of()
    reasons = {("FlattenRecords", "MISSING_FIELD"): 2, ("ReadBatches", "INVALID_JSON"): 1}
    first = outcome(
        "b-0",
        20,
        12,
        dead_letters=reasons,
        superseded=4,
        unchanged=1,
        retries=3,
        repaired=1,
        bytes_read=900,
        ids=("a",),
    )
    ledger.batches.complete(first, 1)
    clock.seconds = 1
    invalid = {("ReadBatches", "INVALID_JSON"): 5}
    ledger.batches.complete(outcome("b-1", 15, dead_letters=invalid, overflowed=2, bytes_read=100, ids=("b", "c")), 1)
    totals = read_totals(job_document(target.connect(), "ingest-1"), RECORDS)
    assert (totals.batches, totals["read"], totals["written"], totals["bytes_read"]) == (2, 35, 22, 1_000)
    aside = ("superseded", "unchanged", "retries", "overflowed", "repaired")
    assert [totals[name] for name in aside] == [4, 1, 3, 2, 1]
    assert totals.kinds["dead_letters"] == {("FlattenRecords", "MISSING_FIELD"): 2, ("ReadBatches", "INVALID_JSON"): 6}
    assert (totals["dead_letter_count"], totals.adds_up) == (8, True)
    assert (totals.first_completed_at, totals.newest_ids) == (moment(0), ("b", "c", "a"))
    assert totals.recent == ((moment(1), 15, 100), (moment(0), 20, 900))


def test_summed_by_firestore_or_added_up_one_by_one_totals_are_the_same(target, ledger_of, clock):
    ledger = ledger_of()
    ledger.open(JOB, Owner())
    for n in range(25):
        clock.seconds = n
        ledger.batches.begin(f"b-{n}", 1, {"source": "in.jsonl"})
        reasons = {("FlattenRecords", f"CODE_{n % 3}"): n % 2} if n % 2 else {}
        if n < 22:
            ledger.batches.complete(outcome(f"b-{n}", 10 + n % 2, dead_letters=reasons, ids=(f"id-{n}",)), 1)
    ledger.give_up_batches("the service is down")
    ledger.batches.begin("b-99", 1, {"source": "in.jsonl"})
    totals = read_totals(job_document(target.connect(), "ingest-1"), RECORDS)
    assert (totals.batches, totals.processing, totals.failed, totals.adds_up) == (22, 1, 3, True)
    assert totals == add_up(RECORDS, batches_of(target).values())


def test_a_batch_that_is_completed_twice_counts_once(target, ledger_of):
    ledger = ledger_of()
    ledger.batches.complete(outcome("b-0"), 1)
    ledger.batches.complete(outcome("b-1", read=3, written=3), 1)
    ledger.batches.complete(outcome("b-0"), 1)
    totals = read_totals(job_document(target.connect(), "ingest-1"), RECORDS)
    assert (totals.batches, totals["read"], totals["written"]) == (2, 13, 13)


def test_what_a_batch_came_to_last_is_what_counts(target, ledger_of):
    ledger = ledger_of()
    ledger.batches.complete(outcome("b-0", written=0, dead_letters={("UpsertPairs", "X"): 10}), 1)
    ledger.batches.complete(outcome("b-0"), 1)
    totals = read_totals(job_document(target.connect(), "ingest-1"), RECORDS)
    assert (totals["written"], totals["dead_letter_count"], totals.kinds["dead_letters"]) == (10, 0, {})


def test_a_job_without_batches_has_read_nothing(target, ledger_of):
    ledger_of().open(JOB, Owner())
    totals = read_totals(job_document(target.connect(), "ingest-1"), RECORDS)
    assert (totals.batches, totals["read"], totals.first_completed_at, totals.adds_up) == (0, 0, None, True)


def test_jobs_do_not_count_each_other_s_batches(target, ledger_of):
    ledger_of("ingest-1").batches.complete(outcome("b-0"), 1)
    ledger_of("ingest-2").batches.complete(outcome("b-0", read=1, written=1), 1)
    documents = (job_document(target.connect(), job_id) for job_id in ("ingest-1", "ingest-2"))
    assert [read_totals(document, RECORDS)["read"] for document in documents] == [10, 1]


# What the documents say.


def test_a_job_s_document_tells_its_whole_story(target, ledger_of, clock):
    ledger = ledger_of()
    ledger.open(JOB, ELSEWHERE)
    opened = job_of(target)
    clock.seconds = 1
    ledger.finish(COMPLETED, None, {"batches": 7, "read": 10})
    closed = job_of(target)
    assert (opened["state"], closed["state"]) == ("running", "completed")
    assert (closed["job"], closed["attempt"], closed["bytes_total"]) == ("ingest", 1, 2_000)
    assert closed["owner"] == {"host": "another-host", "pid": 1, "since": moment(0)}
    assert (closed["input_fingerprint"], closed["spec_fingerprint"]) == ("input-1", "spec-1")
    assert closed["parameters"] == {"batch_size": 500, "input": ["a", "b"]}
    assert (closed["started_at"], closed["finished_at"], closed["error"]) == (moment(0), moment(1), None)
    assert (closed["batches_total"], closed["totals"]) == (7, {"batches": 7, "read": 10})
    assert closed["expire_at"] - closed["started_at"] == datetime.timedelta(days=90)


def test_a_batch_s_document_names_its_source_its_place_and_its_reasons(target, ledger_of, clock):
    ledger = ledger_of()
    place = {"source": "in.jsonl", "first": {"position": 0, "line": 1}, "last": {"position": 90, "line": 11}}
    ledger.batches.begin("b-0", 1, place)
    begun = batches_of(target)["b-0"]
    clock.seconds = 2
    ledger.batches.complete(outcome("b-0", read=11, dead_letters={("ReadBatches", "INVALID_JSON"): 1}, ids=("a",)), 1)
    done = batches_of(target)["b-0"]
    assert (begun["state"], begun["started_at"], begun["completed_at"]) == ("processing", moment(0), None)
    assert (done["state"], done["started_at"], done["completed_at"]) == ("completed", moment(0), moment(2))
    assert {name: done[name] for name in place} == place
    assert done["dead_letters"] == [{"step": "ReadBatches", "code": "INVALID_JSON", "count": 1}]
    assert (done["has_dead_letters"], done["dead_letter_count"], done["ids"]) == (True, 1, ["a"])


def test_batches_in_flight_when_a_run_fails_are_marked_and_completed_ones_are_not(target, ledger_of):
    ledger = ledger_of()
    ledger.open(JOB, Owner())
    ledger.batches.begin("b-0", 1, {})
    ledger.batches.complete(outcome("b-0"), 1)
    ledger.batches.begin("b-1", 1, {"source": "in.jsonl"})
    ledger.give_up_batches("the service is down")
    ledger.finish(FAILED, "the service is down", {})
    batches = batches_of(target)
    assert {key: (batch["state"], batch["error"]) for key, batch in batches.items()} == {
        "b-0": ("completed", None),
        "b-1": ("error", "the service is down"),
    }
    assert batches["b-1"]["source"] == "in.jsonl"
    assert (job_of(target)["state"], job_of(target)["error"]) == ("failed", "the service is down")


# What a run finds when it begins.


@pytest.mark.parametrize("state", [FAILED, INTERRUPTED, None], ids=["failed", "interrupted", "killed"])
def test_an_unfinished_run_goes_on_behind_its_completed_batches(target, ledger_of, clock, state):
    first = ledger_of()
    first.open(JOB, DEAD)
    for batch_id in ("b-0", "b-1", "b-2"):
        first.batches.begin(batch_id, 1, {})
    first.batches.complete(outcome("b-0"), 1)
    first.batches.complete(outcome("b-2"), 1)
    if state:
        first.finish(state, None, {})
    clock.seconds = 5
    opening = ledger_of().open(JOB, Owner())
    assert (opening.attempt, opening.started_at, opening.resumed) == (1, moment(0), True)
    assert opening.completed == {"b-0", "b-2"}
    job = job_of(target)
    assert (job["state"], job["started_at"], job["owner"]["pid"]) == ("running", moment(0), os.getpid())
    assert (job["owner"]["since"], job["heartbeat_at"], job["finished_at"]) == (moment(5), moment(5), None)


def test_behind_a_finished_run_a_new_attempt_begins_without_batches(target, ledger_of, clock):
    first = ledger_of()
    first.open(JOB, Owner())
    first.batches.complete(outcome("b-0"), 1)
    first.finish(COMPLETED, None, {})
    clock.seconds = 5
    opening = ledger_of().open(changed(input_fingerprint="input-2", spec_fingerprint="spec-2"), Owner())
    assert (opening.attempt, opening.started_at, opening.resumed, opening.completed) == (
        2,
        moment(5),
        False,
        frozenset(),
    )
    assert batches_of(target) == {}
    assert read_totals(job_document(target.connect(), "ingest-1"), RECORDS)["read"] == 0


def test_batches_of_an_earlier_attempt_are_never_taken_for_this_one_s(target, ledger_of):
    """The process that began the second attempt was killed before it had removed the batches of the first."""
    first = ledger_of()
    first.open(JOB, Owner())
    first.finish(COMPLETED, None, {})
    second = ledger_of()
    second.open(JOB, DEAD)
    second.batches.complete(outcome("of-the-first"), 1)
    second.batches.complete(outcome("of-the-second"), 2)
    opening = ledger_of().open(JOB, Owner())
    assert (opening.attempt, opening.resumed, opening.completed) == (2, True, {"of-the-second"})
    assert batches_of(target).keys() == {"of-the-second"}


def test_restart_begins_an_unfinished_run_anew(target, ledger_of):
    first = ledger_of()
    first.open(JOB, DEAD)
    first.batches.complete(outcome("b-0"), 1)
    opening = ledger_of().open(changed(input_fingerprint="input-2"), Owner(), restart=True)
    assert (opening.attempt, opening.resumed, opening.completed) == (2, False, frozenset())
    assert batches_of(target) == {}


@pytest.mark.parametrize(
    ("fields", "difference"),
    [
        ({"input_fingerprint": "x"}, "and the input changed since it began; put it back"),
        ({"spec_fingerprint": "x"}, "and the record spec changed since it began; put it back"),
        ({"input_fingerprint": "x", "spec_fingerprint": "x"}, "and the input and the record spec changed since"),
        (
            {"input_fingerprint": "x", "parameters": {"batch_size": 100, "input": ["a", "b"]}},
            r"the input changed since it began \(--batch_size was 500, is 100\); put it back to resume the job, "
            "or start over with --restart$",
        ),
        ({"input_fingerprint": "x", "bytes_total": 2_500}, r"\(2,000 bytes then, 2,500 bytes now\)"),
    ],
)
def test_a_change_under_an_unfinished_run_is_refused_with_the_difference(target, ledger_of, fields, difference):
    ledger_of().open(JOB, DEAD)
    before = job_of(target)
    with pytest.raises(UsageError, match=f"^job ingest-1 is unfinished, .*{difference}"):
        ledger_of().open(changed(**fields), Owner())
    assert job_of(target) == before


# Who may take a job.


def test_a_job_whose_owner_still_beats_is_refused(target, ledger_of, clock):
    owners = ledger_of()
    owners.open(JOB, ELSEWHERE)
    clock.seconds = 50
    owners.heartbeat()
    clock.seconds = 109
    with pytest.raises(UsageError) as refused:
        ledger_of().open(JOB, Owner())
    assert str(refused.value) == (
        "job ingest-1 is being run by process 1 of another-host, last seen 59 s ago; wait for it, choose another "
        "--job_id, or take it over with --take_over"
    )
    clock.seconds = 110
    assert ledger_of().open(JOB, Owner()).resumed


def test_restart_does_not_take_a_job_from_a_living_owner(ledger_of):
    ledger_of().open(JOB, ELSEWHERE)
    with pytest.raises(UsageError, match="is being run by process 1 of another-host"):
        ledger_of().open(JOB, Owner(), restart=True)


def test_a_living_process_of_this_host_keeps_its_job(ledger_of):
    ledger_of().open(JOB, Owner(HERE, os.getppid()))
    with pytest.raises(UsageError, match=f"is being run by process {os.getppid()} of {HERE}"):
        ledger_of().open(JOB, Owner())


def test_a_dead_process_of_this_host_is_replaced_at_once(target, ledger_of):
    ledger_of().open(JOB, DEAD)
    assert ledger_of().open(JOB, Owner()).resumed
    assert job_of(target)["owner"]["pid"] == os.getpid()


def test_take_over_replaces_a_living_owner_which_then_stops_and_changes_nothing(target, ledger_of):
    first = ledger_of()
    first.open(JOB, ELSEWHERE)
    second = ledger_of()
    assert second.open(JOB, Owner(), take_over=True).resumed
    second.batches.begin("b-0", 1, {})
    before = job_of(target), batches_of(target)
    lost = "^job ingest-1 was taken over or removed by another process; this one stops$"
    for tried in (
        first.heartbeat,
        lambda: first.give_up_batches("lost"),
        lambda: first.finish(FAILED, "lost", {}),
    ):
        with pytest.raises(JobError, match=lost):
            tried()
    assert (job_of(target), batches_of(target)) == before
    second.heartbeat()


def test_of_two_processes_that_open_a_new_job_at_once_one_gets_it(target, ledger_of, firestore_host):
    late, early = ledger_of(), ledger_of()

    def overtake(request):
        if request.rpc == "Commit" and request.ordinal == 0:
            early.open(JOB, ELSEWHERE)

    with faulty(target, firestore_host, refuse=overtake) as (_, through):
        late = JobLedger(job_document(through.connect(), "ingest-1", AT_ONCE), RECORDS)
        with pytest.raises(JobError, match="was taken over or removed by another process"):
            late.open(JOB, Owner())
    assert job_of(target)["owner"]["host"] == "another-host"


# When answers get lost.


@contextlib.contextmanager
def faulty(target, emulator, *schedule, **settings):
    with FaultyFirestore(emulator, *schedule, **settings) as server:
        yield server, FirestoreTarget(target.project, emulator_host=server.host)


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([Fault(How.UNACKNOWLEDGED, code) for code in AMBIGUOUS], id="applied, but an error"),
        pytest.param([Fault(How.REFUSED, code) for code in RETRYABLE], id="refused transiently"),
        pytest.param([Fault(How.CUT_LATE), Fault(How.CUT)], id="a cut connection"),
    ],
)
def test_a_write_of_the_job_s_document_that_nobody_heard_of_is_no_other_process(target, firestore_host, faults):
    with faulty(target, firestore_host, in_turn(*faults)) as (server, through):
        ledger = JobLedger(job_document(through.connect(), "ingest-1", AT_ONCE), RECORDS)
        assert ledger.open(JOB, Owner()).attempt == 1
        for n in range(8):
            ledger.heartbeat()
            ledger.batches.begin(f"b-{n}", 1, {})
            ledger.batches.complete(outcome(f"b-{n}"), 1)
        ledger.batches.begin("b-8", 1, {})
        ledger.give_up_batches("stopped")
        ledger.finish(INTERRUPTED, None, {"read": 80})
        totals = read_totals(job_document(through.connect(), "ingest-1", AT_ONCE), RECORDS)
    assert {rpc for rpc, _, _ in server.injected} >= {"Commit", "RunAggregationQuery"}
    assert (totals.batches, totals.failed, totals["read"]) == (8, 1, 80)
    assert (job_of(target)["state"], job_of(target)["totals"]) == ("interrupted", {"read": 80})
