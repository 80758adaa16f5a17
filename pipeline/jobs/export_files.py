"""export --source: the rows of files into a typed table of BigQuery.

    files ─▶ survey ─▶ columns                              the first pass, in this process; of Parquet the footers
      └────▶ ReadFiles ─▶ MakeFileRows ─▶ BeginBatch ─▶ WriteRows ─▶ …
                                           ledger        a row, or _overflow

                                        … StoreDeadLetters ─▶ CompleteBatch ─▶ CompleteJob
                                          JSONL files          ledger           merge, compare both sides

Batches of files are the same each time they are read, so a run that was interrupted passes over those that are done.
"""

import datetime
from dataclasses import dataclass, replace

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.jobs.export_checks import flags_of_documents
from pipeline.jobs.export_destination import ExportPlan, destination, gone, job_id_of, with_project
from pipeline.jobs.export_flags import INCREMENTAL, NAME, Config
from pipeline.locations import SOURCES_IN_CLOUD
from pipeline.run.job import digest
from pipeline.run.runners import on_dataflow
from transforms.bigquery.tables import existing_columns
from transforms.bigquery.write import WriteRows
from transforms.dead_letters.folder import DeadLetterFolder
from transforms.dead_letters.steps import StoreDeadLetters
from transforms.errors import UsageError
from transforms.export.files.known import ConcludeFileExport, check_can_be_remembered, known
from transforms.export.files.rows import rows_of_files
from transforms.export.files.steps import MakeFileRows
from transforms.export.files.survey import CSV, PARQUET, Survey, as_the_table_has_them, survey
from transforms.export.options import APPEND, IGNORE, MERGE, REPLACE
from transforms.export.source_tables import ConcludeSourceExport, columns_of, provide
from transforms.export.source_target import SourceTarget, held_types
from transforms.inputs.files import InputFile, match_inputs
from transforms.inputs.options import ReadOptions
from transforms.inputs.read import ReadBatches
from transforms.ledger.jobs import job_document
from transforms.ledger.parts import PartsInLedger
from transforms.ledger.read_times import read_time_of_run
from transforms.ledger.results import read_last_results
from transforms.ledger.runs import JobDescription, Opening
from transforms.ledger.steps import BeginBatch, CompleteBatch, CompleteJob
from transforms.runtime.services import services_of
from transforms.sql.columns import SourceColumn, SourceTable
from transforms.sql.names import check_columns

_ANY_ATTEMPT = 2**31


@dataclass(frozen=True)
class FilePlan(ExportPlan):
    """A config with everything read and looked up that the graph needs.

    Attributes:
      files: that are read.
      known: fingerprints of those that earlier runs have read.
      found: what they hold.
      declared: the same as a table.
      read_time: of all rows, once the ledger has opened the run.
    """

    files: tuple[InputFile, ...]
    known: frozenset[str]
    found: Survey
    declared: SourceTable
    read_time: datetime.datetime | None = None

    @property
    def target(self) -> SourceTarget:
        """What is written, and where. Raises ValueError as `run`."""
        if self.read_time is None:
            raise ValueError("the ledger must open the plan before it has a read time")
        config, read_time = self.config, self.read_time
        how = (config.write, config.deletes, self.run_id(read_time), read_time)
        return SourceTarget(self.declared, config.key, self.to.table, *how)

    @property
    def reading(self) -> ReadOptions:
        """How files are read."""
        return ReadOptions(batch_size=self.config.batch_size, for_table=True)

    def opened(self, opening: Opening) -> "FilePlan":
        """The plan of the run that the ledger has opened."""
        read_time = read_time_of_run(self.document(), opening.attempt, opening.started_at)
        return replace(self, opening=self.worth(opening), read_time=read_time)


def prepare(config: Config, pattern: str, options: PipelineOptions) -> FilePlan:
    """Checks what can be checked before anything is started; reads all files once, unless they are Parquet.

    Args:
      pattern: of the files.

    Raises:
      UsageError: what is wrong with which flag.
      JobError, TransientError: a file cannot be read, or a service does not answer.
    """
    _check_flags(config)
    if on_dataflow(options) and not pattern.startswith(SOURCES_IN_CLOUD):
        raise UsageError(
            f"--source={pattern} is on this computer, where workers cannot reach it: copy it under gs:// and pass that"
        )
    services = services_of(options)
    to = destination(config, services, options)
    config = with_project(config, services, to.table)
    firestore = config.firestore(services)
    DeadLetterFolder(config.dead_letters).check_writable()
    files = match_inputs([pattern], "--source")
    about = (pattern, config.mode, config.csv_types)
    job_id = job_id_of(config, firestore, about)
    before: frozenset[str] = frozenset()
    if config.mode == INCREMENTAL:
        document = job_document(firestore.connect(), job_id, config.retry)
        before = known(read_last_results(document, _ANY_ATTEMPT), _files_of(config))
        check_can_be_remembered(before | {file.fingerprint for file in files})
        files = [file for file in files if file.fingerprint not in before]
    found = survey(files, ReadOptions(for_table=True), config.csv_types)
    columns = found.columns
    if found.format != PARQUET:
        columns = as_the_table_has_them(columns, held_types(existing_columns(to.table)))
    _check_key(config, columns, pattern)
    declared = SourceTable(pattern, pattern, columns, config.key, "files")
    description = JobDescription(
        NAME,
        job_id,
        config.parameters(),
        input_fingerprint=digest(
            about,
            sorted((file.path, file.fingerprint) for file in files),
            (config.key, config.batch_size, config.bigquery_table, to.method, config.write),
        ),
        spec_fingerprint="",
    )
    return FilePlan(config, description, firestore, to, tuple(files), before, found, declared)


def provision(plan: FilePlan) -> None:
    """Makes the tables; a new run begins without its old dead letters.

    Raises:
      JobError: the dataset is missing, access is refused, the table does not fit, or it is gone although earlier runs
        have read files into it.
    """
    if plan.known and not existing_columns(plan.to.table):
        raise gone(plan.to.table, f"the last run says that it holds the rows of {len(plan.known):,} files")
    provide(plan.target)
    plan.forget_dead_letters()


def build(pipeline: beam.Pipeline, plan: FilePlan) -> None:
    """Draws the graph of a run."""
    config, target, ledger, declared = plan.config, plan.target, plan.ledger, plan.declared
    of_csv = plan.found.format == CSV
    of_run = (plan.run.started_at, plan.to.method, ledger, plan.to.storage_host)
    rows = rows_of_files(target, columns_of(target), of_csv, *of_run)
    batches = (
        pipeline
        | "ReadFiles" >> ReadBatches(plan.files, plan.reading, plan.run.completed)
        | "MakeFileRows" >> MakeFileRows(declared.columns, config.key)
        | "BeginBatch" >> BeginBatch(ledger)
    )
    written = batches | "WriteRows" >> WriteRows(rows)
    outcomes = (
        written.batches
        | "StoreDeadLetters" >> StoreDeadLetters(config.dead_letters, NAME, plan.job_id)
        | "CompleteBatch" >> CompleteBatch(ledger)
    )
    remembered = None
    if config.mode == INCREMENTAL:
        remembered = tuple(plan.known | {file.fingerprint for file in plan.files})
    nothing_replaced = PartsInLedger(ledger, keeps_completed=True)
    of_table = ConcludeSourceExport(target, ledger, nothing_replaced, "", None, "", False, plan.retry)
    conclude = ConcludeFileExport(of_table, len(plan.files), remembered, _files_of(config))
    _ = outcomes | "CompleteJob" >> CompleteJob(ledger, conclude, conclude.clean_up, after=written.loaded)


def _files_of(config: Config) -> str:
    """What the files that a run remembers are good for."""
    return digest(config.source, config.bigquery_table)


def check_nothing_of_others(config: Config, source: str) -> None:
    """Raises UsageError for a flag about documents, or about tables of databases."""
    of_databases = {"source_password": config.source_password, "consistency": config.consistency}
    if given := next((name for name, value in {**flags_of_documents(config), **of_databases}.items() if value), None):
        raise UsageError(f"--{given} is not for {source}; leave it out")


def _check_flags(config: Config) -> None:
    check_nothing_of_others(config, "files")
    if config.cursor_field:
        raise UsageError("--cursor_field is not for files: --mode=incremental reads those that are new; leave it out")
    if config.write == MERGE and not config.key:
        raise UsageError(
            "--write=merge needs to know what identifies a row of the files: pass --key=COLUMN,…, or --write=append or "
            "--write=replace"
        )
    if config.write == REPLACE and config.mode == INCREMENTAL:
        raise UsageError(
            "--write=replace leaves nothing but what this run writes, and --mode=incremental reads only new files; "
            f"take --mode=full, --write={MERGE} or --write={APPEND}"
        )
    if config.deletes != IGNORE:
        raise UsageError("--deletes is not for files: --write=replace leaves only the rows of the files that are there")


def _check_key(config: Config, columns: tuple[SourceColumn, ...], pattern: str) -> None:
    """Raises UsageError for a column of the key that is not there; of files without records nothing is known."""
    if names := [column.name for column in columns]:
        check_columns("--key", pattern, config.key, names)
