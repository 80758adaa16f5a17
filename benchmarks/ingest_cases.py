"""The ingest job as a user runs it: flags to plan, plan to graph, FnApiRunner, ledger, summary."""

from __future__ import annotations

import os
import statistics

from benchmarks.commit_times import COMMIT_S, FIRST_ANSWER, watch_commits
from benchmarks.jobs import run_job
from benchmarks.measure import LAUNCHED_AT_VARIABLE, CaseError, Sample
from pipeline.jobs.ingest import JOB


def ingest(
    path: str,
    profiles: int,
    project: str,
    *,
    batch_size: int = 500,
    max_in_flight: int = 3,
    bigquery_table: str | None = None,
    written: int | None = None,
) -> Sample:
    """Ingests a file of profiles.

    Args:
      written: how many of them must be written, 0 for a run on unchanged input; all when absent.
    """
    watch_commits()
    flags = [
        f"--input={path}",
        f"--project={project}",
        f"--batch_size={batch_size}",
        f"--max_in_flight={max_in_flight}",
        *([f"--bigquery_table={bigquery_table}"] if bigquery_table else []),
    ]
    meter, summary = run_job(JOB, profiles, flags)
    expected = profiles if written is None else written
    if (summary["read"], summary["written"], summary["dead_letters"]) != (profiles, expected, 0):
        raise CaseError(f"ingest of {profiles} profiles should have written {expected}: {summary}")
    launched_at = float(os.environ[LAUNCHED_AT_VARIABLE])
    return meter.sample(
        first_result_s=summary["first_result_s"],
        first_write_s=round(FIRST_ANSWER[0] - launched_at, 3) if FIRST_ANSWER else None,
        latency_ms=_quantiles(COMMIT_S),
        retries=summary["retries"],
    )


def _quantiles(seconds: list[float]) -> dict[str, float]:
    """p50 and p99, in milliseconds.

    >>> _quantiles([0.010, 0.020, 0.030])
    {'p50': 20.0, 'p99': 30.0}
    """
    if not seconds:
        return {}
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {"p50": round(statistics.median(ordered) * 1e3, 1), "p99": round(p99 * 1e3, 1)}
