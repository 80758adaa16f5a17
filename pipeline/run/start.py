"""Starts a job: config to plan, plan to graph, graph to runner, ledger to summary, summary to exit code.

    Config ─prepare─▶ Plan ─open─▶ ledger ─provision─▶ tables ─build─▶ graph ─run─▶ … ─▶ Summary
      └── wrong usage: 2 ──┘   └ refused: 2 ┘  └─────── failed: 1, interrupted: 130 ───────┘

Nothing is started before the plan stands and the ledger says that nobody else runs the job. The totals of the summary
come from the ledger: what is written there is done, whatever became of the process that did it. From the ledger on a
run goes its way on this machine (`local.py`) or on Dataflow (`submission.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from apache_beam.io.filesystems import FileSystems

from pipeline import JOBS
from pipeline.exit_codes import EXIT_OK
from pipeline.present.summary import Summary
from pipeline.present.summary_file import check_path, save
from pipeline.present.terminal import Console, say
from pipeline.run import local
from pipeline.run.dataflow import check_submission, name_job, notes, set_defaults
from pipeline.run.job import C, Job, P
from pipeline.run.runners import beam_options, on_dataflow, refuse_cloud_with_emulators, refuse_several_workers
from pipeline.run.submission import WaitEnded, submit
from transforms.ledger.jobs import INTERRUPTED


def start(
    job: Job[C, P], config: C, rest: Sequence[str], command: str, console: Console, environ: Mapping[str, str]
) -> int:
    """Runs a job and returns its exit code; prints what a user should see.

    Args:
      rest: arguments that are not the job's own.
      command: resumes the run, if it is stopped.

    Raises:
      UsageError: the job cannot be started as asked for; nothing was started.
      JobError: Dataflow did not take the job.
    """
    options = beam_options(job.usage, config, rest)
    FileSystems.set_options(options)  # or files are looked for as another account than the pipeline's
    refuse_cloud_with_emulators(options, environ)
    in_cloud, streaming = on_dataflow(options), JOBS[job.name].streaming
    if streaming:
        refuse_several_workers(options)
    if in_cloud:
        set_defaults(job.name, config, options, environ, streaming=streaming)
        check_submission(job.name, config, options, streaming=streaming)
        for note in notes(config, options):
            say(console, note)
    if config.summary:
        check_path(config.summary)
    plan = job.prepare(config, options)
    if plan.instead is not None:
        return plan.instead(console)
    if in_cloud:
        name_job(options, plan.job_id)
        try:
            submitted = submit(job, plan, options, console)
        except WaitEnded as ended:
            return ended.exit_code
        return EXIT_OK if submitted is None else _conclude(job, plan, submitted, console, command)
    summary = local.run(job, plan, options, console, command, streaming=streaming)
    return _conclude(job, plan, summary, console, command)


def _conclude(job: Job[C, P], plan: P, summary: Summary, console: Console, command: str) -> int:
    """Shows how a run ended; returns the exit code."""
    if plan.config.summary:
        save(summary, plan.config.summary)
    exit_code = job.present(plan, summary, console)
    if summary.state == INTERRUPTED or summary.is_unfinished:
        say(console, f"to resume: {command}")
    return exit_code
