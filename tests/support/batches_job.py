"""Ingest from batches of a scripted provider, as a command that a test can start, kill and look at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.dockerfile import ROOT
from tests.support.ingest import profile
from tests.support.provider_requests import VARIABLES, request_line
from transforms.firestore.target import FirestoreTarget
from transforms.ledger.jobs import job_document
from transforms.ledger.provider_batches import ProviderBatch, ProviderBatches
from transforms.testing.providers import ScriptedProvider

JOB = "batches-1"
PER_BATCH = 5


def write_requests(folder: Path, n_batches: int, provider: str = "openai") -> str:
    """Files with the requests of so many batches, as a flag; they are called b000-0, …"""
    folder.mkdir(exist_ok=True)
    for n in range(n_batches):
        lines = [request_line(provider, f"b{n:03d}-{m}", profile(n * PER_BATCH + m)) for m in range(PER_BATCH)]
        (folder / f"{n:03d}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return f"--requests={folder}/*.jsonl"


def flags(provider: ScriptedProvider, *more: str, name: str = "openai") -> tuple[str, ...]:
    """To take batches of a provider, asked often."""
    variables = {**VARIABLES.get(name, {}), "base_url": provider.base_url}
    return (
        f"--input=batches://{name}",
        *(f"--provider_var={variable}={value}" for variable, value in variables.items()),
        "--key=record",
        "--min_poll_interval_s=0.1",
        "--max_poll_interval_s=0.3",
        f"--job_id={JOB}",
        *more,
    )


def ledger_of(target: FirestoreTarget) -> list[ProviderBatch]:
    """The provider's batches of the job."""
    return list(ProviderBatches(job_document(target.connect(), JOB)).all().values())


def job_fields(target: FirestoreTarget) -> dict[str, Any]:
    """The job's document; empty before there is one."""
    found = job_document(target.connect(), JOB).read()
    return dict(found.fields) if found else {}


def start(target: FirestoreTarget, folder: Path, *more: str) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "pipeline", "ingest", f"--project={target.project}", f"--dead_letters={folder}/dl"]
    return subprocess.Popen([*command, *more], cwd=ROOT, env=os.environ, stderr=subprocess.PIPE, text=True)
