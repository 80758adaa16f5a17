"""The runs of a job: what makes two of them the same job, who owns one, how one begins. Plain data.

    JobDescription ──▶ JobLedger.open(…, Owner()) ──▶ Opening
     what is asked       what is stored                which attempt, behind which batches

An owner is a process, which beats every few seconds, or a job of Dataflow's, whose sign of life is a completed batch.

An unfinished run goes on only with the input and the spec it began with: `refuse_if_changed` names the difference.
"""

from __future__ import annotations

import datetime
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil

from transforms.errors import UsageError
from transforms.upsert.versions import ALL_ROWS, NO_ROWS, OWN_ROWS

RUNNING, COMPLETED, FAILED, INTERRUPTED = "running", "completed", "failed", "interrupted"

STALE_AFTER_S = 60.0
# A cloud job needs minutes to begin, retries for minutes when a service is away, and may load tables at its end.
CLOUD_STALE_AFTER_S = 1800.0

_DATAFLOW = "dataflow:"

# The steps whose dead letters the same input may land all the same: their rows may be missing, although a replay, or
# somebody else, has written the documents.
_ROW_STEPS = frozenset({"UpsertPairs", "InsertRows", "LoadRows"})


@dataclass(frozen=True)
class JobDescription:
    """What makes two runs the same job, and what may not change under an unfinished one.

    Attributes:
      job: its name, such as `ingest`.
      job_id: the same for the same command.
      parameters: its flags; no secrets.
      input_fingerprint: of all input and of how it is read.
      spec_fingerprint: of the record spec.
      bytes_total: of all input; None where a batch does not tell its share of it.
    """

    job: str
    job_id: str
    parameters: Mapping[str, Any]
    input_fingerprint: str
    spec_fingerprint: str
    bytes_total: int | None = None


@dataclass(frozen=True)
class Owner:
    """Who runs a job: a process, or a job of Dataflow's.

    >>> str(Owner("laptop", 17)), str(Owner.on_dataflow("europe-west1", "ingest-1f"))
    ('process 17 of laptop', 'Dataflow job ingest-1f in europe-west1')
    """

    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)

    @classmethod
    def on_dataflow(cls, region: str, job_name: str) -> Owner:
        """A job of Dataflow's, which outlives the process that launches it."""
        return cls(f"{_DATAFLOW}{region}/{job_name}", 0)

    @property
    def dataflow_job(self) -> tuple[str, str] | None:
        """Region and job name; None for a process."""
        region, _, job_name = self.host.removeprefix(_DATAFLOW).partition("/")
        return (region, job_name) if self.host.startswith(_DATAFLOW) else None

    @property
    def stale_after_s(self) -> float:
        """After so much silence it is taken to be gone."""
        return CLOUD_STALE_AFTER_S if self.dataflow_job else STALE_AFTER_S

    @property
    def is_dead_here(self) -> bool:
        """Whether it was a process of this computer that is no more."""
        if self.host != socket.gethostname():
            return False
        try:
            return psutil.Process(self.pid).status() == psutil.STATUS_ZOMBIE  # nobody has asked for its exit code yet
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:  # it lives, and is somebody else's
            return False

    def had_this_number_before(self, since: datetime.datetime) -> bool:
        """Whether it was another process than this one, of the same computer and number, that owned a job since then:
        a container that is started again keeps its name, and its process the number."""
        return self == Owner() and since.timestamp() < psutil.Process().create_time()

    def __str__(self) -> str:
        if self.dataflow_job:
            return "Dataflow job {1} in {0}".format(*self.dataflow_job)
        return f"process {self.pid} of {self.host}"


def refuse_if_alive(job_id: str, owner: Owner, since: datetime.datetime, silence_s: float, project: str) -> None:
    """Raises UsageError if the owner that a job has since then has been heard of lately and may be running it."""
    if silence_s >= owner.stale_after_s or owner.is_dead_here or owner.had_this_number_before(since):
        return
    heard = f"last heard of {max(silence_s, 0):.0f} s ago"
    if owner.dataflow_job:
        raise UsageError(
            f"job {job_id} is being run by {owner}, {heard}; wait for it, or choose another --job_id. If it has ended "
            f"there (`{listing(owner, project)}` shows it), go on with --take_over"
        )
    raise UsageError(
        f"job {job_id} is being run by {owner}, {heard}; wait for it, choose another --job_id, or take it over with "
        "--take_over"
    )


def listing(owner: Owner, project: str) -> str:
    """The command that shows what Dataflow says of a job; empty for a process."""
    if not owner.dataflow_job:
        return ""
    region, name = owner.dataflow_job
    return f"gcloud dataflow jobs list --project={project} --region={region} --filter=name={name}"


@dataclass(frozen=True)
class Opening:
    """How a run begins.

    Attributes:
      attempt: which run of the job it is, counted from 1.
      started_at: when the run began; one that is resumed keeps it.
      resumed: whether an unfinished run goes on.
      completed: ids of the batches that need not be done again.
      rows_known: which unchanged records have their rows in the job's table: see `versions.py`.
      unattended: whether nobody waits for the run's end, so that its last step has to write down that it is completed.
    """

    attempt: int
    started_at: datetime.datetime
    resumed: bool
    completed: frozenset[str] = frozenset()
    rows_known: str = NO_ROWS
    unattended: bool = False


def rows_known_after(stored: Mapping[str, Any], description: JobDescription) -> str:
    """Which rows the table has after the run before: all of the same input, those of this job's own records, or none
    that is known of."""
    same_table = stored["parameters"].get("bigquery_table") == description.parameters.get("bigquery_table")
    steps = {reason["step"] for reason in stored["totals"].get("dead_letters", ())}
    if stored["state"] != COMPLETED or not same_table or steps & _ROW_STEPS:
        return NO_ROWS
    same_input = (stored["input_fingerprint"], stored["spec_fingerprint"]) == (
        description.input_fingerprint,
        description.spec_fingerprint,
    )
    if same_input:
        return ALL_ROWS
    return NO_ROWS if steps else OWN_ROWS  # a replay with another spec may have written what was given up


def refuse_if_changed(stored: Mapping[str, Any], description: JobDescription) -> None:
    """Raises UsageError if a run that is stored as unfinished has another input or spec than this one."""
    changed = [
        name
        for name, before, now in (
            ("the input", stored["input_fingerprint"], description.input_fingerprint),
            ("the record spec", stored["spec_fingerprint"], description.spec_fingerprint),
        )
        if before != now
    ]
    if changed:
        differences = [
            f"--{name} was {before}, is {description.parameters.get(name)}"
            for name, before in sorted(stored["parameters"].items())
            if before != description.parameters.get(name)
        ]
        if stored["bytes_total"] and description.bytes_total and stored["bytes_total"] != description.bytes_total:
            differences.append(f"{stored['bytes_total']:,} bytes then, {description.bytes_total:,} bytes now")
        raise UsageError(
            f"job {description.job_id} is unfinished, and {' and '.join(changed)} changed since it began"
            + (f" ({'; '.join(differences)})" if differences else "")
            + "; put it back to go on, or start over with --restart"
        )
