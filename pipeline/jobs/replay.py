"""replay: dead letters through the job they came from.

    DIR/retryable ┐                                                        ┌─▶ DIR/replayed   landed
    DIR/permanent ┴─▶ ReadLetters ─▶ ingest's own steps ─▶ SettleLetters ─▶┼─▶ in place       failed again
                                                                           └─▶ DIR/parked     failed too often

                      … CompleteBatch ─▶ ClearLetters
                         ledger           what has moved leaves its old place

A job runs again with the flags its ledger has; flags given here win. The steps are ingest's, with one more among them,
`SetAsideOlder`: a record that failed yesterday must not replace what somebody has written since. Those of listen's dead
letters are in replay_changes.py. A replay may be
interrupted anywhere: each dead letter stays in its old place until it is known to be in its new one.
"""

import datetime
import os.path
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import PBegin, PCollection

from pipeline.jobs import ingest_flags, listen_flags, migrate_flags
from pipeline.jobs.destination import destination
from pipeline.jobs.outcome import present_records
from pipeline.jobs.replay_changes import ReplayChanges, ReplayedChanges, replayed_changes
from pipeline.jobs.replay_flags import ALL, NAME, USAGE, Config
from pipeline.present.summary import Summary
from pipeline.present.terminal import Console, say
from pipeline.run.flags import misfit
from pipeline.run.job import Job, JobPlan, derived_job_id, digest
from pipeline.run.job_config import RecordsConfig
from transforms.batch import input_id_of
from transforms.bigquery.methods import INSERT_ROWS
from transforms.dead_letters.folder import DeadBatch, DeadLetterFolder, ReplayRun
from transforms.dead_letters.kinds import KINDS
from transforms.dead_letters.steps import ClearDeadLetters, ReadDeadLetters, ResolveDeadLetters
from transforms.errors import UsageError
from transforms.files import is_local
from transforms.firestore.client import FirestoreClient
from transforms.firestore.tagged_json import iso
from transforms.inputs.options import ReadOptions
from transforms.ledger.batches import Batches
from transforms.ledger.jobs import Job as LedgerJob
from transforms.ledger.jobs import NotAJobError, finish_times, job_document, read_job
from transforms.ledger.runs import JobDescription
from transforms.ledger.steps import BeginBatch, CompleteBatch, CompleteJob
from transforms.outcomes import NOT_REPLAYABLE
from transforms.runtime.services import services_of
from transforms.services import Services
from transforms.upsert.destination import Destination, provide_table
from transforms.upsert.modes import OVERWRITE, VERSIONED
from transforms.upsert.source_versions import SourceOrder
from transforms.upsert.steps import SetAsideOlder
from transforms.upsert.versions import ALL_ROWS, NO_ROWS, RunIdentity
from transforms.upsert.write import compare_records, write_records

_SHOWN_SOURCES = 5
_EPOCH = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)


@dataclass(frozen=True)
class Replayed:
    """The dead letters of one job.

    Attributes:
      job_id: of the job.
      attempt: the job's last run; 0 if the ledger has forgotten it.
      to: where its records go.
      reading: how it reads them.
      input_ids: fingerprints of the sources it read.
      batches: those that have dead letters.
      order: where the source's own versions decide what is newer; None where place and time do.
    """

    job_id: str
    attempt: int
    to: Destination
    reading: ReadOptions
    input_ids: frozenset[str]
    batches: tuple[str, ...]
    order: SourceOrder | None = None


@dataclass(frozen=True)
class Plan(JobPlan[Config]):
    """A config with everything read and looked up that the graph needs.

    Attributes:
      jobs: of ingest, whose dead letters there are.
      listened: jobs of listen, whose dead letters there are.
      finished_at: when each job of the ledger finished last.
      to_ingest: sources of the dead letters that keep no record.
    """

    folder: DeadLetterFolder
    jobs: tuple[Replayed, ...]
    listened: tuple[ReplayedChanges, ...]
    finished_at: Mapping[str, datetime.datetime]
    to_ingest: tuple[str, ...] = ()


def prepare(config: Config, options: PipelineOptions) -> Plan:
    """Reads the dead letters and what the ledger knows of their jobs.

    Raises:
      UsageError: what is wrong with which flag, or with which line of which file.
    """
    services = services_of(options)
    firestore = config.firestore(services)
    folder = DeadLetterFolder(config.dead_letters, KINDS if config.kind == ALL else (config.kind,))
    folder.check_exists()
    batches = _of_jobs(folder.batches(), config.from_job)
    folder.check_writable()
    client = firestore.connect()
    description = JobDescription(
        NAME,
        config.job_id or derived_job_id(NAME, _absolute(config.dead_letters), firestore.project, firestore.database),
        config.parameters(),
        # What has landed has left the folder, and a spec that is corrected once more is welcome: neither is compared.
        input_fingerprint=digest(config.kind, sorted(config.from_job)),
        spec_fingerprint="",
    )
    jobs, listened = [], []
    for job_id in sorted({batch.job_id for batch in batches}):
        own = [batch for batch in batches if batch.job_id == job_id]
        if own[0].job == listen_flags.NAME:
            listened.append(_changes(config, services, client, job_id, own))
        else:
            jobs.append(_replayed(config, services, client, job_id, own))
    of_ingest = [batch for batch in batches if batch.job != listen_flags.NAME]
    sources = tuple(dict.fromkeys(batch.source for batch in of_ingest if batch.not_kept))
    finished_at = finish_times(client, config.retry)
    return Plan(config, description, firestore, folder, tuple(jobs), tuple(listened), finished_at, sources)


def provision(plan: Plan) -> None:
    """Ends what an interrupted run began, and provides the tables as ingest does.

    Raises:
      JobError: a table does not fit its spec, or may not be changed.
    """
    for batch_id in sorted(plan.run.completed):
        plan.folder.clear(batch_id, iso(plan.run.started_at))
    for job in plan.jobs:
        provide_table(job.to)
    for listened in plan.listened:
        listened.provide()


def build(pipeline: beam.Pipeline, plan: Plan) -> None:
    """Draws the graph of a run: one branch for every job."""
    branches = [pipeline | job.job_id >> _ReplayDeadLetters(job, plan) for job in plan.jobs]
    branches += [pipeline | changes.job_id >> _changes_of(changes, plan) for changes in plan.listened]
    first, *others = branches or [pipeline | "NoLetters" >> beam.Create([], reshuffle=False)]
    _ = first | "CompleteJob" >> CompleteJob(plan.ledger, after=tuple(others))


@dataclass
class _ReplayDeadLetters(beam.PTransform[PBegin, PCollection[str]]):
    """The dead letters of one job, on their way through its steps."""

    job: Replayed
    plan: Plan

    def expand(self, begin: PBegin) -> PCollection[str]:
        job, plan, ledger = self.job, self.plan, self.plan.ledger
        # A document that this run of the job wrote from this batch is the dead letter's own: its row may be missing.
        # One that somebody else wrote before, to the same effect, tells nothing of the row.
        rows_known = NO_ROWS if job.to.rows else ALL_ROWS
        by_time = job.order is None
        identity = RunIdentity(job.job_id, job.attempt, _EPOCH, job.input_ids, rows_known, by_time, job.order)
        run = _run_of(plan)
        batch_ids = [batch_id for batch_id in job.batches if batch_id not in plan.run.completed]
        batches = (
            begin
            | "Batches" >> beam.Create(batch_ids, reshuffle=False)
            | "Reshuffle" >> beam.Reshuffle()
            | "ReadLetters" >> ReadDeadLetters(plan.folder, job.reading)
            | "BeginBatch" >> BeginBatch(ledger)
        )
        compared = compare_records(batches, job.to, identity)
        if by_time:
            compared = compared | "SetAsideOlder" >> SetAsideOlder(job.input_ids, plan.finished_at)
        return (
            write_records(compared, job.to, identity).batches
            | "SettleLetters" >> ResolveDeadLetters(plan.folder, run, job.reading)
            | "CompleteBatch" >> CompleteBatch(ledger)
            | "ClearLetters" >> ClearDeadLetters(plan.folder, run.run)
        )


def _changes_of(changes: ReplayedChanges, plan: Plan) -> ReplayChanges:
    run, completed = _run_of(plan), frozenset(plan.run.completed)
    return ReplayChanges(changes, plan.folder, run, plan.ledger, plan.run.started_at, completed)


def _run_of(plan: Plan) -> ReplayRun:
    return ReplayRun(plan.job_id, iso(plan.run.started_at), plan.config.max_attempts)


def _of_jobs(batches: Sequence[DeadBatch], job_ids: Sequence[str]) -> list[DeadBatch]:
    there = {batch.job_id for batch in batches}
    if missing := sorted(set(job_ids) - there):
        present = ", ".join(sorted(there)) or "no job"
        raise UsageError(f"there are no dead letters of --from_job={','.join(missing)}, only of {present}")
    return [batch for batch in batches if not job_ids or batch.job_id in job_ids]


def _replayed(
    config: Config, services: Services, client: FirestoreClient, job_id: str, batches: Sequence[DeadBatch]
) -> Replayed:
    own = tuple(batch.batch_id for batch in batches)
    job = _job(config, client, job_id)
    if job and job.job == migrate_flags.NAME:
        from pipeline.jobs.replay_items import replayed_items  # the client of Cosmos DB, which few have

        found = replayed_items(config, services, job_id, job.parameters)
        reading, input_ids = ReadOptions(), frozenset(map(input_id_of, own))
        return Replayed(job_id, job.attempt, found.to, reading, input_ids, own, found.form.order)
    as_it_ran = _config_of(config, job_id, job.parameters if job else {})
    to = destination(as_it_ran, services, failed_before=True)
    known = Batches(job_document(client, job_id, config.retry), config.counters).input_ids()
    reading = as_it_ran.reading(as_it_ran.batch_size, f"{client.target.name}/documents")
    input_ids = known | set(map(input_id_of, own))
    return Replayed(job_id, job.attempt if job else 0, to, reading, input_ids, own)


def _changes(
    config: Config, services: Services, client: FirestoreClient, job_id: str, batches: Sequence[DeadBatch]
) -> ReplayedChanges:
    job = read_job(job_document(client, job_id, config.retry))
    if job is None or job.job != listen_flags.NAME:
        raise UsageError(
            f"the ledger in {client.target.name} does not know listen job {job_id}, which {config.dead_letters} has "
            "dead letters of; pass the --project and --database it ran with"
        )
    return replayed_changes(config, services, job_id, job.parameters, batches)


def _job(config: Config, client: FirestoreClient, job_id: str) -> LedgerJob | None:
    """The job as the ledger has it; None if that has forgotten it and its flags are given here."""
    job = read_job(job_document(client, job_id, config.retry))
    if job is None and config.spec is None:
        raise UsageError(
            f"the ledger in {client.target.name} does not know job {job_id}, which {config.dead_letters} has dead "
            "letters of; pass the --project and --database it ran with, or, if the ledger has forgotten it, --spec and "
            "its other flags"
        )
    if job is not None and job.job not in (ingest_flags.NAME, migrate_flags.NAME):
        raise UsageError(f"job {job_id} was {job.job}; only dead letters of ingest, listen and migrate can be replayed")
    return job


def _config_of(config: Config, job_id: str, parameters: Mapping[str, Any]) -> ingest_flags.Config:
    """The job's flags: those of every job as given here, its own as they were unless they are given here."""
    shared = {declared.name for declared in fields(RecordsConfig)}
    own = {declared.name for declared in fields(ingest_flags.Config)} - shared
    if reason := misfit(ingest_flags.Config, {name: parameters[name] for name in own & parameters.keys()}):
        raise NotAJobError(job_id, f"of its parameters, {reason}")
    given = {name: getattr(config, name, None) for name in own}
    values: dict[str, Any] = {name: parameters[name] for name in own & parameters.keys()}
    values |= {name: value for name, value in given.items() if value is not None}
    values |= {name: getattr(config, name) for name in shared}
    values |= {"input": (), "job_id": job_id, "bigquery_method": INSERT_ROWS}
    if values.get("upsert") == OVERWRITE and config.upsert is None:
        values["upsert"] = VERSIONED  # a replay has to look at what was written since
    return ingest_flags.Config(**values)


def _absolute(folder: str) -> str:
    """The same for the same folder, so that no two replays of it run at once."""
    return os.path.realpath(folder) if is_local(folder) else folder.rstrip("/")


def present(plan: Plan, summary: Summary, console: Console) -> int:
    """Shows what became of the dead letters, says what to do about those without a record, returns the exit code."""
    exit_code = present_records(plan, summary, console)
    if not_replayable := summary.totals[NOT_REPLAYABLE]:
        sources = ", ".join(plan.to_ingest[:_SHOWN_SOURCES])
        more = f" and {len(plan.to_ingest) - _SHOWN_SOURCES:,} more" if len(plan.to_ingest) > _SHOWN_SOURCES else ""
        say(
            console,
            f"{not_replayable:,} of the dead letters keep no record, or only a part of one, and cannot be replayed; "
            f"correct what they say and run ingest again on {sources}{more}",
            "yellow",
        )
    return exit_code


JOB = Job(USAGE, prepare, provision, build, present)
