"""Batches at a provider, triggered once and taken as they complete, whatever is lost or killed on the way."""

import datetime
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fake_provider import COMPLETE, EXPIRED, FAILED, SILENT, Behaviour, FakeProvider, Killed
from tests.support.provider_job import PER_FILE, Job, job_of, names, states
from transforms.errors import JobError
from transforms.inputs.files import match_inputs
from transforms.ledger.batches import Batches
from transforms.ledger.provider_batches import unfinished
from transforms.outcomes import RECORDS
from transforms.providers.plan import RequestLimits, existing, planned
from transforms.providers.waiting import Pace
from transforms.testing import ScriptedFirestore


@pytest.fixture
def server():
    with ScriptedFirestore() as server:
        yield server


def test_every_batch_is_triggered_once_and_taken(server, tmp_path):
    job = job_of(server, FakeProvider(), tmp_path, 3)
    job.run()
    assert job.stored.keys() == names(0, 1, 2)
    assert states(job) == [("completed", "complete")] * 3
    assert job.provider.creates == 3
    first = job.ledger[0]
    assert (first.requests, first.answers, first.missing, first.input_tokens, first.output_tokens) == (4, 4, 0, 40, 8)
    assert set(first.profiles) == names(0)
    job.run()
    assert (job.provider.creates, unfinished(job.ledger)) == (3, None)


def test_a_slow_batch_holds_up_nobody_and_one_request_polls_all(server, tmp_path):
    slow = Behaviour(polls=60)
    job = job_of(server, FakeProvider([Behaviour(), slow, Behaviour(polls=2)]), tmp_path, 3)
    order = []
    take = job.stored.update
    job.stored = type("Stored", (dict,), {"update": lambda self, new: (order.extend(new), dict.update(self, new))})()
    job.run()
    assert take is not None
    assert [name[:2] for name in order].index(order[-1][:2]) == 2 * PER_FILE
    assert job.provider.polls <= slow.polls + 4


@pytest.mark.parametrize("end", [EXPIRED, SILENT])
def test_what_a_partial_batch_has_is_taken_and_the_rest_are_dead_letters_that_hold_the_requests(server, tmp_path, end):
    job = job_of(server, FakeProvider([Behaviour(end=end)]), tmp_path, 1)
    job.run()
    code = "OPENAI_BATCH_EXPIRED" if end == EXPIRED else "MISSING_RESULT"
    assert job.stored.keys() == {"p0-0", "p0-2"}
    assert job.dead_letters == [("p0-1", code), ("p0-3", code)]
    assert states(job) == [("completed", "partial")]
    assert (job.ledger[0].answers, job.ledger[0].missing) == (2, 2)


@pytest.mark.parametrize("at_once", [True, False])
def test_asked_to_retry_it_triggers_only_what_is_missing(server, tmp_path, at_once):
    job = job_of(server, FakeProvider([Behaviour(end=EXPIRED), Behaviour()]), tmp_path, 2, retry_failed=at_once)
    job.run()
    if not at_once:
        assert job.dead_letters == [("p0-1", "OPENAI_BATCH_EXPIRED"), ("p0-3", "OPENAI_BATCH_EXPIRED")]
        job.pace = replace(job.pace, retry_failed=True)
        job.run()
    assert job.stored.keys() == names(0, 1)
    assert job.dead_letters == []
    assert states(job) == [("completed", "complete")] * 2
    assert sorted(len(each.names) for each in job.provider.batches.values()) == [2, 4, 4]
    assert [each.input_tokens for each in job.ledger] == [40, 40]


def test_a_failed_batch_keeps_the_providers_code_and_is_triggered_again_if_asked(server, tmp_path):
    job = job_of(server, FakeProvider([Behaviour(end=FAILED), Behaviour(create="refused")]), tmp_path, 2)
    job.run()
    assert job.stored == {}
    assert [(each.state, each.error_code) for each in job.ledger] == [("failed", "broken"), ("failed", "invalid_model")]
    left = unfinished(job.ledger)
    assert left.state == "failed"
    assert "2 failed" in left.message
    assert "invalid_model: there is no such model" in left.message
    job.pace = replace(job.pace, retry_failed=True)
    job.run()
    assert job.stored.keys() == names(0, 1)
    assert [(each.error_code, each.tries[0].error_code) for each in job.ledger] == [
        ("", "broken"),
        ("", "invalid_model"),
    ]


def test_a_full_queue_is_waited_out_with_fewer_batches_at_once(server, tmp_path):
    full = [Behaviour(), Behaviour(create="full"), Behaviour(end=FAILED, code="token_limit_exceeded")]
    job = job_of(server, FakeProvider(full), tmp_path, 3)
    job.run()
    assert job.stored.keys() == names(0, 1, 2)
    assert states(job) == [("completed", "complete")] * 3


def test_without_credit_the_job_stops(server, tmp_path):
    job = job_of(server, FakeProvider([Behaviour(end=FAILED, code="no_credit")]), tmp_path, 1)
    with pytest.raises(JobError, match="openai has no credit"):
        job.run()


@pytest.mark.parametrize("has_keys", [True, False])
@pytest.mark.parametrize("create", ["lost", "nothing"])
def test_after_a_lost_answer_the_batch_is_looked_for_before_it_is_created_again(server, tmp_path, create, has_keys):
    job = job_of(
        server, FakeProvider([Behaviour(create=create)], has_keys=has_keys), tmp_path, 2, finds_by_key=has_keys
    )
    job.run()
    assert job.stored.keys() == names(0, 1)
    assert len(job.provider.batches) == 2


def test_where_several_could_be_the_batch_nobody_guesses(server, tmp_path):
    provider = FakeProvider([Behaviour(create="lost")], has_keys=False)
    provider.existing([f"x-{n}" for n in range(PER_FILE)])
    job = job_of(server, provider, tmp_path, 1, finds_by_key=False)
    job.run()
    (batch,) = job.ledger
    assert (batch.state, job.stored) == ("undecided", {})
    assert f"--adopt={batch.key}=ID" in unfinished([batch]).message


def test_a_batch_that_answers_other_requests_is_not_taken_for_ours(server, tmp_path):
    provider = FakeProvider([Behaviour(create="nothing")], has_keys=False)
    provider.existing([f"x-{n}" for n in range(PER_FILE)])
    job = job_of(server, provider, tmp_path, 1, finds_by_key=False)
    job.run()
    (batch,) = job.ledger
    assert (batch.state, batch.error_code, job.stored) == ("undecided", "OTHER_BATCH", {})


def test_batches_that_exist_are_taken_without_a_trigger(server):
    provider = FakeProvider()
    ids = [provider.existing(["a-1", "a-2"]), provider.existing(["b-2"], Behaviour(end=EXPIRED))]
    job = Job(server, provider, existing("ingest-1", "openai", [*ids, "batch_99"]), [])
    job.run()
    assert job.stored.keys() == {"a-1", "a-2", "b-2"}
    assert [(each.state, each.error_code) for each in job.ledger][2] == ("failed", "UNKNOWN_BATCH")
    assert provider.creates == 0


def test_with_no_time_to_wait_it_takes_what_is_ready_and_goes_on_later(server, tmp_path):
    job = job_of(server, FakeProvider([Behaviour(polls=3), Behaviour()]), tmp_path, 2, max_wait_s=0)
    job.run()
    assert job.stored.keys() == names(1)
    assert unfinished(job.ledger).state == "interrupted"
    for _ in range(3):
        job.run()
    assert job.stored.keys() == names(0, 1)
    assert job.provider.creates == 2


def test_the_next_run_takes_again_and_triggers_nothing(server, tmp_path):
    job = job_of(server, FakeProvider(), tmp_path, 2)
    job.run()
    job.stored.clear()
    Batches(job.entry.connect(), RECORDS).remove_before(2)
    job.entry = replace(job.entry, attempt=2)
    job.run()
    assert job.stored.keys() == names(0, 1)
    assert job.provider.creates == 2
    assert [each.run for each in job.ledger] == [2, 2]


BEHAVIOURS = st.builds(
    Behaviour,
    polls=st.integers(0, 3),
    end=st.sampled_from([COMPLETE, COMPLETE, EXPIRED, SILENT, FAILED]),
    create=st.sampled_from(["ok", "ok", "lost", "nothing", "full"]),
)


@settings(max_examples=60)
@given(
    behaviours=st.lists(BEHAVIOURS, max_size=5),
    kills=st.lists(st.integers(1, 12), max_size=5),
    has_keys=st.booleans(),
)
def test_however_often_it_is_killed_the_end_is_that_of_an_undisturbed_run(
    tmp_path_factory, behaviours, kills, has_keys
):
    ends = []
    for kill_ats in ([], kills):
        provider = FakeProvider([replace(each) for each in behaviours], has_keys=has_keys)
        with ScriptedFirestore() as server:
            job = job_of(server, provider, tmp_path_factory.mktemp("requests"), 3, finds_by_key=has_keys)
            for kill_at in kill_ats:
                try:
                    job.run(kill_at)
                except Killed:
                    continue
            job.run()
            if not has_keys and any(each.state == "undecided" for each in job.ledger):
                return  # without keys two lost answers at once cannot be told apart
            # Which batch gets which of the provider's behaviours depends on when it was killed.
            accounted = job.stored.keys() | {name for name, _ in job.dead_letters}
            failed = [each for each in job.ledger if each.state == "failed"]
            lost = {name for each in failed for name in names(each.number)}
            assert accounted | lost == names(0, 1, 2)
            assert accounted.isdisjoint(lost)
            assert job.stored.keys().isdisjoint(name for name, _ in job.dead_letters)
            taken = [each.names[0] for each in provider.batches.values()]
            assert len(taken) == len(set(taken)) == 3
            ends.append(len(provider.batches))
    assert len(set(ends)) == 1


def test_a_plan_has_the_same_keys_wherever_it_is_made(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"custom_id": "1"}\n{"custom_id": "2"}\n\n{"custom_id": "3"}\n')
    inputs = match_inputs([str(tmp_path / "a.jsonl")])
    batches = planned("job", "openai", inputs, RequestLimits(max_requests=2, key_field="custom_id"))
    assert [(each.start, each.stop, each.n_requests) for each in batches] == [(0, 38, 2), (39, 58, 1)]
    assert planned("job", "openai", inputs, RequestLimits(max_requests=2, key_field="custom_id")) == batches
    assert len({each.key for each in (*batches, *planned("other", "openai", inputs, RequestLimits()))}) == 3


def test_polls_are_a_tenth_of_the_youngest_age_apart():
    assert Pace().interval_s([60.0, 7_200.0]) == 6.0
    assert datetime.timedelta(seconds=Pace().interval_s([10_000.0])) == datetime.timedelta(minutes=1)
