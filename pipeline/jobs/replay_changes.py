"""Dead letters of a listen job through its sinks again; what `replay` does with them.

    batch ids ─▶ ReadLetters ─▶ record spec ─▶ sinks, each answers ─▶ SettleLetters ─▶ CompleteBatch ─▶ ClearLetters
                 the documents as they are now: what is not true any more is superseded

The listener may run meanwhile: what it resolves first is its own.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from pipeline.jobs import listen, listen_flags
from pipeline.jobs.listen_ranges import divided
from pipeline.jobs.replay_flags import Config
from pipeline.run.flags import misfit
from pipeline.run.job_config import JobConfig
from transforms.dead_letters.folder import DeadBatch, DeadLetterFolder, ReplayRun
from transforms.dead_letters.steps import ClearDeadLetters, ResolveDeadLetters
from transforms.errors import UsageError
from transforms.ledger.entry import LedgerEntry
from transforms.ledger.jobs import NotAJobError
from transforms.ledger.steps import BeginBatch, CompleteBatch
from transforms.ledger.streams import read_streams
from transforms.listen.read import ReadRefusedChanges, RefusedStream
from transforms.services import Services


@dataclass(frozen=True)
class ReplayedChanges:
    """The dead letters of one listen job.

    Attributes:
      plan: of the job.
      streams: by id.
      batches: those that have dead letters.
    """

    plan: listen.Plan
    streams: Mapping[str, RefusedStream]
    batches: tuple[str, ...]

    @property
    def job_id(self) -> str:
        """Of the job."""
        return self.plan.job_id

    def provide(self) -> None:
        """Makes its tables, or adds the columns they lack. Raises JobError."""
        listen.provide(self.plan)


def replayed_changes(
    config: Config, services: Services, job_id: str, parameters: Mapping[str, Any], batches: Sequence[DeadBatch]
) -> ReplayedChanges:
    """The dead letters of a listen job, and where its changes go.

    Args:
      config: of the replay.
      parameters: flags of the job, as its ledger has them.
      batches: of the job.

    Raises:
      UsageError: a flag of the job does not fit any more, or it has no such stream.
      JobError: a sink or the database cannot be reached.
    """
    plan = listen.planned(_config_of(config, job_id, parameters), services)
    client = plan.firestore.connect()
    saved = {stream.stream_id: stream for stream in read_streams(client, job_id, plan.retry)}
    found = divided(plan.streams, plan.config.ranges, saved, client)
    streams = {stream.stream_id: RefusedStream(stream.query.query, stream.settings) for stream in found}
    for batch in batches:
        if batch.source not in streams:
            raise UsageError(
                f"batch {batch.batch_id} in {config.dead_letters} is of stream {batch.source}, but job {job_id} "
                f"listens to {', '.join(streams)} only; move its file elsewhere"
            )
    return ReplayedChanges(plan, streams, tuple(batch.batch_id for batch in batches))


def _config_of(config: Config, job_id: str, parameters: Mapping[str, Any]) -> listen_flags.Config:
    """The job's flags: those of every job as given here, its own as they were unless they are given here."""
    shared = {declared.name for declared in fields(JobConfig)}
    own = {declared.name for declared in fields(listen_flags.Config)} - shared
    kept = {name: parameters[name] for name in own & parameters.keys()}
    if reason := misfit(listen_flags.Config, kept):
        raise NotAJobError(job_id, f"of its parameters, {reason}")
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()}
    values |= {name: getattr(config, name) for name in shared}
    given = {"spec": config.spec, "bigquery_table": config.bigquery_table}
    values |= {name: value for name, value in given.items() if value is not None}
    return listen_flags.Config(**{**values, "job_id": job_id})


@dataclass
class ReplayChanges(beam.PTransform[PBegin, PCollection[str]]):
    """The dead letters of one listen job, on their way through its sinks. Out: ids of the batches that are done.

    Attributes:
      changes: what is replayed.
      folder: where the dead letters are.
      run: of the replay.
      ledger: of the replay.
      started_at: when the replay began.
      completed: batches that an interrupted run has done.
    """

    changes: ReplayedChanges
    folder: DeadLetterFolder
    run: ReplayRun
    ledger: LedgerEntry
    started_at: datetime.datetime
    completed: frozenset[str]

    def expand(self, begin: PBegin) -> PCollection[str]:
        changes, plan, folder = self.changes, self.changes.plan, self.folder
        batch_ids = [batch_id for batch_id in changes.batches if batch_id not in self.completed]
        read = ReadRefusedChanges(folder, plan.firestore, plan.job_id, changes.streams, self.run.run, plan.retry)
        batches = (
            begin
            | "Batches" >> beam.Create(batch_ids, reshuffle=False)
            | "Reshuffle" >> beam.Reshuffle()
            | "ReadLetters" >> read
            | "BeginBatch" >> BeginBatch(self.ledger)
        )
        return (
            listen.into_sinks(batches, plan, self.started_at)
            | "SettleLetters" >> ResolveDeadLetters(folder, self.run, may_be_resolved=True)
            | "CompleteBatch" >> CompleteBatch(self.ledger)
            | "ClearLetters" >> ClearDeadLetters(folder, self.run.run)
        )
