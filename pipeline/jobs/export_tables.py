"""export --source: the rows of a table of a database into a typed table of BigQuery.

    table ─▶ TableRun ─▶ lanes of parts ─▶ ReadTable ─▶ BeginBatch ─▶ WriteRows ─▶ …
              ledger                                      ledger        a row, or _overflow

                                        … StoreDeadLetters ─▶ CompleteBatch ─▶ CompleteJob
                                          JSONL files          ledger           merge, compare both sides

All readers share one snapshot, which ends with the process that holds it. Where there is none, on Dataflow and in a run
that was interrupted, every range of keys is a transaction of its own, and resumes behind its last batch that is done.
What has no ordered key, such as a view, is begun again; so is a run whose rows wait for load jobs, and one that is to
be of one snapshot.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.jobs.export_checks import check_deletes, check_rows_wanted, flags_of_documents
from pipeline.jobs.export_destination import OF_CURSOR, ExportPlan, destination, gone, job_id_of, with_project
from pipeline.jobs.export_flags import INCREMENTAL, NAME, Config
from pipeline.jobs.outcome import present_records
from pipeline.jobs.table_runs import TableRun
from pipeline.locations import table_source
from pipeline.present.summary import Summary
from pipeline.present.terminal import Console, say
from pipeline.run.job import digest
from pipeline.run.resume import command_of
from pipeline.run.runners import on_dataflow
from transforms.batch import MAX_BATCH_BYTES
from transforms.bigquery.methods import FILE_LOADS
from transforms.bigquery.tables import existing_columns
from transforms.bigquery.write import WriteRows
from transforms.dead_letters.folder import DeadLetterFolder
from transforms.dead_letters.steps import StoreDeadLetters
from transforms.errors import UsageError
from transforms.export.options import IGNORE, RANGES, SNAPSHOT
from transforms.export.source_tables import ConcludeSourceExport, columns_of, provide
from transforms.export.source_target import SourceTarget
from transforms.export.table_rows import rows_of_table
from transforms.inputs.read import ReadTableBatches
from transforms.inputs.tables import Lane, TableSource, lanes
from transforms.ledger.jobs import COMPLETED
from transforms.ledger.jobs import Job as LedgerJob
from transforms.ledger.parts import PartsInLedger
from transforms.ledger.results import read_last_results
from transforms.ledger.runs import JobDescription, Opening
from transforms.ledger.steps import BeginBatch, CompleteBatch, CompleteJob
from transforms.runtime.services import services_of
from transforms.runtime.stopping import is_asked_to_stop
from transforms.secrets import parse_secret
from transforms.sql.columns import SourceTable
from transforms.sql.database import Cursor, Database, Holder, Part, Position, Selection, Snapshot
from transforms.sql.given_key import key_of


@dataclass(frozen=True)
class TablePlan(ExportPlan):
    """A config with everything read and looked up that the graph needs.

    Attributes:
      source: how the table is reached.
      declared: what it declares.
      key: names of the columns that identify a row.
      cursor: by which an incremental run goes.
      is_ordered: whether the table can be read in ranges of its key.
      holder: of the run's snapshot; None where no process lives as long as the run.
      table_run: what is read, once the ledger has opened the run.
      snapshot: that all readers share; None for a transaction for each range.
    """

    source: Database
    declared: SourceTable
    key: tuple[str, ...]
    cursor: Cursor | None
    is_ordered: bool
    holder: Holder | None
    table_run: TableRun | None = None
    snapshot: Snapshot | None = None

    @property
    def reading(self) -> TableRun:
        """What is read. Raises ValueError as `run`."""
        if self.table_run is None:
            raise ValueError("the ledger must open the plan before it is known what is read")
        return self.table_run

    @property
    def target(self) -> SourceTarget:
        """What is written, and where."""
        config, read_time = self.config, self.reading.read_time
        how = (config.write, config.deletes, self.run_id(read_time), read_time)
        return SourceTarget(self.declared, self.key, self.to.table, *how)

    @property
    def cursor_of(self) -> str:
        """What a cursor is good for: under a job id of one's own the next run may ask for something else."""
        return digest(self.declared.label, self.config.cursor_field, self.config.bigquery_table)

    def serving(self, console: Console) -> contextlib.AbstractContextManager[None]:
        """Nothing; but what the user should know is said at the beginning, and the snapshot is given up at the end."""
        if self.cursor and self.cursor.warning:
            say(console, f"warning: --cursor_field: {self.cursor.warning}", "yellow")
        return _closed(self.holder)

    def kept(self, before: LedgerJob | None) -> Mapping[str, Any]:
        """What the run is about, which is fixed before its first row is read."""
        state = self.holder.take() if self.holder else self.source.look(self.declared, self.config.cursor_field)
        condition = self._condition(before.attempt + 1 if before else 1)
        boundaries: list[Position] = []
        if self.is_ordered and not self._finds_rows(condition):
            boundaries = self.source.boundaries(self.declared, self.key, self.config.max_ranges)
        return TableRun.beginning(state, condition, boundaries).kept()

    def opened(self, opening: Opening) -> "TablePlan":
        """The plan of the run that the ledger has opened. The snapshot of one that is resumed is gone."""
        snapshot = self.holder.take() if self.holder and not opening.resumed else None
        return replace(self, opening=opening, table_run=TableRun.of(opening.kept), snapshot=snapshot)

    @property
    def parts(self) -> list[Part]:
        """All of the table."""
        if self.is_ordered:
            return self.source.ranges(self.declared, self.key, self.reading.boundaries)
        if self.snapshot and not self._finds_rows(self.reading.condition):
            return self.source.blocks(self.declared, self.config.max_ranges)
        return [Part(0)]

    def _finds_rows(self, condition: str) -> bool:
        """Whether an index finds the few rows beyond a cursor, which every part would look for by itself."""
        return bool(condition and self.cursor and self.cursor.is_indexed) and self.config.deletes == IGNORE

    def _condition(self, attempt: int) -> str:
        """Of the rows that may have changed since the last run; empty for all."""
        field = self.config.cursor_field
        last = read_last_results(self.document(), attempt) if field else {}
        if not field or last.get("_cursor_of") != self.cursor_of:
            return ""
        return self.source.beyond(self.declared, field, last["cursor"], self.config.lookback_s)


def prepare(config: Config, location: str, options: PipelineOptions) -> TablePlan:
    """Checks what can be checked before anything is started.

    Args:
      location: of the table.

    Raises:
      UsageError: what is wrong with which flag.
      JobError, TransientError: the server cannot be asked.
    """
    in_cloud = on_dataflow(options)
    if in_cloud and config.consistency == SNAPSHOT:
        raise UsageError(
            "--consistency=snapshot needs this process for as long as the run takes, which Dataflow does not; take "
            "--consistency=ranges"
        )
    _check_flags(config)
    services = services_of(options)
    to = destination(config, services, options)
    config = with_project(config, services, to.table)
    firestore = config.firestore(services)
    password = parse_secret(config.source_password, "--source_password") if config.source_password else None
    source = table_source("--source", location, password, config.max_outage_s)
    declared = source.describe("--source")
    key = key_of(source, declared, config.key, "--key")
    _check_names(declared)
    if config.mode == INCREMENTAL and not config.cursor_field:
        raise UsageError(
            f"--mode=incremental of {declared.relation} needs a column of times that every change sets"
            + "".join(f", --cursor_field={field}" for field in source.cursors(declared)[:2])
        )
    cursor = source.cursor(declared, config.cursor_field) if config.cursor_field else None
    DeadLetterFolder(config.dead_letters).check_writable()
    about = (declared.label, config.mode, config.cursor_field)
    description = JobDescription(
        NAME,
        job_id_of(config, firestore, about),
        config.parameters(),
        input_fingerprint=digest(
            about,
            key,
            [(column.name, column.declared) for column in declared.columns],
            (config.bigquery_table, to.method, config.write, config.deletes),
        ),
        spec_fingerprint="",
    )
    is_ordered = declared.is_ordered and key == declared.key and config.consistency != SNAPSHOT
    if not is_ordered or to.method == FILE_LOADS:  # what a batch has read cannot be found again, or waits to be loaded
        config = replace(config, restart=True)
    holder = None
    if not in_cloud and config.consistency != RANGES:
        holder = source.hold(declared, config.cursor_field, config.max_connections - 1)
    return TablePlan(config, description, firestore, to, source, declared, key, cursor, is_ordered, holder)


def provision(plan: TablePlan) -> None:
    """Makes the tables; a run begins without its old dead letters.

    Raises:
      JobError: the dataset is missing, access is refused, the table does not fit, or it is gone although the last run's
        cursor is of it.
    """
    if plan.reading.condition and not existing_columns(plan.to.table):
        raise gone(plan.to.table, OF_CURSOR)
    provide(plan.target)
    plan.forget_dead_letters()


def build(pipeline: beam.Pipeline, plan: TablePlan) -> None:
    """Draws the graph of a run."""
    config, target, ledger, reading = plan.config, plan.target, plan.ledger, plan.reading
    selection = Selection(plan.declared, plan.key, reading.condition, target.names_all, plan.is_ordered)
    before = PartsInLedger(ledger, keeps_completed=plan.to.method != FILE_LOADS)
    source = TableSource(
        plan.source,
        selection,
        plan.snapshot,
        config.batch_size,
        MAX_BATCH_BYTES,
        before,
        is_asked_to_stop,
        plan.retry,
    )
    of_run = (plan.run.started_at, plan.to.method, ledger, plan.to.storage_host)
    rows = rows_of_table(target, columns_of(target), plan.source.items, *of_run)
    batches = pipeline | "ReadTable" >> ReadTableBatches(source, _lanes(plan)) | "BeginBatch" >> BeginBatch(ledger)
    written = batches | "WriteRows" >> WriteRows(rows)
    outcomes = (
        written.batches
        | "StoreDeadLetters" >> StoreDeadLetters(config.dead_letters, NAME, plan.job_id)
        | "CompleteBatch" >> CompleteBatch(ledger)
    )
    conclude = ConcludeSourceExport(
        target,
        ledger,
        before,
        SNAPSHOT if plan.snapshot else RANGES,
        reading.cursor,
        plan.cursor_of,
        reading.is_blind,
        plan.retry,
    )
    _ = outcomes | "CompleteJob" >> CompleteJob(ledger, conclude, conclude.clean_up, after=written.loaded)


def present(plan: TablePlan, summary: Summary, console: Console) -> int:
    """Shows how a run ended, and how to read only what has changed the next time; returns the exit code."""
    exit_code = present_records(plan, summary, console)
    fields = [plan.config.cursor_field] if plan.config.cursor_field else plan.source.cursors(plan.declared)
    if summary.state == COMPLETED and fields:
        parameters = {**plan.config.parameters(), "mode": INCREMENTAL, "cursor_field": fields[0]}
        say(console, f"next, only what has changed: {command_of(NAME, parameters, plan.firestore)}")
    return exit_code


@contextlib.contextmanager
def _closed(holder: Holder | None) -> Iterator[None]:
    try:
        yield
    finally:
        if holder is not None:
            holder.close()


def _lanes(plan: TablePlan) -> list[Lane]:
    """All parts of the table, for as many readers as may connect to the server; whoever holds a snapshot does, too."""
    max_readers, snapshot = plan.config.max_connections, plan.snapshot
    if snapshot:
        max_readers = min(max_readers - 1, snapshot.max_readers or max_readers)
    return lanes(plan.parts, max_readers)


def _check_flags(config: Config) -> None:
    if given := next((name for name, value in flags_of_documents(config).items() if value), None):
        raise UsageError(f"--{given} is for documents of Firestore; leave it out, or leave --source out")
    check_rows_wanted(config)
    check_deletes(config)


def _check_names(declared: SourceTable) -> None:
    """Raises UsageError for columns that BigQuery does not tell apart."""
    seen: dict[str, str] = {}
    for column in declared.columns:
        other = seen.setdefault(column.name.lower(), column.name)
        if other != column.name:
            raise UsageError(
                f"{declared.relation} has the columns {other} and {column.name}, which BigQuery does not tell apart; "
                "rename one, or read a view in which one has another name"
            )
