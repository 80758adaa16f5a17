"""What is to be done with the records of a batch, by what is stored under their ids: no service, no clock."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.stored import stored_document
from transforms.batch import Batch, Record
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import serialised_fields
from transforms.testing import PROJECT
from transforms.upsert.decide import compare, decide, decide_again, set_aside_older
from transforms.upsert.entries import Compared, Flat, Keyed
from transforms.upsert.layout import PairLayout
from transforms.upsert.modes import VERSIONED
from transforms.upsert.stored import NOTHING, Stored
from transforms.upsert.versions import RunIdentity, Verdict

FAILED_AT = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
RUN = RunIdentity("ingest-1", 1, NOW, frozenset({"b"}))
LAYOUT = PairLayout(FirestoreTarget(PROJECT), "profiles", "candidates", schema_version=3)
MIB = 1024 * 1024


def flat(key, position=0, stored=NOTHING, verdict=Verdict.WRITE, content="ours", size=0):
    value = {"name": key, "text": "x" * size}
    return Flat(key, Record(position, value), content, stored, verdict, serialised_fields(value), {"id": key})


def batch_of(entries):
    return Batch("b-0", "in.jsonl", len(entries), tuple(entries))


def pair_stored(content_hash, **named):
    fields = {
        "version": 1,
        "created_at": NOW,
        "updated_at": NOW,
        "source": "other.jsonl",
        "position": 0,
        "job_id": "other",
        "batch_id": "other-0-0",
        **named,
    }
    both = stored_document(NOW, NOW, content_hash=content_hash, **fields)
    return Stored((both, both))


@given(keys=st.lists(st.sampled_from("abcdef"), max_size=30))
def test_of_every_id_the_last_record_is_written_and_the_others_are_superseded(keys):
    entries = [flat(key, position) for position, key in enumerate(keys)]
    decision = decide(batch_of(entries), LAYOUT, RUN, NOW)
    last = {entry.key: entry for entry in entries}
    assert {write.entry.key: write.entry for write in decision.writes} == last
    assert len(decision.writes) == len(last)
    assert [verdict for _, verdict in decision.resolved] == [Verdict.SUPERSEDED] * (len(entries) - len(last))
    positions = [write.entry.record.position for write in decision.writes]
    assert positions == sorted(positions)


@given(keys=st.lists(st.sampled_from("abcdef"), max_size=30))
def test_what_is_decided_once_is_decided_alike_again(keys):
    first = decide(batch_of([flat(key, position) for position, key in enumerate(keys)]), LAYOUT, RUN, NOW)
    again = decide(batch_of([write.entry for write in first.writes]), LAYOUT, RUN, NOW)
    assert [(write.entry, write.meta) for write in again.writes] == [
        (write.entry, write.meta) for write in first.writes
    ]
    assert (again.resolved, again.unfit) == ([], [])


def test_a_record_that_cannot_be_written_replaces_none_of_its_id():
    decision = decide(batch_of([flat("a", 0), flat("a", 1), flat("a", 2, size=MIB)]), LAYOUT, RUN, NOW)
    assert [write.entry.record.position for write in decision.writes] == [1]
    assert [(entry.record.position, verdict) for entry, verdict in decision.resolved] == [(0, Verdict.SUPERSEDED)]
    assert [(entry.record.position, error.code) for entry, error in decision.unfit] == [(2, "DOCUMENT_TOO_LARGE")]


def test_only_records_that_share_their_id_are_encoded_before_they_are_sent():
    alone, shared = decide(batch_of([flat("a"), flat("b", 1), flat("b", 2)]), LAYOUT, RUN, NOW).writes
    assert alone.group is None
    assert shared.encoded(LAYOUT) is shared.group


def test_a_record_that_needs_no_write_is_resolved_as_it_was_judged():
    entries = [flat("a", 0, verdict=Verdict.LANDED), flat("b", 1, verdict=Verdict.ROW_MISSING), flat("c", 2)]
    decision = decide(batch_of(entries), LAYOUT, RUN, NOW)
    assert [(entry.key, verdict) for entry, verdict in decision.resolved] == [
        ("a", Verdict.LANDED),
        ("b", Verdict.ROW_MISSING),
    ]
    assert [write.entry.key for write in decision.writes] == ["c"]


@pytest.mark.parametrize(
    ("never_overwrites_newer", "writes", "resolved"),
    [(False, ["a", "b"], []), (True, ["b"], [("a", Verdict.SUPERSEDED)])],
)
def test_after_a_conflict_a_replay_leaves_what_somebody_else_has_written(never_overwrites_newer, writes, resolved):
    run = RunIdentity("ingest-1", 1, NOW, never_overwrites_newer=never_overwrites_newer)
    entries = [flat("a", 0), flat("b", 1)]
    decision = decide_again(entries, {"a": pair_stored("theirs")}, batch_of(entries), LAYOUT, run, NOW)
    assert [write.entry.key for write in decision.writes] == writes
    assert [(entry.key, verdict) for entry, verdict in decision.resolved] == resolved
    assert [write.meta["version"] for write in decision.writes] == [2, 1][-len(writes) :]


def keyed(key, position, content_hash):
    return Keyed(key, Record(position, {}), content_hash)


def test_records_that_are_stored_already_leave_the_batch_and_are_counted():
    entries = [keyed("same", 0, "x"), keyed("changed", 1, "y"), keyed("new", 2, "z")]
    stored = {"same": pair_stored("x"), "changed": pair_stored("x")}
    compared = compare(batch_of(entries), stored, VERSIONED, RUN)
    assert [(entry.key, entry.stored, entry.verdict) for entry in compared.entries] == [
        ("changed", stored["changed"], Verdict.WRITE),
        ("new", NOTHING, Verdict.WRITE),
    ]
    assert (compared.unchanged, compared.superseded) == (1, 0)


def test_a_record_is_superseded_by_a_later_one_whose_content_is_stored_already():
    stored = pair_stored("last")
    compared = compare(batch_of([keyed("a", 0, "earlier"), keyed("a", 1, "last")]), {"a": stored}, VERSIONED, RUN)
    assert [(entry.record.position, entry.verdict) for entry in compared.entries] == [(0, Verdict.SUPERSEDED)]
    assert compared.unchanged == 1
    decision = decide(batch_of([flat("a", 0, stored, Verdict.SUPERSEDED)]), LAYOUT, RUN, NOW)
    assert [verdict for _, verdict in decision.resolved] == [Verdict.SUPERSEDED]
    assert (decision.writes, decision.unfit) == ([], [])


def document(job_id="other", batch_id="other-0-0", seconds=0):
    time = FAILED_AT + datetime.timedelta(seconds=seconds)
    return stored_document(time, time, 1, "hash", time, time, "other.jsonl", 0, job_id, batch_id)


@pytest.mark.parametrize(
    ("stored", "survives"),
    [
        (None, True),
        (document(seconds=-1), True),
        (document(seconds=1), False),
        (document(batch_id="mine-0-0", seconds=1), True),
        (document(job_id="", batch_id="", seconds=1), False),
        (document(job_id="yesterday", seconds=1), True),
        (document(job_id="tomorrow", seconds=1), False),
    ],
    ids=["nothing", "before", "since", "the same input", "somebody else", "an earlier job's replay", "a later job"],
)
def test_a_record_is_set_aside_if_another_input_has_written_its_documents_since(stored, survives):
    record = Record(7, {"id": "a"}, failed_at=FAILED_AT)
    entry = Compared("a", record, "mine", Stored((stored, stored)), Verdict.WRITE)
    day = datetime.timedelta(days=1)
    finished_at = {"yesterday": FAILED_AT - day, "tomorrow": FAILED_AT + day}
    batch = set_aside_older(Batch("b-0", "in.jsonl", 1, (entry,)), {"mine"}, finished_at)
    assert (len(batch.entries), batch.superseded) == ((1, 0) if survives else (0, 1))
