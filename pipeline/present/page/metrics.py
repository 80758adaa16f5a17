"""The recent jobs as OpenMetrics, for Prometheus and whoever reads its format.

    firebeam_job_records{job_id="ingest-1",job="ingest"} 31000.0

Source: https://prometheus.io/docs/specs/om/open_metrics_spec/. Gauges, not counters: a run that starts over begins at
0, and a job that is no longer among the recent ones is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector

__all__ = ["CONTENT_TYPE", "metrics"]

_STATES = ("running", "completed", "failed", "interrupted")
_LABELS = ("job_id", "job")

# Name, meaning, value of one job; None for unknown.
_OF_A_JOB: tuple[tuple[str, str, Callable[[Mapping[str, Any]], float | None]], ...] = (
    ("firebeam_job_records", "Records that were read, or documents that were compared", lambda job: job["records"]),
    ("firebeam_job_unwanted_records", "Dead letters, or documents that differ", lambda job: job["unwanted"]),
    ("firebeam_job_records_per_second", "Pace of the last batches", lambda job: job["records_per_s"]),
    ("firebeam_job_progress_ratio", "Share of the input that is done", lambda job: job["progress"]),
    ("firebeam_job_elapsed_seconds", "How long the run has taken", lambda job: job["elapsed_s"]),
    ("firebeam_job_batches_completed", "Batches that are stored", lambda job: job["batches_completed"]),
    ("firebeam_job_batches", "Batches that there are", lambda job: job["batches_total"]),
    ("firebeam_job_input_tokens", "Tokens that a provider was sent", lambda job: job["tokens"]["input"]),
    ("firebeam_job_cost_usd", "What the analysis cost, by the prices of the spec", lambda job: job["cost_usd"]),
    ("firebeam_job_output_tokens", "Tokens that a provider answered with", lambda job: job["tokens"]["output"]),
)


def metrics(document: Mapping[str, Any]) -> bytes:
    """What a scrape gets, of the document of the jobs."""
    registry = CollectorRegistry()
    registry.register(_Jobs(document["jobs"]))
    return generate_latest(registry)


class _Jobs(Collector):
    def __init__(self, jobs: Iterable[Mapping[str, Any]]):
        self._jobs = list(jobs)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The families."""
        count = Counter(job["state"] for job in self._jobs)
        states = GaugeMetricFamily("firebeam_jobs", "The recent jobs, by state", labels=["state"])
        for state in _STATES:
            states.add_metric([state], count[state])
        yield states
        state_of = GaugeMetricFamily("firebeam_job_state", "1 for the state of a job", labels=[*_LABELS, "state"])
        for job in self._jobs:
            for state in _STATES:
                state_of.add_metric([*(job[name] for name in _LABELS), state], job["state"] == state)
        yield state_of
        for name, meaning, value_of in _OF_A_JOB:
            family = GaugeMetricFamily(name, meaning, labels=_LABELS)
            for job in self._jobs:
                if (value := value_of(job)) is not None:
                    family.add_metric([job[label] for label in _LABELS], value)
            yield family
