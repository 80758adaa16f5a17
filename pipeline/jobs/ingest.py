"""ingest: batch outputs into pairs of Firestore documents, and rows of BigQuery.

    files ─▶ ReadBatches ─▶ BeginBatch ─▶ IdentifyRecords ─▶ CompareVersions ─▶ FlattenRecords ─▶ UpsertPairs ─▶ …
              slices         ledger        ids, hashes         what is stored     record spec       Firestore

                                      … InsertRows ─▶ StoreDeadLetters ─▶ CompleteBatch
                                         BigQuery      JSONL files         ledger

All steps behind the slices are fused. While the documents of one batch are written, and the rows of the one before it,
the next one is read, compared and flattened; batches are accounted for in their order, and memory does not grow with
the input. With `--bigquery_method=FILE_LOADS` the rows leave their batch behind UpsertPairs and go through load jobs.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from pipeline.jobs.destination import destination
from pipeline.jobs.ingest_analysis import analysis_of, instead_of_run, results_of_analysis
from pipeline.jobs.ingest_batches import ProviderSource, results_of_batches, unfinished_batches
from pipeline.jobs.ingest_flags import NAME, USAGE, Config
from pipeline.jobs.ingest_sources import Sources
from pipeline.jobs.ingest_tables import TableInputs
from pipeline.jobs.outcome import present_records
from pipeline.locations import split_inputs
from pipeline.run.job import Job, JobPlan, derived_job_id, digest
from pipeline.run.runners import is_one_worker
from transforms.analysis.steps import AnalyseRecords, AnalysisPlan
from transforms.bigquery.methods import FILE_LOADS
from transforms.bigquery.senders import check_temp_location
from transforms.dead_letters.folder import DeadLetterFolder
from transforms.dead_letters.steps import StoreDeadLetters
from transforms.errors import UsageError
from transforms.ledger.document import LedgerDocument
from transforms.ledger.jobs import Job as LedgerJob
from transforms.ledger.live import CountsOf, counts_of_batches, counts_of_provider_batches
from transforms.ledger.provider_batches import Unfinished
from transforms.ledger.read_times import read_time_of_run
from transforms.ledger.runs import JobDescription, Opening
from transforms.ledger.steps import BeginBatch, CompleteBatch, CompleteJob
from transforms.ledger.totals import read_totals
from transforms.runtime.services import services_of
from transforms.upsert.destination import Destination, provide_table
from transforms.upsert.rows_known import ROWS_KNOWN, rows_known_after
from transforms.upsert.versions import ALL_ROWS, NO_ROWS, RunIdentity
from transforms.upsert.write import compare_records, write_records


@dataclass(frozen=True)
class Plan(JobPlan[Config]):
    """A config with everything read and looked up that the graph needs.

    Attributes:
      analysis: how a model is asked about each record; None if none is.
      began: when the run began by Firestore's clock, where it reads collections.
    """

    to: Destination
    sources: Sources
    analysis: AnalysisPlan | None = None
    began: datetime.datetime | None = None

    @property
    def read_time(self) -> datetime.datetime:
        """The snapshot of collections that is read; a resumed run reads the same one."""
        return self.began or self.run.started_at

    def kept(self, before: LedgerJob | None) -> dict[str, Any]:
        """Which rows the table has when a run begins, and where it cuts the tables that it reads."""
        of_tables = self.sources.tables.kept() if self.sources.tables else {}
        return {ROWS_KNOWN: rows_known_after(before, self.description), **of_tables}

    @property
    def keeps_completed(self) -> bool:
        """Whether a completed batch is done for good: with load jobs it says nothing about its rows."""
        return not (self.to.rows and self.to.rows.method == FILE_LOADS)

    def results(self, document: LedgerDocument, attempt: int) -> Mapping[str, Any]:
        """What became of the requests to a provider, and what is not known of the cost of a model."""
        of_batches = results_of_batches(document, attempt) if self.sources.provider else {}
        return {**of_batches, **(results_of_analysis(self.analysis) if self.analysis else {})}

    @property
    def counts_of(self) -> CountsOf:
        """Batches at a provider, where there are any."""
        return counts_of_provider_batches if self.sources.provider else counts_of_batches

    def unfinished(self, document: LedgerDocument, attempt: int) -> Unfinished | None:
        """The batches at a provider that are not taken."""
        return unfinished_batches(document, attempt) if self.sources.provider else None

    def opened(self, opening: Opening) -> "Plan":
        """The plan of the run that the ledger has opened.

        With load jobs all batches are done again, which writes no document twice and shows every row once in the
        `_latest` view.
        """
        if not self.keeps_completed:
            opening = replace(opening, completed=frozenset())
        plan = super().opened(opening)
        if plan.analysis and opening.resumed:
            spent = read_totals(self.document(), self.config.counters)["analysis_cost"]
            plan = replace(plan, analysis=replace(plan.analysis, spent=spent))
        if not self.sources.queries:
            return plan
        return replace(plan, began=read_time_of_run(self.document(), opening.attempt, opening.started_at))


def prepare(config: Config, options: PipelineOptions) -> Plan:
    """Reads the spec, finds the input and checks what can be checked before anything is started.

    Raises:
      UsageError: what is wrong with which flag.
    """
    services = services_of(options)
    to = destination(config, services)
    if to.rows and to.rows.method == FILE_LOADS:
        check_temp_location(options.view_as(GoogleCloudOptions).temp_location)
    firestore = config.firestore(services)
    requests = [sorted(config.requests)] if config.requests else []
    job_id = config.job_id or derived_job_id(
        NAME,
        sorted(config.input),
        config.spec,
        firestore.project,
        firestore.database,
        config.bigquery_table,
        *requests,
    )
    reading = config.reading(config.batch_size, f"{firestore.name}/documents")
    provider = ProviderSource.find(config.input, config, reading, job_id)
    locations = split_inputs(config.input).tables
    tables = TableInputs.find(locations, config.input_password, reading, config.retry, config.max_outage_s)
    sources = Sources.find(config.input, reading, firestore, provider, tables if locations else None)
    dead_letters = DeadLetterFolder(config.dead_letters)
    dead_letters.check_writable()
    analysis = analysis_of(config, to.spec, is_one_process=is_one_worker(options))
    asking = [analysis.question.identity] if analysis else []
    escaping = ["escaped ids"] if config.escapes_ids else []
    description = JobDescription(
        NAME,
        job_id,
        config.parameters(),
        # Also where rows go, and how: what a completed batch has done is worth nothing to a run that goes elsewhere.
        input_fingerprint=digest(sources.fingerprint, config.bigquery_table, config.bigquery_method, *escaping),
        spec_fingerprint=digest(to.spec.fingerprint, *asking) if asking else to.spec.fingerprint,
        bytes_total=sources.bytes_total,
    )
    foreign = dead_letters.foreign_file(description.job_id, sources.file_ids)
    if foreign:
        raise UsageError(
            f"{foreign} holds dead letters of another job on the same input, which this one would replace; "
            "replay or remove them, or pass another --dead_letters"
        )
    instead = instead_of_run(config, analysis, sources, to)
    return Plan(config, description, firestore, to, sources, analysis, instead=instead)


def provision(plan: Plan) -> None:
    """Creates the table and its view, or adds the columns they lack; a new run begins without its old dead letters.

    Raises:
      JobError: the table does not fit the spec, or may not be changed.
    """
    provide_table(plan.to)
    if not plan.run.resumed:
        folder = DeadLetterFolder(plan.config.dead_letters)
        folder.remove(plan.job_id, plan.sources.file_ids, plan.sources.read_anew)


def build(pipeline: beam.Pipeline, plan: Plan) -> None:
    """Draws the graph of a run."""
    ledger, opening = plan.ledger, plan.run
    rows_known = opening.kept.get(ROWS_KNOWN, NO_ROWS) if plan.to.rows else ALL_ROWS
    run = RunIdentity(plan.job_id, opening.attempt, opening.started_at, plan.sources.ids(plan.read_time), rows_known)
    records = plan.sources.read(pipeline, plan.read_time, opening, ledger, keeps_completed=plan.keeps_completed)
    batches = records | "BeginBatch" >> BeginBatch(ledger)
    if plan.analysis:
        batches = batches | "AnalyseRecords" >> AnalyseRecords(plan.analysis, plan.to.spec, ledger)
    written = write_records(compare_records(batches, plan.to, run), plan.to, run)
    outcomes = (
        written.batches
        | "StoreDeadLetters" >> StoreDeadLetters(plan.config.dead_letters, NAME, plan.job_id)
        | "CompleteBatch" >> CompleteBatch(ledger, plan.counts_of)
    )
    complete = CompleteJob(ledger, after=written.loaded, counts_of=plan.counts_of)
    if plan.sources.provider:
        complete = replace(complete, unfinished=unfinished_batches)
    _ = outcomes | "CompleteJob" >> complete


JOB = Job(USAGE, prepare, provision, build, present_records)
