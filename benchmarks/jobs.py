"""Runs a job in this process as a user would, and measures it."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console

from benchmarks.measure import CaseError, Meter
from pipeline.run.launch import launch


def run_job(job: ModuleType, elements: int, flags: Sequence[str]) -> tuple[Meter, dict[str, Any]]:
    """What a job cost, and its summary; dead letters go to a folder that is removed again.

    Raises:
      CaseError: it did not end with 0.
    """
    with tempfile.TemporaryDirectory() as folder:
        summary = Path(folder) / "summary.json"
        shown = io.StringIO()
        with Meter(elements) as meter:
            exit_code = launch(
                job, [f"--dead_letters={folder}/dead_letters", f"--summary={summary}", *flags], Console(file=shown)
            )
        if exit_code:
            raise CaseError(f"{job.NAME} of {elements} elements ended with {exit_code}:\n{shown.getvalue()}")
        return meter, json.loads(summary.read_text())
