"""The part of the demo about providers: eight batches, one slow, one failing, and a model asked about each record.

    samples ─▶ requests, 8 files ─▶ firebeam ingest --input=batches://openai ─▶ 7 of 8 stored, each as it was ready
                                    the same command with --retry_failed      ─▶ the eighth

The provider is a process of this computer that speaks OpenAI's APIs: it answers each request of a batch with the
profile that it holds, and each question with something that fits the schema. Nothing leaves the computer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pipeline.demos.commands import run_command
from pipeline.demos.emulators import PROJECT
from pipeline.exit_codes import EXIT_INTERRUPTED
from pipeline.present.batches import batches_table
from pipeline.present.terminal import Console, say, show
from pipeline.specs import SPECS
from transforms.firestore.target import FirestoreTarget
from transforms.ledger.jobs import job_document
from transforms.ledger.provider_batches import ProviderBatches
from transforms.testing.providers import scripted_provider

_JOB_ID = "demo-batches"
_BATCHES, _PER_BATCH = 8, 10
_SLOW, _FAILING = 2, 5
_MODEL = "openai/gpt-5-mini"
_PRICES = f"""\
  prices:
    {_MODEL}: {{input: 0.25, cached_input: 0.025, output: 2}}
"""
_SCRIPT = {
    "batches": [
        *({"custom_id": f"{n}-0", "ready_s": 1.0 + 0.5 * n} for n in range(_BATCHES)),
        {"custom_id": f"{_SLOW}-0", "ready_s": 8.0},
        {
            "custom_id": f"{_FAILING}-0",
            "outcome": "failed",
            "error_code": "server_error",
            "error_text": "the batch could not be processed",
        },
    ]
}


def play_batches(samples: Path, folder: Path, console: Console) -> int:
    """Runs ingest on the scripted batches, twice; returns the exit code of the second.

    Args:
      samples: profiles as JSON Lines.
      folder: for requests and dead letters.
    """
    say(console)
    say(
        console,
        f"{_BATCHES} batches at a provider, one slow, one failing: each is stored as soon as it is ready, and a model "
        "is asked about each profile",
        "bold",
    )
    write_requests(samples, folder)
    spec = folder / "profiles.yaml"
    spec.write_text(SPECS.read("profiles").text + _PRICES, encoding="utf-8")
    os.environ["OPENAI_API_KEY"] = "sk-of-the-demo"
    with scripted_provider("openai", _SCRIPT) as provider:
        flags = [
            "--input=batches://openai",
            f"--requests={folder}/requests/*.jsonl",
            f"--provider_var=base_url={provider.base_url}",
            "--key=record",
            f"--spec={spec}",
            f"--analyse={_MODEL}",
            f"--analyse_url={provider.base_url}",
            "--analyse_api_key=env:OPENAI_API_KEY",
            f"--project={PROJECT}",
            f"--dead_letters={folder}/dead_letters",
            f"--job_id={_JOB_ID}",
            "--min_poll_interval_s=0.5",
        ]
        exit_code = _ingest(flags, console)
        if exit_code == EXIT_INTERRUPTED:
            return exit_code
        provider.script({"batches": [{"ready_s": 0.5}]})
        return _ingest([*flags, "--retry_failed"], console)


def write_requests(samples: Path, folder: Path) -> None:
    """Writes one file of requests per batch."""
    requests = folder / "requests"
    requests.mkdir(parents=True)
    with samples.open(encoding="utf-8") as lines:
        for n in range(_BATCHES):
            text = "".join(_requests(n, islice(lines, _PER_BATCH)))
            (requests / f"{n}.jsonl").write_text(text, encoding="utf-8")


def _requests(batch: int, profiles: Iterator[str]) -> Iterator[str]:
    for n, profile in enumerate(profiles):
        messages = [{"role": "user", "content": profile.strip()}]
        body = {"model": "gpt-5-mini", "messages": messages}
        request = {"custom_id": f"{batch}-{n}", "method": "POST", "url": "/v1/chat/completions", "body": body}
        yield json.dumps(request) + "\n"


def _ingest(flags: list[str], console: Console) -> int:
    exit_code = run_command("ingest", flags, console)
    database = FirestoreTarget(PROJECT, emulator_host=os.environ["FIRESTORE_EMULATOR_HOST"])
    document = job_document(database.connect(), _JOB_ID)
    show(console, batches_table(_JOB_ID, list(ProviderBatches(document).all().values()), document.now()))
    return exit_code
