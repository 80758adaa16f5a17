"""Which run of which job a pipeline is, and where its ledger is kept. Plain data, pickled with the steps."""

from __future__ import annotations

from dataclasses import dataclass

from transforms.firestore.client import FirestoreTarget
from transforms.ledger.job_ledger import JobLedger
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
    """

    target: FirestoreTarget
    job_id: str
    attempt: int
    retry: Retry
    unattended: bool = False

    def connect(self) -> JobLedger:
        """For use in a worker."""
        return JobLedger(self.target.connect(), self.job_id, self.retry)
