"""The flags that jobs share, by what they are about.

DatabaseFlags, RequestFlags, DeadLetterFlags, ResultFlags, RunFlags ──▶ JobConfig       every job
                                                                           └─▶ RecordsConfig   every one that counts
                                                                                               dead letters
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

from pipeline.run.flags import flag_name, option
from pipeline.run.service_flags import DatabaseFlags
from transforms.counters import Counters
from transforms.errors import RecordError, UsageError
from transforms.files import GCS
from transforms.firestore.names import check_document_id
from transforms.firestore.target import FirestoreTarget
from transforms.outcomes import RECORDS
from transforms.retry import Retry
from transforms.services import Services

_OF_ONE_COMMAND = frozenset({"restart", "take_over", "wait", "every_s"})


@dataclass(frozen=True, kw_only=True)
class RequestFlags:
    """How often requests are retried, and when the job stops."""

    max_request_attempts: int = option(
        8, group="Firestore", minimum=1, maximum=100, help="maximum attempts per request while the service is up"
    )
    max_outage_s: float = option(
        300,
        group="Firestore",
        minimum=0,
        help="the job stops after this many seconds without any answer from Firestore, or from BigQuery",
    )

    @property
    def retry(self) -> Retry:
        """How requests are retried."""
        return Retry(max_attempts=self.max_request_attempts)


@dataclass(frozen=True, kw_only=True)
class DeadLetterFlags:
    """Where dead letters are kept."""

    dead_letters: str = option(
        "dead_letters",
        group="Results",
        metavar="DIR",
        help="folder or gs:// prefix for records that cannot be stored",
        prefixes=(GCS,),
        parameter="GCS_WRITE_FOLDER",
    )


@dataclass(frozen=True, kw_only=True)
class ResultFlags:
    """What is written about a run."""

    summary: str | None = option(
        None, group="Results", metavar="FILE", help="also write the summary to this file, as JSON", in_templates=False
    )


@dataclass(frozen=True, kw_only=True)
class RunFlags:
    """Which run it is, and what becomes of one that is unfinished."""

    job_id: str | None = option(
        None, group="Run", metavar="ID", help="id of the job in the ledger; default: derived from the flags"
    )
    restart: bool = option(
        False, group="Run", help="start over instead of resuming an unfinished run, even with another input or spec"
    )
    take_over: bool = option(False, group="Run", help="resume a run although its owner still seems to be alive")
    wait: bool = option(
        False,
        group="Run",
        help="on Dataflow, show progress until the job has ended; other runners always do",
        in_templates=False,
    )

    def __post_init__(self) -> None:
        if self.job_id is not None:
            check_job_id(self.job_id)


def check_job_id(job_id: str) -> None:
    """Raises UsageError if no job can have this id."""
    try:
        check_document_id(job_id)
    except RecordError as error:
        raise UsageError(f"--job_id names a document of the ledger: {error.message}") from None


@dataclass(frozen=True, kw_only=True)
class JobConfig(RunFlags, ResultFlags, DeadLetterFlags, RequestFlags, DatabaseFlags):
    """The flags of every job.

    Attributes:
      counters: what the job counts.
    """

    counters: ClassVar[Counters]

    def firestore(self, services: Services) -> FirestoreTarget:
        """The database, and how long it may be silent. Raises UsageError if it is not named well."""
        return replace(super().firestore(services), max_outage_s=self.max_outage_s)

    @property
    def again_after_s(self) -> float | None:
        """How long after a run the same command runs again; None for a job that runs once."""
        return None

    def to_resume(self) -> list[str]:
        """What the command that resumes the run has beside the flags of the one that began it."""
        return ["--restart=false"] if self.restart else []

    def parameters(self) -> dict[str, Any]:
        """The flags as the ledger keeps them, but for those that are about one command; they hold no secrets."""
        kept = {flag_name(name): value for name, value in asdict(self).items() if name not in _OF_ONE_COMMAND}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()}


@dataclass(frozen=True, kw_only=True)
class RecordsConfig(JobConfig):
    """The flags of every job that writes records, or says why it could not."""

    counters: ClassVar[Counters] = RECORDS

    max_dead_letter_ratio: float = option(
        0.1,
        group="Results",
        minimum=0,
        maximum=1,
        help="exit with code 4 if a larger share of the records are dead letters",
        in_templates=False,
    )
