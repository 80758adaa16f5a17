"""ingest: batch outputs into pairs of Firestore documents, and rows of BigQuery.

    files ─▶ ReadBatches ─▶ IdentifyRecords ─▶ FlattenRecords ─▶ UpsertPairs ─▶ InsertRows ─▶ StoreDeadLetters ─▶ …
              slices          ids, hashes       record spec       Firestore      BigQuery      JSONL files
                                                                                                … CompleteBatch
                                                                                                     ledger

All steps behind the slices are fused, so a batch is read, written, accounted for and shown before the next one begins,
and memory does not grow with the input. With `--bigquery_method=FILE_LOADS` or `STREAMING_INSERTS` the rows leave their
batch behind UpsertPairs and go through Beam's WriteToBigQuery instead.
"""

import datetime
import secrets
from dataclasses import asdict, dataclass

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.pvalue import PCollection

from pipeline.config import option
from pipeline.specs import read_spec
from pipeline.targets import firestore_target
from transforms.batches.files import InputFile, match_inputs
from transforms.batches.read import ReadBatches
from transforms.batches.slices import ReadOptions
from transforms.bigquery.encode import EncodeRows
from transforms.bigquery.insert import InsertRows
from transforms.bigquery.load import LoadRows, check_temp_location
from transforms.bigquery.rejected import GroupRejectedRows, correction
from transforms.bigquery.schema import Column, table_columns, table_options
from transforms.bigquery.tables import BigQueryTarget, ensure_latest_view, ensure_table
from transforms.dead_letters import StoreDeadLetters, check_writable
from transforms.firestore.client import DEFAULT_DATABASE, FirestoreTarget
from transforms.firestore.committer import CommitLimits
from transforms.firestore.upsert import PairLayout, UpsertPairs
from transforms.ledger import CompleteBatch, RecordOutcomes
from transforms.records.spec import RecordSpec
from transforms.records.steps import FlattenRecords, IdentifyRecords
from transforms.types import Batch, Written

NAME = "ingest"

ABOUT = """\
Reads processed records from files or model batch results, flattens them by a record spec, writes each as a pair of
Firestore documents and, if asked to, as a row of BigQuery. A record that cannot be stored becomes a dead letter."""

EXAMPLE = """\
  firebeam ingest --input='gs://my-bucket/results/*.jsonl' --spec=profiles \\
      --project=my-project --database='(default)' \\
      --bigquery_table=my-project:people.candidates --dead_letters=gs://my-bucket/dead_letters"""

INSERT_ROWS, FILE_LOADS, STREAMING_INSERTS = "INSERT_ROWS", "FILE_LOADS", "STREAMING_INSERTS"


@dataclass(frozen=True)
class Config:
    """The flags of ingest."""

    input: tuple[str, ...] = option(
        group="Input", metavar="PATTERN", help="files to read: local or gs://, globs; repeat it or separate with commas"
    )
    input_format: str = option(
        "auto",
        group="Input",
        choices=("auto", "jsonl", "json", "csv", "parquet"),
        help="format of the files; auto looks at their content",
    )
    records_path: str | None = option(
        None, group="Input", metavar="PATH", help="where in a JSON object the records are, such as data.items"
    )
    batch_size: int = option(500, group="Input", minimum=1, maximum=10_000, help="records in a batch")
    spec: str = option(
        "profiles",
        group="Records",
        metavar="NAME|FILE",
        help="record spec: a shipped one or a YAML file, local or gs://",
    )
    project: str | None = option(
        None, group="Firestore", metavar="PROJECT", help="Google Cloud project; GOOGLE_CLOUD_PROJECT when absent"
    )
    database: str = option(DEFAULT_DATABASE, group="Firestore", metavar="DATABASE", help="Firestore database")
    max_request_bytes: int | None = option(
        None,
        group="Firestore",
        minimum=65_536,
        maximum=10_485_760,
        help="bytes of a Commit; 9 MiB when absent, 3.5 MiB on the emulator",
    )
    max_in_flight: int = option(
        3, group="Firestore", minimum=1, maximum=64, help="Commits on the wire at once, a worker"
    )
    bigquery_table: str | None = option(
        None, group="BigQuery", metavar="PROJECT:DATASET.TABLE", help="table for a row a record; none when absent"
    )
    bigquery_method: str = option(
        INSERT_ROWS,
        group="BigQuery",
        choices=(INSERT_ROWS, FILE_LOADS, STREAMING_INSERTS),
        help="INSERT_ROWS has an answer a row at once; FILE_LOADS is cheapest for millions of rows",
    )
    dead_letters: str = option(
        "dead_letters", group="Results", metavar="DIR", help="folder or gs:// prefix for records that cannot be stored"
    )
    max_dead_letter_ratio: float = option(
        0.1, group="Results", minimum=0, maximum=1, help="more dead letters than this share of the records: exit code 4"
    )
    summary: str | None = option(None, group="Results", metavar="FILE", help="write the summary as JSON, too")


@dataclass(frozen=True)
class Table:
    """The BigQuery side of a run."""

    target: BigQueryTarget
    columns: tuple[Column, ...]
    method: str


@dataclass(frozen=True)
class Plan:
    """A config with everything read and looked up that the graph needs."""

    config: Config
    job_id: str
    spec: RecordSpec
    files: tuple[InputFile, ...]
    reading: ReadOptions
    firestore: FirestoreTarget
    limits: CommitLimits
    table: Table | None


def prepare(config: Config, options: PipelineOptions) -> Plan:
    """Reads the spec, finds the input and checks what can be checked before anything is started.

    Raises:
      UsageError: what is wrong with which flag.
    """
    spec = read_spec(config.spec)
    firestore = firestore_target(config.project, config.database)
    table = _table(config, spec)
    if table and table.method == FILE_LOADS:
        check_temp_location(options.view_as(GoogleCloudOptions).temp_location)
    reading = ReadOptions(
        batch_size=config.batch_size, input_format=config.input_format, records_path=config.records_path
    )
    files = match_inputs(config.input)
    check_writable(config.dead_letters)
    # Headroom below the service's own limit: it counts the request's envelope as well.
    max_request_bytes = config.max_request_bytes or int(firestore.max_request_bytes * 0.9)
    limits = CommitLimits(max_request_bytes=max_request_bytes, max_in_flight=config.max_in_flight)
    return Plan(config, _new_job_id(), spec, tuple(files), reading, firestore, limits, table)


def provision(plan: Plan) -> None:
    """Creates the table and its view, or adds the columns they lack.

    Raises:
      JobError: the table does not fit the spec, or may not be changed.
    """
    if plan.table:
        target, columns = plan.table.target, plan.table.columns
        ensure_table(target, columns, table_options(plan.spec, columns))
        ensure_latest_view(target, plan.spec.key.name)


def build(pipeline: beam.Pipeline, plan: Plan) -> None:
    """Draws the graph of a run."""
    config, spec = plan.config, plan.spec
    layout = PairLayout(spec.full_collection, spec.flat_collection, spec.schema_version, plan.job_id)
    written = (
        pipeline
        | "ReadBatches" >> ReadBatches(plan.files, **asdict(plan.reading))
        | "IdentifyRecords" >> IdentifyRecords(spec)
        | "FlattenRecords" >> FlattenRecords(spec)
        | "UpsertPairs" >> UpsertPairs(plan.firestore, layout, plan.limits)
    )
    if plan.table and plan.table.method == INSERT_ROWS:
        written = written | "InsertRows" >> InsertRows(plan.table.target, plan.table.columns)
    elif plan.table:
        written = _load_rows(written, plan, plan.table)
    _ = (
        written
        | "StoreDeadLetters" >> StoreDeadLetters(config.dead_letters, NAME, plan.job_id)
        | "CompleteBatch" >> CompleteBatch(plan.firestore, plan.job_id)
    )


def _load_rows(written: PCollection[Batch[Written]], plan: Plan, table: Table) -> PCollection[Batch[Written]]:
    """The rows' own way through Beam's WriteToBigQuery; the batches go on without waiting for it."""
    encoded = written | "EncodeRows" >> EncodeRows(table.columns)
    loaded = encoded.rows | "LoadRows" >> LoadRows(table.target, table.columns, table.method)
    _ = (
        loaded.rejected
        | "GroupRejectedRows" >> GroupRejectedRows(plan.spec.key.name)
        | "StoreRejectedRows" >> StoreDeadLetters(plan.config.dead_letters, NAME, plan.job_id)
        | "CorrectBatch" >> beam.Map(correction)
        | "RecordCorrection" >> RecordOutcomes(plan.firestore, plan.job_id)
    )
    batches: PCollection[Batch[Written]] = encoded.batches
    return batches


def _table(config: Config, spec: RecordSpec) -> Table | None:
    if config.bigquery_table is None:
        return None
    columns = table_columns(spec)
    table_options(spec, columns)  # refuses options that BigQuery does not have, while it is still free to do so
    return Table(BigQueryTarget.parse(config.bigquery_table), columns, config.bigquery_method)


def _new_job_id() -> str:
    return f"{NAME}-{datetime.datetime.now(datetime.timezone.utc):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
