"""What every job makes of its flags: a plan, and a name under which the same command finds its own run again."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from transforms.firestore.client import FirestoreTarget
from transforms.inputs.identity import Plain, text_of
from transforms.ledger.document import LedgerDocument
from transforms.ledger.entry import LedgerEntry
from transforms.ledger.jobs import Job, job_document
from transforms.ledger.runs import JobDescription, Opening
from transforms.retry import Retry

P = TypeVar("P", bound="JobPlan")

_ID_DIGITS = 10


@dataclass(frozen=True)
class JobPlan:
    """A config with everything read and looked up that a job's graph needs: what every job's plan has.

    Attributes:
      config: the flags.
      description: what makes two runs the same job.
      firestore: the database that keeps the ledger.
      opening: how the run begins; None until the ledger has said so.
    """

    config: Any
    description: JobDescription
    firestore: FirestoreTarget
    opening: Opening | None = field(default=None, kw_only=True)

    @property
    def job_id(self) -> str:
        """Of the job."""
        return self.description.job_id

    @property
    def retry(self) -> Retry:
        """Of every request."""
        retry: Retry = self.config.retry
        return retry

    @property
    def run(self) -> Opening:
        """How the run begins. Raises ValueError before the ledger has said so."""
        if self.opening is None:
            raise ValueError("the ledger must open the plan before its run begins")
        return self.opening

    @property
    def ledger(self) -> LedgerEntry:
        """Where the run's batches are written down."""
        return LedgerEntry(self.firestore, self.job_id, self.run.attempt, self.retry, self.run.unattended)

    def document(self) -> LedgerDocument:
        """The job's document in the ledger."""
        return job_document(self.firestore.connect(), self.job_id, self.retry)

    def kept(self, before: Job | None) -> Mapping[str, Any]:
        """What the ledger keeps with a new run for the job itself, given how the run before ended, if there was one."""
        return {}

    def opened(self: P, opening: Opening) -> P:
        """The plan of the run that the ledger has opened."""
        return replace(self, opening=opening)


def derived_job_id(job: str, *parts: Plain) -> str:
    """The same for the same job on the same things, so that the same command finds its own unfinished run.

    >>> derived_job_id("ingest", ("a.jsonl",), "profiles") == derived_job_id("ingest", ("a.jsonl",), "profiles")
    True
    """
    return f"{job}-{digest(*parts)[:_ID_DIGITS]}"


def digest(*parts: Plain) -> str:
    """Hex digest of the parts' texts, which `identity.py` makes of built-in values and of named fields."""
    return hashlib.blake2b(text_of(parts).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def utc_now() -> datetime.datetime:
    """Now, aware."""
    return datetime.datetime.now(datetime.timezone.utc)
