"""The documents of jobs: one of them, the recent ones, what they kept. Plain Python, read-only.

    document = job_document(target.connect(), "ingest-0c4a6d1f52")
    job = read_job(document)
    job.state_at(now)           "interrupted", if its owner is dead
    job.parameters              the flags it ran with
    recent_jobs(client, 20)     newest first
    finish_times(client)        when each job finished last

    pipeline_jobs/{job_id}
        job, state, attempt, parameters, input_fingerprint, spec_fingerprint, bytes_total, owner, heartbeat_at,
        started_at, finished_at, error, totals, expire_at, the sums that `live.py` keeps there while it runs, and what
        the job itself keeps there

Other applications share the database, so a document here may be somebody else's: one that lacks a field, or has it in
another type, is not a job. It is never shown as one, never overwritten, and named in one sentence. What became of a
job's records is computed by `totals.py`.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, NamedTuple

from transforms.errors import UsageError
from transforms.firestore.client import FirestoreClient
from transforms.firestore.query import Query
from transforms.firestore.reader import read
from transforms.ledger.document import LedgerDocument
from transforms.ledger.owners import Owner, is_alive
from transforms.ledger.stored_fields import OWNER, Types, misfit
from transforms.retry import Retry

JOBS = "pipeline_jobs"

RUNNING, COMPLETED, FAILED, INTERRUPTED = "running", "completed", "failed", "interrupted"

_STATES = frozenset({RUNNING, COMPLETED, FAILED, INTERRUPTED})

# Every field that a job has, and of which types.
_FIELDS: Types = {
    "job": (str,),
    "state": (str,),
    "attempt": (int,),
    "parameters": (dict,),
    "input_fingerprint": (str,),
    "spec_fingerprint": (str,),
    "bytes_total": (int, NoneType),
    "owner": (dict,),
    "heartbeat_at": (datetime.datetime,),
    "started_at": (datetime.datetime,),
    "finished_at": (datetime.datetime, NoneType),
    "error": (str, NoneType),
    "totals": (dict,),
}
# What it says while it runs, see `live.py`.
_LIVE_FIELDS = frozenset(
    {
        "batches_total",
        "batches_waiting",
        "batches_processing",
        "batches_completed",
        "batches_failed",
        "progress",
        "profiles",
        "records",
        "tokens",
        "updated_at",
    }
)
_OWN_FIELDS = frozenset({*_FIELDS, *_LIVE_FIELDS, "expire_at"})


class NotAJobError(UsageError):
    """A document among the jobs that is somebody else's.

    Args:
      job_id: its id.
      reason: why it is not a job.
    """

    def __init__(self, job_id: str, reason: str):
        self.job_id, self.reason = job_id, reason
        super().__init__(
            f"{JOBS}/{job_id} is not a job of Firebeam: {reason}. Firebeam leaves such a document alone; "
            "choose another id"
        )

    def __reduce__(self) -> tuple[type[NotAJobError], tuple[str, str]]:
        return NotAJobError, (self.job_id, self.reason)


@dataclass(frozen=True)
class Job:
    """One job's document.

    Attributes:
      job: its name, such as `ingest`.
      state: as its owner stored it last; see `state_at`.
      attempt: which run it is, counted from 1.
      parameters: the flags it ran with.
      input_fingerprint, spec_fingerprint: of what it read, and how.
      owner: who runs it, or ran it last.
      owned_since: when that owner took it.
      started_at: when the run began; a resumed run keeps it.
      heartbeat_at: of the owner, the last one.
      finished_at: None while it runs.
      bytes_total: of all input; None where nobody knows.
      totals: as the owner stored them at the end.
      kept: what the job itself keeps beside all that, by name.
      live: the sums that its owner wrote last, see `live.py`.
    """

    job_id: str
    job: str
    state: str
    attempt: int
    parameters: Mapping[str, Any]
    input_fingerprint: str
    spec_fingerprint: str
    owner: Owner
    owned_since: datetime.datetime
    started_at: datetime.datetime
    heartbeat_at: datetime.datetime
    finished_at: datetime.datetime | None = None
    error: str | None = None
    bytes_total: int | None = None
    totals: Mapping[str, Any] = field(default_factory=dict)
    kept: Mapping[str, Any] = field(default_factory=dict)
    live: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, job_id: str, fields: Mapping[str, Any]) -> Job:
        """From the fields of its document. Raises NotAJobError if it is not one that a job has."""
        if reason := misfit(fields, _FIELDS) or misfit(fields["owner"], OWNER, "owner."):
            raise NotAJobError(job_id, reason)
        if reason := _out_of_range(fields):
            raise NotAJobError(job_id, reason)
        owner = fields["owner"]
        return cls(
            job_id=job_id,
            job=fields["job"],
            state=fields["state"],
            attempt=fields["attempt"],
            parameters=fields["parameters"],
            input_fingerprint=fields["input_fingerprint"],
            spec_fingerprint=fields["spec_fingerprint"],
            owner=Owner(owner["host"], owner["pid"]),
            owned_since=owner["since"],
            started_at=fields["started_at"],
            heartbeat_at=fields["heartbeat_at"],
            finished_at=fields["finished_at"],
            error=fields["error"],
            bytes_total=fields["bytes_total"],
            totals=fields["totals"],
            kept={name: value for name, value in fields.items() if name not in _OWN_FIELDS},
            live={name: fields[name] for name in _LIVE_FIELDS if name in fields},
        )

    def last_seen_at(self, last_completed_at: datetime.datetime | None = None) -> datetime.datetime:
        """When the owner was last seen alive: by its heartbeat, a Dataflow job also by a completed batch."""
        if last_completed_at is None or not self.owner.dataflow_job:
            return self.heartbeat_at
        return max(self.heartbeat_at, last_completed_at)

    def state_at(self, now: datetime.datetime, last_completed_at: datetime.datetime | None = None) -> str:
        """Its state; a run whose owner is dead is interrupted.

        Args:
          last_completed_at: when the batch was completed that was completed last.
        """
        is_lost = not is_alive(self.owner, self.owned_since, self.last_seen_at(last_completed_at), now)
        return INTERRUPTED if self.state == RUNNING and is_lost else self.state


def job_document(client: FirestoreClient, job_id: str, retry: Retry | None = None) -> LedgerDocument:
    """Where a job is kept."""
    return LedgerDocument(client, f"{JOBS}/{job_id}", retry)


def read_job(document: LedgerDocument) -> Job | None:
    """The job; None if the ledger does not have it, or no longer.

    Raises:
      NotAJobError: there is a document, but it is somebody else's.
      JobError, TransientError: as all functions here, for credentials, permission or database.
    """
    found = document.read()
    return Job.of(found.id, found.fields) if found else None


class RecentJobs(NamedTuple):
    """What was started last.

    Attributes:
      jobs: newest first.
      foreign: paths of the documents met on the way that are not jobs.
    """

    jobs: list[Job]
    foreign: list[str]


def recent_jobs(client: FirestoreClient, limit: int, retry: Retry | None = None) -> RecentJobs:
    """The jobs that were started last, and what is not a job but says when it was started."""
    asked = limit
    while True:
        query = Query(JOBS).order_by("started_at", descending=True).limit(asked)
        documents = list(read(client, query, retry=retry))
        recent = RecentJobs([], [])
        for document in documents:
            try:
                recent.jobs.append(Job.of(document.id, document.fields))
            except NotAJobError:
                recent.foreign.append(document.path)
        if len(recent.jobs) >= limit or len(documents) < asked:
            return RecentJobs(recent.jobs[:limit], recent.foreign)
        asked *= 2


def finish_times(client: FirestoreClient, retry: Retry | None = None) -> dict[str, datetime.datetime]:
    """When each job of the ledger finished its last run, by id; jobs that have not are left out."""
    documents = read(client, Query(JOBS).select("finished_at"), retry=retry)
    times = {document.id: document.fields.get("finished_at") for document in documents}
    return {job_id: at for job_id, at in times.items() if isinstance(at, datetime.datetime)}


def _out_of_range(fields: Mapping[str, Any]) -> str:
    """What is wrong with the values of fields that have the right types; empty if nothing is."""
    if fields["state"] not in _STATES:
        return "its field state is not a state of a job"
    if fields["attempt"] < 1:
        return "its field attempt is less than 1"
    return "its field owner.pid is negative" if fields["owner"]["pid"] < 0 else ""
