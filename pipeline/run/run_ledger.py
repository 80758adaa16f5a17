"""The launcher's part of a run's ledger: it opens it, reads the totals meanwhile, and closes it whatever happened."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Generic

from pipeline.present.summary import Summary
from pipeline.present.terminal import Console, say
from pipeline.run.job import P
from transforms.errors import FirebeamError
from transforms.ledger.field_totals import read_field_totals
from transforms.ledger.jobs import COMPLETED, FAILED, read_job
from transforms.ledger.live import LIVE_INTERVAL_S, BatchCounts, live_fields
from transforms.ledger.owners import HEARTBEAT_INTERVAL_S, Owner
from transforms.ledger.results import read_results
from transforms.ledger.runs import JobLedger, Opening
from transforms.ledger.totals import Totals, read_totals

# While batches are waited for, for a day or more, nothing changes: whoever looks then is late by a tenth of that time.
_SHARE_OF_QUIET = 0.1


class RunLedger(Generic[P]):
    """One run in the ledger, as its launcher sees it."""

    def __init__(self, plan: P):
        self._plan, self._clock = plan, plan.retry.clock
        self._document, self._counters = plan.document(), plan.config.counters
        self._ledger = JobLedger(self._document, self._counters)
        self._last = Totals(self._counters)  # for when they cannot be read any more
        self._said: dict[str, Any] = {}
        self._counts: BatchCounts | None = None
        self._opening: Opening | None = None
        self._beat_at, self._started_at = self._clock.monotonic(), self._clock.now()
        self._look_at = self._changed_at = self._beat_at
        self._seen: tuple[Totals, dict[str, Any]] | None = None

    def open(self, owner: Owner, console: Console) -> P:
        """Takes the job for its owner; returns the plan of the run that begins or is resumed.

        A run in the cloud closes its ledger itself, because its launcher may be gone by then.

        Raises:
          UsageError: somebody else runs the job, or it is unfinished and its input has changed.
        """
        plan = self._plan
        opening = self._ledger.open(
            plan.description,
            owner,
            keep=plan.kept,
            restart=plan.config.restart,
            take_over=plan.config.take_over,
        )
        if opening.resumed and self._counters.kept_in_streams:
            say(console, f"resuming {plan.job_id}: its {self._counters.batches} continue at their saved positions")
        elif opening.resumed:
            say(console, f"resuming {plan.job_id}: {len(opening.completed):,} {self._counters.batches} are done")
        self._opening = replace(opening, unattended=owner.dataflow_job is not None)
        try:
            return plan.opened(self._opening)
        except FirebeamError as failure:  # nobody must take the run for one that is under way
            self._ledger.finish(FAILED, str(failure), Totals(self._counters).as_fields())
            raise

    def totals(self) -> Totals:
        """What became of the records so far; read again the less often, the longer nothing has changed."""
        self._look()
        return self._last

    def beat(self) -> None:
        """Says that the job is being run, and how far it is, if it is time. Raises JobError if somebody else has taken
        the job."""
        since_s = self._clock.monotonic() - self._beat_at
        if since_s < LIVE_INTERVAL_S:
            return
        live = self._look()
        if live != self._said or since_s >= HEARTBEAT_INTERVAL_S:
            self._beat_at, self._said = self._clock.monotonic(), live
            self._ledger.heartbeat(live)

    def at_provider(self) -> str:
        """How many batches at a provider are taken, for people; empty where there are none."""
        counts = self._counts
        if counts is None or counts.total is None:
            return ""
        failed = f", {counts.failed:,} failed" if counts.failed else ""
        return f"{counts.completed:,} of {counts.total:,} provider batches taken{failed}"

    def close(self, state: str, error: str | None = None) -> Summary:
        """Writes down how the run ended, unless it has done so itself: what its last step says is what holds."""
        plan = self._plan
        try:
            is_closed = self._closed_itself()
            if is_closed:
                state, error = COMPLETED, None
            if state != COMPLETED:
                self._ledger.give_up_batches(error or state)
            left = plan.unfinished(self._document, self._attempt) if state == COMPLETED else None
            if left:
                state, error = left
            totals = self._last = read_totals(self._document, self._counters)
            summary = Summary.of(
                plan.job_id,
                state,
                totals,
                self._started_at,
                self._clock.now(),
                error,
                self._results(),
                read_field_totals(self._document, totals),
                is_unfinished=left is not None,
            )
            if not is_closed:
                live = self._live(is_over=summary.state == COMPLETED)
                self._ledger.finish(summary.state, summary.error, totals.as_fields(), live)
        except FirebeamError as failure:
            error = f"{error or failure} (the counts are those last seen: the ledger could not be read any more)"
            return Summary.of(plan.job_id, FAILED, self._last, self._started_at, self._clock.now(), error)
        return summary

    def _look(self) -> dict[str, Any]:
        """What the job's document says beside its heartbeat, looked up if it is time."""
        now = self._clock.monotonic()
        if self._seen is None or now >= self._look_at:
            self._last = read_totals(self._document, self._counters)
            seen = self._last, self._live()
            if seen != self._seen:
                self._seen, self._changed_at = seen, now
            interval_s = min(max(LIVE_INTERVAL_S, (now - self._changed_at) * _SHARE_OF_QUIET), HEARTBEAT_INTERVAL_S)
            self._look_at = now + interval_s
        return self._seen[1]

    def _live(self, *, is_over: bool = False) -> dict[str, Any]:
        """What the job's document says beside its heartbeat; of streams, whose documents say it, nothing."""
        if self._counters.kept_in_streams:
            return {}
        self._counts = self._plan.counts_of(self._document, self._last, self._attempt)
        return live_fields(self._last, self._counts, self._plan.description.bytes_total, is_over=is_over)

    def _results(self) -> dict[str, Any]:
        if self._opening is None:
            return {}
        attempt = self._attempt
        return {**read_results(self._document, attempt), **self._plan.results(self._document, attempt)}

    @property
    def _attempt(self) -> int:
        """Of the run; 0 before it is opened."""
        return self._opening.attempt if self._opening else 0

    def _closed_itself(self) -> bool:
        if self._opening is None or not self._opening.unattended:
            return False
        job = read_job(self._document)
        return job is not None and (job.attempt, job.state) == (self._opening.attempt, COMPLETED)
