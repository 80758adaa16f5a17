"""ingest: batch outputs into pairs of Firestore documents, and rows of BigQuery.

    files ─▶ ReadBatches ─▶ BeginBatch ─▶ IdentifyRecords ─▶ CompareVersions ─▶ FlattenRecords ─▶ UpsertPairs ─▶ …
              slices         ledger        ids, hashes         what is stored     record spec       Firestore

                                      … InsertRows ─▶ StoreDeadLetters ─▶ CompleteBatch
                                         BigQuery      JSONL files         ledger

All steps behind the slices are fused, so a batch is read, written, accounted for and shown before the next one begins,
but that its rows may be on their way meanwhile; memory does not grow with the input. With
`--bigquery_method=FILE_LOADS` the rows leave their batch behind UpsertPairs and go through load jobs instead.
"""

import datetime
from dataclasses import dataclass, replace

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.pvalue import PCollection

from pipeline.jobs.ingest_flags import NAME, USAGE, Config
from pipeline.present.outcome import present_records
from pipeline.run.job import Job, JobPlan, derived_job_id, digest
from pipeline.sources import Sources
from pipeline.specs import read_spec
from transforms.batch import Batch, Record
from transforms.bigquery.methods import FILE_LOADS, TYPED_METHODS
from transforms.bigquery.schema import Column
from transforms.bigquery.senders import check_temp_location
from transforms.bigquery.storage_target import StorageTarget
from transforms.bigquery.tables import BigQueryTarget, ensure_latest_view, ensure_table
from transforms.bigquery.write import WriteRows, WrittenRows
from transforms.dead_letters.folder import DeadLetterFolder
from transforms.dead_letters.steps import StoreDeadLetters
from transforms.errors import UsageError
from transforms.firestore.packing import RequestLimits
from transforms.inputs.slices import ReadOptions
from transforms.ledger.entry import LedgerEntry
from transforms.ledger.jobs import Job as LedgerJob
from transforms.ledger.read_times import read_time_of_run
from transforms.ledger.runs import JobDescription, Opening
from transforms.ledger.steps import BeginBatch, CompleteBatch, CompleteJob
from transforms.records.spec import RecordSpec
from transforms.records.table import table_columns, table_options
from transforms.retry import Retry
from transforms.upsert.entries import Compared, Written
from transforms.upsert.layout import PairLayout
from transforms.upsert.modes import VERSIONED
from transforms.upsert.rows import STEP, rows_of_records
from transforms.upsert.rows_known import ROWS_KNOWN, rows_known_after
from transforms.upsert.steps import CompareVersions, FlattenRecords, IdentifyRecords, UpsertPairs
from transforms.upsert.versions import ALL_ROWS, RunIdentity


@dataclass(frozen=True)
class Table:
    """The BigQuery side of a run.

    Attributes:
      storage_host: of an emulator's Storage Write API, where that is used.
    """

    target: BigQueryTarget
    columns: tuple[Column, ...]
    method: str
    storage_host: str | None = None


@dataclass(frozen=True)
class Destination:
    """What records become and where they go: all that stands behind the input."""

    spec: RecordSpec
    layout: PairLayout
    limits: RequestLimits
    table: Table | None
    retry: Retry
    max_writes_per_s: float | None = None


@dataclass(frozen=True)
class Plan(JobPlan[Config]):
    """A config with everything read and looked up that the graph needs.

    Attributes:
      read_time: when the run began by Firestore's clock, where it reads collections.
    """

    to: Destination
    sources: Sources
    read_time: datetime.datetime | None = None

    @property
    def moment(self) -> datetime.datetime:
        """As of when collections are read; a run that is resumed reads the same moment."""
        return self.read_time or self.run.started_at

    def kept(self, before: LedgerJob | None) -> dict[str, str]:
        """Which rows the table has when a run begins."""
        return {ROWS_KNOWN: rows_known_after(before, self.description)}

    def opened(self, opening: Opening) -> "Plan":
        """The plan of the run that the ledger has opened.

        With load jobs a completed batch says nothing about its rows: all batches are done again, which writes no
        document twice and shows every row once in the `_latest` view.
        """
        if self.to.table and self.to.table.method == FILE_LOADS:
            opening = replace(opening, completed=frozenset())
        plan = super().opened(opening)
        if not self.sources.queries:
            return plan
        return replace(plan, read_time=read_time_of_run(self.document(), opening.attempt, opening.started_at))


def prepare(config: Config, options: PipelineOptions) -> Plan:
    """Reads the spec, finds the input and checks what can be checked before anything is started.

    Raises:
      UsageError: what is wrong with which flag.
    """
    to = destination(config)
    if to.table and to.table.method == FILE_LOADS:
        check_temp_location(options.view_as(GoogleCloudOptions).temp_location)
    reading = ReadOptions(
        batch_size=config.batch_size, input_format=config.input_format, records_path=config.records_path
    )
    firestore = config.firestore
    sources = Sources.find(config.input, reading, firestore)
    dead_letters = DeadLetterFolder(config.dead_letters)
    dead_letters.check_writable()
    description = JobDescription(
        NAME,
        config.job_id
        or derived_job_id(
            NAME, sorted(config.input), config.spec, firestore.project, firestore.database, config.bigquery_table
        ),
        config.parameters(),
        # Also where rows go, and how: what a completed batch has done is worth nothing to a run that goes elsewhere.
        input_fingerprint=digest(sources.fingerprint, config.bigquery_table, config.bigquery_method),
        spec_fingerprint=to.spec.fingerprint,
        bytes_total=sources.bytes_total,
    )
    foreign = dead_letters.foreign_file(description.job_id, sources.file_ids)
    if foreign:
        raise UsageError(
            f"{foreign} holds dead letters of another job on the same input, which this one would replace; "
            "replay or remove them, or pass another --dead_letters"
        )
    return Plan(config, description, firestore, to, sources)


def destination(config: Config) -> Destination:
    """Where a config sends its records.

    Raises:
      UsageError: what is wrong with which flag.
    """
    if config.keep_versions and config.upsert != VERSIONED:
        raise UsageError(f"--keep_versions needs --upsert={VERSIONED}, got {config.upsert}")
    spec = read_spec(config.spec)
    firestore = config.firestore
    layout = PairLayout(
        firestore,
        spec.full_collection,
        spec.flat_collection,
        spec.schema_version,
        config.upsert,
        config.keep_versions,
    )
    # Headroom below the service's own limit: it counts the request's envelope as well.
    max_request_bytes = config.max_request_bytes or int(firestore.max_request_bytes * 0.9)
    limits = RequestLimits(max_request_bytes=max_request_bytes, max_in_flight=config.max_in_flight)
    return Destination(spec, layout, limits, _table(config, spec), config.retry, config.max_writes_per_s)


def provision(plan: Plan) -> None:
    """Creates the table and its view, or adds the columns they lack; a new run begins without its old dead letters.

    Raises:
      JobError: the table does not fit the spec, or may not be changed.
    """
    provide_table(plan.to)
    if not plan.run.resumed:
        folder = DeadLetterFolder(plan.config.dead_letters)
        folder.remove(plan.job_id, plan.sources.file_ids, plan.sources.collections)


def provide_table(to: Destination) -> None:
    """As `provision`."""
    if to.table:
        target, columns = to.table.target, to.table.columns
        ensure_table(target, columns, table_options(to.spec, columns))
        ensure_latest_view(target, to.spec.key.name)


def build(pipeline: beam.Pipeline, plan: Plan) -> None:
    """Draws the graph of a run."""
    ledger, opening = plan.ledger, plan.run
    rows_known = opening.kept[ROWS_KNOWN] if plan.to.table else ALL_ROWS
    run = RunIdentity(plan.job_id, opening.started_at, plan.sources.ids(plan.moment), rows_known)
    batches = plan.sources.read(pipeline, plan.moment, opening.completed)
    written = write_batches(compare_batches(batches, plan.to, run, ledger), plan.to, run)
    outcomes = (
        written.batches
        | "StoreDeadLetters" >> StoreDeadLetters(plan.config.dead_letters, NAME, plan.job_id)
        | "CompleteBatch" >> CompleteBatch(ledger)
    )
    _ = outcomes | "CompleteJob" >> CompleteJob(ledger, after=written.loaded)


def compare_batches(
    batches: PCollection[Batch[Record]], to: Destination, run: RunIdentity, ledger: LedgerEntry
) -> PCollection[Batch[Compared]]:
    """The first half of the graph: who are these records, and what is stored about them?"""
    compared: PCollection[Batch[Compared]] = (
        batches
        | "BeginBatch" >> BeginBatch(ledger)
        | "IdentifyRecords" >> IdentifyRecords(to.spec)
        | "CompareVersions" >> CompareVersions(to.layout, run, to.retry)
    )
    return compared


def write_batches(compared: PCollection[Batch[Compared]], to: Destination, run: RunIdentity) -> WrittenRows:
    """The second half: documents, then rows."""
    written: PCollection[Batch[Written]] = (
        compared
        | "FlattenRecords" >> FlattenRecords(to.spec)
        | "UpsertPairs" >> UpsertPairs(to.layout, run, to.limits, to.retry, to.max_writes_per_s)
    )
    if to.table is None:
        return WrittenRows(written)
    table, may_all_be_bad = to.table, to.limits.stop_at_refused_alike is None
    rows = rows_of_records(table.target, table.columns, table.method, table.storage_host, may_all_be_bad=may_all_be_bad)
    inserted: WrittenRows = written | STEP >> WriteRows(rows, step="Insert")
    return inserted


def _table(config: Config, spec: RecordSpec) -> Table | None:
    if config.bigquery_table is None:
        return None
    columns = table_columns(spec)
    table_options(spec, columns)  # refuses options that BigQuery does not have, while it is still free to do so
    target, method = BigQueryTarget.parse(config.bigquery_table), config.bigquery_method
    return Table(target, columns, method, StorageTarget.of(target).grpc_host if method in TYPED_METHODS else None)


JOB = Job(USAGE, prepare, provision, build, present_records)
