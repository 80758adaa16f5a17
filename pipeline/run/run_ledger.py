"""The launcher's part of a run's ledger: it opens it, reads the totals meanwhile, and closes it whatever happened."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pipeline.present.summary import Summary
from pipeline.present.terminal import Console, say
from transforms.errors import FirebeamError
from transforms.ledger.job_ledger import COMPLETED, FAILED, HEARTBEAT_INTERVAL_S, JobLedger, Opening, Owner
from transforms.ledger.jobs import read_job
from transforms.ledger.results import read_results
from transforms.ledger.totals import Totals, read_totals


class RunLedger:
    """One run in the ledger, as its launcher sees it."""

    def __init__(self, plan: Any, now: Callable[[], float] = time.monotonic):
        self._plan, self._now = plan, now
        self._client = plan.firestore.connect()
        self._ledger = JobLedger(self._client, plan.job_id, plan.retry)
        self._last = Totals()  # for when they cannot be read any more
        self._opening: Opening | None = None
        self._beat_at = now()

    def open(self, owner: Owner, console: Console) -> Any:
        """Takes the job for its owner; returns the plan of the run that begins or goes on.

        A run in the cloud closes its ledger itself, because its launcher may be gone by then.

        Raises:
          UsageError: somebody else runs the job, or it is unfinished and its input has changed.
        """
        plan = self._plan
        opening = self._ledger.open(
            plan.description, owner, restart=plan.config.restart, take_over=plan.config.take_over
        )
        if opening.resumed:
            say(console, f"going on with {plan.job_id}: {len(opening.completed):,} batches are done")
        self._opening = replace(opening, unattended=owner.dataflow_job is not None)
        try:
            return plan.opened(self._opening)
        except FirebeamError as failure:  # nobody must take the run for one that goes on
            self._ledger.finish(FAILED, str(failure), Totals().as_fields())
            raise

    def totals(self) -> Totals:
        """What became of the records so far."""
        self._last = read_totals(self._client, self._plan.job_id, self._plan.retry)
        return self._last

    def beat(self) -> None:
        """Says that the job is being run, if it is time. Raises JobError if somebody else has taken the job."""
        if self._now() - self._beat_at >= HEARTBEAT_INTERVAL_S:
            self._beat_at = self._now()
            self._ledger.heartbeat()

    def close(self, state: str, error: str | None, started_at: float) -> Summary:
        """Writes down how the run ended, unless it has done so itself: what its last step says is what holds."""
        plan = self._plan
        try:
            is_closed = self._closed_itself()
            if is_closed:
                state, error = COMPLETED, None
            if state != COMPLETED:
                self._ledger.give_up_batches(error or state)
            totals = self.totals()
            summary = Summary.of(plan.job_id, state, totals, started_at, time.time(), error, self._results())
            if not is_closed:
                self._ledger.finish(summary.state, summary.error, totals.as_fields())
        except FirebeamError as failure:
            error = f"{error or failure} (the counts are those last seen: the ledger could not be read any more)"
            return Summary.of(plan.job_id, FAILED, self._last, started_at, time.time(), error)
        return summary

    def _results(self) -> dict[str, Any]:
        if self._opening is None:
            return {}
        return read_results(self._client, self._plan.job_id, self._opening.attempt, self._plan.retry)

    def _closed_itself(self) -> bool:
        if self._opening is None or not self._opening.unattended:
            return False
        job = read_job(self._client, self._plan.job_id, self._plan.retry)
        return job is not None and (job.attempt, job.state) == (self._opening.attempt, COMPLETED)
