"""firebeam status: how far a job is, wherever it runs, as its ledger says.

    firebeam status                 the jobs started last, newest first
    firebeam status ID              one job: state, owner, records, pace, what is left, newest ids, dead letters
    firebeam status ID --follow     the same, again and again until the job ends

It reads and never writes. A running job whose owner has sent no heartbeat for a minute is shown as interrupted: the
command that began it resumes it. A Dataflow job sends no heartbeats; it is seen whenever it completes a batch, and
after half an hour without one it is shown as interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline import JOBS
from pipeline.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK
from pipeline.present.progress import live_line, progress_line
from pipeline.present.status import Status, recent_table
from pipeline.present.terminal import Console, say, show, standard_output
from pipeline.run.flags import Usage, option, parse, refuse_unknown
from pipeline.run.job_config import check_job_id
from pipeline.run.service_flags import AccountFlags
from transforms.counters import Counters
from transforms.errors import UsageError
from transforms.firestore.client import FirestoreClient
from transforms.ledger.document import LedgerDocument
from transforms.ledger.field_totals import read_field_totals
from transforms.ledger.jobs import COMPLETED, FAILED, INTERRUPTED, RUNNING, Job, job_document, read_job, recent_jobs
from transforms.ledger.totals import Totals, read_totals
from transforms.outcomes import RECORDS
from transforms.retry import SYSTEM_CLOCK, Clock, Retry

_SHOWN_JOBS = 20
_POLL_INTERVAL_S = 2.0
_EXIT_CODES = {COMPLETED: EXIT_OK, FAILED: EXIT_FAILED, INTERRUPTED: EXIT_INTERRUPTED}


@dataclass(frozen=True, kw_only=True)
class Config(AccountFlags):
    """The flags of status."""

    job_id: str | None = option(
        None, group="Job", metavar="ID", help="the job to show; the flag's name may be left out"
    )
    follow: bool = option(False, group="Job", help="show it again and again until it ends")
    json: bool = option(False, group="Job", help="print JSON; with --follow one object per line")


USAGE = Usage(
    "status",
    Config,
    about="""\
Shows a job of this database, or without an id the jobs started last. The exit code is 0; with --follow it is the one
that the job ends with: 0 completed, 1 failed, 130 interrupted.""",
    example="""\
  firebeam status --project=my-project
  firebeam status ingest-0c4a6d1f52 --project=my-project --follow""",
)


def main(arguments: Sequence[str], console: Console, clock: Clock = SYSTEM_CLOCK) -> int:
    """Prints to standard output.

    Raises:
      UsageError: there is no such job, or an argument is wrong.
    """
    config = _config(arguments)
    client, retry = config.firestore(config.services()).connect(), Retry(clock=clock)
    if config.job_id is None:
        _print_recent(client, retry, config, console)
        return EXIT_OK
    document = job_document(client, config.job_id, retry)
    status = _status(document)
    if config.follow:
        status = _follow(document, status, config, console)
    status = replace(status, fields=read_field_totals(document, status.totals))
    if config.json:
        print(json.dumps(status.as_dict(), indent=None if config.follow else 2))  # noqa: T201
    else:
        show(standard_output(), status.as_table())
    return _EXIT_CODES[status.state] if config.follow else EXIT_OK


def _config(arguments: Sequence[str]) -> Config:
    config, rest = parse(USAGE, arguments)
    unknown = [word for word in rest if word.startswith("-")]
    if unknown:
        refuse_unknown(USAGE, unknown)
    named = [*([config.job_id] if config.job_id else []), *rest]
    if len(named) > 1:
        raise UsageError(f"status shows one job at a time, got {', '.join(named)}")
    if config.follow and not named:
        raise UsageError("--follow needs the id of a job: firebeam status ID --follow")
    if not named:
        return config
    check_job_id(named[0])
    return replace(config, job_id=named[0])


def _status(document: LedgerDocument) -> Status:
    job, target = read_job(document), document.client.target
    if job is None:
        raise UsageError(
            f"there is no job {document.id} in {target.name}; `firebeam status` without an id lists recent ones, "
            "--project and --database say where to look"
        )
    return Status(job, read_totals(document, _counters(job)), document.now(), target.project)


def _counters(job: Job) -> Counters:
    """What a job counts; of one that this version does not know, what most jobs count."""
    return JOBS[job.job].usage.config.counters if job.job in JOBS else RECORDS


def _follow(document: LedgerDocument, status: Status, config: Config, console: Console) -> Status:
    """Shows a job until it has ended; returns its last status."""
    last = ""
    with live_line(console) as show_live:
        while status.state == RUNNING:
            line = progress_line(status.totals, status.pace)
            show_live(f"{status.job.job_id}: {line}", status.pace.share)
            if config.json:
                print(json.dumps(status.as_dict()), flush=True)  # noqa: T201
            elif not console.is_terminal and line != last:
                say(console, line)
                last = line
            document.retry.clock.sleep(_POLL_INTERVAL_S)
            status = _status(document)
    return status


def _print_recent(client: FirestoreClient, retry: Retry, config: Config, console: Console) -> None:
    statuses = []
    recent = recent_jobs(client, _SHOWN_JOBS, retry)
    if recent.foreign:
        more = f" and {len(recent.foreign) - _SHOWN_JOBS:,} more" if len(recent.foreign) > _SHOWN_JOBS else ""
        say(console, f"not jobs of Firebeam, and not shown: {', '.join(recent.foreign[:_SHOWN_JOBS])}{more}")
    for job in recent.jobs:
        document, counters = job_document(client, job.job_id, retry), _counters(job)
        # A job that has ended has stored its totals; to read them again takes several queries.
        totals = Totals.of(counters, job.totals) or read_totals(document, counters)
        statuses.append(Status(job, totals, document.now(), client.target.project))
    if config.json:
        print(json.dumps([status.as_dict() for status in statuses], indent=2))  # noqa: T201
        return
    if not statuses:
        say(standard_output(), f"no job has run in {client.target.name} yet")
        return
    show(standard_output(), recent_table(client.target.name, statuses))
