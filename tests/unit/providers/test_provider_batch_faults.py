"""What becomes of batches at a provider when the provider, the key or somebody else stands in the way."""

import asyncio
import json
from dataclasses import replace

import pytest

from pipeline.providers import read_provider
from tests.support.clocks import Clock
from tests.support.fake_provider import EXPIRED, FAILED, Behaviour, FakeProvider, Killed
from tests.support.provider_in_thread import provider_in_thread
from tests.support.provider_job import PACE, PER_FILE, Job, job_of, names, plan_of, states
from transforms import retry
from transforms.errors import JobError, TransientError
from transforms.inputs.files import match_inputs
from transforms.ledger.batches import Batches
from transforms.ledger.live import counts_of_provider_batches
from transforms.ledger.provider_batches import ProviderBatches, unfinished
from transforms.ledger.totals import read_totals
from transforms.outcomes import RECORDS
from transforms.providers.connect import Connect
from transforms.providers.plan import RequestLimits, existing, planned
from transforms.secrets import parse_secret
from transforms.testing import ScriptedFirestore

GONE = Behaviour(download="gone")


@pytest.fixture
def server():
    with ScriptedFirestore() as server:
        yield server


def next_run(job):
    """The command again, when the run before is over."""
    job.entry = replace(job.entry, attempt=job.entry.attempt + 1)
    Batches(job.entry.connect(), RECORDS).remove_before(job.entry.attempt)
    job.run()


def forget_results(job):
    """As providers do after a day, or a month."""
    for batch in job.provider.batches.values():
        batch.behaviour = replace(batch.behaviour, download="gone")


def test_without_a_list_a_lost_create_is_undecided_and_others_are_taken(server, tmp_path):
    job = job_of(server, FakeProvider([Behaviour(create="lost")], has_list=False), tmp_path, 2)
    job.run()
    assert states(job) == [("undecided", None), ("completed", "complete")]
    assert "there is no list" in job.ledger[0].error_text
    assert f"--adopt={job.ledger[0].key}=none" in unfinished(job.ledger).message


def test_without_keys_nothing_is_created_while_a_batch_is_looked_for(server, tmp_path):
    provider = FakeProvider([Behaviour(create="nothing")], has_keys=False, create_s=0.05)
    job = job_of(server, provider, tmp_path, 4, finds_by_key=False, listed_within_s=0.1)
    with pytest.raises(Killed):
        job.run(kill_at=2)
    assert [each.state for each in job.ledger].count("triggering") == 1
    job.run()
    assert job.stored.keys() == names(0, 1, 2, 3)
    ids = [each.remote_id for each in job.ledger]
    assert len(set(ids)) == len(provider.batches) == 4


def test_a_poll_without_an_answer_is_sent_again_later(server, tmp_path):
    job = job_of(server, FakeProvider([Behaviour(polls=4)], failing_polls=(2, 3)), tmp_path, 1)
    job.run()
    assert states(job) == [("completed", "complete")]


def test_a_provider_that_has_never_answered_ends_the_job(server, tmp_path):
    job = job_of(server, FakeProvider(failing_polls=(1,)), tmp_path, 1)
    with pytest.raises(TransientError, match="no answer"):
        job.run()
    assert states(job) == [("running", None)]


def test_a_download_that_breaks_off_holds_up_nobody_and_begins_again(server, tmp_path):
    job = job_of(server, FakeProvider([Behaviour(failures=3)]), tmp_path, 2)
    order = []
    job.stored = type("Stored", (dict,), {"update": lambda self, new: (order.extend(new), dict.update(self, new))})()
    job.run()
    assert {name[:2] for name in order[:PER_FILE]} == {"p1"}
    assert states(job) == [("completed", "complete")] * 2


def test_slow_downloads_hold_up_none_of_those_that_are_ready_meanwhile(server, tmp_path):
    slow = [Behaviour(download_s=0.5) for _ in range(4)]
    job = job_of(server, FakeProvider(slow), tmp_path, 7)
    order = []
    job.stored = type("Stored", (dict,), {"update": lambda self, new: (order.extend(new), dict.update(self, new))})()
    job.run()
    assert set(order[: 3 * PER_FILE]) == names(4, 5, 6)
    assert job.stored.keys() == names(*range(7))


def test_after_credit_is_added_the_same_command_goes_on(server, tmp_path):
    job = job_of(server, FakeProvider([Behaviour(end=FAILED, code="no_credit")]), tmp_path, 2)
    with pytest.raises(JobError, match=r"no credit left for this account \(no_credit\). Add credit"):
        job.run()
    job.run()
    assert job.stored.keys() == names(0, 1)
    assert states(job) == [("completed", "complete")] * 2


def test_with_the_wrong_account_nothing_is_lost_and_nothing_triggered_again(server, tmp_path):
    provider = FakeProvider([Behaviour(polls=1), Behaviour(polls=1)])
    job = job_of(server, provider, tmp_path, 2, max_wait_s=0)
    job.run()
    provider.knows = False
    job.run()
    assert [each.error_code for each in job.ledger] == ["UNKNOWN_BATCH"] * 2
    provider.knows = True
    job.run()
    assert job.stored.keys() == names(0, 1)
    assert (provider.creates, unfinished(job.ledger)) == (2, None)


def test_results_that_are_gone_are_said_and_triggered_again_only_if_asked(server, tmp_path):
    job = job_of(server, FakeProvider([replace(GONE)]), tmp_path, 2)
    job.run()
    assert states(job) == [("failed", None), ("completed", "complete")]
    assert "RESULTS_GONE: they are deleted" in unfinished(job.ledger).message
    job.pace = replace(job.pace, retry_failed=True)
    job.run()
    assert job.stored.keys() == names(0, 1)
    assert (job.provider.creates, unfinished(job.ledger)) == (3, None)


@pytest.mark.parametrize("is_next_run", [True, False])
def test_what_was_taken_is_not_paid_for_again_when_its_results_are_gone(server, tmp_path, is_next_run):
    job = job_of(server, FakeProvider([Behaviour(end=EXPIRED), Behaviour()]), tmp_path, 2)
    job.run()
    forget_results(job)
    job.pace = replace(job.pace, retry_failed=True)
    next_run(job) if is_next_run else job.run()
    assert job.provider.creates == 2
    message = unfinished(job.ledger).message
    assert "it was taken before, and what it lacked then is in its dead letters" in message
    job.pace = replace(job.pace, retry_failed=False)
    job.run()
    assert (unfinished(job.ledger) is None) == (not is_next_run)


def test_what_a_later_try_has_is_taken_although_the_earlier_one_is_gone(server, tmp_path):
    job = job_of(server, FakeProvider([Behaviour(end=EXPIRED)]), tmp_path, 1, retry_failed=True)
    job.provider.behaviours.append(Behaviour())
    with pytest.raises(Killed):
        job.run(kill_at=5)
    assert job.provider.creates == 2
    first = next(iter(job.provider.batches.values()))
    first.behaviour = replace(first.behaviour, download="gone")
    job.run()
    assert job.stored.keys() == names(0)


def test_a_later_run_triggers_nothing_that_had_failed_and_asks_again_for_what_exists(server, tmp_path):
    provider = FakeProvider([Behaviour(end=FAILED), Behaviour(create="refused")])
    job = job_of(server, provider, tmp_path, 3)
    job.run()
    next_run(job)
    assert [each.state for each in job.ledger] == ["failed", "failed", "completed"]
    assert provider.creates == 3
    with_ids = Job(server, provider, existing("ingest-1", "openai", ["batch_99"]), [])
    with_ids.entry = replace(with_ids.entry, job_id="ingest-2")
    with_ids.run()
    next_run(with_ids)
    assert [each.error_code for each in with_ids.ledger] == ["UNKNOWN_BATCH"]


def test_batches_of_requests_that_are_not_asked_any_more_are_nobodys_business(server, tmp_path):
    job = job_of(server, FakeProvider([Behaviour(polls=99)]), tmp_path, 2, max_wait_s=0)
    job.run()
    (tmp_path / "0.jsonl").write_text('{"custom_id": "p5-0", "body": {}}\n')
    changed = Job(server, job.provider, *plan_of(tmp_path, 2))
    next_run(changed)
    of_run = ProviderBatches(changed.entry.connect()).of_run(2)
    assert [(each.state, each.requests) for each in of_run] == [("completed", 1), ("completed", PER_FILE)]
    assert len(changed.ledger) == 3
    counts = counts_of_provider_batches(changed.entry.connect(), read_totals(changed.entry.connect(), RECORDS), 2)
    assert (counts.total, counts.waiting, counts.completed) == (2, 0, 2)


def test_more_run_at_once_again_when_the_queue_is_not_full_any_more(server, tmp_path):
    provider = FakeProvider([Behaviour(create="full")])
    job = job_of(server, provider, tmp_path, 12)
    job.run()
    assert job.stored.keys() == names(*range(12))
    assert provider.most > 1


def test_a_batch_whose_records_are_not_stored_yet_is_not_completed_and_holds_up_nothing(server, tmp_path):
    job = job_of(server, FakeProvider(), tmp_path, 2)
    job.is_behind = True
    job.run()
    assert [each.state for each in job.ledger] == ["processing"] * 2
    job.is_behind = False
    job.run()
    assert states(job) == [("completed", "complete")] * 2
    assert job.provider.creates == 2


def test_asked_to_retry_a_batch_is_triggered_no_more_often_than_allowed(server, tmp_path):
    provider = FakeProvider([Behaviour(end=FAILED), Behaviour(create="refused"), Behaviour(end=EXPIRED)])
    provider.ends_always = True
    job = job_of(server, provider, tmp_path, 3, retry_failed=True, max_tries=2)
    job.run()
    job.run()
    assert provider.creates == 6
    assert [len(each.tries) for each in job.ledger] == [2, 2, 2]
    assert states(job) == [("failed", None), ("failed", None), ("completed", "partial")]
    assert job.dead_letters == [("p2-1", "OPENAI_BATCH_EXPIRED"), ("p2-3", "OPENAI_BATCH_EXPIRED")]


def test_a_provider_that_refuses_again_and_again_is_asked_less_than_ten_times_in_five_minutes(
    server, tmp_path, monkeypatch
):
    """Bright Data blocks an address after 25; the results are taken when it answers again."""
    monkeypatch.setenv("BRIGHTDATA_API_KEY", "key")
    clock = Clock()

    async def asleep(seconds):
        clock.seconds += seconds
        await asyncio.sleep(0)

    fast = retry.Clock(now=clock, monotonic=lambda: clock.seconds, random=lambda: 0.5, asleep=asleep)
    refused = {"endpoint": "list", "status": 429, "retry_after": 1, "skip": 1, "times": 25}
    script = {"batches": [{"ready_s": 1}], "endpoints": [refused]}
    (tmp_path / "0.jsonl").write_text(json.dumps({"url": "https://people.example/p0-0"}) + "\n")
    inputs = match_inputs([str(tmp_path / "0.jsonl")])
    with provider_in_thread("brightdata", script, clock) as provider:
        given = {"dataset_id": "gd_1", "base_url": provider.base_url}
        description = read_provider("brightdata").with_variables(given, creates=True)
        secret = parse_secret(description.auth.secret, "--api_key")
        batches = planned("ingest-1", "brightdata", inputs, RequestLimits())
        job = Job(server, FakeProvider(), batches, inputs, replace(PACE, finds_by_key=False))
        job.provider.connect = Connect(description, secret, retry.Retry(clock=fast))
        job.taking = replace(job.taking, provider="brightdata", key_field=None)
        job.run()
        times = [request.at for request in provider.requests("list") if request.status == 429]
    assert states(job) == [("completed", "complete")]
    assert len(times) == 25
    assert all(later - earlier > 300 for earlier, later in zip(times, times[9:], strict=False))
