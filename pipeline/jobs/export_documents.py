"""export --collection: documents of Firestore into typed tables and changelogs of BigQuery.

    collections ─▶ PlanReads ─┬─▶ InferShapes ─▶ ProvideTables ─▶ columns
                   ranges     │   1st pass        made, widened      │
                              └─▶ ReadBatches ─▶ BeginBatch ─▶ DropHeld ─▶ WriteRows ─▶ …
                                  2nd pass        ledger       incremental   one answer per row

                                        … StoreDeadLetters ─▶ CompleteBatch ─▶ CompleteJob
                                          JSONL files          ledger           merge, compare both sides

Both passes read one snapshot. All steps of the second are fused: at most one batch is read ahead of the one whose rows
are on their way, and memory does not grow with the collection.
"""

import datetime
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import PBegin, PCollection

from pipeline.jobs.export_checks import check_column_names, check_combinations, conditioned, looking_back, moment_of
from pipeline.jobs.export_destination import ExportPlan, destination, gone, job_id_of
from pipeline.jobs.export_flags import ALL, FULL, INCREMENTAL, NAME, Config
from pipeline.run.job import digest
from pipeline.specs import read_spec
from transforms.batch import MAX_BATCH_BYTES, Batch
from transforms.bigquery.tables import existing_columns
from transforms.bigquery.write import WriteRows
from transforms.dead_letters.folder import DeadLetterFolder
from transforms.dead_letters.steps import StoreDeadLetters
from transforms.export.columns import JSON
from transforms.export.entries import Exported
from transforms.export.options import CHANGELOG
from transforms.export.rows import rows_of_documents
from transforms.export.steps import DropHeld, ExportedOf, InferShapes, ProvideTables
from transforms.export.tables import ConcludeExport
from transforms.export.target import ExportTarget
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


class Source(NamedTuple):
    """One query, the patterns whose documents it finds, and its name in the graph."""

    query: Query
    patterns: tuple[CollectionPattern, ...]
    label: str


@dataclass(frozen=True)
class DocumentPlan(ExportPlan):
    """A config with everything read and looked up that the graph needs.

    Attributes:
      read_time: as of when documents are read; if None, the ledger says when the run began.
      cursors: where each pattern's last run ended, by pattern.
    """

    patterns: tuple[CollectionPattern, ...]
    spec: RecordSpec | None
    read_time: datetime.datetime | None
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
            self.to.table,
            config.layout,
            config.write,
            config.deletes,
            config.nested,
            self.spec,
            imported=config.mode == FULL,
            run_id=self.run_id(self.moment),
            read_time=self.moment,
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        """What is read."""
        return tuple(
            Source(self._query(patterns), patterns, ",".join(pattern.text for pattern in patterns))
            for patterns in by_query(self.patterns).values()
        )

    def opened(self, opening: Opening) -> "DocumentPlan":
        """The plan of the run that the ledger has opened."""
        job = self.document()
        read_time = self.read_time or read_time_of_run(job, opening.attempt, opening.started_at)
        cursors: dict[str, Any] = {}
        if self.config.cursor_field:
            last = read_last_results(job, opening.attempt)
            if last.get("_cursors_of") == self.cursors_of:
                cursors = last["cursors"]
        return replace(self, opening=self.worth(opening), read_time=read_time, cursors=tuple(sorted(cursors.items())))

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


def prepare(config: Config, options: PipelineOptions) -> DocumentPlan:
    """Checks what can be checked before anything is started.

    Raises:
      UsageError: what is wrong with which flag.
    """
    check_combinations(config)
    services = services_of(options)
    firestore = config.firestore(services)
    patterns = tuple(map(CollectionPattern, (*config.collection, *(f"**/{each}" for each in config.collection_group))))
    for found in by_query(patterns).values():
        conditioned(found[0], config)
    read_time = None if config.read_time is None else moment_of(config.read_time)
    spec = None if config.spec is None else read_spec(config.spec)
    check_column_names(patterns, spec)
    to = destination(config, services, options)
    DeadLetterFolder(config.dead_letters).check_writable()
    texts = sorted({pattern.text for pattern in patterns})
    about = (texts, sorted(config.where), config.fields, config.layout, config.mode, config.cursor_field)
    description = JobDescription(
        NAME,
        job_id_of(config, firestore, about),
        config.parameters(),
        # Also where rows wait, and how: what a completed batch has done is worth nothing to a run that goes elsewhere.
        input_fingerprint=digest(
            about,
            (config.batch_size, config.max_ranges, config.read_time),
            (config.bigquery_table, to.method, config.write, config.deletes),
        ),
        spec_fingerprint=spec.fingerprint if spec else digest(config.nested, config.infer),
    )
    return DocumentPlan(config, description, firestore, to, patterns, spec, read_time)


def provision(plan: DocumentPlan) -> None:
    """Makes sure that there is a dataset that may be written to; a new run begins without its old dead letters.

    Raises:
      JobError: the dataset is missing, access is refused, or the table is gone that the last run's cursors are of.
    """
    if not existing_columns(plan.to.table) and plan.cursors:
        claim = "the last run's cursors say that it holds all documents up to them"
        raise gone(plan.to.table, claim, "Run once without --cursor_field, which reads everything")
    plan.forget_dead_letters()


def build(pipeline: beam.Pipeline, plan: DocumentPlan) -> None:
    """Draws the graph of a run."""
    config, target = plan.config, plan.target
    ledger = plan.ledger
    pieces = [pipeline | f"PlanReads[{source.label}]" >> _PlanQuery(plan, source.query) for source in plan.sources]
    columns = _shapes(pipeline, pieces, plan) | "ProvideTables" >> ProvideTables(target)
    batches = _read(_behind(columns, pieces, plan), plan) | "BeginBatch" >> BeginBatch(ledger)
    if config.mode == INCREMENTAL:
        batches = batches | "DropHeld" >> DropHeld(target, columns)
    rows = rows_of_documents(target, plan.run.started_at, plan.to.method, ledger, plan.to.storage_host)
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

    def __init__(self, plan: DocumentPlan, query: Query):
        super().__init__()
        self._plan, self._query = plan, query

    def expand(self, begin: PBegin) -> PCollection[Piece]:
        plan = self._plan
        queries = begin | "Query" >> beam.Create([self._query], reshuffle=False)
        pieces: PCollection[Piece] = queries | "Plan" >> PlanReads(plan.firestore, plan.moment, plan.config.max_ranges)
        return pieces


def _behind(
    columns: PCollection[Any], pieces: list[PCollection[Piece]], plan: DocumentPlan
) -> list[PCollection[Piece]]:
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


def _shapes(pipeline: beam.Pipeline, pieces: list[PCollection[Piece]], plan: DocumentPlan) -> PCollection[Any]:
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


def _sampled(plan: DocumentPlan) -> int | None:
    """How many documents of each query are looked at beforehand; None for all of them."""
    if plan.spec is not None or plan.config.layout == CHANGELOG:
        return 0
    return None if plan.config.infer == ALL else int(plan.config.infer)


def _read(pieces: list[PCollection[Piece]], plan: DocumentPlan) -> PCollection[Batch[Exported]]:
    """The documents of all patterns as batches."""
    batches: list[PCollection[Batch[Exported]]] = [
        ranges
        | f"ReadBatches[{source.label}]"
        >> ReadPieceBatches(
            plan.firestore,
            plan.config.batch_size,
            MAX_BATCH_BYTES,
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
