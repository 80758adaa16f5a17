"""A hundred batches at a provider: three fail, two expire in part, and the process is killed at twenty moments."""

import random

import pytest

from tests.stand_ins import comes_true
from tests.support.batches_job import PER_BATCH, flags, ledger_of, start, write_requests
from tests.support.ingest import ingest
from transforms.testing.providers import scripted_provider

pytestmark = [pytest.mark.soak, pytest.mark.emulator]

N_BATCHES, N_KILLS = 100, 20
FAILING, EXPIRING = (7, 41, 73), (20, 60)


def script():
    slow = ({"custom_id": f"b{n:03d}-0", "ready_s": 1 + n % 30} for n in range(N_BATCHES))
    failing = ({"custom_id": f"b{n:03d}-0", "outcome": "failed"} for n in FAILING)
    expiring = ({"custom_id": f"b{n:03d}-0", "outcome": "expired", "unanswered": 0.4} for n in EXPIRING)
    return {"batches": [*slow, *failing, *expiring]}


def test_whatever_is_killed_each_batch_is_triggered_once_and_every_request_is_accounted_for(
    target, tmp_path, monkeypatch
):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-a-test")
    chance = random.Random(0)
    requests = write_requests(tmp_path / "requests", N_BATCHES)
    with scripted_provider("openai", script()) as provider:
        arguments = flags(provider, requests, "--take_over", "--max_dead_letter_ratio=1")
        for _ in range(N_KILLS):
            process = start(target, tmp_path, *arguments)
            comes_true(lambda process=process: process.poll() is not None, within_s=4 + 6 * chance.random())
            process.kill()
            process.communicate()
        run = ingest(tmp_path, target, *arguments)
        batches = provider.batches()
        assert [batch.n_triggers for batch in batches] == [1] * N_BATCHES
        failed = [each for each in ledger_of(target) if each.state == "failed"]
        assert len(failed) == len(FAILING)
        assert len(run.full) == len(run.flat) == (N_BATCHES - len(FAILING)) * PER_BATCH - 2 * len(EXPIRING)
        assert run.summary["dead_letters"] == 2 * len(EXPIRING)
        known = {batch.ordinal: batch.custom_ids[0] for batch in batches}
        ends = {entry["custom_id"]: entry for entry in script()["batches"]}
        provider.script({"batches": [{**ends[name], "custom_id": None, "nth": n} for n, name in known.items()]})
        retried = ingest(tmp_path, target, *arguments, "--retry_failed")
        assert len(provider.batches()) == N_BATCHES + len(FAILING) + len(EXPIRING)
    assert len(retried.full) == N_BATCHES * PER_BATCH
    assert (retried.exit_code, retried.summary["dead_letters"]) == (0, 0)
