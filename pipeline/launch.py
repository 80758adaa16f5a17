"""Runs a job: flags to plan, plan to graph, graph to runner, ledger to summary, summary to exit code.

    arguments ─parse─▶ Config ─prepare─▶ Plan ─open─▶ ledger ─provision─▶ tables ─build─▶ graph ─run─▶ … ─▶ Summary
        └──────── wrong usage: 2 ────────┘   └ refused: 2 ┘  └─────── failed: 1, interrupted: 130 ───────┘

Nothing is started before the plan stands and the ledger says that nobody else runs the job. The totals of the summary
come from the ledger: what is written there is done, whatever became of the process that did it.
"""

from __future__ import annotations

import logging
import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from rich.console import Console
from rich.markup import escape

from pipeline import summary as summaries
from pipeline.config import parse
from pipeline.progress import show_progress
from pipeline.runners import beam_options, explain, in_this_process, refuse_cloud_with_emulators, runner
from pipeline.running import Running
from pipeline.summary import Summary
from transforms.errors import FirebeamError
from transforms.job_ledger import COMPLETED, FAILED, HEARTBEAT_INTERVAL_S, INTERRUPTED, JobLedger, Owner
from transforms.job_results import read_results
from transforms.totals import Totals, read_totals

_LOG = logging.getLogger(__name__)


def launch(job: ModuleType, arguments: Sequence[str], console: Console, environ: Mapping[str, str] = os.environ) -> int:
    """Runs a job from its flags and returns its exit code; prints what a user should see.

    Raises:
      UsageError: the job cannot be started as asked for; nothing was started.
    """
    config, rest = parse(job.NAME, job.Config, arguments, job.ABOUT, job.EXAMPLE)
    options = beam_options(job, config, rest)
    refuse_cloud_with_emulators(options, environ)
    if config.summary:
        summaries.check_path(config.summary)
    plan = job.prepare(config, options)
    # The command that goes on with this run must not begin it anew.
    command = shlex.join(["firebeam", job.NAME, *arguments, *(["--restart=false"] if config.restart else [])])
    summary = run(job, plan, options, console, command)
    if config.summary:
        summaries.save(summary, config.summary)
    # A job whose results are not records that were written shows them itself.
    present = getattr(job, "present", None)
    exit_code: int | None = present(plan, summary, console) if present else None
    if present is None:
        console.print(summary.as_table())
    if summary.error:
        console.print(f"[bold red]error:[/] {escape(summary.error)}", highlight=False, soft_wrap=True)
    if summary.dead_letters and present is None:
        console.print(f"dead letters: {escape(config.dead_letters)}", highlight=False, soft_wrap=True)
    if summary.state == INTERRUPTED:
        console.print(f"to go on: {escape(command)}", highlight=False, soft_wrap=True)
    return summary.exit_code(config.max_dead_letter_ratio) if exit_code is None else exit_code


def run(job: ModuleType, plan: Any, options: PipelineOptions, console: Console, command: str) -> Summary:
    """Runs a plan to its end, whichever it is, and says what became of every record.

    Args:
      command: goes on with the run, if it is stopped.

    Raises:
      UsageError: somebody else runs the job, or it is unfinished and its input has changed.
    """
    started_at = time.time()
    client = plan.firestore.connect()
    ledger = JobLedger(client, plan.job_id, plan.retry)
    opening = ledger.open(plan.description, Owner(), restart=plan.config.restart, take_over=plan.config.take_over)
    if opening.resumed:
        console.print(
            f"going on with {escape(plan.job_id)}: {len(opening.completed):,} batches are done", highlight=False
        )
    plan = plan.opened(opening)

    totals_of_job = _Remembered(lambda: read_totals(client, plan.job_id, plan.retry))
    state, error = FAILED, None
    try:
        job.provision(plan)
        pipeline = beam.Pipeline(runner=runner(options), options=options)
        job.build(pipeline, plan)
        running = Running(pipeline, in_this_process(options), console, command)
        with running.started():
            show_progress(running, totals_of_job, _Heart(ledger), console, plan.description.bytes_total)
        running.raise_failure()
        state = INTERRUPTED if running.was_stopped else COMPLETED
    except Exception as failure:  # whatever ended the run, the user is told what became of the records
        error = explain(failure)
        _LOG.debug("job %s failed", plan.job_id, exc_info=True)
    return _close(ledger, totals_of_job, plan, state, error, started_at)


def _close(
    ledger: JobLedger, totals_of_job: _Remembered, plan: Any, state: str, error: str | None, started_at: float
) -> Summary:
    try:
        if state != COMPLETED:
            ledger.give_up_batches(error or state)
        totals = totals_of_job()
        results = read_results(plan.firestore.connect(), plan.job_id, plan.opening.attempt, plan.retry)
        summary = Summary.of(plan.job_id, state, totals, started_at, time.time(), error, results)
        ledger.finish(summary.state, summary.error, totals.as_fields())
    except FirebeamError as failure:
        error = f"{error or failure} (the counts are those last seen: the ledger could not be read any more)"
        return Summary.of(plan.job_id, FAILED, totals_of_job.last, started_at, time.time(), error)
    return summary


class _Remembered:
    """Reads the totals and keeps the last ones, for when they cannot be read any more."""

    def __init__(self, read: Callable[[], Totals]):
        self._read = read
        self.last = Totals()

    def __call__(self) -> Totals:
        self.last = self._read()
        return self.last


class _Heart:
    """Beats every few seconds, so that others see that the job is being run."""

    def __init__(self, ledger: JobLedger, now: Callable[[], float] = time.monotonic):
        self._ledger, self._now = ledger, now
        self._beat_at = now()

    def __call__(self) -> None:
        """Beats, if it is time. Raises JobError if another process has taken the job."""
        if self._now() - self._beat_at >= HEARTBEAT_INTERVAL_S:
            self._beat_at = self._now()
            self._ledger.heartbeat()
