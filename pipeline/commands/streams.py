"""firebeam streams: how the streams of listen jobs are, wherever they run, as the ledger says.

    firebeam streams                 all streams of this database
    firebeam streams ID              one stream, or those of one job
    firebeam streams ID --follow     the same, again and again until none of them runs
    firebeam streams ID --check      exit code 0 while they are healthy or partial, else 1: for a health check
    firebeam streams --prometheus    their numbers as Prometheus reads them, for a collector of text files

It reads and never writes. A stream whose owner is dead is shown as stopped: the command that began it resumes it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.exit_codes import EXIT_FAILED, EXIT_OK
from pipeline.present.prometheus import metrics
from pipeline.present.streams import ShownStream, streams_table
from pipeline.present.terminal import Console, say, show, standard_output
from pipeline.run.flags import Usage, from_environment, option, parse, refuse_unknown
from pipeline.run.health_flags import HealthFlags
from pipeline.run.service_flags import AccountFlags
from transforms.errors import UsageError
from transforms.firestore.client import FirestoreClient
from transforms.firestore.read_time import utc_now
from transforms.ledger.jobs import Job as LedgerJob
from transforms.ledger.jobs import NotAJobError, job_document, read_job
from transforms.ledger.streams import STOPPED, SavedStream, read_streams
from transforms.listen.health import HealthLimits, Status, health_of
from transforms.retry import SYSTEM_CLOCK, Clock, Retry

_POLL_INTERVAL_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Config(AccountFlags, HealthFlags):
    """The flags of streams."""

    stream: str | None = option(
        None, group="Streams", metavar="ID", help="a stream, or a job; the flag's name may be left out; default: all"
    )
    follow: bool = option(False, group="Streams", help="show them again and again until none of them runs")
    json: bool = option(False, group="Streams", help="print JSON; with --follow one object per line")
    prometheus: bool = option(False, group="Streams", help="print Prometheus' text format")
    check: bool = option(
        False, group="Health", help="print how they are together; exit code 0 for healthy and partial, 1 for unhealthy"
    )
    silence_s: float = option(
        600, group="Health", minimum=1, maximum=86_400, help="a stream without a heartbeat for so long is unhealthy"
    )


USAGE = Usage(
    "streams",
    Config,
    about="""\
Shows the streams of listen jobs in this database: state, counts, pace, lag, latency, the last error. Its flags may also
be set in the environment, as FIREBEAM_ and the name.""",
    example="""\
  firebeam streams --project=my-project
  firebeam streams listen-0c4a6d1f52 --project=my-project --follow
  firebeam streams listen-0c4a6d1f52 --project=my-project --check      # HEALTHCHECK of a container""",
)


def main(arguments: Sequence[str], console: Console, clock: Clock = SYSTEM_CLOCK) -> int:
    """Prints to standard output.

    Raises:
      UsageError: there is no such stream, or an argument is wrong.
    """
    config = _config(arguments)
    client, retry = config.firestore(config.services()).connect(), Retry(clock=clock)
    if config.check or config.prometheus:
        return _report(config, _shown(client, config.stream, retry))
    while True:
        shown = _shown(client, config.stream, retry)
        _print(client, shown, config)
        if not config.follow or all(each.state == STOPPED for each in shown):
            return EXIT_OK
        clock.sleep(_POLL_INTERVAL_S)


def _report(config: Config, shown: Sequence[ShownStream]) -> int:
    """Prints how streams are together, for a program; returns the exit code."""
    streams = [replace(each.stream, state=each.state) for each in shown]
    at = max((each.at for each in shown), default=utc_now())
    health = health_of(streams, at, HealthLimits(config.silence_s, config.max_error_rate))
    if config.prometheus:
        print(metrics(health), end="")  # noqa: T201
    elif config.json:
        print(json.dumps(health.as_dict()))  # noqa: T201
    else:
        say(standard_output(), f"{health.overall.value}: {health.n_active} of {len(shown)} streams are active")
        for stream in health.streams:
            if stream.reason:
                say(standard_output(), f"{stream.stream.document_id}: {stream.reason}")
    return EXIT_FAILED if config.check and health.overall is Status.UNHEALTHY else EXIT_OK


def _config(arguments: Sequence[str]) -> Config:
    config, rest = parse(USAGE, from_environment(USAGE, arguments))
    unknown = [word for word in rest if word.startswith("-")]
    if unknown:
        refuse_unknown(USAGE, unknown)
    named = [*([config.stream] if config.stream else []), *rest]
    if len(named) > 1:
        raise UsageError(f"streams shows one stream or job at a time, or all of them, got {', '.join(named)}")
    return replace(config, stream=named[0]) if named else config


def _shown(client: FirestoreClient, named: str | None, retry: Retry) -> list[ShownStream]:
    found = read_streams(client, retry=retry)
    chosen = [stream for stream in found if named is None or named in _names(stream)]
    if named is not None and not chosen:
        raise UsageError(
            f"there is no stream or listen job {named} in {client.target.name}; `firebeam streams` without an id lists "
            "all, --project and --database say where to look"
        )
    jobs = {job_id: _job(client, job_id, retry) for job_id in {stream.job_id for stream in chosen}}
    at = job_document(client, "", retry).now()
    return [ShownStream(stream, jobs[stream.job_id], at) for stream in chosen]


def _names(stream: SavedStream) -> tuple[str, ...]:
    return stream.document_id, stream.job_id, stream.stream_id, f"{stream.job_id}:{stream.stream_id}"


def _job(client: FirestoreClient, job_id: str, retry: Retry) -> LedgerJob | None:
    try:
        return read_job(job_document(client, job_id, retry))
    except NotAJobError:
        return None


def _print(client: FirestoreClient, shown: Sequence[ShownStream], config: Config) -> None:
    if config.json:
        each = [stream.as_dict() for stream in shown]
        print(json.dumps(each, indent=None if config.follow else 2), flush=True)  # noqa: T201
    elif not shown:
        say(standard_output(), f"nobody has listened to {client.target.name} yet")
    elif config.stream is not None and len(shown) == 1:
        show(standard_output(), shown[0].as_table())
    else:
        show(standard_output(), streams_table(client.target.name, shown))
