"""Batches at a provider through the whole job: a scripted provider, the real emulators, the command line."""

import json
import signal

import pytest

from pipeline.__main__ import main
from pipeline.exit_codes import EXIT_BATCHES_LEFT, EXIT_INTERRUPTED, EXIT_OK, EXIT_TOO_MANY_DEAD_LETTERS, EXIT_USAGE
from tests.stand_ins import comes_true
from tests.support.batches_job import JOB, PER_BATCH, flags, job_fields, ledger_of, start, write_requests
from tests.support.ingest import ingest, profile
from tests.support.provider_requests import request_line
from transforms.testing.providers import scripted_provider

pytestmark = pytest.mark.emulator


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-a-test")


def test_every_batch_is_triggered_once_and_becomes_documents_and_rows_of_the_ledger(target, tmp_path):
    with scripted_provider("openai", {}) as provider:
        run = ingest(tmp_path, target, *flags(provider, write_requests(tmp_path / "requests", 4)))
        again = ingest(tmp_path, target, *flags(provider, f"--requests={tmp_path}/requests/*.jsonl"))
        assert [batch.n_triggers for batch in provider.batches()] == [1] * 4
    assert run.exit_code == EXIT_OK
    assert len(run.full) == len(run.flat) == 4 * PER_BATCH
    assert (run.summary["read"], run.summary["written"]) == (20, 20)
    assert (again.exit_code, again.summary["unchanged"]) == (EXIT_OK, 20)
    batches = ledger_of(target)
    assert [(each.state, each.outcome, each.answers) for each in batches] == [("completed", "complete", 5)] * 4
    assert all(each.input_tokens and each.output_tokens for each in batches)
    assert {name for each in batches for name in each.profiles} == set()  # the second run wrote nothing
    fields = job_fields(target)
    assert (fields["batches_total"], fields["batches_completed"], fields["progress"]) == (4, 4, 1.0)
    assert fields["records"] == {"read": 20, "written": 0, "unchanged": 20, "superseded": 0, "dead_letters": 0}
    assert fields["tokens"]["input"] == sum(each.input_tokens for each in batches)


def test_failed_and_expired_batches_are_named_and_retried_if_asked(target, tmp_path, capsys):
    requests = write_requests(tmp_path / "requests", 3)
    script = {
        "batches": [
            {
                "custom_id": "b000-0",
                "outcome": "failed",
                "error_code": "invalid_json_line",
                "error_text": "line 3 is bad",
            },
            {"custom_id": "b001-0", "outcome": "expired", "unanswered": 0.4},
        ]
    }
    with scripted_provider("openai", script) as provider:
        run = ingest(tmp_path, target, *flags(provider, requests, "--max_dead_letter_ratio=0.9"))
        said, stored = capsys.readouterr().err, len(run.full)
        nth = {batch.custom_ids[0]: batch.ordinal for batch in provider.batches()}
        failed, expired = {"nth": nth["b000-0"], "outcome": "failed"}, {"nth": nth["b001-0"], "outcome": "expired"}
        provider.script({"batches": [failed, {**expired, "unanswered": 0.4}]})
        retried = ingest(tmp_path, target, *flags(provider, requests, "--retry_failed"))
    assert run.exit_code == EXIT_BATCHES_LEFT
    assert "invalid_json_line: line 3 is bad" in said
    assert "to resume: firebeam ingest" in said
    assert [each["code"] for each in run.dead_letters] == ["OPENAI_BATCH_EXPIRED"] * 2
    assert all(json.loads(each["record_text"])["custom_id"].startswith("b001") for each in run.dead_letters)
    assert stored == 8
    assert retried.exit_code == EXIT_OK
    assert len(retried.full) == 15
    assert retried.dead_letters == []
    assert [len(each.tries) for each in ledger_of(target)] == [2, 2, 1]


def test_what_is_not_ready_is_left_to_the_next_command(target, tmp_path, capsys):
    requests = write_requests(tmp_path / "requests", 2)
    with scripted_provider("openai", {"batches": [{"custom_id": "b000-0", "ready_s": None}]}) as provider:
        run = ingest(tmp_path, target, *flags(provider, requests, "--max_wait_s=6"))
        assert main(["batches", JOB, f"--project={target.project}"]) == EXIT_OK
        shown = capsys.readouterr().out
        assert main(["batches", JOB, f"--project={target.project}", "--cancel"]) == EXIT_OK
        assert comes_true(lambda: {"cancelled", "cancelling"} & {each.state for each in provider.batches()})
    assert run.exit_code == EXIT_BATCHES_LEFT
    assert len(run.full) == PER_BATCH
    assert "│ running" in shown


def test_batches_that_exist_are_taken_by_id(target, tmp_path):
    existing = [
        {
            "id": "batch_old",
            "requests": [request_line("openai", "a", profile(1)), request_line("openai", "b", profile(2))],
        }
    ]
    with scripted_provider("openai", {"existing": existing}) as provider:
        ids = tmp_path / "ids.txt"
        ids.write_text("batch_old\n")
        run = ingest(
            tmp_path, target, *flags(provider)[1:], f"--input=batches://openai/@{ids},batches://openai/batch_none"
        )
    assert run.exit_code == EXIT_BATCHES_LEFT
    assert "batch_none" in run.summary["error"]
    assert set(run.full) == {"cand-00001", "cand-00002"}
    assert {document["_meta"]["source"] for document in run.full.values()} == {"batches://openai/batch_old"}


def test_ctrl_c_while_waiting_ends_it_at_once_and_the_batches_go_on(target, tmp_path):
    requests = write_requests(tmp_path / "requests", 2)
    with scripted_provider("openai", {"batches": [{"ready_s": None}]}) as provider:
        process = start(target, tmp_path, *flags(provider, requests))
        assert comes_true(lambda: [each.state for each in ledger_of(target)] == ["running"] * 2, within_s=60)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == EXIT_INTERRUPTED, said
        provider.script({"batches": [{"ready_s": 0}]})
        run = ingest(tmp_path, target, *flags(provider, requests))
        assert [batch.n_triggers for batch in provider.batches()] == [1] * 2
    assert run.exit_code == EXIT_OK
    assert len(run.full) == 2 * PER_BATCH


def test_killed_while_some_are_stored_it_takes_the_others_and_triggers_none_again(target, tmp_path):
    requests = write_requests(tmp_path / "requests", 6)
    script = {"batches": [{"custom_id": f"b{n:03d}-0", "ready_s": 2 * n} for n in range(6)]}
    with scripted_provider("openai", script) as provider:
        process = start(target, tmp_path, *flags(provider, requests))
        assert comes_true(lambda: "completed" in [each.state for each in ledger_of(target)], within_s=60)
        process.kill()
        process.wait()
        run = ingest(tmp_path, target, *flags(provider, requests, "--take_over"))
        assert [batch.n_triggers for batch in provider.batches()] == [1] * 6
    assert run.exit_code == EXIT_OK
    assert len(run.full) == len(run.flat) == 6 * PER_BATCH


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--input=batches://opnai", "--requests=r/*"], "there is no provider 'opnai'; did you mean openai"),
        (["--input=batches://openai"], "needs --requests=PATTERN"),
        (["--input=batches://openai/batch_1", "--requests=r/000.jsonl"], "are taken by a command of their own"),
        (["--input=batches://openai", "--requests=none/*"], "--requests none/* matches no file"),
        (["--input=batches://openai", "--requests=broken.jsonl"], "broken.jsonl:2 is not JSON"),
        (["--input=batches://openai", "--requests=twice.jsonl"], "twice.jsonl:2 has the name of the request at"),
        (["--input=batches://openai", "--requests=r/*", "--api_key=sk-secret"], "env:NAME"),
        (["--input=batches://openai/a,batches://groq/b"], "take those of each in a run of its own"),
        (["--input=a.jsonl", "--requests=r/*"], "name it with --input=batches://PROVIDER"),
        (["--input=batches://openai", "--input=r/000.jsonl", "--requests=r/*"], "ingest each by a command of its own"),
        (["--input=batches://openai/@none.txt"], "cannot read the ids in none.txt"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(target, tmp_path, monkeypatch, capsys, wrong, message):
    monkeypatch.chdir(tmp_path)
    write_requests(tmp_path / "r", 1)
    (tmp_path / "broken.jsonl").write_text('{"custom_id": "a"}\n{"custom_id": \n')
    (tmp_path / "twice.jsonl").write_text('{"custom_id": "a"}\n{"custom_id": "a"}\n')
    run = ingest(tmp_path, target, *wrong)
    said = capsys.readouterr().err
    assert run.exit_code == EXIT_USAGE
    assert message in said
    assert "sk-secret" not in said


def test_too_many_requests_without_an_answer_are_too_many_dead_letters(target, tmp_path):
    script = {"batches": [{"outcome": "expired", "unanswered": 0.4}]}
    with scripted_provider("openai", script) as provider:
        run = ingest(tmp_path, target, *flags(provider, write_requests(tmp_path / "requests", 1)))
    assert run.exit_code == EXIT_TOO_MANY_DEAD_LETTERS
