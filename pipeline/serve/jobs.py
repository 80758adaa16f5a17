"""Jobs as the ledger has them, for every command that shows some: one, or the recent ones."""

from __future__ import annotations

from pipeline import JOBS
from pipeline.present.status import Status
from transforms.counters import Counters
from transforms.errors import UsageError
from transforms.firestore.client import FirestoreClient
from transforms.ledger.document import LedgerDocument
from transforms.ledger.jobs import Job, job_document, read_job, recent_jobs
from transforms.ledger.totals import Totals, read_totals
from transforms.outcomes import RECORDS
from transforms.retry import Retry


def counters_of(job: Job) -> Counters:
    """What a job counts; of one that this version does not know, what most jobs count."""
    return JOBS[job.job].usage.config.counters if job.job in JOBS else RECORDS


def required_job(document: LedgerDocument) -> Job:
    """The job of a document.

    Raises:
      UsageError: the ledger has none.
    """
    job = read_job(document)
    if job is None:
        raise UsageError(
            f"there is no job {document.id} in {document.client.target.name}; `firebeam status` without an id lists "
            "recent ones, --project and --database say where to look"
        )
    return job


def recent_statuses(client: FirestoreClient, limit: int, retry: Retry) -> tuple[list[Status], list[str]]:
    """The jobs started last, newest first, and the paths of documents that are not jobs."""
    recent = recent_jobs(client, limit, retry)
    statuses = []
    for job in recent.jobs:
        document, counters = job_document(client, job.job_id, retry), counters_of(job)
        # A job that has ended has stored its totals; to read them again takes several queries.
        totals = Totals.of(counters, job.totals) or read_totals(document, counters)
        statuses.append(Status(job, totals, document.now(), client.target.project))
    return statuses, recent.foreign
