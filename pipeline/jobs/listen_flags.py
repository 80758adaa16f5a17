"""What `firebeam listen` can be asked for: its flags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pipeline.run.flags import Usage, option
from pipeline.run.health_flags import HealthFlags
from pipeline.run.job_config import JobConfig
from transforms.bigquery.methods import INSERT_ROWS, STORAGE_WRITE
from transforms.counters import Counters
from transforms.export.options import FLAT, LAYOUTS
from transforms.listen.counters import CHANGES
from transforms.listen.priorities import DEFAULT_RATES

NAME = "listen"

RESUME, SNAPSHOT, NOW = "resume", "snapshot", "now"
APPLY, IGNORE = "apply", "ignore"
SPEC = "spec"  # of --to
DEGRADE, STOP = "degrade", "stop"
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig, HealthFlags):
    """The flags of listen."""

    counters: ClassVar[Counters] = CHANGES

    streams: str | None = option(
        None,
        group="What",
        metavar="NAME|FILE",
        help="streams file that names collections, filters and priorities; candles is shipped",
    )
    stream_var: tuple[str, ...] = option(
        (),
        group="What",
        metavar="NAME=VALUES",
        commas=False,
        help="values of a variable of the streams file, such as instruments=EUR_USD,GBP_USD; repeat it for more",
    )
    collection: tuple[str, ...] = option(
        (),
        group="What",
        metavar="PATH",
        help="collections to listen to, each a stream; users/{user}/posts listens to those of every user; repeat it or "
        "separate with commas",
    )
    collection_group: tuple[str, ...] = option(
        (), group="What", metavar="ID", help="collection groups to listen to: every collection of that id"
    )
    where: tuple[str, ...] = option(
        (),
        group="What",
        metavar="CONDITION",
        commas=False,
        help="only documents for which this holds, such as 'complete == true'; repeat it for more",
    )
    fields: tuple[str, ...] = option((), group="What", metavar="FIELD", help="only these fields; default: all")
    ranges: int = option(
        1,
        group="What",
        minimum=1,
        maximum=100,
        help="divide each stream by names into so many, where a collection has more than about 1,000 writes/s",
    )
    spec: str | None = option(
        None,
        group="What",
        metavar="NAME|FILE",
        help="record spec that checks documents and defines the columns; default: that of the streams file, or else "
        "documents as they are",
    )
    start: str | None = option(
        None,
        group="From",
        choices=(RESUME, SNAPSHOT, NOW),
        help="resume: where the last run ended; snapshot: everything that is there, then its changes; now: changes "
        "from now on; default: resume, or snapshot if nothing is saved",
    )
    once: bool = option(
        False, group="From", help="end when everything up to now is in the sinks, instead of listening on"
    )
    bigquery_table: str | None = option(
        None, group="To", metavar="PROJECT:DATASET.TABLE", help="table that rows of changes are appended to"
    )
    layout: str = option(
        FLAT,
        group="To",
        choices=LAYOUTS,
        help="flat has one column per field; changelog has the columns of Firebase's extension; both writes TABLE and "
        "TABLE_changelog",
    )
    bigquery_method: str = option(
        INSERT_ROWS,
        group="To",
        choices=(INSERT_ROWS, STORAGE_WRITE),
        help="how rows get into the table; STORAGE_WRITE is the Storage Write API, which costs less",
    )
    to: str | None = option(
        None,
        group="To",
        metavar="spec|firestore://COLLECTION",
        help="mirror documents: spec writes the pair of the record spec; firestore://copies/{instrument} the document "
        "itself, under the values of the stream's parameters",
    )
    pubsub_topic: str | None = option(
        None,
        group="To",
        metavar="TOPIC",
        help="Pub/Sub topic, projects/PROJECT/topics/TOPIC or TOPIC, that a message is published to for every change",
    )
    handler: str | None = option(
        None,
        group="To",
        metavar="MODULE:FUNCTION",
        help="Python function that is called for every change, sync or async; what it raises makes a dead letter",
    )
    deletes: str = option(
        APPLY,
        group="To",
        choices=(APPLY, IGNORE),
        help="documents that are deleted, or leave the query: apply ends them in the sinks, ignore keeps them there",
    )
    on_lost_deletes: str = option(
        DEGRADE,
        group="To",
        choices=(DEGRADE, STOP),
        help="a stream that was down for so long that deletes can no longer be found: degrade goes on and says so, "
        "stop ends it",
    )
    max_concurrent_streams: int = option(
        8,
        group="Pace",
        minimum=1,
        maximum=1_000,
        help="streams that are open at once, in each process; the others take turns",
    )
    turn_s: float = option(
        60, group="Pace", minimum=1, maximum=3_600, help="how long a turn lasts while other streams wait, in seconds"
    )
    rates: tuple[str, ...] = option(
        tuple(f"{priority}={rate}" for priority, rate in DEFAULT_RATES.items()),
        group="Pace",
        metavar="PRIORITY=N",
        help="changes per minute of each stream by its priority; streams without a priority have no limit of their own",
    )
    max_changes_per_min: int | None = option(
        None,
        group="Pace",
        minimum=1,
        maximum=1_000_000,
        help="changes per minute of all streams together; default: that of the streams file, or else any number",
    )
    lend_rates: bool = option(
        True, group="Pace", help="streams that are late may use the rates that others leave unused"
    )
    max_buffered: int = option(
        10_000,
        group="Pace",
        minimum=1,
        maximum=1_000_000,
        help="changes of a stream that wait for the sinks before nothing more is read; none is dropped",
    )
    max_names: int = option(
        200_000,
        group="Pace",
        minimum=1,
        maximum=10_000_000,
        help="names of documents that are kept in memory, of all streams together; without room for a stream's, its "
        "deletes cost more reads",
    )
    save_interval_s: float = option(
        5,
        group="Pace",
        minimum=0,
        maximum=300,
        help="how many seconds a position may wait to be saved; after a crash these changes come again",
    )
    health_interval_s: float = option(
        30, group="Health", minimum=10, maximum=600, help="seconds between two writes about a stream that is quiet"
    )
    silence_s: float = option(
        600,
        group="Health",
        minimum=0,
        maximum=86_400,
        help="a stream that could not be connected for so many seconds is unhealthy, and opened anew; 0 for never",
    )
    auto_recovery: bool = option(True, group="Health", help="whether such a stream is opened anew")
    port: int | None = option(
        None,
        group="Health",
        minimum=0,
        maximum=65_535,
        help="port of a status server in this process, with /health and /metrics; 0 for any; default: none",
        in_templates=False,
    )
    host: str = option(
        "127.0.0.1",
        group="Health",
        metavar="ADDRESS",
        help="address that the status server listens on; 0.0.0.0 for all of this computer, :: for those of IPv6 too",
        in_templates=False,
    )
    dead_letter_retry_s: float = option(
        300,
        group="Dead letters",
        minimum=0,
        maximum=86_400,
        help="after so many seconds a dead letter that is retryable comes again, unless its document has changed",
    )
    max_attempts: int = option(
        5,
        group="Dead letters",
        minimum=1,
        maximum=1_000,
        help="a dead letter that was tried so often is put into parked/, and does not come again",
    )
    max_dead_letters: int = option(
        1_000,
        group="Dead letters",
        minimum=1,
        maximum=1_000_000,
        help="a stream that has so many waits until there are fewer; none is dropped",
    )
    log_level: str = option("WARNING", group="Health", choices=LOG_LEVELS, help="what is logged")

    def to_resume(self) -> list[str]:
        """What the command that resumes the run has beside the flags of the one that began it."""
        return [*super().to_resume(), *(["--start=resume"] if self.start in (SNAPSHOT, NOW) else [])]


USAGE = Usage(
    NAME,
    Config,
    about="""\
Listens to collections of Firestore and writes every change to BigQuery as it happens, deletes included, none missed.
It runs until a signal ends it, with exit code 0; after a crash the same command resumes it. Every flag may also be set
in the environment, as FIREBEAM_ and its name; what is given as a flag wins.""",
    example="""\
  firebeam listen --streams=candles --stream_var=instruments=EUR_USD,GBP_USD --project=my-project \\
      --bigquery_table=my-project:market.candles
  firebeam listen --collection=users --project=my-project --database='(default)' \\
      --bigquery_table=my-project:live.users --dead_letters=gs://my-bucket/dead_letters""",
)
