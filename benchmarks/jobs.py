"""Runs a job in this process as a user would, and measures it."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.measure import CaseError, Meter
from pipeline.run.flags import parse
from pipeline.run.job import C, Job, P
from pipeline.run.start import start


def run_job(job: Job[C, P], elements: int, flags: Sequence[str]) -> tuple[Meter, dict[str, Any]]:
    """What a job cost, and its summary; dead letters go to a folder that is removed again.

    Raises:
      CaseError: it did not end with 0.
    """
    with tempfile.TemporaryDirectory() as folder:
        summary = Path(folder) / "summary.json"
        shown = io.StringIO()
        own = [f"--dead_letters={folder}/dead_letters", f"--summary={summary}"]
        with Meter(elements) as meter:
            config, rest = parse(job.usage, [*own, *flags])
            exit_code = start(job, config, rest, "the same again", Console(file=shown), os.environ)
        if exit_code:
            raise CaseError(f"{job.name} of {elements} elements ended with {exit_code}:\n{shown.getvalue()}")
        return meter, json.loads(summary.read_text())
