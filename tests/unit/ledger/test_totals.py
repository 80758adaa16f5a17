"""Totals of a ledger: added up where Firestore cannot sum, whatever the batches are."""

import datetime
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.counted import outcome, record_totals
from transforms.errors import JobError, TransientError
from transforms.ledger.jobs import job_document
from transforms.ledger.runs import JobLedger
from transforms.ledger.totals import Totals, add_up, read_totals
from transforms.outcomes import RECORDS
from transforms.retry import Retry
from transforms.testing import ScriptedFirestore, always, status

AT_ONCE = Retry(max_attempts=3, initial_s=0, max_s=0)
NO_INDEX = status("FAILED_PRECONDITION", "The query requires an index. You can create it here: https://…")
DENIED = status("PERMISSION_DENIED", "Missing or insufficient permissions.")
DOWN = status("UNAVAILABLE", "the service is down")


def write_batches(target):
    ledger = JobLedger(job_document(target.connect(), "ingest-1", AT_ONCE), RECORDS)
    invalid = {("ReadBatches", "INVALID_JSON"): 2}
    ledger.batches.complete(outcome("b-0", "a", 10, 8, dead_letters=invalid, bytes_read=70, ids=("x",)), 1)
    ledger.batches.complete(outcome("b-1", "a", 5, 5), 1)
    ledger.batches.begin("b-2", 1, {"source": "a"})


def assert_all_is_counted(totals):
    assert (totals.batches, totals.processing) == (2, 1)
    assert [totals[name] for name in ("read", "written", "bytes_read")] == [15, 13, 70]
    assert totals.kinds["dead_letters"] == {("ReadBatches", "INVALID_JSON"): 2}
    assert totals.adds_up


def test_where_firestore_does_not_know_aggregations_the_batches_are_read_one_by_one():
    with ScriptedFirestore(scripts={"RunAggregationQuery": always(status("UNIMPLEMENTED"))}) as server:
        write_batches(server.target)
        assert_all_is_counted(read_totals(job_document(server.target.connect(), "ingest-1", AT_ONCE), RECORDS))


@pytest.mark.parametrize("scripts", [{}, {"RunAggregationQuery": always(NO_INDEX)}], ids=["summed", "one by one"])
def test_what_few_batches_have_is_added_up_from_those_alone(scripts):
    with ScriptedFirestore(scripts=scripts) as server:
        write_batches(server.target)
        batches = JobLedger(job_document(server.target.connect(), "ingest-1", AT_ONCE), RECORDS).batches
        unreadable = {("ReadBatches", "UNREADABLE_FILE"): 1}
        batches.complete(outcome("b-3", "b", 1, 0, dead_letters=unreadable, unread_bytes=17), 1)
        batches.complete(outcome("b-4", "c", 1, 0, dead_letters=unreadable, unread_bytes=5), 1)
        totals = read_totals(job_document(server.target.connect(), "ingest-1", AT_ONCE), RECORDS)
        assert (totals["unread_bytes"], totals["read"], totals.adds_up) == (22, 17, True)
        kept = [f"pipeline_jobs/ingest-1/batches/b-{n}" for n in (0, 1, 3)]
        assert [server.documents[path].fields.get("unread_bytes") for path in kept] == [None, None, 17]
    assert Totals.of(RECORDS, totals.as_fields())["unread_bytes"] == 22
    assert "unread_bytes" not in record_totals().as_fields()


@pytest.mark.parametrize("scripts", [{}, {"RunAggregationQuery": always(NO_INDEX)}], ids=["summed", "one by one"])
def test_what_few_jobs_have_is_kept_where_it_is_not_0_and_added_up(scripts):
    with ScriptedFirestore(scripts=scripts) as server:
        write_batches(server.target)
        batches = JobLedger(job_document(server.target.connect(), "ingest-1", AT_ONCE), RECORDS).batches
        batches.complete(outcome("b-3", "b", 3, 3, answers_repaired=3), 1)
        batches.complete(outcome("b-4", "b", 3, 3, answers_repaired=1, ids_differing=2), 1)
        totals = read_totals(job_document(server.target.connect(), "ingest-1", AT_ONCE), RECORDS)
        kept = [server.documents[f"pipeline_jobs/ingest-1/batches/b-{n}"].fields for n in (0, 1, 2, 3, 4)]
    assert (totals["answers_repaired"], totals["ids_differing"], totals["read"]) == (4, 2, 21)
    assert [fields.get("ids_differing") for fields in kept] == [None, None, None, None, 2]
    assert Totals.of(RECORDS, totals.as_fields())["answers_repaired"] == 4
    assert "answers_repaired" not in record_totals().as_fields()


def test_where_the_index_for_aggregations_is_missing_the_batches_are_read_one_by_one():
    with ScriptedFirestore(scripts={"RunAggregationQuery": always(NO_INDEX)}) as server:
        write_batches(server.target)
        assert_all_is_counted(read_totals(job_document(server.target.connect(), "ingest-1", AT_ONCE), RECORDS))
    assert (len(server.requests("RunAggregationQuery")), len(server.requests("RunQuery"))) == (1, 1)


@pytest.mark.parametrize(
    ("refusal", "error", "message"),
    [
        (DENIED, JobError, "PERMISSION_DENIED: Missing or insufficient permissions.*Grant the job's account"),
        (DOWN, TransientError, "in 3 attempts; the last answer was UNAVAILABLE: the service is down"),
    ],
)
def test_what_is_no_missing_index_is_raised(refusal, error, message):
    with ScriptedFirestore(scripts={"RunAggregationQuery": always(refusal)}) as server:
        write_batches(server.target)
        with pytest.raises(error, match=message):
            read_totals(job_document(server.target.connect(), "ingest-1", AT_ONCE), RECORDS)


counts = st.fixed_dictionaries({name: st.integers(0, 100) for name in RECORDS.names})
states = st.sampled_from(["completed", "processing", "error"])


@given(st.lists(st.tuples(states, counts)))
def test_every_count_of_every_batch_is_added(batches):
    totals = add_up(RECORDS, ({"state": state, **numbers} for state, numbers in batches))
    by_state = Counter(state for state, _ in batches)
    assert (totals.batches, totals.processing, totals.failed) == (
        by_state["completed"],
        by_state["processing"],
        by_state["error"],
    )
    assert {name: totals[name] for name in RECORDS.names} == {
        name: sum(numbers[name] for _, numbers in batches) for name in RECORDS.names
    }


few = st.integers(0, 3)
reasons = st.dictionaries(st.tuples(st.sampled_from("AB"), st.sampled_from("CD")), st.integers(1, 3), max_size=2)
fields_of = st.dictionaries(st.sampled_from(["tags", "name"]), st.integers(1, 3), max_size=2)


@settings(max_examples=20)
@given(st.lists(st.tuples(few, reasons, fields_of, few), min_size=1, max_size=4))
def test_what_firestore_sums_is_what_the_batches_add_up_to_whatever_they_have_beside_each_other(batches):
    with ScriptedFirestore() as server:
        ledger = JobLedger(job_document(server.target.connect(), "ingest-1", AT_ONCE), RECORDS)
        for n, (written, dead_letters, overflowed_by, unread) in enumerate(batches):
            rare = {"unread_bytes": unread} if dead_letters else {}
            numbers = {"overflowed": sum(overflowed_by.values()), "dead_letters": dead_letters, **rare}
            read = written + sum(dead_letters.values())
            ledger.batches.complete(outcome(f"b-{n}", "a", read, written, overflowed_by=overflowed_by, **numbers), 1)
        job = job_document(server.target.connect(), "ingest-1", AT_ONCE)
        summed = read_totals(job, RECORDS)
        added = add_up(RECORDS, (each.fields for each in job.documents(ledger.batches.query)))
    assert summed.adds_up
    assert (summed.kinds, +summed.counts) == (added.kinds, +added.counts)


def test_of_many_batches_the_newest_tell_ids_and_pace():
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    batches = [
        {
            "state": "completed",
            "completed_at": start + datetime.timedelta(seconds=n),
            "read": n,
            "bytes_read": 10 * n,
            "ids": [f"{n}-a", f"{n}-b"],
        }
        for n in range(30)
    ]
    totals = add_up(RECORDS, batches[::2] + batches[1::2])
    assert totals.first_completed_at == start
    assert totals.newest_ids == ("29-a", "29-b", "28-a", "28-b", "27-a")
    assert [completion.read for completion in totals.recent] == list(range(29, 9, -1))


@pytest.mark.parametrize(
    ("totals", "adds_up"),
    [
        (record_totals(), True),
        (record_totals(read=3, written=1, unchanged=1, superseded=1), True),
        (record_totals(read=3, written=1, unchanged=1), False),
        (record_totals(read=1, dead_letter_count=1, dead_letters=Counter({("A", "B"): 1})), True),
        (record_totals(read=1, dead_letter_count=1), False),
    ],
)
def test_totals_add_up_if_every_record_and_every_reason_is_counted_once(totals, adds_up):
    assert totals.adds_up is adds_up


def test_what_the_job_s_document_keeps_gives_the_same_totals_back():
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    reasons = Counter({("A", "B"): 1, ("A", "C"): 2})
    totals = record_totals(
        2, 1, 1, read=9, dead_letter_count=3, dead_letters=reasons, first_completed_at=moment, newest_ids=("x",)
    )
    assert Totals.of(RECORDS, totals.as_fields()) == totals


def test_a_job_keeps_the_fields_that_overflowed_most_and_the_number_of_all():
    counts = Counter({f"f{n:04d}": 1 for n in range(5000)}) + Counter({"f4999": 7})
    fields = record_totals(overflowed=5007, overflowed_by=counts).as_fields()
    assert fields["overflowed"] == 5007
    assert len(fields["overflowed_by"]) == 200
    assert {"field": "f4999", "count": 8} in fields["overflowed_by"]
