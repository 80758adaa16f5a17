"""export: documents of Firestore into typed tables and changelogs of BigQuery.

    collections ─▶ PlanReads ─┬─▶ InferShapes ─▶ ProvideTables ─▶ columns
                   ranges     │   1st pass        made, widened      │
                              └─▶ ReadBatches ─▶ BeginBatch ─▶ DropHeld ─▶ WriteRows ─▶ …
                                  2nd pass        ledger       incremental   an answer a row

                                        … StoreDeadLetters ─▶ CompleteBatch ─▶ CompleteJob
                                          JSONL files          ledger           merge, compare both sides

Both passes read one moment. All steps of the second are fused: at most one batch is read ahead of the one whose rows
are on their way, and memory does not grow with the collection.
"""

import datetime
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.pvalue import PBegin, PCollection

from pipeline.jobs import export_copy, export_files, export_tables
from pipeline.jobs.export_checks import check_column_names, check_combinations, conditioned, looking_back, moment_of
from pipeline.jobs.export_copy import CopyPlan
from pipeline.jobs.export_files import FilePlan
from pipeline.jobs.export_flags import ALL, FULL, INCREMENTAL, NAME, USAGE, Config
from pipeline.jobs.export_tables import TablePlan
from pipeline.jobs.outcome import present_records
from pipeline.locations import BIGQUERY, FIRESTORE, names_files
from pipeline.present.summary import Summary
from pipeline.present.terminal import Console
from pipeline.run.job import Job, JobPlan, derived_job_id, digest
from pipeline.specs import read_spec
from transforms.batch import Batch
from transforms.bigquery.methods import FILE_LOADS, INSERT_ROWS, TYPED_METHODS
from transforms.bigquery.senders import check_temp_location
from transforms.bigquery.storage_target import StorageTarget
from transforms.bigquery.tables import existing_columns
from transforms.bigquery.target import BigQueryTarget
from transforms.bigquery.write import WriteRows
from transforms.dead_letters.folder import DeadLetterFolder
from transforms.dead_letters.steps import StoreDeadLetters
from transforms.errors import JobError
from transforms.export.columns import JSON
from transforms.export.entries import Exported
from transforms.export.options import CHANGELOG
from transforms.export.rows import rows_of_documents
from transforms.export.steps import DropHeld, ExportedOf, InferShapes, ProvideTables
from transforms.export.tables import ConcludeExport
from transforms.export.target import ExportTarget
from transforms.files import GCS
from transforms.firestore.collection_patterns import CollectionPattern, by_query
from transforms.firestore.pieces import Piece
from transforms.firestore.query import Query
from transforms.firestore.steps import PlanReads
from transforms.inputs.read import ReadPieceBatches
from transforms.ledger.read_times import read_time_of_run
from transforms.ledger.results import read_last_results
from transforms.ledger.runs import JobDescription, Opening
from transforms.ledger.steps import BeginBatch, CompleteBatch, CompleteJob
from transforms.records.spec import RecordSpec
from transforms.runtime.services import services_of
from transforms.runtime.stopping import PassedOver

_MAX_BATCH_BYTES = 16 * 1024 * 1024


class Source(NamedTuple):
    """One query, the patterns whose documents it finds, and its name in the graph."""

    query: Query
    patterns: tuple[CollectionPattern, ...]
    label: str


@dataclass(frozen=True)
class Plan(JobPlan[Config]):
    """A config with everything read and looked up that the graph needs.

    Attributes:
      read_time: as of when documents are read; if None, the ledger says when the run began.
      method: of `methods.METHODS`.
      storage_host: of an emulator's Storage Write API, where that is used.
      cursors: where each pattern's last run ended, by pattern.
    """

    patterns: tuple[CollectionPattern, ...]
    table: BigQueryTarget
    spec: RecordSpec | None
    read_time: datetime.datetime | None
    method: str
    storage_host: str | None
    cursors: tuple[tuple[str, Any], ...] = ()

    @property
    def moment(self) -> datetime.datetime:
        """As of when documents are read; a run that is resumed reads the same moment. Raises ValueError as `run`."""
        if self.read_time is None:
            raise ValueError("the ledger must open the plan before it has a moment")
        return self.read_time

    @property
    def target(self) -> ExportTarget:
        """What is written, and where."""
        config = self.config
        return ExportTarget(
            self.firestore,
            self.patterns,
            self.table,
            config.layout,
            config.write,
            config.deletes,
            config.nested,
            self.spec,
            imported=config.mode == FULL,
            run_id=f"{self.firestore.name} {self.job_id} {self.run.attempt} {self.moment.isoformat()}",
            read_time=self.moment,
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        """What is read."""
        return tuple(
            Source(self._query(patterns), patterns, ",".join(pattern.text for pattern in patterns))
            for patterns in by_query(self.patterns).values()
        )

    def opened(self, opening: Opening) -> "Plan":
        """The plan of the run that the ledger has opened."""
        job = self.document()
        read_time = self.read_time or read_time_of_run(job, opening.attempt, opening.started_at)
        cursors: dict[str, Any] = {}
        if self.config.cursor_field:
            last = read_last_results(job, opening.attempt)
            if last.get("_cursors_of") == self.cursors_of:
                cursors = last["cursors"]
        if self.method == FILE_LOADS:  # a completed batch says nothing about its rows
            opening = replace(opening, completed=frozenset())
        return replace(self, opening=opening, read_time=read_time, cursors=tuple(sorted(cursors.items())))

    @property
    def cursors_of(self) -> str:
        """What cursors are good for: under a job id of one's own the next run may ask for something else."""
        config = self.config
        return digest(config.cursor_field, sorted(config.where), config.fields, config.layout, config.bigquery_table)

    def _query(self, patterns: tuple[CollectionPattern, ...]) -> Query:
        query = conditioned(patterns[0], self.config)
        cursor, *others = map(dict(self.cursors).get, (pattern.text for pattern in patterns))
        if self.config.cursor_field and cursor is not None and all(other == cursor for other in others):
            query = query.where(self.config.cursor_field, ">=", looking_back(cursor, self.config.lookback_s))
        return query


def prepare(config: Config, options: PipelineOptions) -> Plan | TablePlan | FilePlan | CopyPlan:
    """Checks what can be checked before anything is started.

    Raises:
      UsageError: what is wrong with which flag.
      JobError, TransientError: the server of `--source` cannot be asked.
    """
    if config.source is not None and config.source.startswith(FIRESTORE):
        config = replace(config, source=None, collection=(*config.collection, config.source.removeprefix(FIRESTORE)))
    if config.source is not None:
        if names_files("--source", config.source):
            return export_files.prepare(config, config.source, options)
        if config.source.startswith(BIGQUERY):
            return export_copy.prepare(config, config.source, options)
        return export_tables.prepare(config, config.source, options)
    check_combinations(config)
    services = services_of(options)
    firestore = config.firestore(services)
    patterns = tuple(map(CollectionPattern, (*config.collection, *(f"**/{each}" for each in config.collection_group))))
    for found in by_query(patterns).values():
        conditioned(found[0], config)
    read_time = None if config.read_time is None else moment_of(config.read_time)
    table = BigQueryTarget.parse(config.bigquery_table, services, config.max_outage_s)
    spec = None if config.spec is None else read_spec(config.spec)
    check_column_names(patterns, spec)
    temp_location = options.view_as(GoogleCloudOptions).temp_location
    method = config.bigquery_method or (FILE_LOADS if (temp_location or "").startswith(GCS) else INSERT_ROWS)
    if method == FILE_LOADS:
        check_temp_location(temp_location)
    storage_host = StorageTarget.of(table, services).grpc_host if method in TYPED_METHODS else None
    DeadLetterFolder(config.dead_letters).check_writable()
    texts = sorted({pattern.text for pattern in patterns})
    about = (texts, sorted(config.where), config.fields, config.layout, config.mode, config.cursor_field)
    description = JobDescription(
        NAME,
        config.job_id or derived_job_id(NAME, about, firestore.project, firestore.database, config.bigquery_table),
        config.parameters(),
        # Also where rows wait, and how: what a completed batch has done is worth nothing to a run that goes elsewhere.
        input_fingerprint=digest(
            about,
            (config.batch_size, config.max_ranges, config.read_time),
            (config.bigquery_table, method, config.write, config.deletes),
        ),
        spec_fingerprint=spec.fingerprint if spec else digest(config.nested, config.infer),
    )
    return Plan(config, description, firestore, patterns, table, spec, read_time, method, storage_host)


def provision(plan: Plan | TablePlan | FilePlan | CopyPlan) -> None:
    """Makes sure that there is a dataset that may be written to; a new run begins without its old dead letters.

    Raises:
      JobError: the dataset is missing, access is refused, or the table is gone that the last run's cursors are of.
    """
    if isinstance(plan, TablePlan):
        export_tables.provision(plan)
        return
    if isinstance(plan, FilePlan):
        export_files.provision(plan)
        return
    if isinstance(plan, CopyPlan):
        export_copy.provision(plan)
        return
    if not existing_columns(plan.table) and plan.cursors:
        raise JobError(
            f"BigQuery table {plan.table.id} is gone, but the last run's cursors say that it holds all documents up to "
            "them. Run once without --cursor_field, which reads everything, or choose another --job_id"
        )
    if not plan.run.resumed:
        DeadLetterFolder(plan.config.dead_letters).remove(plan.job_id)


def build(pipeline: beam.Pipeline, plan: Plan | TablePlan | FilePlan | CopyPlan) -> None:
    """Draws the graph of a run."""
    if isinstance(plan, TablePlan):
        export_tables.build(pipeline, plan)
        return
    if isinstance(plan, FilePlan):
        export_files.build(pipeline, plan)
        return
    if isinstance(plan, CopyPlan):
        export_copy.build(pipeline, plan)
        return
    config, target = plan.config, plan.target
    ledger = plan.ledger
    pieces = [pipeline | f"PlanReads[{source.label}]" >> _PlanQuery(plan, source.query) for source in plan.sources]
    columns = _shapes(pipeline, pieces, plan) | "ProvideTables" >> ProvideTables(target)
    batches = _read(_behind(columns, pieces, plan), plan) | "BeginBatch" >> BeginBatch(ledger)
    if config.mode == INCREMENTAL:
        batches = batches | "DropHeld" >> DropHeld(target, columns)
    rows = rows_of_documents(target, plan.run.started_at, plan.method, ledger, plan.storage_host)
    written = batches | "WriteRows" >> WriteRows(rows, columns)
    outcomes = (
        written.batches
        | "StoreDeadLetters" >> StoreDeadLetters(config.dead_letters, NAME, plan.job_id)
        | "CompleteBatch" >> CompleteBatch(ledger)
    )
    conclude = ConcludeExport(
        target,
        plan.job_id,
        tuple(source.query for source in plan.sources),
        compares=all(any(pattern.is_exact for pattern in source.patterns) for source in plan.sources),
        sampled=_sampled(plan),
        cursor_field=config.cursor_field,
        cursors_of=plan.cursors_of,
        retry=plan.retry,
    )
    _ = outcomes | "CompleteJob" >> CompleteJob(ledger, conclude, conclude.clean_up, after=(columns, *written.loaded))


class _PlanQuery(beam.PTransform[PBegin, PCollection[Piece]]):
    """The ranges of one query."""

    def __init__(self, plan: Plan, query: Query):
        super().__init__()
        self._plan, self._query = plan, query

    def expand(self, begin: PBegin) -> PCollection[Piece]:
        plan = self._plan
        queries = begin | "Query" >> beam.Create([self._query], reshuffle=False)
        pieces: PCollection[Piece] = queries | "Plan" >> PlanReads(plan.firestore, plan.moment, plan.config.max_ranges)
        return pieces


def _behind(columns: PCollection[Any], pieces: list[PCollection[Piece]], plan: Plan) -> list[PCollection[Piece]]:
    """The ranges, once the tables are there.

    Shuffled once more, because a step whose side input comes from the same ranges is not fused with their readers: all
    batches of the second pass would be read, and held, before the first of them is written.
    """
    return [
        ranges
        | f"WaitForTables[{source.label}]" >> beam.WaitOn(columns)
        | f"SpreadRanges[{source.label}]" >> beam.Reshuffle()
        for source, ranges in zip(plan.sources, pieces, strict=True)
    ]


def _shapes(pipeline: beam.Pipeline, pieces: list[PCollection[Piece]], plan: Plan) -> PCollection[Any]:
    """What the documents hold, as far as it is to be looked at."""
    sampled = _sampled(plan)
    if sampled == 0:
        nothing: PCollection[Any] = pipeline | "NoShapes" >> beam.Create([{}], reshuffle=False)
        return nothing
    if sampled is not None:
        pieces = [
            pipeline | f"PlanSample[{source.label}]" >> _PlanQuery(plan, source.query.limit(sampled))
            for source in plan.sources
        ]
    within_maps = plan.config.nested != JSON
    shapes: PCollection[Any] = (
        pieces
        | "PiecesToInfer" >> beam.Flatten()
        | "InferShapes" >> InferShapes(plan.firestore, plan.patterns, within_maps)
    )
    return shapes


def _sampled(plan: Plan) -> int | None:
    """How many documents of each query are looked at beforehand; None for all of them."""
    if plan.spec is not None or plan.config.layout == CHANGELOG:
        return 0
    return None if plan.config.infer == ALL else int(plan.config.infer)


def _read(pieces: list[PCollection[Piece]], plan: Plan) -> PCollection[Batch[Exported]]:
    """The documents of all patterns as batches."""
    batches: list[PCollection[Batch[Exported]]] = [
        ranges
        | f"ReadBatches[{source.label}]"
        >> ReadPieceBatches(
            plan.firestore,
            plan.config.batch_size,
            _MAX_BATCH_BYTES,
            PassedOver(plan.run.completed),
            Batch[Exported],
            ExportedOf(source.patterns),
        )
        for source, ranges in zip(plan.sources, pieces, strict=True)
    ]
    if len(batches) == 1:
        (only,) = batches
        return only
    every: PCollection[Batch[Exported]] = batches | "AllBatches" >> beam.Flatten()
    return every


def present(plan: Plan | TablePlan | FilePlan | CopyPlan, summary: Summary, console: Console) -> int:
    """Shows how a run ended; returns the exit code."""
    if isinstance(plan, TablePlan):
        return export_tables.present(plan, summary, console)
    return present_records(plan, summary, console)


JOB: Job[Config, Plan | TablePlan | FilePlan | CopyPlan] = Job(USAGE, prepare, provision, build, present)
