"""Which run of which job a pipeline is, and where its ledger is kept. Plain data, pickled with the steps."""

from __future__ import annotations

from dataclasses import dataclass

from transforms.counters import Counters
from transforms.firestore.target import FirestoreTarget
from transforms.ledger.document import LedgerDocument
from transforms.ledger.jobs import job_document
from transforms.outcomes import RECORDS
from transforms.retry import Retry


@dataclass(frozen=True)
class LedgerEntry:
    """Which run of which job a pipeline is, and where its ledger is kept.

    Attributes:
      target: the database.
      job_id: of the job.
      attempt: which run, counted from 1.
      retry: of every request.
      unattended: as in `Opening`.
      counters: what the job counts.
    """

    target: FirestoreTarget
    job_id: str
    attempt: int
    retry: Retry
    unattended: bool = False
    counters: Counters = RECORDS

    def connect(self) -> LedgerDocument:
        """The job's document, for use in a worker."""
        return job_document(self.target.connect(), self.job_id, self.retry)
