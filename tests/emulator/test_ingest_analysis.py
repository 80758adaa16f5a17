"""A model is asked about each record of ingest: a scripted provider, the real emulator, the command line."""

import json
import os
import re
import subprocess
import sys

import pytest

from pipeline.exit_codes import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from tests.emulator.test_demo import ROOT
from tests.stand_ins import comes_true
from tests.support.documents import read_collection
from tests.support.ingest import ingest, profile
from transforms.testing.providers import scripted_provider

pytestmark = pytest.mark.emulator

SPEC = """
name: people
schema_version: 1
full_collection: people_full
flat_collection: people
key: {name: candidate_id, from: candidate_id}
fields:
  name: {type: string, from: name}
  level: {type: string, from: model_analysis.level}
analysis:
  into: model_analysis
  fields: {role: current_position.title, company: current_position.company, n: number}
  instructions: Say how senior the person is.
  schema:
    type: object
    additionalProperties: false
    required: [level]
    properties: {level: {type: string}}
  max_output_tokens: 50
  prices: {openai/m: {input: 0.25, output: 2}}
"""


@pytest.fixture
def people(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-a-test")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "people.yaml").write_text(SPEC)
    return tmp_path


def write(folder, n):
    lines = (json.dumps(profile(i, number=i)) for i in range(n))
    (folder / "people.jsonl").write_text("\n".join(lines) + "\n")


def flags(provider, *more):
    own = ["--input=people.jsonl", "--spec=people.yaml", "--analyse=openai/m", "--job_id=analysis-1", "--batch_size=20"]
    return (*own, f"--analyse_url={provider.base_url}", "--analyse_api_key=env:OPENAI_API_KEY", *more)


def documents(target):
    return read_collection(target, "people_full"), read_collection(target, "people")


def test_answers_are_stored_with_their_records_and_a_second_run_asks_nobody(people, target):
    write(people, 60)
    with scripted_provider("openai", {}) as provider:
        run = ingest(people, target, *flags(provider))
        asked = len(provider.requests("chat"))
        again = ingest(people, target, *flags(provider))
        assert len(provider.requests("chat")) == asked == 60
    full, flat = documents(target)
    assert (run.exit_code, len(full), len(flat)) == (EXIT_OK, 60, 60)
    assert all(document["model_analysis"]["level"] for document in full.values())
    assert all(flat[key]["level"] == full[key]["model_analysis"]["level"] for key in full)
    assert (run.summary["analyses_asked"], again.summary["unchanged"], again.summary["analyses_cached"]) == (60, 60, 60)
    assert not again.summary.get("analyses_asked")
    tokens = run.summary["analysis_input_tokens"], run.summary["analysis_output_tokens"]
    assert all(tokens)
    cost = (tokens[0] * 0.25 + tokens[1] * 2) / 1_000_000
    assert float(run.summary["analysis_cost"]) == pytest.approx(cost)


def test_an_estimate_sends_and_writes_nothing(people, target, capsys):
    write(people, 30)
    with scripted_provider("openai", {}) as provider:
        assert ingest(people, target, *flags(provider, "--estimate")).exit_code == EXIT_OK
        assert provider.requests() == []
    assert "by length" in capsys.readouterr().err
    assert documents(target) == ({}, {})


def test_an_estimate_by_stored_answers_is_within_15_percent_of_what_it_takes(people, target, capsys):
    write(people, 10)
    with scripted_provider("openai", {}) as provider:
        ingest(people, target, *flags(provider))
        write(people, 80)
        capsys.readouterr()
        ingest(people, target, *flags(provider, "--estimate"))
        shown = capsys.readouterr().err
        run = ingest(people, target, *flags(provider))
    estimated = int(re.search(r"input tokens, about +│ +([\d,]+) │", shown)[1].replace(",", ""))
    assert "by 10 stored answers" in shown
    assert estimated == pytest.approx(run.summary["analysis_input_tokens"], rel=0.15)


def test_killed_and_run_again_no_question_is_paid_twice_but_those_in_flight(people, target):
    write(people, 200)
    with scripted_provider("openai", {"endpoints": [{"endpoint": "chat", "delay_s": 0.05, "times": None}]}) as provider:
        command = [sys.executable, "-m", "pipeline", "ingest", f"--project={target.project}", "--dead_letters=dl"]
        process = subprocess.Popen(
            [*command, *flags(provider, "--analyse_concurrency=4")],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.DEVNULL,
        )
        assert comes_true(lambda: len(provider.requests("chat")) > 60, within_s=60)
        process.kill()
        process.wait()
        run = ingest(people, target, *flags(provider, "--take_over"))
        assert 200 <= len(provider.requests("chat")) <= 204
    assert (run.exit_code, len(documents(target)[0])) == (EXIT_OK, 200)


def test_the_bill_stays_below_its_limit(people, target, capsys):
    write(people, 40)
    with scripted_provider("openai", {}) as provider:
        run = ingest(people, target, *flags(provider, "--max_spend_usd=0.0006"))
        said = capsys.readouterr().err
        spent = float(run.summary.get("analysis_cost", 0))
    assert run.exit_code == EXIT_FAILED
    assert "would pass --max_spend_usd=0.0006" in said
    assert spent <= 0.0006


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--analyse=openai"], "--analyse must be PROVIDER/MODEL"),
        (["--analyse=opnai/m"], "there is no provider 'opnai'"),
        (["--analyse=brightdata/m"], "brightdata has no chat"),
        (["--spec=student_records"], "does not say what to ask a model"),
        (["--analyse=openai/other", "--max_spend_usd=1"], "--max_spend_usd needs the price of openai/other"),
        (["--max_spend_usd=1", "--direct_num_workers=2"], "counts in one worker"),
        (["--analyse_api_key=sk-secret"], "env:NAME"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_asked(people, target, capsys, more, message):
    write(people, 1)
    names = {flag.partition("=")[0] for flag in more}
    usual = ("--input=people.jsonl", "--spec=people.yaml", "--analyse=openai/m")
    own = [flag for flag in usual if flag.partition("=")[0] not in names]
    run = ingest(people, target, *own, *more)
    said = capsys.readouterr().err
    assert run.exit_code == EXIT_USAGE
    assert message in said
    assert "sk-secret" not in said


def test_a_wrong_key_stops_the_job_and_says_what_to_fix(people, target, capsys):
    write(people, 3)
    script = {"endpoints": [{"endpoint": "chat", "status": 401, "times": None}]}
    with scripted_provider("openai", script) as provider:
        run = ingest(people, target, *flags(provider))
        said = capsys.readouterr().err
        without = [flag for flag in flags(provider) if not flag.startswith("--analyse_api_key")]
        other = ingest(people, target, *without)
    assert (run.exit_code, other.exit_code) == (EXIT_FAILED, EXIT_FAILED)
    assert "OPENAI_API_KEY" in said
    assert re.search(r"none was sent to \S+; pass --analyse_api_key=env:NAME", capsys.readouterr().err)
