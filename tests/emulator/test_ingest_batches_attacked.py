"""Ingest from batches while something goes wrong: at the provider, with the key, or because of somebody else."""

import itertools
import signal

import pytest

from pipeline.exit_codes import EXIT_BATCHES_LEFT, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE
from tests.stand_ins import comes_true
from tests.support.batches_job import PER_BATCH, flags, job_fields, ledger_of, start, write_requests
from tests.support.ingest import ingest, profile
from tests.support.provider_client import ProviderClient
from transforms.testing.providers import scripted_provider

pytestmark = pytest.mark.emulator

KEYLESS = ("anthropic", "brightdata", "apify")
WAITING = {"batches": [{"nth": 0, "ready_s": 0.2}, {"nth": 1, "ready_s": None}]}


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "BRIGHTDATA_API_KEY", "APIFY_TOKEN"):
        monkeypatch.setenv(name, "key-of-a-test")


@pytest.mark.parametrize("name", KEYLESS)
def test_without_keys_a_batch_whose_answer_was_lost_is_found_and_none_is_created_twice(name, target, tmp_path):
    requests = write_requests(tmp_path / "requests", 3, name)
    with scripted_provider(name, {"endpoints": [{"endpoint": "create", "lost": "after", "skip": 1}]}) as provider:
        run = ingest(tmp_path, target, *flags(provider, requests, name=name))
        assert [batch.n_triggers for batch in provider.batches()] == [1] * 3
    assert run.exit_code == EXIT_OK
    assert len(run.full) == 3 * PER_BATCH


@pytest.mark.parametrize("name", KEYLESS)
def test_without_keys_a_batch_is_found_although_the_process_was_killed_before_its_answer(name, target, tmp_path):
    requests = write_requests(tmp_path / "requests", 2, name)
    lost, slow = {"endpoint": "create", "lost": "after"}, {"endpoint": "list", "delay_s": 30}
    with scripted_provider(name, {"endpoints": [lost, slow]}) as provider:
        process = start(target, tmp_path, *flags(provider, requests, name=name))
        assert comes_true(lambda: provider.batches(), within_s=60)
        process.kill()
        process.communicate()
        assert [each.state for each in ledger_of(target)].count("triggering") == 1
        provider.script({"endpoints": []})
        run = ingest(tmp_path, target, *flags(provider, requests, "--take_over", name=name))
        assert [batch.n_triggers for batch in provider.batches()] == [1] * 2
    assert run.exit_code == EXIT_OK
    assert len(run.full) == 2 * PER_BATCH


def test_a_wrong_key_stops_the_job_and_says_what_to_fix(target, tmp_path, capsys):
    requests = write_requests(tmp_path / "requests", 2)
    with scripted_provider("openai", {"api_key": "another"}) as provider:
        run = ingest(tmp_path, target, *flags(provider, requests))
        said = capsys.readouterr().err
        assert [each.state for each in ledger_of(target)] == ["planned"] * 2  # nobody has to look for them
        provider.script({"api_key": "key-of-a-test"})
        again = ingest(tmp_path, target, *flags(provider, requests))
    assert run.exit_code == EXIT_FAILED
    assert "openai does not accept the key" in said
    assert "check env:OPENAI_API_KEY, or pass another --api_key" in said
    assert "key-of-a-test" not in said
    assert (again.exit_code, len(again.full)) == (EXIT_OK, 2 * PER_BATCH)


def test_a_batch_that_somebody_cancels_gives_what_it_has(target, tmp_path):
    requests = write_requests(tmp_path / "requests", 2)
    with scripted_provider("openai", {"batches": [{"nth": 1, "ready_s": None, "unanswered": 0.4}]}) as provider:
        process = start(target, tmp_path, *flags(provider, requests, "--max_dead_letter_ratio=1"))
        assert comes_true(lambda: [each.state for each in ledger_of(target)].count("running") == 1, within_s=60)
        assert comes_true(lambda: "completed" in [each.state for each in ledger_of(target)], within_s=60)
        (running,) = (each for each in ledger_of(target) if each.state == "running")
        ProviderClient(provider.base_url).post(f"/batches/{running.remote_id}/cancel", {})
        _, said = process.communicate(timeout=60)
    assert process.returncode == EXIT_OK, said
    (cancelled,) = (each for each in ledger_of(target) if each.outcome == "partial")
    assert (cancelled.state, cancelled.answers, cancelled.missing) == ("completed", 3, 2)


def test_results_that_are_gone_are_named_and_taken_when_they_are_back(target, tmp_path):
    requests = write_requests(tmp_path / "requests", 2)
    with scripted_provider("openai", {"endpoints": [{"endpoint": "download", "status": 404}]}) as provider:
        run = ingest(tmp_path, target, *flags(provider, requests))
        again = ingest(tmp_path, target, *flags(provider, requests))
        assert [batch.n_triggers for batch in provider.batches()] == [1] * 2
    assert run.exit_code == EXIT_BATCHES_LEFT
    assert "RESULTS_GONE" in run.summary["error"]
    assert len(run.full) in (PER_BATCH, 2 * PER_BATCH)
    assert (again.exit_code, len(again.full)) == (EXIT_OK, 2 * PER_BATCH)


def test_requests_that_change_under_an_unfinished_job_are_refused(target, tmp_path, capsys):
    requests = write_requests(tmp_path / "requests", 2)
    with scripted_provider("openai", WAITING) as provider:
        ours = flags(provider, requests, "--max_wait_s=0")
        ingest(tmp_path, target, *ours)
        ingest(tmp_path, target, *ours)
        file = tmp_path / "requests" / "001.jsonl"
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:2]))
        changed = ingest(tmp_path, target, *ours)
        said = capsys.readouterr().err
        assert len(provider.batches()) == 2
        provider.script({"batches": [{"ready_s": 0}]})
        restarted = ingest(tmp_path, target, *flags(provider, requests, "--restart"))
        assert len(provider.batches()) == 3
    assert changed.exit_code == EXIT_USAGE
    assert "the input changed since it began" in " ".join(said.split())
    assert restarted.exit_code == EXIT_OK
    assert restarted.summary["results"]["provider_batches"] == 2
    assert (job_fields(target)["batches_total"], job_fields(target)["progress"]) == (2, 1.0)


def test_rows_and_ledger_show_what_is_finished_while_others_are_waited_for(target, table, tmp_path):
    """The second command at the same time is refused; Ctrl-C ends the first one."""
    requests = write_requests(tmp_path / "requests", 2)
    with scripted_provider("openai", WAITING) as provider:
        ours = flags(provider, requests, f"--bigquery_table={table.id}")
        process = start(target, tmp_path, *ours)
        assert comes_true(lambda: "completed" in [each.state for each in ledger_of(target)], within_s=60)
        rows = list(table.client().query(f"SELECT candidate_id FROM `{table.id}`").result())
        assert len(rows) == PER_BATCH
        assert comes_true(lambda: job_fields(target).get("records", {}).get("written") == PER_BATCH)
        assert comes_true(lambda: job_fields(target).get("batches_completed") == 1)
        fields = job_fields(target)
        assert (fields["batches_total"], fields["batches_waiting"], fields["records"]["written"]) == (2, 1, PER_BATCH)
        assert ingest(tmp_path, target, *ours).exit_code == EXIT_USAGE
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == EXIT_INTERRUPTED, said


@pytest.mark.parametrize(
    "more", [("--direct_running_mode=multi_threading",), ("--direct_running_mode=multi_processing",)]
)
def test_with_two_workers_every_batch_is_triggered_and_stored_once(target, tmp_path, more):
    requests = write_requests(tmp_path / "requests", 4)
    with scripted_provider("openai", {"batches": [{"nth": 0, "ready_s": 3}]}) as provider:
        run = ingest(tmp_path, target, *flags(provider, requests, "--direct_num_workers=2", *more))
        assert [batch.n_triggers for batch in provider.batches()] == [1] * 4
    assert run.exit_code == EXIT_OK
    assert (run.summary["written"], len(run.full)) == (4 * PER_BATCH, 4 * PER_BATCH)


@pytest.mark.parametrize("batch_size", [2, 5_000])
def test_batches_of_the_job_may_be_smaller_or_larger_than_those_of_the_provider(target, tmp_path, batch_size):
    requests = write_requests(tmp_path / "requests", 2)
    with scripted_provider("openai", {"batches": [{"outcome": "expired", "unanswered": 0.6}]}) as provider:
        ours = flags(provider, requests, f"--batch_size={batch_size}", "--max_dead_letter_ratio=1")
        run = ingest(tmp_path, target, *ours)
        provider.script({"batches": [{"nth": [0, 1], "outcome": "expired", "unanswered": 0.6}]})
        retried = ingest(tmp_path, target, *ours, "--retry_failed")
    assert (run.exit_code, run.summary["written"], run.summary["dead_letters"]) == (EXIT_OK, 4, 6)
    assert (retried.exit_code, len(retried.full), retried.dead_letters) == (EXIT_OK, 2 * PER_BATCH, [])


def test_a_client_that_listens_to_the_document_of_a_job_sees_its_counters_grow(target, tmp_path):
    from google.cloud import firestore

    requests = write_requests(tmp_path / "requests", 4)
    seen = []
    document = firestore.Client(project=target.project).document("pipeline_jobs/batches-1")
    watch = document.on_snapshot(lambda found, changes, read_time: seen.extend(each.to_dict() or {} for each in found))
    try:
        with scripted_provider("openai", {"batches": [{"nth": n, "ready_s": 2 * n} for n in range(4)]}) as provider:
            assert ingest(tmp_path, target, *flags(provider, requests)).exit_code == EXIT_OK
        assert comes_true(lambda: bool(seen) and seen[-1].get("state") == "completed")
    finally:
        watch.unsubscribe()
    live = [each for each in seen if each.get("batches_total")]
    completed = [each["batches_completed"] for each in live]
    assert completed == sorted(completed)
    assert {1, 2, 3} & set(completed)
    assert completed[-1] == 4
    assert all(each["batches_waiting"] + each["batches_processing"] + each["batches_completed"] == 4 for each in live)
    written = [each["records"]["written"] for each in live]
    assert written == sorted(written)
    last = live[-1]
    assert (last["progress"], last["records"]["written"]) == (1.0, 4 * PER_BATCH)
    assert set(last["profiles"]) == {profile(n)["candidate_id"] for n in range(4 * PER_BATCH)}
    times = sorted({each["updated_at"] for each in live[:-1]})
    assert all((later - earlier).total_seconds() >= 0.9 for earlier, later in itertools.pairwise(times))
