"""Runs a job: flags to plan, plan to graph, graph to runner, ledger to summary, summary to exit code.

    arguments ─parse─▶ Config ─prepare─▶ Plan ─open─▶ ledger ─provision─▶ tables ─build─▶ graph ─run─▶ … ─▶ Summary
        └──────── wrong usage: 2 ────────┘   └ refused: 2 ┘  └─────── failed: 1, interrupted: 130 ───────┘

Nothing is started before the plan stands and the ledger says that nobody else runs the job. The totals of the summary
come from the ledger: what is written there is done, whatever became of the process that did it. A run on Dataflow goes
its own way from the graph on: `submission.py`.
"""

from __future__ import annotations

import importlib
import logging
import os
import shlex
import time
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline import JOBS
from pipeline.present.progress import show_progress
from pipeline.present.summary import EXIT_OK, Summary
from pipeline.present.summary_file import check_path, save
from pipeline.present.terminal import Console, say, say_error, show
from pipeline.run.dataflow import check_submission, name_job, notes, set_defaults
from pipeline.run.flags import parse
from pipeline.run.run_ledger import RunLedger
from pipeline.run.runners import (
    beam_options,
    explain,
    in_this_process,
    on_dataflow,
    refuse_cloud_with_emulators,
    runner,
)
from pipeline.run.running import Running
from pipeline.run.submission import WaitEnded, submit
from transforms.ledger.jobs import COMPLETED, FAILED, INTERRUPTED
from transforms.ledger.owners import Owner

_LOG = logging.getLogger(__name__)


def launch(job: ModuleType, arguments: Sequence[str], console: Console, environ: Mapping[str, str] = os.environ) -> int:
    """Runs a job from its flags and returns its exit code; prints what a user should see.

    Raises:
      UsageError: the job cannot be started as asked for; nothing was started.
      JobError: Dataflow did not take the job.
    """
    flags = importlib.import_module(f"{job.__name__}_flags")
    config, rest = parse(job.NAME, job.Config, arguments, flags.ABOUT, flags.EXAMPLE)
    options = beam_options(job, config, rest)
    refuse_cloud_with_emulators(options, environ)
    in_cloud = on_dataflow(options)
    if in_cloud:
        streaming = JOBS[job.NAME].streaming
        set_defaults(job.NAME, config, options, environ, streaming=streaming)
        check_submission(job.NAME, config, options, streaming=streaming)
        for note in notes(config, options):
            say(console, note)
    if config.summary:
        check_path(config.summary)
    plan = job.prepare(config, options)
    # The command that goes on with this run must not begin it anew.
    command = shlex.join(["firebeam", job.NAME, *arguments, *(["--restart=false"] if config.restart else [])])
    if in_cloud:
        name_job(options, plan.job_id)
        try:
            submitted = submit(job, plan, options, console)
        except WaitEnded as ended:
            return ended.exit_code
        return EXIT_OK if submitted is None else _conclude(job, plan, submitted, console, command)
    return _conclude(job, plan, run(job, plan, options, console, command), console, command)


def _conclude(job: ModuleType, plan: Any, summary: Summary, console: Console, command: str) -> int:
    """Shows how a run ended; returns the exit code."""
    config = plan.config
    if config.summary:
        save(summary, config.summary)
    # A job whose results are not records that were written shows them itself.
    present = getattr(job, "present", None)
    exit_code: int | None = present(plan, summary, console) if present else None
    if present is None:
        show(console, summary.as_table())
    if summary.error:
        say_error(console, summary.error)
    if summary.dead_letters and present is None:
        say(console, f"dead letters: {config.dead_letters}")
    if summary.state == INTERRUPTED:
        say(console, f"to go on: {command}")
    return summary.exit_code(config.max_dead_letter_ratio) if exit_code is None else exit_code


def run(job: ModuleType, plan: Any, options: PipelineOptions, console: Console, command: str) -> Summary:
    """Runs a plan to its end, whichever it is, and says what became of every record.

    Args:
      command: goes on with the run, if it is stopped.

    Raises:
      UsageError: somebody else runs the job, or it is unfinished and its input has changed.
    """
    started_at = time.time()
    ledger = RunLedger(plan)
    plan = ledger.open(Owner(), console)
    state, error = FAILED, None
    try:
        job.provision(plan)
        pipeline = beam.Pipeline(runner=runner(options), options=options)
        job.build(pipeline, plan)
        running = Running(pipeline, in_this_process(options), console, command)
        with running.started():
            show_progress(running, ledger.totals, ledger.beat, console, plan.description.bytes_total)
        running.raise_failure()
        state = INTERRUPTED if running.was_stopped else COMPLETED
    except Exception as failure:  # whatever ended the run, the user is told what became of the records
        error = explain(failure)
        _LOG.debug("job %s failed", plan.job_id, exc_info=True)
    return ledger.close(state, error, started_at)
