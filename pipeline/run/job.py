"""What every job has: flags, and a plan that is made of them."""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from pipeline.run.flags import option
from pipeline.targets import firestore_target
from transforms.errors import RecordError, UsageError
from transforms.firestore.client import DEFAULT_DATABASE, FirestoreTarget
from transforms.firestore.limits import check_document_id
from transforms.inputs.identity import Plain, text_of
from transforms.ledger.entry import LedgerEntry
from transforms.ledger.runs import JobDescription, Opening
from transforms.retry import Retry

P = TypeVar("P", bound="JobPlan")

_ID_DIGITS = 10
_OF_ONE_COMMAND = frozenset({"restart", "take_over", "wait"})


@dataclass(frozen=True, kw_only=True)
class JobConfig:
    """The flags of every job."""

    project: str | None = option(
        None,
        group="Firestore",
        metavar="PROJECT",
        help="Google Cloud project; GOOGLE_CLOUD_PROJECT when absent",
        in_templates=False,  # the service passes the one it runs the job in
    )
    database: str = option(
        DEFAULT_DATABASE,
        group="Firestore",
        metavar="DATABASE",
        help="Firestore database",
        pattern=r"\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9]",
    )
    max_request_attempts: int = option(
        8, group="Firestore", minimum=1, maximum=100, help="how often a request is sent at most while others succeed"
    )
    max_outage_s: float = option(
        300, group="Firestore", minimum=0, help="seconds without any answer from Firestore after which the job stops"
    )
    dead_letters: str = option(
        "dead_letters",
        group="Results",
        metavar="DIR",
        help="folder or gs:// prefix for records that cannot be stored",
        prefixes=("gs://",),
        parameter="GCS_WRITE_FOLDER",
    )
    max_dead_letter_ratio: float = option(
        0.1,
        group="Results",
        minimum=0,
        maximum=1,
        help="more dead letters than this share of the records: exit code 4",
        in_templates=False,
    )
    summary: str | None = option(
        None, group="Results", metavar="FILE", help="write the summary as JSON, too", in_templates=False
    )
    job_id: str | None = option(
        None, group="Run", metavar="ID", help="name of the run's ledger; derived from the flags when absent"
    )
    restart: bool = option(False, group="Run", help="begin an unfinished run anew, even with another input or spec")
    take_over: bool = option(False, group="Run", help="go on with a run although its owner is still heard of")
    wait: bool = option(
        False,
        group="Run",
        help="on Dataflow: show progress until the job has ended; other runners always do",
        in_templates=False,
    )

    def __post_init__(self) -> None:
        if self.job_id is not None:
            try:
                check_document_id(self.job_id)
            except RecordError as error:
                raise UsageError(f"--job_id names a document of the ledger: {error.message}") from None

    @property
    def retry(self) -> Retry:
        """How requests are repeated."""
        return Retry(max_attempts=self.max_request_attempts)

    @property
    def firestore(self) -> FirestoreTarget:
        """The database. Raises UsageError if it is not named well."""
        return replace(firestore_target(self.project, self.database), max_outage_s=self.max_outage_s)

    def parameters(self) -> dict[str, Any]:
        """The flags as the ledger keeps them, but for those that are about one command; they hold no secrets."""
        kept = {name: value for name, value in asdict(self).items() if name not in _OF_ONE_COMMAND}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()}


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
