"""Jobs as their readers see them in the ledger. Plain Python, for whoever has a client.

    client = target.connect()
    job = read_job(client, "ingest-0c4a6d1f52")
    job.state_at(now)        # "interrupted", if its owner has fallen silent
    recent_jobs(client, 20)  # newest first

What the documents hold is drawn in `job_ledger.py`; what became of a job's records is computed by `totals.py`.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transforms.firestore import messages
from transforms.firestore.client import FirestoreClient
from transforms.firestore.fetch import fetch_all
from transforms.firestore.values import decode_fields
from transforms.ledger.job_ledger import INTERRUPTED, JOBS_COLLECTION, RUNNING, Owner
from transforms.ledger.past_jobs import stored_job
from transforms.retry import Retry

_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Job:
    """One job's document.

    Attributes:
      job: its name, such as `ingest`.
      state: as its owner wrote it down last; see `state_at`.
      attempt: which run it is, counted from 1.
      owner: who runs it, or ran it last.
      owned_since: when that owner took it.
      started_at: when the run began; one that is resumed keeps it.
      heartbeat_at: when the owner was heard of last.
      finished_at: None while it runs.
      bytes_total: of all input; None where nobody knows.
      totals: as the owner stored them at the end.
    """

    job_id: str
    job: str
    state: str
    attempt: int
    owner: Owner
    owned_since: datetime.datetime
    started_at: datetime.datetime
    heartbeat_at: datetime.datetime
    finished_at: datetime.datetime | None = None
    error: str | None = None
    bytes_total: int | None = None
    totals: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, job_id: str, fields: Mapping[str, Any]) -> Job:
        """From the decoded fields of its document."""
        owner = fields["owner"]
        return cls(
            job_id=job_id,
            job=fields["job"],
            state=fields["state"],
            attempt=fields["attempt"],
            owner=Owner(owner["host"], owner["pid"]),
            owned_since=owner["since"],
            started_at=fields["started_at"],
            heartbeat_at=fields["heartbeat_at"],
            finished_at=fields["finished_at"],
            error=fields["error"],
            bytes_total=fields["bytes_total"],
            totals=fields["totals"],
        )

    def heard_of_at(self, last_completed_at: datetime.datetime | None = None) -> datetime.datetime:
        """When the owner gave its last sign of life: a process a heartbeat, a cloud job that or a completed batch."""
        if last_completed_at is None or not self.owner.dataflow_job:
            return self.heartbeat_at
        return max(self.heartbeat_at, last_completed_at)

    def state_at(self, moment: datetime.datetime, last_completed_at: datetime.datetime | None = None) -> str:
        """Its state. One whose owner is gone, or has been silent for too long, is interrupted: a process for a minute,
        a cloud job for half an hour."""
        silence_s = (moment - self.heard_of_at(last_completed_at)).total_seconds()
        is_lost = self.state == RUNNING and (silence_s >= self.owner.stale_after_s or self.owner.is_dead_here)
        return INTERRUPTED if is_lost else self.state


def read_job(client: FirestoreClient, job_id: str, retry: Retry | None = None) -> Job | None:
    """The job, or None if the ledger has none of this id.

    Raises:
      JobError: credentials, permission or database.
      TransientError: no answer after bounded retries.
    """
    fields = stored_job(client, job_id, retry)
    return None if fields is None else Job.of(job_id, fields)


def recent_jobs(client: FirestoreClient, limit: int, retry: Retry | None = None) -> list[Job]:
    """The jobs that were started last, newest first.

    Raises:
      JobError: credentials, permission or database.
      TransientError: no answer after bounded retries.
    """
    query = messages.StructuredQuery()
    query.from_.add(collection_id=JOBS_COLLECTION)
    query.order_by.add(direction="DESCENDING").field.field_path = "started_at"
    query.limit.value = limit
    parent = f"{client.target.name}/documents"
    answers = fetch_all(client, lambda: client.run_query(parent, query, _TIMEOUT_S), retry)
    documents = [answer.document for answer in answers if answer.HasField("document")]
    return [Job.of(document.name.rpartition("/")[2], decode_fields(document.fields)) for document in documents]
