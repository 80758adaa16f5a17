"""export --source=bigquery:PROJECT:DATASET.TABLE: a table of BigQuery into another one, by one statement.

source ─▶ columns, key, cursor ─▶ CompleteJob: counted, MERGE, counted again

The pipeline has no batches: BigQuery copies. The ledger keeps where the next incremental run begins.
"""

import datetime
from dataclasses import dataclass, replace

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.jobs.export_destination import OF_CURSOR, gone, job_id_of, with_project
from pipeline.jobs.export_files import check_nothing_of_others
from pipeline.jobs.export_flags import INCREMENTAL, NAME, Config
from pipeline.locations import BIGQUERY
from pipeline.run.job import JobPlan, digest
from transforms.bigquery.schema import Column
from transforms.bigquery.tables import dataset_location, existing_columns
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import UsageError
from transforms.export.bigquery_copy import CURSOR_TYPES, NO_KEYS, Copy, CopyTable, provide
from transforms.export.options import APPEND, IGNORE, MARK, MERGE, REPLACE
from transforms.ledger.results import read_last_results
from transforms.ledger.runs import JobDescription, Opening
from transforms.ledger.steps import CompleteJob
from transforms.runtime.services import services_of
from transforms.sql.names import check_columns


@dataclass(frozen=True)
class CopyPlan(JobPlan[Config]):
    """A config with everything read and looked up that the copy needs.

    Attributes:
      copy: of what; where it begins, once the ledger has opened the run.
    """

    copy: Copy

    @property
    def cursor_of(self) -> str:
        """What a cursor is good for: under a job id of one's own the next run may ask for something else."""
        return digest(self.copy.source.id, self.config.cursor_field, self.config.bigquery_table)

    def opened(self, opening: Opening) -> "CopyPlan":
        """The plan of the run that the ledger has opened."""
        copy = self.copy
        last = read_last_results(self.document(), opening.attempt) if copy.cursor else {}
        if last.get("_cursor_of") == self.cursor_of:
            greatest = datetime.datetime.fromisoformat(last["cursor"])
            since = greatest - datetime.timedelta(seconds=self.config.lookback_s)
            copy = replace(copy, since=since.isoformat())
        return replace(self, opening=opening, copy=copy)


def prepare(config: Config, location: str, options: PipelineOptions) -> CopyPlan:
    """Checks what can be checked before anything is started.

    Args:
      location: of the table that is read.

    Raises:
      UsageError: what is wrong with which flag.
      JobError, TransientError: BigQuery cannot be asked.
    """
    _check_flags(config)
    services = services_of(options)
    table = BigQueryTarget.parse(config.bigquery_table, services, config.max_outage_s)
    source = BigQueryTarget.parse(location.removeprefix(BIGQUERY), services, config.max_outage_s)
    if source.id == table.id:
        raise UsageError("--source and --bigquery_table are the same table")
    config = with_project(config, services, table)
    firestore = config.firestore(services)
    columns = existing_columns(source)
    if not columns:
        raise UsageError(f"--source: there is no table {source.id}")
    there, here = dataset_location(source), dataset_location(table)
    if there != here:
        raise UsageError(
            f"--source is in {there} and --bigquery_table in {here}: BigQuery copies within one location; choose a "
            f"dataset in {there}"
        )
    cursor = _column("--cursor_field", config.cursor_field, source, columns) if config.cursor_field else None
    if cursor and (cursor.type not in CURSOR_TYPES or cursor.mode == "REPEATED"):
        raise UsageError(f"--cursor_field={cursor.name} is {cursor.form}; it must be {' or '.join(CURSOR_TYPES)}")
    for name in config.key:
        column = _column("--key", name, source, columns)
        if column.type in NO_KEYS or column.mode == "REPEATED":
            raise UsageError(f"--key={name} is {column.form}, which identifies nothing")
    about = (source.id, config.mode, config.cursor_field)
    description = JobDescription(
        NAME,
        job_id_of(config, firestore, about),
        config.parameters(),
        input_fingerprint=digest(about, config.key, config.bigquery_table, config.write, config.deletes),
        spec_fingerprint="",
    )
    copy = Copy(source, table, columns, config.key, config.write, config.deletes, cursor)
    return CopyPlan(config, description, firestore, copy)


def provision(plan: CopyPlan) -> None:
    """Makes the table.

    Raises:
      JobError: the dataset is missing, access is refused, the table does not fit, or it is gone although the last run's
        cursor is of it.
    """
    if plan.copy.since and not existing_columns(plan.copy.table):
        raise gone(plan.copy.table, OF_CURSOR)
    provide(plan.copy)


def build(pipeline: beam.Pipeline, plan: CopyPlan) -> None:
    """Draws the graph of a run."""
    nothing = pipeline | "NoBatches" >> beam.Create([], reshuffle=False)
    _ = nothing | "CompleteJob" >> CompleteJob(plan.ledger, CopyTable(plan.copy, plan.cursor_of))


def _check_flags(config: Config) -> None:
    check_nothing_of_others(config, "a table of BigQuery")
    if config.write == APPEND:
        raise UsageError(
            "--write=append is not for a table of BigQuery: a statement that is sent again would append rows twice; "
            "take --write=merge with --key, or --write=replace"
        )
    if config.write == MERGE and not config.key:
        raise UsageError("--write=merge needs to know what identifies a row: pass --key=COLUMN,…, or --write=replace")
    if (config.mode == INCREMENTAL) != bool(config.cursor_field):
        raise UsageError(
            "--mode=incremental of a table of BigQuery goes by a column of times that every change sets, such as "
            "--cursor_field=updated_at"
            if config.mode == INCREMENTAL
            else "--cursor_field is for --mode=incremental"
        )
    if config.mode == INCREMENTAL and (config.write == REPLACE or config.deletes != IGNORE):
        raise UsageError(
            "--mode=incremental reads only what has changed, so it can neither replace nor find rows that are gone; "
            "take --mode=full, or --write=merge and no --deletes"
        )
    if config.deletes == MARK:
        raise UsageError("--deletes=mark is not for a table of BigQuery, which is copied as it is; take remove")


def _column(flag: str, name: str, source: BigQueryTarget, columns: tuple[Column, ...]) -> Column:
    check_columns(flag, source.id, [name], [column.name for column in columns])
    return next(column for column in columns if column.name == name)
