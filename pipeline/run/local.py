"""A run on this machine: it works in a thread, while the main thread listens to Ctrl-C and to whoever wants to end it.

    1st signal    batches in flight are finished, the run is interrupted: the same command resumes it; a job that has no
                  end is completed by it, with exit code 0
    2nd signal    the process ends at once; what is acknowledged is written, the rest is done again

Workers in processes of their own do not hear the first signal's request, so they are ended at once, too.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.exit_codes import EXIT_INTERRUPTED
from pipeline.present.progress import show_progress
from pipeline.present.summary import Summary
from pipeline.present.terminal import Console, say
from pipeline.run.job import C, Job, P
from pipeline.run.listening import Work, signals_call
from pipeline.run.run_ledger import RunLedger
from pipeline.run.runners import drawn, explain, in_this_process
from transforms.ledger.jobs import COMPLETED, FAILED, INTERRUPTED
from transforms.ledger.owners import Owner
from transforms.runtime.stopping import ask_to_stop, forget_request, is_asked_to_stop

if TYPE_CHECKING:
    from pipeline.run.worker_processes import WorkerProcesses

_LOG = logging.getLogger(__name__)


def run(
    job: Job[C, P], plan: P, options: PipelineOptions, console: Console, command: str, *, streaming: bool
) -> Summary:
    """Runs a plan to its end, whichever it is, and says what became of every record.

    Args:
      command: resumes the run, if it is stopped.
      streaming: whether the job has no end: to stop it is to complete it.

    Raises:
      UsageError: somebody else runs the job, or it is unfinished and its input has changed.
    """
    with plan.serving(console):
        return _run(job, plan, options, console, command, streaming=streaming)


def _run(
    job: Job[C, P], plan: P, options: PipelineOptions, console: Console, command: str, *, streaming: bool
) -> Summary:
    ledger = RunLedger(plan)
    plan = ledger.open(Owner(), console)
    state, error = FAILED, None
    try:
        running = Running(drawn(job, plan, options), in_this_process(options), console, command)
        with running.started():
            bytes_total = plan.description.bytes_total
            show_progress(running, ledger.totals, ledger.beat, console, bytes_total, beside=ledger.at_provider)
        running.raise_failure()
        state = INTERRUPTED if running.was_stopped and not streaming else COMPLETED
    except Exception as failure:  # whatever ended the run, the user learns what became of the records
        error = explain(failure)
        _LOG.debug("job %s failed", plan.job_id, exc_info=True)
    return ledger.close(state, error)


class Running:
    """A pipeline that runs.

    Args:
      pipeline: the graph.
      stops_softly: whether the workers are threads of this process.
      console: gets one line that says what a signal leads to.
      command: resumes a run that was stopped.
    """

    def __init__(self, pipeline: beam.Pipeline, stops_softly: bool, console: Console, command: str):
        self._console, self._command = console, command
        self._processes = None if stops_softly else _processes_from_now_on()
        # Beam's local runner cannot be cancelled.
        self._work = Work(lambda: pipeline.run().wait_until_finish(), "beam")

    @contextlib.contextmanager
    def started(self) -> Iterator[None]:
        """Runs the pipeline and listens to signals until the block ends.

        Whoever leaves the block before the run has ended gives it up: no further batch is begun.
        """
        forget_request()
        with signals_call(self._on_signal):
            try:
                self._work.start()
                yield
            finally:
                self._give_up()

    def wait(self, timeout_s: float) -> bool:
        """Whether it ended within the time."""
        return self._work.wait(timeout_s)

    @property
    def was_stopped(self) -> bool:
        """Whether a signal asked it to stop."""
        return is_asked_to_stop()

    def raise_failure(self) -> None:
        """Raises what ended the run, if it failed."""
        if self._work.failure:
            raise self._work.failure

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._processes is None and not is_asked_to_stop():
            say(self._console, "finishing the batches in flight; a second signal stops at once")
            ask_to_stop()
            return
        threading.excepthook = lambda _: None  # those of Beam's threads that miss their worker
        logging.disable()
        if self._processes:
            self._processes.end()
        self._console.show_cursor()  # the live bar, which hid it, is not ended
        say(self._console, f"stopped; to resume: {self._command}")
        os._exit(EXIT_INTERRUPTED)  # Beam's threads would keep the process alive

    def _give_up(self) -> None:
        if self._work.is_going_on:
            ask_to_stop()
            if self._processes is None:
                self._work.wait()
            else:
                self._processes.end()


def _processes_from_now_on() -> WorkerProcesses:
    from pipeline.run.worker_processes import WorkerProcesses  # imports psutil, which most runs do without

    return WorkerProcesses()
