"""The published document of a job: complete, bounded, and as the ledger says, whatever the ledger says."""

import datetime
import json

import pytest

from pipeline.present.page.document import job_document
from pipeline.present.page.render import file, render_job
from pipeline.present.page.shown_batches import MAX_BARS
from pipeline.present.page.timeline import MAX_POINTS
from pipeline.serve.reading import JobReader
from tests.support.page_ledgers import NOON, after, job_fields, ledger_of, own_batch, provider_batch
from transforms.errors import UsageError
from transforms.ledger.jobs import job_document as document_of
from transforms.ledger.owners import Owner
from transforms.testing import ScriptedFirestore

HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "\u202egnp.exe", "</script><b>", "x" * 10_000]


def page_of(documents, *, show_ids=False):
    with ScriptedFirestore(documents) as server:
        return job_document(JobReader(document_of(server.target.connect(), "ingest-1")).read(), show_ids=show_ids)


@pytest.mark.parametrize("n", [0, 1, 100, 10_000])
@pytest.mark.parametrize("at_provider", [True, False])
def test_every_batch_is_counted_and_no_list_is_longer_than_its_bound(n, at_provider):
    found = page_of(ledger_of(n, at_provider=at_provider))
    page = found["page"]
    batches, over = page["batches"], page["over_time"]
    assert batches["total"] == sum(batches["phases"].values()) == n
    assert len(batches["shown"]) == min(n, MAX_BARS)
    assert (batches["others"] or {"total": 0})["total"] == max(0, n - MAX_BARS)
    lists = [each for each in over.values() if isinstance(each, list)]
    assert {len(each) for each in lists} == {len(over["retries"])}
    assert 1 <= len(over["retries"]) <= MAX_POINTS
    assert page["adds_up"]
    assert sum(over["records_per_s"]) * over["width_s"] == pytest.approx(found["read"], rel=0.02, abs=1)
    assert len(json.dumps(found)) < 200_000
    assert len(file(render_job(found))) < 1_000_000


def test_batches_have_the_times_and_the_reason_that_the_ledger_has():
    documents = {
        "pipeline_jobs/ingest-1": job_fields(seen_at=after(60)),
        "pipeline_jobs/ingest-1/provider_batches/fb-1": provider_batch(0, "completed", NOON, 10),
        "pipeline_jobs/ingest-1/provider_batches/fb-2": provider_batch(1, "running", after(1), 10),
        "pipeline_jobs/ingest-1/provider_batches/fb-3": provider_batch(
            2, "failed", after(2), 10, error_code="invalid_file", error_text="no model"
        ),
        "pipeline_jobs/ingest-1/provider_batches/fb-4": provider_batch(3, "completed", after(3), 10, outcome="partial"),
    }
    shown = page_of(documents)["page"]["batches"]["shown"]
    assert [(each["key"], each["phase"], each["state"]) for each in shown] == [
        ("fb-1", "done", "completed"),
        ("fb-2", "waiting", "running"),
        ("fb-3", "failed", "failed"),
        ("fb-4", "done", "completed, partial"),
    ]
    assert [shown[0][name] for name in ("begun_at", "ready_at", "ended_at")] == [
        after(seconds).isoformat() for seconds in (0, 10, 12.3)
    ]
    assert shown[2]["error"] == "invalid_file: no model"
    assert shown[2]["ended_at"] == after(12).isoformat()


def test_latency_is_from_ready_to_stored():
    found = page_of(ledger_of(20))["page"]["latency"]
    assert (found["since"], found["p50_s"], found["p95_s"]) == ("ready", 2.3, 2.3)


def test_a_job_without_provider_batches_shows_its_own():
    documents = {
        "pipeline_jobs/ingest-1": job_fields(seen_at=after(60)),
        "pipeline_jobs/ingest-1/batches/b-0": own_batch(NOON, 4, dead=2),
        "pipeline_jobs/ingest-1/batches/b-1": {**own_batch(NOON, None), "state": "error", "error": "stopped"},
    }
    page = page_of(documents)["page"]
    assert not page["batches"]["at_provider"]
    assert [(each["phase"], each["refused"], each["error"]) for each in page["batches"]["shown"]] == [
        ("done", 2, ""),
        ("failed", 0, "stopped"),
    ]
    assert page["dead_letters"]["by"] == [{"step": "FlattenRecords", "code": "MISSING_FIELD", "count": 2}]


@pytest.mark.parametrize("state", ["failed", "interrupted"])
def test_what_is_unfinished_has_the_command_that_resumes_it(state):
    parameters = {"input": ["it's.jsonl"], "batch_size": 100, "upsert": "versioned", "spec": "profiles"}
    found = page_of({"pipeline_jobs/ingest-1": job_fields(state, parameters=parameters)})
    assert found["page"]["command"] == (
        "firebeam ingest '--input=it'\"'\"'s.jsonl' --batch_size=100 --project=demo-scripted"
    )
    assert page_of({"pipeline_jobs/ingest-1": job_fields("completed")})["page"]["command"] == ""


def test_a_run_whose_owner_is_dead_is_interrupted_and_says_when_it_was_last_heard_of():
    fields = job_fields("running", owner=Owner("elsewhere", 1), seen_at=NOON)
    found = page_of({"pipeline_jobs/ingest-1": fields})
    assert found["state"] == "interrupted"
    assert found["page"]["sentence"].startswith("interrupted")
    assert "interrupted" in file(render_job(found))


def test_dead_letters_have_the_commands_that_replay_them():
    commands = page_of(ledger_of(20))["page"]["dead_letters"]["commands"]
    assert commands["retryable"] == (
        "firebeam replay --kind=retryable --dead_letters=gs://my-bucket/dead_letters --from_job=ingest-1 "
        "--project=demo-scripted"
    )


def test_dead_letters_that_another_try_may_store_are_counted_apart():
    documents = ledger_of(20)
    documents["pipeline_jobs/ingest-1/batches/fb-000004"]["retryable"] = 2
    found = page_of(documents)
    assert found["page"]["dead_letters"]["retryable"] == 2
    assert "6 in all: 2 retryable, 4 permanent" in file(render_job(found))
    assert found["page"]["counters"]["aside"] == [{"label": "retries", "n": 2, "unit": "requests"}]


def test_results_of_a_job_are_shown_without_what_is_for_its_next_run():
    results = {"rows": 7, "cursors": {"users": NOON}, "_next": 3, "list": ["a"], "attempt": 1, "expire_at": NOON}
    documents = {
        "pipeline_jobs/ingest-1": job_fields(job="export"),
        "pipeline_jobs/ingest-1/results/1": results,
    }
    found = page_of(documents)
    assert found["page"]["results"] == {"rows": 7, "cursors.users": NOON.isoformat()}
    assert "Results" in file(render_job(found))


@pytest.mark.parametrize("show_ids", [True, False])
def test_ids_of_documents_are_shown_only_to_those_who_ask_for_them(show_ids):
    found = page_of(ledger_of(3), show_ids=show_ids)
    assert ("ada@example.org" in json.dumps(found)) is show_ids
    assert ("ada@example.org" in file(render_job(found))) is show_ids


@pytest.mark.parametrize("text", HOSTILE, ids=["script", "attribute", "right to left", "end of script", "10 KB"])
def test_texts_of_the_ledger_are_texts(text):
    documents = ledger_of(3, error=text, state="failed")
    documents["pipeline_jobs/ingest-1"]["parameters"]["dead_letters"] = text
    for number, key in enumerate(["fb-000000", "fb-000001"]):
        wrong = {"error_code": text, "error_text": text, "remote_id": text}
        documents[f"pipeline_jobs/ingest-1/provider_batches/{key}"] = provider_batch(number, "failed", NOON, 1, **wrong)
    html = file(render_job(page_of(documents)))
    plain = file(render_job(page_of(ledger_of(3, error="plain", state="failed"))))
    assert html.count("<script") == plain.count("<script")
    assert html.count("</script") == plain.count("</script")
    assert "<img" not in html
    assert "onerror=alert(1)>" not in html.replace("&gt;", "")
    assert len(html) < 1_000_000


def test_a_job_that_this_version_does_not_know_is_shown_all_the_same():
    found = page_of({"pipeline_jobs/ingest-1": job_fields(job="levitate", error=None)})
    assert found["job"] == "levitate"
    assert found["page"]["command"] == ""


def test_a_job_that_there_is_not_is_said():
    with pytest.raises(UsageError, match="there is no job ingest-1 in"):
        page_of({})


def test_the_last_days_of_a_long_run_are_in_bins_of_hours():
    fields = job_fields(started_at=NOON - datetime.timedelta(days=30), seen_at=NOON)
    over = page_of({"pipeline_jobs/ingest-1": fields})["page"]["over_time"]
    assert over["width_s"] == 86_400
    assert len(over["records_per_s"]) == 31


def test_an_analysis_says_what_it_asked_and_what_that_cost_beside_its_limit():
    asked = {
        "analyses_asked": 400,
        "analyses_cached": 100,
        "analysis_input_tokens": 40_000,
        "analysis_cached_tokens": 10_000,
        "analysis_output_tokens": 9_000,
        "analysis_cost": 1_250_000_000_000,
    }
    parameters = {"input": ["a.jsonl"], "analyse": "openai/gpt-5-mini", "max_spend_usd": 20.0}
    documents = {
        "pipeline_jobs/ingest-1": job_fields(seen_at=after(60), parameters=parameters),
        "pipeline_jobs/ingest-1/batches/b-0": own_batch(NOON, 4, **asked),
        "pipeline_jobs/ingest-1/batches/b-1": own_batch(after(9), 4, **asked),
    }
    found = page_of(documents)
    page = found["page"]
    assert page["spent"] == {
        "input_tokens": 80_000,
        "output_tokens": 18_000,
        "analysis_input_tokens": 80_000,
        "cached_tokens": 20_000,
        "asked": 800,
        "stored": 200,
        "cost_usd": 2.5,
        "max_spend_usd": 20.0,
    }
    assert (page["over_time"]["cost_usd"][0], page["over_time"]["cost_usd"][-1]) == (0.0, 2.5)
    assert page["counters"]["aside"] == []
    html = file(render_job(found))
    assert "2.50 USD spent, of at most 20.00 USD" in html
    assert "25 % of their tokens came from the provider" in html


@pytest.mark.parametrize(("at_provider", "is_none"), [(True, False), (False, True)])
def test_jobs_that_ask_nobody_say_nothing_of_tokens(at_provider, is_none):
    found = page_of(ledger_of(5, at_provider=at_provider))
    assert (found["page"]["spent"] is None) is is_none
    assert ("Tokens and cost" not in file(render_job(found))) is is_none


def test_a_job_at_a_provider_is_one_before_its_first_batch():
    page = page_of(ledger_of(0))["page"]
    assert (page["batches"]["at_provider"], page["latency"]["since"]) == (True, "ready")
