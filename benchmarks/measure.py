"""Runs one case in a process of its own and measures what it cost.

    run_case("ingest", {...}) ──▶ python -m benchmarks.cases ──▶ Meter around the work itself ──▶ Sample, as JSON

A process of its own, because peak memory is a property of a process, and because nobody should profit from what another
case has warmed up. CPU is the client's alone: user and system time of all threads of the case's process, from the first
statement of the job to its end, without the imports before it. The emulators are processes of their own.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_CASE_TIMEOUT_S = 1_800.0
# Set by run_case: when the process was asked for, so that start-up includes the interpreter and the imports.
LAUNCHED_AT_VARIABLE = "BENCHMARK_LAUNCHED_AT"


class CaseError(RuntimeError):
    """A case ended without a result; the message holds the end of its output."""


@dataclass
class Sample:
    """What one run of one case cost.

    Attributes:
      elements: profiles or documents.
      wall_s, cpu_s: of the work, without imports; CPU of the client's process alone.
      peak_mb: the most memory the process ever held, imports included.
      extra: whatever else the case knows, such as Commit latencies.
    """

    elements: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def per_s(self) -> float:
        """Elements a second."""
        return self.elements / self.wall_s

    @property
    def cpu_us(self) -> float:
        """Client CPU of one element, in microseconds."""
        return self.cpu_s / self.elements * 1e6


class Meter:
    """Measures a `with` block.

    >>> with Meter(10) as meter:
    ...     _ = sum(range(1000))
    >>> meter.sample(note="done").extra
    {'note': 'done'}
    """

    def __init__(self, elements: int):
        self._elements = elements

    def __enter__(self) -> Meter:
        gc.collect()  # what the imports left behind is not the job's
        self._cpu_s, self._started = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *exception: object) -> None:
        self._wall_s = time.perf_counter() - self._started
        self._cpu_s = time.process_time() - self._cpu_s
        self.ended_at = time.time()

    def sample(self, **extra: Any) -> Sample:
        """What the block cost."""
        return Sample(self._elements, self._wall_s, self._cpu_s, peak_mb(), extra)


def peak_mb() -> float:
    """The most memory this process has held, in MB.

    Linux hands the launcher's own peak to `getrusage` of a new process, so the kernel's word on its address space comes
    first.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def run_case(name: str, arguments: Mapping[str, Any], environ: Mapping[str, str]) -> Sample:
    """Runs a case of `cases.CASES` in a process of its own.

    Raises:
      CaseError: it failed.
    """
    command = [sys.executable, "-m", "benchmarks.cases", name, json.dumps(dict(arguments))]
    launched_at = {LAUNCHED_AT_VARIABLE: repr(time.time())}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environ, **launched_at},
        capture_output=True,
        text=True,
        timeout=_CASE_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise CaseError(
            f"{name} {dict(arguments)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}"
        )
    return Sample(**json.loads(done.stdout.splitlines()[-1]))


def as_json(sample: Sample) -> str:
    """The line with which a case's process ends."""
    return json.dumps(asdict(sample))
