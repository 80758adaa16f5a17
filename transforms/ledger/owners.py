"""Who runs a job, and whether that owner is still alive. Plain data.

An owner is a process, which sends a heartbeat every few seconds, or a Dataflow job, which is seen alive when it
completes a batch. `is_alive` is the one rule: for `status`, and for a command that would take the job over.
"""

from __future__ import annotations

import datetime
import os
import socket
from dataclasses import dataclass, field

HEARTBEAT_INTERVAL_S = 10.0
STALE_AFTER_S = 60.0
# A Dataflow job needs minutes to begin, retries for minutes when a service is away, and may load tables at its end.
CLOUD_STALE_AFTER_S = 1800.0

_DATAFLOW = "dataflow:"


@dataclass(frozen=True)
class Owner:
    """Who runs a job: a process, or a Dataflow job.

    >>> str(Owner("laptop", 17)), str(Owner.on_dataflow("europe-west1", "ingest-1f"))
    ('process 17 of laptop', 'Dataflow job ingest-1f in europe-west1')
    """

    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)

    @classmethod
    def on_dataflow(cls, region: str, job_name: str) -> Owner:
        """A Dataflow job, which outlives the process that launches it."""
        return cls(f"{_DATAFLOW}{region}/{job_name}", 0)

    @property
    def dataflow_job(self) -> tuple[str, str] | None:
        """Region and job name; None for a process."""
        region, _, job_name = self.host.removeprefix(_DATAFLOW).partition("/")
        return (region, job_name) if self.host.startswith(_DATAFLOW) else None

    @property
    def stale_after_s(self) -> float:
        """An owner that was not seen for so long is taken to be dead."""
        return CLOUD_STALE_AFTER_S if self.dataflow_job else STALE_AFTER_S

    @property
    def is_dead_here(self) -> bool:
        """Whether it was a process of this computer that has ended."""
        if self.host != socket.gethostname():
            return False
        import psutil  # costs more than all the rest of a command that only looks

        try:
            return psutil.Process(self.pid).status() == psutil.STATUS_ZOMBIE  # nobody has asked for its exit code yet
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:  # it lives, and is somebody else's
            return False

    def had_this_number_before(self, since: datetime.datetime) -> bool:
        """Whether it was another process than this one, of the same computer and number, that owned a job since then:
        a container that is started again keeps its name, and its process the number."""
        if self != Owner():
            return False
        import psutil

        return since.timestamp() < psutil.Process().create_time()

    def __str__(self) -> str:
        if self.dataflow_job:
            return "Dataflow job {1} in {0}".format(*self.dataflow_job)
        return f"process {self.pid} of {self.host}"


def is_alive(owner: Owner, since: datetime.datetime, last_seen_at: datetime.datetime, now: datetime.datetime) -> bool:
    """Whether the owner that a job has since then may still be running it.

    >>> noon = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
    >>> later = noon + datetime.timedelta(seconds=61)
    >>> is_alive(Owner("laptop", 17), noon, noon, later), is_alive(Owner.on_dataflow("r", "j"), noon, noon, later)
    (False, True)
    """
    is_stale = (now - last_seen_at).total_seconds() >= owner.stale_after_s
    return not (is_stale or owner.is_dead_here or owner.had_this_number_before(since))


def listing_command(owner: Owner, project: str) -> str:
    """The command that shows what Dataflow says of a job; empty for a process."""
    if not owner.dataflow_job:
        return ""
    region, name = owner.dataflow_job
    return f"gcloud dataflow jobs list --project={project} --region={region} --filter=name={name}"
