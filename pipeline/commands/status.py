"""firebeam status: how far a job is, wherever it runs, as its ledger tells.

    firebeam status                 the jobs started last, newest first
    firebeam status ID              one job: state, owner, records, pace, what is left, newest ids, dead letters
    firebeam status ID --follow     the same, again and again until the job ends

It reads and never writes. A job that says it is running but whose owner has been silent for a minute is shown as
interrupted: its own command goes on with it. A Dataflow job sends no heartbeats; it is heard of whenever a batch is
completed, and after half an hour without one it is shown as interrupted.
"""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.present.progress import Pace, duration, live_line, pace, progress_line
from pipeline.present.summary import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK
from pipeline.run.flags import flag_names, option, parse, refuse_unknown
from pipeline.targets import firestore_target
from transforms.errors import UsageError
from transforms.firestore.client import DEFAULT_DATABASE, FirestoreClient
from transforms.ledger.job_ledger import COMPLETED, FAILED, INTERRUPTED, RUNNING
from transforms.ledger.jobs import Job, read_job, recent_jobs
from transforms.ledger.runs import listing
from transforms.ledger.totals import Totals, read_totals

NAME = "status"
ABOUT = """\
Shows a job of this database, or without an id the jobs started last. The exit code is 0; with --follow it is the one
that the job ends with: 0 completed, 1 failed, 130 interrupted."""
EXAMPLE = """\
  firebeam status --project=my-project
  firebeam status ingest-0c4a6d1f52 --project=my-project --follow"""

_SHOWN_JOBS = 20
_POLL_INTERVAL_S = 2.0
_EXIT_CODES = {COMPLETED: EXIT_OK, FAILED: EXIT_FAILED, INTERRUPTED: EXIT_INTERRUPTED}
_RECORDS = ("read", "written", "unchanged", "superseded")


@dataclass(frozen=True)
class Config:
    """The flags of status."""

    job_id: str | None = option(
        None, group="Job", metavar="ID", help="the job to show; the flag's name may be left out"
    )
    follow: bool = option(False, group="Job", help="show it again and again until it ends")
    json: bool = option(False, group="Job", help="print JSON; with --follow an object a line")
    project: str | None = option(
        None, group="Firestore", metavar="PROJECT", help="Google Cloud project; GOOGLE_CLOUD_PROJECT when absent"
    )
    database: str = option(DEFAULT_DATABASE, group="Firestore", metavar="DATABASE", help="Firestore database")


@dataclass(frozen=True)
class Status:
    """A job as it is at one moment."""

    job: Job
    totals: Totals
    moment: datetime.datetime
    project: str

    @property
    def state(self) -> str:
        """Its state, as whoever looks now has to take it."""
        return self.job.state_at(self.moment, self._last_completed_at)

    @property
    def heard_of_at(self) -> datetime.datetime:
        """When its owner gave its last sign of life."""
        return self.job.heard_of_at(self._last_completed_at)

    @property
    def _last_completed_at(self) -> datetime.datetime | None:
        return self.totals.recent[0].at if self.totals.recent else None

    @property
    def elapsed_s(self) -> float:
        """How long the run took so far: up to its end, or up to when its owner was heard of last."""
        end = self.moment if self.state == RUNNING else self.job.finished_at or self.heard_of_at
        return max(0.0, (end - self.job.started_at).total_seconds())

    @property
    def pace(self) -> Pace:
        """How fast it goes; of a run that has ended, how fast it went."""
        if self.state == RUNNING:
            return pace(self.totals, self.job.bytes_total, self.job.owned_since, self.moment)
        if self.state == COMPLETED:
            return Pace(self.totals.read / self.elapsed_s if self.elapsed_s else None, share=1.0)
        return Pace(share=pace(self.totals, self.job.bytes_total, self.moment, self.moment).share)

    def as_dict(self) -> dict[str, Any]:
        """For a program; times are ISO 8601 in UTC."""
        job, totals, at = self.job, self.totals, self.pace
        return {
            "job_id": job.job_id,
            "job": job.job,
            "state": self.state,
            "attempt": job.attempt,
            "owner": asdict(job.owner),
            "started_at": job.started_at.isoformat(),
            "heartbeat_at": job.heartbeat_at.isoformat(),
            "heard_of_at": self.heard_of_at.isoformat(),
            "finished_at": job.finished_at.isoformat() if job.finished_at else None,
            "elapsed_s": round(self.elapsed_s, 3),
            "progress": None if at.share is None else round(at.share, 4),
            "records_per_s": None if at.records_per_s is None else round(at.records_per_s, 1),
            "left_s": None if at.left_s is None else round(at.left_s, 1),
            "batches_completed": totals.batches,
            "batches_processing": totals.processing,
            "batches_failed": totals.failed,
            **{name: getattr(totals, name) for name in _RECORDS},
            "dead_letters": totals.dead_letter_count,
            "dead_letters_by": [
                {"step": step, "code": code, "count": n} for (step, code), n in totals.dead_letters.most_common() if n
            ],
            "retries": totals.retries,
            "overflowed": totals.overflowed,
            "repaired": totals.repaired,
            "newest_ids": list(totals.newest_ids),
            "error": job.error,
        }

    def as_table(self) -> Table:
        """For a terminal."""
        job, totals, at = self.job, self.totals, self.pace
        title = f"{job.job_id}: {self.state}"
        table = Table(title=escape(title), title_justify="left", show_header=False, min_width=len(title))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row("job", f"{job.job}, attempt {job.attempt}")
        table.add_row("owner", escape(str(job.owner)))
        table.add_row("started", _shown(job.started_at))
        table.add_row("last heard of", _shown(self.heard_of_at))
        table.add_row("elapsed", duration(self.elapsed_s))
        table.add_row("progress", "–" if at.share is None else f"{at.share:.0%}".replace("%", " %"))
        table.add_row("throughput", "–" if at.records_per_s is None else f"{at.records_per_s:,.0f} records/s")
        if self.state == RUNNING:
            table.add_row("left", "–" if at.left_s is None else duration(at.left_s))
        table.add_section()
        table.add_row(
            "batches", f"{totals.batches:,} completed, {totals.processing:,} processing, {totals.failed:,} failed"
        )
        for name in _RECORDS:
            table.add_row(name, f"{getattr(totals, name):,}")
        table.add_row("dead letters", f"{totals.dead_letter_count:,}")
        for (step, code), n in totals.dead_letters.most_common():
            if n:
                table.add_row(f"  {step}: {code}", f"{n:,}", style="dim")
        table.add_row("retries", f"{totals.retries:,}")
        if totals.newest_ids:
            table.add_row("newest ids", escape(", ".join(totals.newest_ids)))
        if job.error:
            table.add_row("error", escape(job.error), style="red")
        if job.owner.dataflow_job and job.state == RUNNING:
            table.add_row("Dataflow's word", escape(listing(job.owner, self.project)), style="dim")
        return table


def main(
    arguments: Sequence[str],
    console: Console,
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Prints to standard output.

    Raises:
      UsageError: there is no such job, or an argument is wrong.
    """
    config = _config(arguments)
    client = firestore_target(config.project, config.database).connect()
    if config.job_id is None:
        _print_recent(client, config, now)
        return EXIT_OK
    status = _status(client, config.job_id, now)
    if config.follow:
        status = _follow(client, status, config, console, now, sleep)
    if config.json:
        print(json.dumps(status.as_dict(), indent=None if config.follow else 2))  # noqa: T201
    else:
        Console().print(status.as_table())
    return _EXIT_CODES[status.state] if config.follow else EXIT_OK


def _config(arguments: Sequence[str]) -> Config:
    config, rest = parse(NAME, Config, arguments, ABOUT, EXAMPLE)
    unknown = [word for word in rest if word.startswith("-")]
    if unknown:
        refuse_unknown(NAME, unknown, flag_names(Config))
    named = [*([config.job_id] if config.job_id else []), *rest]
    if len(named) > 1:
        raise UsageError(f"status shows one job at a time, got {', '.join(named)}")
    if config.follow and not named:
        raise UsageError("--follow needs the id of a job: firebeam status ID --follow")
    return replace(config, job_id=named[0]) if named else config


def _status(client: FirestoreClient, job_id: str, now: Callable[[], float]) -> Status:
    job = read_job(client, job_id)
    if job is None:
        raise UsageError(
            f"there is no job {job_id} in {client.target.name}; `firebeam status` without an id lists recent ones, "
            "--project and --database say where to look"
        )
    return Status(job, read_totals(client, job_id), _moment(now), client.target.project)


def _follow(
    client: FirestoreClient,
    status: Status,
    config: Config,
    console: Console,
    now: Callable[[], float],
    sleep: Callable[[float], None],
) -> Status:
    """Shows a job until it has ended; returns its last status."""
    told = ""
    with live_line(console) as show:
        while status.state == RUNNING:
            line = progress_line(status.totals, status.pace)
            show(f"{status.job.job_id}: {line}", status.pace.share)
            if config.json:
                print(json.dumps(status.as_dict()), flush=True)  # noqa: T201
            elif not console.is_terminal and line != told:
                console.print(escape(line), highlight=False, soft_wrap=True)
                told = line
            sleep(_POLL_INTERVAL_S)
            status = _status(client, status.job.job_id, now)
    return status


def _print_recent(client: FirestoreClient, config: Config, now: Callable[[], float]) -> None:
    statuses = [
        # A job that has ended has stored its totals; to read them again takes several queries.
        Status(
            job,
            Totals.of(job.totals) if job.totals else read_totals(client, job.job_id),
            _moment(now),
            client.target.project,
        )
        for job in recent_jobs(client, _SHOWN_JOBS)
    ]
    if config.json:
        print(json.dumps([status.as_dict() for status in statuses], indent=2))  # noqa: T201
        return
    if not statuses:
        Console().print(f"no job has run in {escape(client.target.name)} yet", highlight=False, soft_wrap=True)
        return
    table = Table(title=f"recent jobs of {escape(client.target.name)}", title_justify="left")
    for column in ("job", "state", "attempt", "started", "elapsed", "read", "dead letters"):
        numbers = column in ("attempt", "elapsed", "read", "dead letters")
        table.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for status in statuses:
        table.add_row(
            escape(status.job.job_id),
            status.state,
            str(status.job.attempt),
            _shown(status.job.started_at),
            duration(status.elapsed_s),
            f"{status.totals.read:,}",
            f"{status.totals.dead_letter_count:,}",
        )
    Console().print(table)


def _shown(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _moment(now: Callable[[], float]) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(now(), datetime.timezone.utc)
