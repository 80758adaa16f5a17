"""A run that Dataflow does: handed over, and watched only if somebody asks for it.

    plan ─open─▶ ledger ─provision─▶ tables ─build─▶ graph ─submit─▶ Dataflow      exit code 0
     the Dataflow job is the owner                              └─ --wait ─▶ progress ─▶ Summary

The graph's own last step closes the ledger, so nobody has to wait for that. What goes wrong before the service has the
job is written down here; what goes wrong afterwards too, if somebody waits. A signal ends the waiting, never the job.
"""

from __future__ import annotations

import shlex
from types import FrameType
from typing import NoReturn, Protocol, cast

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.runners.runner import PipelineState

from pipeline.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED
from pipeline.present.progress import show_progress
from pipeline.present.summary import Summary
from pipeline.present.terminal import Console, say
from pipeline.run.dataflow import CloudJob
from pipeline.run.job import C, Job, JobPlan, P
from pipeline.run.job_config import JobConfig
from pipeline.run.listening import Work, signals_call
from pipeline.run.run_ledger import RunLedger
from pipeline.run.runners import drawn, explain
from transforms.errors import JobError
from transforms.firestore.target import FirestoreTarget
from transforms.ledger.jobs import COMPLETED, FAILED, INTERRUPTED


class Submitted(Protocol):
    """Beam's result of a run that the service has taken.

    Attributes:
      has_job: whether there is a job; a template's launcher only writes down what it would be.
    """

    has_job: bool
    state: str | None

    def job_id(self) -> str:
        """Of Dataflow's."""

    def is_in_terminal_state(self) -> bool:
        """Whether the job has ended."""

    def wait_until_finish(self) -> object:
        """Asks the service until the job has ended."""


class WaitEnded(Exception):  # noqa: N818 - nothing has failed: the job keeps running
    """Nobody waits any longer; the exit code says why."""

    def __init__(self, exit_code: int):
        self.exit_code = exit_code
        super().__init__(exit_code)


def submit(job: Job[C, P], plan: P, options: PipelineOptions, console: Console) -> Summary | None:
    """Hands a run over to Dataflow and says where to look; with `--wait` stays until it has ended.

    Returns:
      How the run ended; None if nobody waited for that.

    Raises:
      UsageError: somebody else runs the job, or it is unfinished and its input has changed.
      JobError: the service did not take the job; the ledger says so.
      WaitEnded: a signal, or the service cannot be asked any more.
      KeyboardInterrupt: a signal before the service had the job; the ledger says so.
    """
    cloud = CloudJob.of(options)
    ledger = RunLedger(plan)
    plan = ledger.open(cloud.owner, console)
    with signals_call(_interrupt):
        result = _hand_over(job, plan, options, ledger, console)
        _say_where_it_is(result, cloud, plan, options, console)
        if not (plan.config.wait and result.has_job):
            return None
        try:
            state, error = _watch(result, ledger, plan, console)
        except KeyboardInterrupt:
            _say_it_keeps_running(console, cloud, result.job_id())
            raise WaitEnded(EXIT_INTERRUPTED) from None
        except Exception as failure:  # of asking, not of the job
            say(console, f"the job cannot be watched any more: {explain(failure)}")
            _say_it_keeps_running(console, cloud, result.job_id())
            raise WaitEnded(EXIT_FAILED) from failure
    return ledger.close(state, error)


def _hand_over(job: Job[C, P], plan: P, options: PipelineOptions, ledger: RunLedger[P], console: Console) -> Submitted:
    """Beam's result of a run that the service has taken; a run that it has not is closed."""
    try:
        return cast("Submitted", drawn(job, plan, options).run())
    except KeyboardInterrupt:
        ledger.close(INTERRUPTED)
        say(
            console,
            "stopped while the job was being submitted; look in the console whether Dataflow already has "
            "it; if not, run the same command again",
        )
        raise
    except Exception as failure:
        error = f"Dataflow did not get the job: {explain(failure)}"
        ledger.close(FAILED, error)
        raise JobError(error) from failure


def _say_where_it_is(
    result: Submitted, cloud: CloudJob, plan: JobPlan[JobConfig], options: PipelineOptions, console: Console
) -> None:
    if result.has_job:
        say(console, f"Dataflow job {result.job_id()}, {cloud.name} in {cloud.region}")
        say(console, f"console: {cloud.console_link(result.job_id())}")
    else:  # of a template's launcher: it is the service that creates the job, from this file
        say(console, f"the job's description is {options.view_as(GoogleCloudOptions).template_location}")
    account = options.view_as(GoogleCloudOptions).impersonate_service_account
    say(console, f"how far it is: {status_command(plan.job_id, plan.firestore, account)}")


def status_command(job_id: str, firestore: FirestoreTarget, account: str | None) -> str:
    """The command that shows a job, reaching its database as the job itself does.

    >>> status_command("ingest-1", FirestoreTarget("acme", "profiles", endpoint="fs.internal"), account=None)
    'firebeam status ingest-1 --project=acme --database=profiles --firestore_endpoint=fs.internal'
    """
    flags = {
        "project": firestore.project,
        "database": firestore.database,
        "firestore_endpoint": firestore.endpoint,
        "impersonate_service_account": account,
    }
    return shlex.join(["firebeam", "status", job_id, *(f"--{name}={value}" for name, value in flags.items() if value)])


def _watch(result: Submitted, ledger: RunLedger[P], plan: P, console: Console) -> tuple[str, str | None]:
    """Shows progress until the job has ended; returns how, and what ended it.

    Raises:
      KeyboardInterrupt: a signal.
    """
    watched = Work(result.wait_until_finish, "dataflow")
    watched.start()
    show_progress(watched, ledger.totals, lambda: None, console, plan.description.bytes_total)
    failure = watched.failure
    if failure is not None and not result.is_in_terminal_state():
        raise failure
    # Not by whether waiting raised: it does not for a job that had ended before somebody waited.
    if result.state == PipelineState.DONE:
        return COMPLETED, None
    if result.state == PipelineState.FAILED:
        return FAILED, _reason(failure)
    return INTERRUPTED, None  # cancelled, by whomever


def _reason(failure: BaseException | None) -> str:
    """What ended a job. Beam does not ask why one failed that had failed before it looked.

    >>> _reason(RuntimeError("Dataflow pipeline failed. State: FAILED, Error:\\nNone"))
    'the Dataflow job has failed; its page in the console says why'
    """
    if failure is None or str(failure).endswith("\nNone"):
        return "the Dataflow job has failed; its page in the console says why"
    return explain(failure)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """As Ctrl-C does by itself, for every signal that ends a process."""
    raise KeyboardInterrupt


def _say_it_keeps_running(console: Console, cloud: CloudJob, dataflow_id: str) -> None:
    say(console, f"the Dataflow job keeps running; to cancel it: {cloud.cancel_command(dataflow_id)}")
