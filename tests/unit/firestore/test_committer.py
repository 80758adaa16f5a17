"""Packing, halving, retrying: against a server that misbehaves as told."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.errors import JobError, TransientError
from transforms.firestore import messages
from transforms.firestore.committer import AtomicGroup, CommitLimits, Committer, Landed, Refused
from transforms.firestore.values import serialised_fields
from transforms.retry import Retry
from transforms.testing import RpcError, ScriptedFirestore, always, applied_then, status

FAST = Retry(max_attempts=3, initial_s=0)


def group(server, *keys, size=0):
    names = [server.target.document_name(f"{collection}/{key}") for key in keys for collection in ("full", "flat")]
    fields = serialised_fields({"text": "x" * size})
    return AtomicGroup(tuple(messages.update(messages.document(name, fields)) for name in names))


def committer(server, retry=FAST, **limits):
    return Committer(server.target.connect(), CommitLimits(**limits), retry)


def keys_of(request):
    return [write.update.name.rpartition("/")[2] for write in request.writes]


def test_every_group_has_one_outcome_in_the_order_given():
    with ScriptedFirestore() as server:
        report = committer(server, max_writes=4).commit(group(server, f"k{n}") for n in range(5))
    assert [len(outcome.update_times) for outcome in report.outcomes] == [2] * 5
    sent = sorted(map(keys_of, server.requests("Commit")))
    assert sent == [["k0", "k0", "k1", "k1"], ["k2", "k2", "k3", "k3"], ["k4", "k4"]]
    assert report.retries == 0


def test_nothing_to_commit_is_no_request():
    with ScriptedFirestore() as server:
        assert committer(server).commit([]) == ([], 0, 0.0)
    assert server.requests("Commit") == []


@settings(max_examples=20)
@given(sizes=st.lists(st.integers(0, 40_000), max_size=30), max_writes=st.integers(2, 20))
def test_no_request_passes_a_limit_and_no_pair_is_torn(sizes, max_writes):
    with ScriptedFirestore() as server:
        groups = [group(server, f"k{n}", size=size) for n, size in enumerate(sizes)]
        committer(server, max_writes=max_writes, max_request_bytes=100_000).commit(groups)
    for request in server.requests("Commit"):
        assert len(request.writes) <= max_writes
        assert request.ByteSize() <= 100_000
        keys = keys_of(request)
        assert keys[::2] == keys[1::2]
    assert len(server.documents) == 2 * len(sizes)


@settings(max_examples=20)
@given(bad=st.sets(st.integers(0, 29), max_size=12), max_writes=st.sampled_from([2, 7, 60]))
def test_only_the_groups_at_fault_are_refused(bad, max_writes):
    culprits = {f"k{n}" for n in bad}

    def refuse_culprits(request, earlier):
        if culprits & set(keys_of(request)):
            raise RpcError("INVALID_ARGUMENT", "the value of field x is wrong")

    with ScriptedFirestore(scripts={"Commit": refuse_culprits}) as server:
        report = committer(server, max_writes=max_writes).commit([group(server, f"k{n}") for n in range(30)])
    refused = {f"k{n}" for n, outcome in enumerate(report.outcomes) if isinstance(outcome, Refused)}
    assert refused == culprits
    assert {document.id for document in server.documents.values()} == {f"k{n}" for n in range(30)} - culprits


def test_a_refused_group_says_what_the_service_said():
    refused = always(status("INVALID_ARGUMENT", "the value of field x is wrong"))
    with ScriptedFirestore(scripts={"Commit": refused}) as server:
        report = committer(server).commit([group(server, "k")])
    assert report.outcomes == [Refused("INVALID_ARGUMENT", "the value of field x is wrong", 1)]


def test_when_every_group_is_refused_alike_it_is_the_job_that_is_wrong():
    with ScriptedFirestore(scripts={"Commit": always(status("INVALID_ARGUMENT", "no such index"))}) as server:
        with pytest.raises(JobError, match="refused all 10 writes of a batch alike"):
            committer(server).commit([group(server, f"k{n}") for n in range(10)])


def test_a_request_that_is_too_large_is_sent_in_halves():
    def refuse_large(request, earlier):
        if len(request.writes) > 4:
            raise RpcError("RESOURCE_EXHAUSTED", "gRPC message exceeds maximum size 4194304: 5000441")

    with ScriptedFirestore(scripts={"Commit": refuse_large}) as server:
        report = committer(server).commit([group(server, f"k{n}") for n in range(8)])
    assert all(isinstance(outcome, Landed) for outcome in report.outcomes)
    assert len(server.documents) == 16


@pytest.mark.parametrize(
    "code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN"]
)
def test_a_passing_failure_is_tried_again_and_counted(code):
    with ScriptedFirestore(scripts={"Commit": [status(code)] * 2}) as server:
        report = committer(server).commit([group(server, "k")])
    assert [type(outcome) for outcome in report.outcomes] == [Landed]
    assert report.outcomes[0].attempts == 3
    assert report.retries == 2


def test_retries_are_bounded():
    with ScriptedFirestore(scripts={"Commit": always(status("UNAVAILABLE", "down for maintenance"))}) as server:
        with pytest.raises(TransientError, match=r"2 writes in 3 attempts; .* UNAVAILABLE: down for maintenance"):
            committer(server).commit([group(server, "k")])
    assert len(server.requests("Commit")) == 3


def test_a_lost_acknowledgement_ends_in_the_same_state():
    with ScriptedFirestore(scripts={"Commit": [applied_then("UNAVAILABLE")]}) as server:
        report = committer(server).commit([group(server, f"k{n}") for n in range(3)])
    assert [type(outcome) for outcome in report.outcomes] == [Landed] * 3
    assert len(server.documents) == 6


def test_what_was_acknowledged_is_not_sent_again():
    with ScriptedFirestore(scripts={"Commit": [None, status("UNAVAILABLE")]}) as server:
        committer(server, max_writes=2, max_in_flight=1).commit([group(server, f"k{n}") for n in range(3)])
    assert sorted(keys_of(request)[0] for request in server.requests("Commit")) == ["k0", "k1", "k1", "k2"]


@pytest.mark.parametrize(
    ("code", "message", "advice"),
    [
        ("PERMISSION_DENIED", "Missing or insufficient permissions.", "roles/datastore.user on project demo-scripted"),
        ("UNAUTHENTICATED", "no credentials", "gcloud auth application-default login"),
        ("NOT_FOUND", "The database x does not exist for project p", "gcloud firestore databases create"),
    ],
)
def test_what_no_record_can_survive_stops_the_job_at_once_and_says_what_to_do(code, message, advice):
    with ScriptedFirestore(scripts={"Commit": always(status(code, message))}) as server:
        with pytest.raises(JobError) as stopped:
            committer(server).commit([group(server, f"k{n}") for n in range(10)])
    assert advice in str(stopped.value)
    assert len(server.requests("Commit")) == 1


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"max_writes": 501}, r"max_writes must be in \[1, 500\], got 501"),
        ({"max_in_flight": 0}, r"max_in_flight must be in \[1, 64\], got 0"),
        ({"max_request_bytes": 1}, "max_request_bytes must be at least 65,536, got 1"),
        ({"timeout_s": 0}, "timeout_s must be positive, got 0"),
    ],
)
def test_limits_out_of_bounds_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        CommitLimits(**setting)
