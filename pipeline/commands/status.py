"""firebeam status: how far a job is, wherever it runs, as its ledger says.

    firebeam status                 the jobs started last, newest first
    firebeam status ID              one job: state, owner, records, pace, what is left, newest ids, dead letters
    firebeam status ID --follow     the same, again and again until the job ends
    firebeam status ID --html=FILE  the page that `firebeam serve` shows of it, as one file
    firebeam status NAME/PAIR       a pair of a migration that `migrate --mode=follow` repairs

It reads and never writes. A running job whose owner has sent no heartbeat for a minute is shown as interrupted: the
command that began it resumes it. A Dataflow job sends no heartbeats; it is seen whenever it completes a batch, and
after half an hour without one it is shown as interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK
from pipeline.present.followed import followed_table
from pipeline.present.progress import live_line, progress_line
from pipeline.present.status import Status, recent_table
from pipeline.present.terminal import Console, say, show, standard_output
from pipeline.run.flags import Usage, option, parse, refuse_unknown
from pipeline.run.job_config import check_job_id
from pipeline.run.service_flags import AccountFlags
from pipeline.serve.followed import followed_pair, followed_pairs
from pipeline.serve.jobs import counters_of, recent_statuses, required_job
from transforms.errors import UsageError
from transforms.firestore.client import FirestoreClient
from transforms.ledger.document import LedgerDocument
from transforms.ledger.field_totals import read_field_totals
from transforms.ledger.jobs import COMPLETED, FAILED, INTERRUPTED, RUNNING, job_document
from transforms.ledger.totals import read_totals
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
    html: str | None = option(
        None,
        group="Page",
        metavar="FILE",
        help="write the page that `firebeam serve` shows, as one file to open or mail",
    )
    show_ids: bool = option(False, group="Page", help="ids of documents in that page, which may be names of people")


USAGE = Usage(
    "status",
    Config,
    about="""\
Shows a job of this database, or without an id the jobs started last and the migrations that are followed. The exit code
is 0; with --follow it is the one that the job ends with: 0 completed, 1 failed, 130 interrupted.""",
    example="""\
  firebeam status --project=my-project
  firebeam status ingest-0c4a6d1f52 --project=my-project --follow
  firebeam status ingest-0c4a6d1f52 --project=my-project --html=ingest.html
  firebeam status students/student_attempts --project=my-project""",
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
    if "/" in config.job_id:
        return _show_followed(client, config.job_id, retry, config, console)
    document = job_document(client, config.job_id, retry)
    status = _status(document)
    if config.follow:
        status = _follow(document, status, config, console)
    if config.html:
        _write_html(_page(document, config), config.html)
        return _EXIT_CODES[status.state] if config.follow else EXIT_OK
    status = replace(status, fields=read_field_totals(document, status.totals))
    if config.json and config.follow:
        print(json.dumps(status.as_dict()))  # noqa: T201
    elif config.json:
        print(json.dumps({**status.as_dict(), "page": _page(document, config)["page"]}, indent=2))  # noqa: T201
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
    for flag in ("follow", "html"):
        if getattr(config, flag) and not named:
            value = "=FILE" if flag == "html" else ""
            raise UsageError(f"--{flag} needs the id of a job: firebeam status ID --{flag}{value}")
    if config.html and config.json:
        raise UsageError("--html writes a page and --json prints one; give one of them")
    if not named:
        return config
    if config.job_id is not None or "/" not in named[0]:
        check_job_id(named[0])
    elif config.html:
        raise UsageError("--html writes the page of a job; what is followed is on the page of `firebeam serve`")
    return replace(config, job_id=named[0])


def _status(document: LedgerDocument) -> Status:
    job = required_job(document)
    return Status(job, read_totals(document, counters_of(job)), document.now(), document.client.target.project)


def _page(document: LedgerDocument, config: Config) -> Mapping[str, Any]:
    """The document of the page, which has every batch in it."""
    from pipeline.present.page.document import job_document as page_document
    from pipeline.serve.reading import JobReader  # whoever looks at a table waits for neither

    return page_document(JobReader(document).read(), show_ids=config.show_ids or not config.html)


def _write_html(page: Mapping[str, Any], path: str) -> None:
    from pipeline.present.page.render import file, render_job

    try:
        Path(path).write_text(file(render_job(page)), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--html cannot be written: {error.strerror or error}: {path}") from error
    say(standard_output(), f"written: {path}")


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
    statuses, foreign = recent_statuses(client, _SHOWN_JOBS, retry)
    if foreign:
        more = f" and {len(foreign) - _SHOWN_JOBS:,} more" if len(foreign) > _SHOWN_JOBS else ""
        say(console, f"not jobs of Firebeam, and not shown: {', '.join(foreign[:_SHOWN_JOBS])}{more}")
    followed, _ = followed_pairs(client, retry)
    if config.json:
        found = [*(each.as_dict() for each in statuses), *(each.as_dict() for each in followed)]
        print(json.dumps(found, indent=2))  # noqa: T201
        return
    if not statuses and not followed:
        say(standard_output(), f"no job has run in {client.target.name} yet")
        return
    if statuses:
        show(standard_output(), recent_table(client.target.name, statuses))
    if followed:
        show(standard_output(), followed_table(client.target.name, followed))


def _show_followed(client: FirestoreClient, shown_id: str, retry: Retry, config: Config, console: Console) -> int:
    """Shows a pair of a migration; with --follow again and again until nobody follows it. Returns the exit code."""
    found, last = followed_pair(client, shown_id, retry), ""
    while config.follow and found.state == RUNNING:
        if config.json:
            print(json.dumps(found.as_dict()), flush=True)  # noqa: T201
        elif found.line != last:
            last = found.line
            say(console, last)
        retry.clock.sleep(_POLL_INTERVAL_S)
        found = followed_pair(client, shown_id, retry)
    if config.json:
        print(json.dumps(found.as_dict(), indent=None if config.follow else 2))  # noqa: T201
    else:
        show(standard_output(), found.as_table())
    return EXIT_INTERRUPTED if config.follow and found.state == INTERRUPTED else EXIT_OK
