"""Every shipped provider through the whole job: requests sent, results stored, what is missing accounted for."""

import json

import pytest

from pipeline.exit_codes import EXIT_OK
from pipeline.providers import read_provider
from tests.support.ingest import ingest, profile
from tests.support.provider_requests import SCRAPERS, VARIABLES, name_in_script, request_line
from transforms.ledger.jobs import job_document
from transforms.ledger.provider_batches import ProviderBatches
from transforms.testing.providers import PROVIDERS, scripted_provider

pytestmark = pytest.mark.emulator

JOB = "providers-1"
N = 10
# Two fifths of the requests of the second batch have no answer, as the provider says it.
PARTIAL = {"outcome": "expired", "unanswered": 0.4}
# Those of Bright Data have no word for it; of one that has expired Gemini has nothing, so that it has failed.
HOW = {"brightdata": {"missing": 4}, "gemini": {"missing": 4}, "vertex": {"outcome": "partial", "unanswered": 0.4}}
CODES = {"anthropic": "ANTHROPIC_EXPIRED", **dict.fromkeys(("gemini", "vertex", "mistral"), "MISSING_RESULT")}


@pytest.fixture(params=PROVIDERS)
def name(request, monkeypatch):
    auth = read_provider(request.param).auth
    if not auth.is_google:
        monkeypatch.setenv(auth.secret.removeprefix("env:"), "key-of-a-test")
    return request.param


def flags(name, provider, folder):
    variables = {**VARIABLES.get(name, {}), "base_url": provider.base_url}
    if name == "vertex":
        variables["storage"] = str(folder / "storage")
    return (
        *(f"--provider_var={variable}={value}" for variable, value in variables.items()),
        "--key=record",
        f"--job_id={JOB}",
        "--min_poll_interval_s=0.1",
        "--max_poll_interval_s=0.3",
        "--max_dead_letter_ratio=1",
    )


def ledger_of(target):
    return list(ProviderBatches(job_document(target.connect(), JOB)).all().values())


def test_what_a_provider_has_is_stored_and_what_it_lacks_is_accounted_for(name, target, tmp_path):
    requests = tmp_path / "requests"
    requests.mkdir()
    for n in range(2):
        lines = [request_line(name, f"b{n}-{m}", profile(n * N + m)) for m in range(N)]
        (requests / f"{n}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    how = HOW.get(name, PARTIAL)
    script = {"batches": [{"custom_id": name_in_script(name, "b1-0"), **how}]}
    # Where requests have no names nobody can say which of them is missing.
    missing = [] if name in SCRAPERS else [CODES.get(name, "OPENAI_BATCH_EXPIRED")] * 4
    with scripted_provider(name, script) as provider:
        ours = flags(name, provider, tmp_path)
        run = ingest(tmp_path, target, f"--input=batches://{name}", f"--requests={requests}/*.jsonl", *ours)
        assert [each.n_triggers for each in provider.batches()] == [1, 1]
        again = ingest(tmp_path, target, f"--input=batches://{name}", f"--requests={requests}/*.jsonl", *ours)
        assert len(provider.batches()) == 2
        ids = [batch.remote_id for batch in ledger_of(target)]
        taken = ingest(tmp_path / "taken", target, f"--input=batches://{name}/{ids[0]}", *ours, "--job_id=other")
    assert (run.exit_code, run.summary.get("error")) == (EXIT_OK, None)
    assert len(run.full) == len(run.flat) == N + 6
    assert [each["code"] for each in run.dead_letters] == missing
    asked = [json.loads(each["record_text"]) for each in run.dead_letters]
    assert asked == [request_line(name, f"b1-{m}", profile(N + m)) for m in range(6, N)][: len(missing)]
    requests_of = {what: run.summary["results"][f"requests_{what}"] for what in ("sent", "answered", "missing")}
    assert requests_of == {"sent": 2 * N, "answered": 0 if name in SCRAPERS else N + 6, "missing": len(missing)}
    batches = ledger_of(target)
    outcome = "complete" if name == "brightdata" else "partial"
    assert [(each.state, each.outcome) for each in batches] == [("completed", "complete"), ("completed", outcome)]
    assert (batches[0].input_tokens is None) == (name in SCRAPERS)
    assert again.summary["unchanged"] == N + 6
    assert (taken.exit_code, taken.summary["unchanged"]) == (EXIT_OK, N)
