"""What a job is: flags to plan, plan to tables and graph, summary to what is shown.

Config ─prepare─▶ Plan ─provision─▶ tables
                   ├───build──────▶ graph
         Summary ──┴───present────▶ terminal, exit code
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from pipeline.run.flags import Usage
from pipeline.run.job_config import JobConfig
from transforms.firestore.target import FirestoreTarget
from transforms.inputs.identity import Plain, text_of
from transforms.ledger.document import LedgerDocument
from transforms.ledger.entry import LedgerEntry
from transforms.ledger.jobs import Job as LedgerJob
from transforms.ledger.jobs import job_document
from transforms.ledger.live import CountsOf, counts_of_batches
from transforms.ledger.provider_batches import Unfinished
from transforms.ledger.runs import JobDescription, Opening
from transforms.retry import Retry

if TYPE_CHECKING:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from pipeline.present.summary import Summary
    from pipeline.present.terminal import Console

# What a command does in place of a run; returns the exit code.
Instead: TypeAlias = "Callable[[Console], int]"

C = TypeVar("C", bound=JobConfig)
C_co = TypeVar("C_co", bound=JobConfig, covariant=True)
P = TypeVar("P", bound="JobPlan[JobConfig]")

_ID_DIGITS = 10


@dataclass(frozen=True)
class JobPlan(Generic[C_co]):
    """A config with everything read and looked up that a job's graph needs: what every job's plan has.

    Attributes:
      config: the flags.
      description: what makes two runs the same job.
      firestore: the database that keeps the ledger.
      opening: how the run begins; None until the ledger has said so.
      instead: what the command does in place of a run; None for a run.
    """

    config: C_co
    description: JobDescription
    firestore: FirestoreTarget
    opening: Opening | None = field(default=None, kw_only=True)
    instead: Instead | None = field(default=None, kw_only=True)

    @property
    def job_id(self) -> str:
        """Of the job."""
        return self.description.job_id

    @property
    def retry(self) -> Retry:
        """Of every request."""
        return self.config.retry

    @property
    def run(self) -> Opening:
        """How the run begins. Raises ValueError before the ledger has said so."""
        if self.opening is None:
            raise ValueError("the ledger must open the plan before its run begins")
        return self.opening

    @property
    def ledger(self) -> LedgerEntry:
        """Where the run's batches are written down."""
        run, config = self.run, self.config
        return LedgerEntry(self.firestore, self.job_id, run.attempt, self.retry, run.unattended, config.counters)

    def document(self) -> LedgerDocument:
        """The job's document in the ledger."""
        return job_document(self.firestore.connect(), self.job_id, self.retry)

    def kept(self, before: LedgerJob | None) -> Mapping[str, Any]:
        """What the ledger keeps with a new run for the job itself, given how the run before ended, if there was one."""
        return {}

    def unfinished(self, document: LedgerDocument, attempt: int) -> Unfinished | None:
        """What a run leaves undone although its pipeline has ended; None if nothing."""
        return None

    def results(self, document: LedgerDocument, attempt: int) -> Mapping[str, Any]:
        """What a summary says beside the counts of batches and what the job's last step says."""
        return {}

    @property
    def counts_of(self) -> CountsOf:
        """Which batches the job's document counts while it runs."""
        return counts_of_batches

    def serving(self, console: Console) -> contextlib.AbstractContextManager[None]:
        """What this process offers while it runs the job; entered before the ledger is opened. Raises UsageError."""
        return contextlib.nullcontext()

    def opened(self: P, opening: Opening) -> P:
        """The plan of the run that the ledger has opened."""
        return replace(self, opening=opening)


@dataclass(frozen=True)
class Job(Generic[C, P]):
    """A job, as the launcher knows it.

    Attributes:
      usage: its name, flags and help.
      prepare: reads and checks everything that can be checked before anything is started.
      provision: makes what the run writes to, once the ledger has opened the run.
      build: draws the graph.
      present: shows how a run ended, and returns the exit code.
    """

    usage: Usage[C]
    prepare: Callable[[C, PipelineOptions], P]
    provision: Callable[[P], None]
    build: Callable[[beam.Pipeline, P], None]
    present: Callable[[P, Summary, Console], int]

    @property
    def name(self) -> str:
        """As the user types it."""
        return self.usage.name


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
