"""export --source: the rows of a table of a database into a typed table of BigQuery.

    table ─▶ snapshot ─▶ parts ─▶ ReadTable ─▶ BeginBatch ─▶ WriteRows ─▶ …
              held by this process  COPY        ledger        a row, or _overflow

                                        … StoreDeadLetters ─▶ CompleteBatch ─▶ CompleteJob
                                          JSONL files          ledger           merge, compare both sides

All readers share one snapshot, which ends with the process that holds it. So a run that was interrupted is not resumed:
the same command begins a new one, with a snapshot and a staging table of its own, and nothing was merged before.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from pipeline.jobs.export_flags import ALL, INCREMENTAL, NAME, Config
from pipeline.locations import table_source
from pipeline.present.terminal import Console
from pipeline.run.job import JobPlan, derived_job_id, digest
from pipeline.run.runners import on_dataflow
from transforms.bigquery.methods import FILE_LOADS, INSERT_ROWS, TYPED_METHODS
from transforms.bigquery.senders import check_temp_location
from transforms.bigquery.storage_target import StorageTarget
from transforms.bigquery.tables import existing_columns
from transforms.bigquery.target import BigQueryTarget
from transforms.bigquery.write import WriteRows
from transforms.dead_letters.folder import DeadLetterFolder
from transforms.dead_letters.steps import StoreDeadLetters
from transforms.errors import JobError, UsageError
from transforms.export.columns import JSON
from transforms.export.options import FLAT, IGNORE, MERGE, REPLACE
from transforms.export.table_rows import rows_of_table
from transforms.export.table_tables import ConcludeTableExport, columns_of, provide
from transforms.export.table_target import TableTarget
from transforms.files import GCS
from transforms.inputs.read import ReadTableBatches
from transforms.inputs.tables import TableSource
from transforms.ledger.results import read_last_results
from transforms.ledger.runs import JobDescription, Opening
from transforms.ledger.steps import BeginBatch, CompleteBatch, CompleteJob
from transforms.runtime.services import services_of
from transforms.runtime.stopping import PassedOver
from transforms.secrets import parse_secret
from transforms.sql.columns import SourceTable
from transforms.sql.database import Cursor, Database, Holder, Selection, Snapshot
from transforms.sql.names import closest

_MAX_BATCH_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class TablePlan(JobPlan[Config]):
    """A config with everything read and looked up that the graph needs.

    Attributes:
      source: how the table is reached.
      declared: what it declares.
      key: names of the columns that identify a row.
      table: that is written.
      method: of `methods.METHODS`.
      storage_host: of an emulator's Storage Write API, where that is used.
      cursor: by which an incremental run goes.
      holder: of the run's snapshot.
      taken: the snapshot, once the ledger has opened the run.
      condition: of the rows that are read whole; empty for all.
    """

    source: Database
    declared: SourceTable
    key: tuple[str, ...]
    table: BigQueryTarget
    method: str
    storage_host: str | None
    cursor: Cursor | None
    holder: Holder
    taken: Snapshot | None = None
    condition: str = ""

    @property
    def snapshot(self) -> Snapshot:
        """The state that is read. Raises ValueError as `run`."""
        if self.taken is None:
            raise ValueError("the ledger must open the plan before it has a snapshot")
        return self.taken

    @property
    def target(self) -> TableTarget:
        """What is written, and where."""
        snapshot, config = self.snapshot, self.config
        run_id = f"{self.firestore.name} {self.job_id} {self.run.attempt} {snapshot.read_time.isoformat()}"
        return TableTarget(
            self.source, self.declared, self.key, self.table, config.write, config.deletes, run_id, snapshot.read_time
        )

    @property
    def cursor_of(self) -> str:
        """What a cursor is good for: under a job id of one's own the next run may ask for something else."""
        return digest(self.declared.label, self.config.cursor_field, self.config.bigquery_table)

    def serving(self, console: Console) -> contextlib.AbstractContextManager[None]:
        """Nothing; but the snapshot is given up at the end."""
        return _closed(self.holder)

    def opened(self, opening: Opening) -> "TablePlan":
        """The plan of the run that the ledger has opened; takes the snapshot."""
        condition = ""
        last = read_last_results(self.document(), opening.attempt) if self.config.cursor_field else {}
        if self.config.cursor_field and last.get("_cursor_of") == self.cursor_of:
            since = last["cursor"], self.config.lookback_s
            condition = self.source.beyond(self.declared, self.config.cursor_field, *since)
        return replace(self, opening=opening, taken=self.holder.take(), condition=condition)


def prepare(config: Config, location: str, options: PipelineOptions) -> TablePlan:
    """Checks what can be checked before anything is started.

    Args:
      location: of the table.

    Raises:
      UsageError: what is wrong with which flag.
      JobError, TransientError: the server cannot be asked.
    """
    if on_dataflow(options):
        raise UsageError("--source needs this process for as long as the run takes, so it does not run on Dataflow yet")
    _check_flags(config)
    services = services_of(options)
    table = BigQueryTarget.parse(config.bigquery_table, services, config.max_outage_s)
    temp_location = options.view_as(GoogleCloudOptions).temp_location
    method = config.bigquery_method or (FILE_LOADS if (temp_location or "").startswith(GCS) else INSERT_ROWS)
    if method == FILE_LOADS:
        check_temp_location(temp_location)
    storage_host = StorageTarget.of(table, services).grpc_host if method in TYPED_METHODS else None
    if not (config.project or services.project):
        config = replace(config, project=table.project)
    firestore = config.firestore(services)
    password = parse_secret(config.source_password, "--source_password") if config.source_password else None
    source = table_source("--source", location, password)
    declared = source.describe("--source")
    key = _key(config, declared)
    cursor = source.cursor(declared, config.cursor_field) if config.cursor_field else None
    DeadLetterFolder(config.dead_letters).check_writable()
    about = (declared.label, config.mode, config.cursor_field)
    description = JobDescription(
        NAME,
        config.job_id or derived_job_id(NAME, about, firestore.project, firestore.database, config.bigquery_table),
        config.parameters(),
        input_fingerprint=digest(about, key, config.bigquery_table, method, config.write, config.deletes),
        spec_fingerprint="",
    )
    holder = source.hold(declared, config.cursor_field, 1)
    # The snapshot of an interrupted run is gone.
    config = replace(config, restart=True)
    return TablePlan(config, description, firestore, source, declared, key, table, method, storage_host, cursor, holder)


def provision(plan: TablePlan) -> None:
    """Makes the tables; a run begins without its old dead letters.

    Raises:
      JobError: the dataset is missing, access is refused, the table does not fit, or it is gone although the last run's
        cursor is of it.
    """
    if plan.condition and not existing_columns(plan.table):
        raise JobError(
            f"BigQuery table {plan.table.id} is gone, but the last run's cursor says that it holds all rows up to it. "
            "Run once with --mode=full, or choose another --job_id"
        )
    provide(plan.target)
    DeadLetterFolder(plan.config.dead_letters).remove(plan.job_id)


def build(pipeline: beam.Pipeline, plan: TablePlan) -> None:
    """Draws the graph of a run."""
    config, target, ledger, snapshot = plan.config, plan.target, plan.ledger, plan.snapshot
    selection = Selection(plan.declared, plan.key, plan.condition, target.names_all)
    source = TableSource(plan.source, selection, snapshot, config.batch_size, _MAX_BATCH_BYTES, PassedOver())
    # An index finds the few rows beyond a cursor; parts would each look for them.
    is_found_by_index = plan.condition and plan.cursor and plan.cursor.is_indexed and not target.names_all
    parts = plan.source.blocks(plan.declared, 1 if is_found_by_index else config.max_ranges)
    rows = rows_of_table(target, columns_of(target), plan.run.started_at, plan.method, ledger, plan.storage_host)
    batches = pipeline | "ReadTable" >> ReadTableBatches(source, parts) | "BeginBatch" >> BeginBatch(ledger)
    written = batches | "WriteRows" >> WriteRows(rows)
    outcomes = (
        written.batches
        | "StoreDeadLetters" >> StoreDeadLetters(config.dead_letters, NAME, plan.job_id)
        | "CompleteBatch" >> CompleteBatch(ledger)
    )
    conclude = ConcludeTableExport(
        target, plan.firestore, plan.job_id, snapshot.cursor, plan.cursor_of, snapshot.is_blind, plan.retry
    )
    _ = outcomes | "CompleteJob" >> CompleteJob(ledger, conclude, conclude.clean_up, after=written.loaded)


@contextlib.contextmanager
def _closed(holder: Holder) -> Iterator[None]:
    try:
        yield
    finally:
        holder.close()


def _check_flags(config: Config) -> None:
    of_documents = {
        "collection": config.collection,
        "collection_group": config.collection_group,
        "where": config.where,
        "fields": config.fields,
        "read_time": config.read_time,
        "spec": config.spec,
        "layout": config.layout != FLAT,
        "infer": config.infer != ALL,
        "nested": config.nested != JSON,
    }
    if given := next((name for name, value in of_documents.items() if value), None):
        raise UsageError(f"--{given} is for documents of Firestore; leave it out, or leave --source out")
    if (config.mode == INCREMENTAL) != bool(config.cursor_field):
        raise UsageError(
            "--mode=incremental of a table goes by a column of times that every change sets, such as "
            "--cursor_field=updated_at, or by --cursor_field=xmin"
            if config.mode == INCREMENTAL
            else "--cursor_field is for --mode=incremental"
        )
    if config.write == REPLACE and config.mode == INCREMENTAL:
        raise UsageError(
            "--write=replace leaves nothing but what this run writes, and --mode=incremental writes only what has "
            "changed; take --mode=full or --write=merge"
        )
    if config.deletes != IGNORE and config.write != MERGE:
        raise UsageError(f"--deletes={config.deletes} needs --write=merge, got {config.write}")


def _key(config: Config, declared: SourceTable) -> tuple[str, ...]:
    """The key of a row. Raises UsageError."""
    names = [column.name for column in declared.columns]
    for name in config.key:
        if name not in names:
            raise UsageError(f"--key: {declared.relation} has no column {name}{closest(name, names)}")
    key = config.key or declared.key
    if not key:
        raise UsageError(
            f"{declared.relation} has no primary key; pass --key=COLUMN,… with columns that are never NULL and unique "
            "together"
        )
    return key
