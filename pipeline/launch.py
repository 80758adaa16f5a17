"""Runs a job: flags to plan, plan to graph, graph to runner, ledger to summary, summary to exit code.

    arguments ─parse─▶ Config ─prepare─▶ Plan ─provision─▶ tables ─build─▶ graph ─run─▶ ledger ─totals─▶ Summary
        └──────── wrong usage: 2 ────────┘        └────────── failed: 1, interrupted: 130 ─────────┘

Nothing is started before the plan stands. The runner works in a thread of its own, so that the main one can show
progress and hear Ctrl-C: Beam's local runner cannot be cancelled.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import ModuleType
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, SetupOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from rich.console import Console
from rich.markup import escape

from pipeline import summary as summaries
from pipeline.config import flag_names, parse, refuse_unknown
from pipeline.progress import show_progress
from pipeline.summary import COMPLETED, FAILED, INTERRUPTED, Summary
from transforms.errors import FirebeamError, UsageError
from transforms.ledger import Ledger, Totals

_LOG = logging.getLogger(__name__)

# Flags that Beam needs as well as the job.
_SHARED_FLAGS = ("project",)

_EMULATOR_VARIABLES = ("FIRESTORE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST", "STORAGE_EMULATOR_HOST")
_LOCAL_RUNNERS = frozenset({"DirectRunner", "FnApiRunner", "BundleBasedDirectRunner", "SwitchingDirectRunner"})


def launch(job: ModuleType, arguments: Sequence[str], console: Console, environ: Mapping[str, str] = os.environ) -> int:
    """Runs a job from its flags and returns its exit code; prints what a user should see.

    Raises:
      UsageError: the job cannot be started as asked for; nothing was started.
    """
    config, rest = parse(job.NAME, job.Config, arguments, job.ABOUT, job.EXAMPLE)
    options = beam_options(job, config, rest)
    _refuse_cloud_with_emulators(options, environ)
    plan = job.prepare(config, options)
    summary = run(job, plan, options, console)
    console.print(summary.as_table())
    if config.summary:
        summaries.save(summary, config.summary)
    if summary.error:
        console.print(f"[bold red]error:[/] {escape(summary.error)}", highlight=False, soft_wrap=True)
    if summary.dead_letters:
        console.print(f"dead letters: {escape(config.dead_letters)}", highlight=False, soft_wrap=True)
    return summary.exit_code(config.max_dead_letter_ratio)


def run(job: ModuleType, plan: Any, options: PipelineOptions, console: Console) -> Summary:
    """Runs a plan to its end, whichever it is, and says what became of every record."""
    started_at = time.time()
    ledger = Ledger(plan.firestore.connect(), plan.job_id)
    state, error = FAILED, None
    try:
        ledger.start(job.NAME, parameters(plan.config))
    except FirebeamError as failure:
        return Summary.of(plan.job_id, FAILED, Totals(), started_at, time.time(), str(failure))
    try:
        job.provision(plan)
        pipeline = beam.Pipeline(runner=runner(options), options=options)
        job.build(pipeline, plan)
        outcome = _Running(pipeline)
        show_progress(outcome, ledger, console)
        outcome.raise_failure()
        state = COMPLETED
    except KeyboardInterrupt:
        state, error = INTERRUPTED, "interrupted; run the same command again"
    except Exception as failure:  # whatever ended the run, the user is told what became of the records
        error = explain(failure)
        _LOG.debug("job %s failed", plan.job_id, exc_info=True)
    return _close(ledger, plan, state, error, started_at)


def _close(ledger: Ledger, plan: Any, state: str, error: str | None, started_at: float) -> Summary:
    try:
        totals = ledger.totals()
        summary = Summary.of(plan.job_id, state, totals, started_at, time.time(), error)
        ledger.finish(summary.state, summary.error)
    except FirebeamError as failure:
        return Summary.of(plan.job_id, FAILED, Totals(), started_at, time.time(), error or str(failure))
    return summary


class _Running:
    """A pipeline that runs in a thread of its own."""

    def __init__(self, pipeline: beam.Pipeline):
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(pipeline,), name="beam", daemon=True)
        self._thread.start()

    def _run(self, pipeline: beam.Pipeline) -> None:
        try:
            pipeline.run().wait_until_finish()
        except BaseException as failure:
            self._failure = failure

    def wait(self, timeout_s: float) -> bool:
        """Whether it ended within the time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def raise_failure(self) -> None:
        """Raises what ended the run, if it failed."""
        if self._failure:
            raise self._failure


def beam_options(job: ModuleType, config: Any, rest: Sequence[str]) -> PipelineOptions:
    """Beam's own options from the arguments that the job left over.

    Raises:
      UsageError: neither the job nor Beam knows an argument.
    """
    parsers: list[argparse.ArgumentParser] = []
    beam_flags = [f"--{name}" for name in PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)]
    _, unknown = parsers[0].parse_known_args(list(rest))
    if unknown:
        refuse_unknown(job.NAME, unknown, [*flag_names(job.Config), *beam_flags])
    shared = [f"--{name}={value}" for name in _SHARED_FLAGS if (value := getattr(config, name, None))]
    options = PipelineOptions([*rest, *shared])
    # Workers import modules; a pickled main session would drag the launcher's state along.
    options.view_as(SetupOptions).save_main_session = False
    return options


def runner(options: PipelineOptions) -> Any:
    """The runner that the options name. Local ones are all Beam's FnApiRunner: the DirectRunner of today first tries to
    download another."""
    name = options.view_as(StandardOptions).runner
    return FnApiRunner() if name is None or name.rpartition(".")[2] in _LOCAL_RUNNERS else name


def parameters(config: Any) -> dict[str, Any]:
    """The flags of a run as its ledger keeps them; they hold no secrets."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}


# A worker's failure arrives as the text of its traceback, with the step that failed at the end.
_OWN_ERROR = re.compile(r"^(?:\w+\.)+(?:JobError|TransientError|AccountingError|UsageError): (.*)$", re.MULTILINE)
_STEP = re.compile(r"\s*\[while running '([^']*)'\]")


def explain(failure: BaseException) -> str:
    """One sentence about what ended a run, without traceback.

    >>> explain(RuntimeError("Traceback …\\ntransforms.errors.JobError: no table [while running 'InsertRows']\\n"))
    'no table (step InsertRows)'
    """
    own = _OWN_ERROR.findall(str(failure))
    if isinstance(failure, FirebeamError):
        text = str(failure)
    elif own:
        text = own[-1]
    else:
        lines = [line for line in str(failure).splitlines() if line.strip()]
        text = f"{type(failure).__name__}: {lines[-1].strip()}" if lines else type(failure).__name__
    return _STEP.sub(r" (step \1)", text, count=1)


def _refuse_cloud_with_emulators(options: PipelineOptions, environ: Mapping[str, str]) -> None:
    """A job on Google Cloud that was pointed at a laptop's emulator would fail there, or write somewhere unexpected."""
    set_variables = [name for name in _EMULATOR_VARIABLES if environ.get(name)]
    endpoint = options.view_as(GoogleCloudOptions).dataflow_endpoint or ""
    if runner(options) == "DataflowRunner" and set_variables and "//localhost" not in endpoint:
        raise UsageError(
            f"{', '.join(set_variables)} points at an emulator, which Dataflow cannot reach; unset it: "
            f"unset {' '.join(set_variables)}"
        )
