"""The engine below every write: what of a failed request is sent again, and what is not."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clocks import no_waiting
from transforms.errors import JobError, TransientError
from transforms.firestore import messages
from transforms.firestore.committer import Committer
from transforms.firestore.outbox import Outbox
from transforms.firestore.outcomes import Conflicted, Landed, Refused
from transforms.firestore.packing import AtomicGroup, RequestLimits
from transforms.firestore.qos import QosSettings, QualityOfService
from transforms.firestore.senders import BatchWriteSender, CommitSender
from transforms.firestore.values import serialised_fields
from transforms.retry import Clock, Retry
from transforms.testing import RpcError, ScriptedFirestore, always, status, written_name

TRANSIENT = ["UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN"]
FAST = Retry(max_attempts=3, initial_s=0, clock=no_waiting())


def group(server, key, value=0, *, replaces_earlier=False, size=0):
    name = server.target.document_name(f"docs/{key}")
    document = messages.document(name, serialised_fields({"value": value, "text": "x" * size}))
    return AtomicGroup((messages.update(document),), (name,), replaces_earlier)


def outbox(server, sender=BatchWriteSender, *, retry=FAST, qos=None, guarded=False, collapse=False, **limits):
    return Outbox(
        sender(server.target.connect()),
        RequestLimits(**limits),
        retry,
        qos or QualityOfService(),
        guarded=guarded,
        collapse=collapse,
    )


def send(box, groups):
    """Outcomes by item; every item exactly once."""
    for item, each in groups:
        box.put(item, each)
    box.flush()
    resolved = box.take_resolved()
    assert len({each.item for each in resolved}) == len(resolved)
    return {each.item: each.outcome for each in resolved}


def keys_of(request):
    return [written_name(write).rpartition("/")[2] for write in request.writes]


def value_of(write):
    return write.update.fields["value"].integer_value


def test_every_write_has_a_status_of_its_own():
    def refuse_odd(write, before):
        if value_of(write) % 2:
            raise RpcError("INVALID_ARGUMENT", "odd")

    with ScriptedFirestore(scripts={"Write": refuse_odd}) as server:
        outcomes = send(outbox(server), ((n, group(server, n, n)) for n in range(10)))
    assert {n for n, outcome in outcomes.items() if isinstance(outcome, Landed)} == {0, 2, 4, 6, 8}
    assert outcomes[1] == Refused("INVALID_ARGUMENT", "odd", 1)
    assert len(server.requests("BatchWrite")) == 1


@pytest.mark.parametrize("code", TRANSIENT)
def test_of_a_request_only_the_writes_with_a_transient_status_are_sent_again(code):
    def busy_once(write, before):
        if value_of(write) in (3, 4) and not before:
            raise RpcError(code, "busy")

    with ScriptedFirestore(scripts={"Write": busy_once}) as server:
        outcomes = send(outbox(server), ((n, group(server, n, n)) for n in range(10)))
    assert [keys_of(request) for request in server.requests("BatchWrite")] == [[str(n) for n in range(10)], ["3", "4"]]
    assert {n: outcome.attempts for n, outcome in outcomes.items()} == {n: 2 if n in (3, 4) else 1 for n in range(10)}


def test_a_write_that_stays_busy_is_given_up_retryable_and_the_others_have_landed():
    def busy(write, before):
        if value_of(write) == 7:
            raise RpcError("ABORTED", "too much contention")

    with ScriptedFirestore(scripts={"Write": busy}) as server:
        outcomes = send(outbox(server), ((n, group(server, n, n)) for n in range(10)))
    assert outcomes.pop(7) == Refused("ABORTED", "too much contention", 3, retryable=True)
    assert all(isinstance(outcome, Landed) for outcome in outcomes.values())


def test_a_status_about_the_job_stops_it():
    with ScriptedFirestore(scripts={"Write": always(status("PERMISSION_DENIED"))}) as server:
        with pytest.raises(JobError, match=r"roles/datastore\.user"):
            send(outbox(server), [(0, group(server, 0))])


@pytest.mark.parametrize("sender", [BatchWriteSender, CommitSender])
def test_a_request_that_is_refused_as_a_whole_is_divided_until_the_write_at_fault_stands_alone(sender):
    def refuse_bad(request, earlier):
        if {"3", "8"} & set(keys_of(request)):
            raise RpcError("INVALID_ARGUMENT", "Resource id is invalid because it is reserved.")

    with ScriptedFirestore(scripts={"Commit": refuse_bad, "BatchWrite": refuse_bad}) as server:
        outcomes = send(outbox(server, sender), ((n, group(server, n, n)) for n in range(10)))
    assert {n for n, outcome in outcomes.items() if isinstance(outcome, Refused)} == {3, 8}
    assert len(server.documents) == 8


def test_a_request_that_is_too_large_is_divided_although_its_code_means_later_elsewhere():
    def refuse_large(request, earlier):
        if len(request.writes) > 3:
            raise RpcError("RESOURCE_EXHAUSTED", "gRPC message exceeds maximum size 4194304: 5000441")

    with ScriptedFirestore(scripts={"BatchWrite": refuse_large}) as server:
        outcomes = send(outbox(server), ((n, group(server, n)) for n in range(20)))
    assert all(isinstance(outcome, Landed) for outcome in outcomes.values())
    assert sorted(server.applied) == sorted(server.documents)


@pytest.mark.parametrize("code", TRANSIENT)
def test_a_request_that_failed_transiently_as_a_whole_is_sent_again_as_a_whole(code):
    with ScriptedFirestore(scripts={"BatchWrite": [status(code)]}) as server:
        outcomes = send(outbox(server), ((n, group(server, n)) for n in range(4)))
    assert {outcome.attempts for outcome in outcomes.values()} == {2}
    assert len(server.applied) == 4


def test_what_did_not_finish_in_time_is_sent_again_in_halves():
    def slow(request, earlier):
        if len(request.writes) > 2:
            raise RpcError("DEADLINE_EXCEEDED", "too slow")

    with ScriptedFirestore(scripts={"BatchWrite": slow}) as server:
        outcomes = send(outbox(server, max_in_flight=1), ((n, group(server, n)) for n in range(8)))
    assert all(isinstance(outcome, Landed) for outcome in outcomes.values())
    assert [len(request.writes) for request in server.requests("BatchWrite")] == [8, 4, 4, 2, 2, 2, 2]


def test_an_outage_that_outlasts_the_retries_fails():
    with ScriptedFirestore(scripts={"BatchWrite": always(status("UNAVAILABLE", "down"))}) as server:
        with pytest.raises(TransientError, match=r"a BatchWrite of 4 writes in 3 attempts; .* UNAVAILABLE: down"):
            send(outbox(server), ((n, group(server, n)) for n in range(4)))
    assert len(server.requests("BatchWrite")) == 3


def test_halving_does_not_use_up_the_retries():
    def refuse_together_and_fail_alone(request, earlier):
        if "300" in keys_of(request):
            code = "INVALID_ARGUMENT" if len(request.writes) > 1 else "UNAVAILABLE"
            raise RpcError(code, "no")

    with ScriptedFirestore(scripts={"BatchWrite": refuse_together_and_fail_alone}) as server:
        with pytest.raises(TransientError, match="1 writes in 12 attempts"):  # nine to divide 500, three alone
            send(outbox(server), ((n, group(server, n)) for n in range(500)))


@pytest.mark.parametrize("n_groups", [1, 3])
def test_a_commit_that_others_keep_interfering_with_ends_as_a_retryable_refusal_not_as_an_outage(n_groups):
    def contended(request, earlier):
        if "0" in keys_of(request):
            raise RpcError("ABORTED", "Too much contention on these documents. Please try again.")

    with ScriptedFirestore(scripts={"Commit": contended}) as server:
        outcomes = send(outbox(server, CommitSender), ((n, group(server, n)) for n in range(n_groups)))
    assert outcomes.pop(0)[3] is True
    assert all(isinstance(outcome, Landed) for outcome in outcomes.values())


def test_for_the_committer_contention_that_does_not_end_is_transient():
    contended = always(status("ABORTED", "Too much contention on these documents. Please try again."))
    with ScriptedFirestore(scripts={"Commit": contended}) as server:
        committer = Committer(server.target.connect(), retry=FAST)
        with pytest.raises(TransientError, match=r"did not take a Commit in \d attempts; .* ABORTED: Too much"):
            committer.commit([group(server, 0)])


def test_a_guarded_commit_that_met_a_conflict_hands_all_its_groups_back_without_dividing():
    conflict = always(status("FAILED_PRECONDITION", "the stored version does not match the required base version"))
    with ScriptedFirestore(scripts={"Commit": conflict}) as server:
        committer = Committer(server.target.connect(), retry=FAST)
        outcomes = committer.commit((group(server, n) for n in range(12)), guarded=True).outcomes
    assert {type(outcome) for outcome in outcomes} == {Conflicted}
    assert len(server.requests("Commit")) == 1


def test_two_writes_of_one_document_are_sent_one_after_the_other_in_their_order():
    with ScriptedFirestore() as server:
        items = [("a1", group(server, "a", 1)), ("b", group(server, "b")), ("a2", group(server, "a", 2))]
        outcomes = send(outbox(server), items)
    assert [keys_of(request) for request in server.requests("BatchWrite")] == [["a", "b"], ["a"]]
    assert set(outcomes) == {"a1", "b", "a2"}
    assert server.documents["docs/a"].fields["value"] == 2


def test_the_second_write_of_a_document_waits_for_the_retries_of_the_first():
    with ScriptedFirestore(scripts={"Write": [status("UNAVAILABLE")]}) as server:
        send(outbox(server, max_writes=1, max_in_flight=8), [(n, group(server, "a", n)) for n in range(3)])
    assert [value_of(request.writes[0]) for request in server.requests("BatchWrite")] == [0, 0, 1, 2]


def test_collapsing_sends_the_last_write_only_and_the_others_share_its_fate():
    with ScriptedFirestore() as server:
        box = outbox(server, collapse=True)
        for n in range(4):
            box.put(n, group(server, "a", n, replaces_earlier=True))
        box.flush()
    resolved = box.take_resolved()
    assert [(each.item, each.superseded) for each in resolved] == [(0, True), (1, True), (2, True), (3, False)]
    assert {each.outcome.attempts for each in resolved} == {1}
    assert [value_of(write) for request in server.requests("BatchWrite") for write in request.writes] == [3]


def test_collapsing_spares_a_write_that_needs_what_was_there_before():
    with ScriptedFirestore() as server:
        items = [
            (0, group(server, "a", 0)),
            (1, group(server, "a", 1)),
            (2, group(server, "a", 2, replaces_earlier=True)),
        ]
        send(outbox(server, collapse=True), items)
    assert [value_of(request.writes[0]) for request in server.requests("BatchWrite")] == [0, 2]


def test_a_write_that_is_on_its_way_is_not_collapsed():
    with ScriptedFirestore() as server:
        box = outbox(server, collapse=True, max_writes=1, max_in_flight=1)
        items = [(n, group(server, key, n, replaces_earlier=True)) for n, key in enumerate(["a", "b", "a"])]
        send(box, items)
    assert [value_of(request.writes[0]) for request in server.requests("BatchWrite")] == [0, 1, 2]


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), keys=st.lists(st.integers(0, 12), max_size=40), collapse=st.booleans())
def test_whatever_fails_everything_is_accounted_for_and_nothing_acknowledged_is_sent_again(seed, keys, collapse):
    chance = random.Random(seed)
    landed_values = []

    def anything(write, before):
        outcome = chance.random()
        if outcome < 0.2:
            raise RpcError(chance.choice(TRANSIENT), "busy")
        if outcome < 0.3:
            raise RpcError("FAILED_PRECONDITION", "no")
        landed_values.append(value_of(write))

    def fail_sometimes(request, earlier):
        if chance.random() < 0.2:
            raise RpcError(chance.choice([*TRANSIENT, "INVALID_ARGUMENT"]), "later")

    with ScriptedFirestore(scripts={"Write": anything, "BatchWrite": fail_sometimes}) as server:
        box = outbox(server, retry=Retry(100, 0), collapse=collapse, max_writes=5)
        for item, key in enumerate(keys):
            box.put(item, group(server, key, item, replaces_earlier=item % 3 == 0))
        box.flush()
    resolved = box.take_resolved()
    assert sorted(each.item for each in resolved) == list(range(len(keys)))
    sent = [each for each in resolved if not each.superseded]
    assert sorted(landed_values) == sorted(each.item for each in sent if isinstance(each.outcome, Landed))
    for key in set(keys):
        assert [n for n in landed_values if keys[n] == key] == sorted(n for n in landed_values if keys[n] == key)


@settings(max_examples=20)
@given(sizes=st.lists(st.integers(0, 40_000), max_size=30), max_writes=st.integers(1, 20))
def test_no_batch_passes_a_limit(sizes, max_writes):
    with ScriptedFirestore() as server:
        groups = ((n, group(server, n, size=size)) for n, size in enumerate(sizes))
        send(outbox(server, max_writes=max_writes, max_request_bytes=100_000), groups)
    assert all(len(request.writes) <= max_writes for request in server.requests("BatchWrite"))
    assert all(request.ByteSize() <= 100_000 for request in server.requests("BatchWrite"))
    assert len(server.documents) == len(sizes)


def test_an_attempt_that_waits_for_its_time_holds_back_nothing_but_itself():
    def busy_once(write, before):
        if value_of(write) == 0 and not before:
            raise RpcError("UNAVAILABLE", "later")

    slept = []
    with ScriptedFirestore(scripts={"Write": busy_once}) as server:
        box = Outbox(
            BatchWriteSender(server.target.connect()),
            RequestLimits(max_writes=1, max_in_flight=2),
            Retry(initial_s=60, max_s=60, clock=no_waiting(slept=slept, chance=0.5)),
            QualityOfService(),
        )
        send(box, ((n, group(server, n, n)) for n in range(6)))
    sent = [value_of(request.writes[0]) for request in server.requests("BatchWrite")]
    assert (sorted(sent[:-1]), sent[-1]) == ([0, 1, 2, 3, 4, 5], 0)
    assert [round(seconds) for seconds in slept] == [30]


def test_requests_are_as_large_and_as_frequent_as_the_budget_allows():
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    qos = QualityOfService(
        QosSettings(max_writes_per_s=10), Clock(monotonic=lambda: now[0], sleep=sleep, random=lambda: 1.0)
    )
    with ScriptedFirestore() as server:
        box = outbox(server, qos=qos)
        send(box, ((n, group(server, n)) for n in range(45)))
    assert sorted(len(request.writes) for request in server.requests("BatchWrite")) == [5, 10, 10, 10, 10]
    assert box.throttled_s == pytest.approx(4, abs=0.01)


def test_an_overloaded_service_is_asked_less_often():
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    qos = QualityOfService(QosSettings(), Clock(monotonic=lambda: now[0], sleep=sleep, random=lambda: 0.5))
    with ScriptedFirestore(scripts={"BatchWrite": [status("RESOURCE_EXHAUSTED", "quota exceeded")] * 10}) as server:
        box = outbox(server, qos=qos, retry=Retry(20, 0))
        send(box, [(0, group(server, 0))])
    assert box.throttled_s > 10
