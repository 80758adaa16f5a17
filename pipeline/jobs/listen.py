"""listen: changes of Firestore into sinks, as they happen, for ever.

    Create([group]) ─▶ Listen ─▶ EnterChanges ─▶ FlattenChanges ─▶ WriteRows ─▶ StoreDeadLetters ─▶ SavePositions
                       journal    Batch[Changed]  record spec       an answer    JSONL files         pipeline_streams/
                                                                    per row

All is fused behind one root: a change goes through every step before the next one comes, and a position is saved when
every sink has answered. What comes after the last saved position comes again after a crash, and changes nothing then.
With --once streams end behind what was there when the run began, and so does the job.
"""

import contextlib
import datetime
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import PCollection

from pipeline.exit_codes import EXIT_FAILED, EXIT_OK
from pipeline.jobs.listen_flags import IGNORE, NAME, NOW, RESUME, SNAPSHOT, STOP, USAGE, Config
from pipeline.jobs.listen_ranges import divided
from pipeline.jobs.listen_sinks import Source, places_of, sinks_of
from pipeline.jobs.listen_streams import Listened, check_saved, file_of, is_of_run, streams_of
from pipeline.jobs.outcome import show_summary
from pipeline.present.summary import Summary
from pipeline.present.terminal import Console, say
from pipeline.run.job import Job, JobPlan, derived_job_id
from pipeline.run.runners import on_dataflow
from pipeline.run.status_server import StatusPages, status_server, url_of
from pipeline.specs import read_spec
from transforms.batch import Batch
from transforms.bigquery.schema import check_names
from transforms.bigquery.storage_target import StorageTarget
from transforms.bigquery.target import BigQueryTarget
from transforms.bigquery.write import WriteRows
from transforms.dead_letters.folder import DeadLetterFolder
from transforms.dead_letters.steps import DeadLetterStore
from transforms.errors import JobError, UsageError
from transforms.export.columns import fixed_columns
from transforms.firestore.changes.options import ListenOptions
from transforms.firestore.changes.positions import Follow, Position
from transforms.firestore.listen import ListenToFirestore
from transforms.firestore.read_time import JOB_START, fix_read_time
from transforms.ledger.jobs import COMPLETED, read_job
from transforms.ledger.runs import JobDescription, Opening
from transforms.ledger.stream_journal import LedgerJournal
from transforms.ledger.stream_writer import WRITERS
from transforms.ledger.streams import claim, read_streams, stream_document
from transforms.listen.entries import Changed
from transforms.listen.health import HealthLimits
from transforms.listen.priorities import parse_rates
from transforms.listen.retries import RetrySettings, retries_of
from transforms.listen.rows import ChangeTables, rows_of_changes
from transforms.listen.schedule import PacedStream, PaceSettings, schedule_of
from transforms.listen.sinks import ChangeSink
from transforms.listen.steps import EnterChanges, FlattenChanges, KeepDeadLetters, SavePositions
from transforms.listen.tables import flat_columns, provide_tables
from transforms.listen.write import WriteChanges
from transforms.records.spec import RecordSpec
from transforms.records.table import spec_columns
from transforms.runtime.services import services_of
from transforms.services import Services


@dataclass(frozen=True)
class Plan(JobPlan[Config]):
    """A config with everything read and looked up that the graph needs.

    Attributes:
      streams: what is listened to.
      tables: of BigQuery; None without a table.
      spec: the record spec, if there is one.
      now: the database's time when the run was asked for.
      max_changes_per_min: of all streams together; None for any number.
      storage_host: of an emulator's Storage Write API, where that is used.
      sinks: where changes go beside BigQuery.
      positions: where streams begin, by id.
    """

    streams: tuple[Listened, ...]
    tables: ChangeTables | None
    spec: RecordSpec | None
    max_changes_per_min: int | None
    now: datetime.datetime
    storage_host: str | None
    sinks: tuple[ChangeSink, ...]
    positions: tuple[tuple[str, Position], ...] = ()

    @property
    def options(self) -> ListenOptions:
        """How streams behave."""
        config = self.config
        return ListenOptions(
            max_names=config.max_names,
            max_buffered=config.max_buffered,
            stop_on_lost_deletes=config.on_lost_deletes == STOP,
        )

    @property
    def pace(self) -> PaceSettings:
        """Whose changes go next, and how many."""
        config = self.config
        return PaceSettings(
            self.job_id,
            tuple(PacedStream(each.stream_id, each.description.priority or None) for each in self.streams),
            tuple(parse_rates(config.rates).items()),
            self.max_changes_per_min,
            config.lend_rates,
            config.max_concurrent_streams,
            config.turn_s,
            config.health_interval_s,
            config.silence_s if config.auto_recovery else 0,
        )

    @property
    def retries(self) -> RetrySettings:
        """When dead letters come again."""
        config = self.config
        return RetrySettings(
            config.dead_letters,
            self.job_id,
            tuple(stream.query for stream in self.streams),
            self.pace,
            config.dead_letter_retry_s,
            config.max_attempts,
            config.max_dead_letters,
        )

    @contextlib.contextmanager
    def serving(self, console: Console) -> Iterator[None]:
        """Answers probes and Prometheus while the job runs, if that is asked for."""
        config, client = self.config, self.firestore.connect()
        if config.port is None:
            yield
            return
        limits = HealthLimits(config.silence_s or math.inf, config.max_error_rate)
        pages = StatusPages(lambda: read_streams(client, self.job_id, self.retry), limits, self.retry.clock)
        with status_server(pages, config.host, config.port) as port:
            say(console, f"status: {url_of(config.host, port)}/health, /metrics")
            yield

    @property
    def until(self) -> datetime.datetime | None:
        """When streams end; None for never."""
        return self.now if self.config.once else None

    def opened(self, opening: Opening) -> "Plan":
        """The plan of the run that the ledger has opened. A run that is resumed continues, whatever it began with."""
        saved = {stream.stream_id: stream for stream in read_streams(self.firestore.connect(), self.job_id, self.retry)}
        positions: dict[str, Position] = {}
        for stream in self.streams:
            before = saved.get(stream.stream_id)
            has_begun = opening.resumed and is_of_run(before, stream, opening.attempt)
            is_fresh = self.config.start in (SNAPSHOT, NOW) or self.config.restart
            if before and before.position and (has_begun or not is_fresh):
                positions[stream.stream_id] = before.position
            elif self.config.start == NOW:
                positions[stream.stream_id] = Follow(self.now)
        return replace(self, opening=opening, positions=tuple(positions.items()))


def prepare(config: Config, options: PipelineOptions) -> Plan:
    """Checks what can be checked before anything is started.

    Raises:
      UsageError: what is wrong with which flag.
      JobError: the database cannot be reached.
    """
    logging.getLogger().setLevel(config.log_level)
    if config.port is not None and on_dataflow(options):
        raise UsageError("--port opens a server in this process, and Dataflow's workers run the job; leave it out")
    plan = planned(config, services_of(options))
    DeadLetterFolder(config.dead_letters).check_writable()
    client = plan.firestore.connect()
    now = fix_read_time(client, JOB_START)
    assert now is not None, "a read time that is fixed is a time"
    saved = {stream.stream_id: stream for stream in read_streams(client, plan.job_id, plan.retry)}
    keeps_parts = config.start in (None, RESUME) and not config.restart
    streams = divided(plan.streams, config.ranges, saved if keeps_parts else {}, client)
    check_saved(streams, saved, config)
    return replace(plan, streams=streams, now=now)


def planned(config: Config, services: Services) -> Plan:
    """What the flags ask for, whatever the database has; streams are not divided yet.

    Raises:
      UsageError: what is wrong with which flag.
      JobError: a topic does not exist.
    """
    firestore = config.firestore(services)
    file = file_of(config)
    named = config.spec or (file.spec if file else None)
    spec = None if named is None else read_spec(named)
    rates, places = parse_rates(config.rates), places_of(config)
    streams = streams_of(config, file, spec.fingerprint if spec else "", places, rates)
    description = JobDescription(
        NAME,
        config.job_id or derived_job_id(NAME, _about(streams), firestore.project, firestore.database, *_named(places)),
        config.parameters(),
        # A position says where a stream resumes, so a run with other streams or another pace is welcome.
        input_fingerprint="",
        spec_fingerprint="",
    )
    limit = config.max_changes_per_min or (file.max_changes_per_min if file else None)
    plan = Plan(config, description, firestore, streams, None, spec, limit, datetime.datetime.min, None, ())
    tables = _tables(plan, services)
    storage_host = StorageTarget.host_for(config.bigquery_method, tables.table, services) if tables else None
    sinks = sinks_of(Source(firestore, streams, spec, plan.job_id), config, services)
    return replace(plan, tables=tables, storage_host=storage_host, sinks=sinks)


def _about(streams: tuple[Listened, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((stream.stream_id, stream.description.query_fingerprint) for stream in streams)


def _named(places: tuple[str, ...]) -> list[str]:
    """The places in a job's id; a table stands there as the flag has it."""
    return [place.removeprefix("bigquery:") for place in places]


def _tables(plan: Plan, services: Services) -> ChangeTables | None:
    config = plan.config
    if config.bigquery_table is None:
        return None
    of_spec = spec_columns(plan.spec) if plan.spec else ()
    taken = {column.name for column in of_spec}  # where a field has the name of a parameter, it has the column
    found = (name for stream in plan.streams for name in stream.settings.parameter_names)
    names = tuple(dict.fromkeys(name for name in found if name not in taken))
    check_names(fixed_columns(names) + of_spec)
    return ChangeTables(
        BigQueryTarget.parse(config.bigquery_table, services, config.max_outage_s),
        config.layout,
        names,
        plan.firestore.document_name(""),
    )


def provision(plan: Plan) -> None:
    """Makes the tables, and the streams this run's own.

    Raises:
      JobError: a dataset is missing, or a table does not fit; or the job has another owner by now.
    """
    client = plan.firestore.connect()
    provide(plan)
    job = read_job(plan.document())
    if job is None or job.attempt != plan.run.attempt:
        raise JobError(f"job {plan.job_id} was taken over or removed by another process; this one stops")
    WRITERS.forget(plan.ledger)
    positions = dict(plan.positions)
    for stream in plan.streams:
        document = stream_document(client, plan.job_id, stream.stream_id, plan.retry)
        position = positions.get(stream.stream_id)
        claim(document, stream.description, job.owner, plan.run.attempt, position, plan.config.counters)


def provide(plan: Plan) -> None:
    """Makes the tables, or adds the columns they lack. Raises JobError."""
    if plan.tables:
        queries = (stream.query.query for stream in plan.streams)
        provide_tables(plan.tables, plan.spec, plan.firestore.connect(), queries, plan.retry)


def into_sinks(
    batches: PCollection[Batch[Changed]], plan: Plan, started_at: datetime.datetime
) -> PCollection[Batch[Changed]]:
    """Hands changes to every sink. Out: the same batches; what the spec or a sink refused is a dead letter.

    Args:
      started_at: when the run began.
    """
    config = plan.config
    if plan.spec:
        batches = batches | "FlattenChanges" >> FlattenChanges(plan.spec)
    if plan.tables:
        columns = flat_columns(plan.tables)
        rows = rows_of_changes(plan.tables, columns, started_at, config.bigquery_method, plan.storage_host, plan.retry)
        batches = (batches | "WriteRows" >> WriteRows(rows, is_one_behind=False)).batches
    for sink in plan.sinks:
        batches = batches | sink.step >> WriteChanges(sink)
    return batches


def build(pipeline: beam.Pipeline, plan: Plan) -> None:
    """Draws the graph of a run."""
    config, ledger, schedule, retries = plan.config, plan.ledger, schedule_of(plan.pace), retries_of(plan.retries)
    settings = {stream.stream_id: stream.settings for stream in plan.streams}
    changes = pipeline | "ListenToFirestore" >> ListenToFirestore(
        tuple(stream.query for stream in plan.streams),
        target=plan.firestore,
        positions=dict(plan.positions),
        until=plan.until,
        options=plan.options,
        journal=LedgerJournal(ledger),
        pace=schedule,
        feed=retries,
    )
    batches = changes | "EnterChanges" >> EnterChanges(plan.job_id, settings, config.deletes != IGNORE)
    batches = into_sinks(batches, plan, plan.run.started_at)
    store = DeadLetterStore(DeadLetterFolder(config.dead_letters), NAME, plan.job_id, looks_for_earlier=False)
    _ = (
        batches
        | "StoreDeadLetters" >> KeepDeadLetters(store, retries)
        | "SavePositions"
        >> SavePositions(ledger, config.save_interval_s, config.health_interval_s, plan.until, schedule)
    )


def present(plan: Plan, summary: Summary, console: Console) -> int:
    """Shows how a run ended; returns the exit code. Being stopped is how a run ends that has no other end."""
    show_summary(summary, console)
    if summary.totals.unwanted:
        say(console, f"dead letters: {plan.config.dead_letters}")
    return EXIT_OK if summary.state == COMPLETED else EXIT_FAILED


JOB = Job(USAGE, prepare, provision, build, present)
