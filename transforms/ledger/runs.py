"""The runs of a job: how one begins, who keeps it, how it ends. Plain Python, for every holder of a client.

    JobDescription ──▶ JobLedger.open(…, Owner()) ──▶ Opening
     what is asked       what is stored                which attempt, which batches are completed

    nothing ──open──▶ running ──finish──▶ completed ──open──▶ running, attempt + 1, earlier batches removed
                         │ ▲
          its owner dies ▼ │ open: the same attempt resumes after the batches that are completed
                   interrupted, failed

An unfinished run resumes only with the input and the spec it began with: `refuse_if_changed` names the difference.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from transforms.counters import Counters
from transforms.errors import UsageError
from transforms.ledger.batches import COMPLETED as BATCH_COMPLETED
from transforms.ledger.batches import Batches
from transforms.ledger.document import KEPT, LedgerDocument
from transforms.ledger.guarded import GuardedDocument
from transforms.ledger.jobs import COMPLETED, RUNNING, Job
from transforms.ledger.owners import Owner, listing_command


@dataclass(frozen=True)
class JobDescription:
    """What makes two runs the same job, and what may not change under an unfinished one.

    Attributes:
      job: its name, such as `ingest`.
      job_id: the same for the same command.
      parameters: its flags; no secrets.
      input_fingerprint: of all input and of how it is read.
      spec_fingerprint: of the record spec.
      bytes_total: of all input; None where batches do not know their share of it.
    """

    job: str
    job_id: str
    parameters: Mapping[str, Any]
    input_fingerprint: str
    spec_fingerprint: str
    bytes_total: int | None = None


@dataclass(frozen=True)
class Opening:
    """How a run begins.

    Attributes:
      attempt: which run of the job it is, counted from 1.
      started_at: when the run began; a resumed run keeps it.
      resumed: whether it is an unfinished run.
      completed: ids of the batches that need not be done again.
      kept: what the job keeps with the run, by name; a resumed run has what it began with.
      unattended: whether nobody waits for the run's end, so that its last step has to write down that it is completed.
    """

    attempt: int
    started_at: datetime.datetime
    resumed: bool
    completed: frozenset[str] = frozenset()
    kept: Mapping[str, Any] = field(default_factory=dict)
    unattended: bool = False


def _nothing(before: Job | None) -> Mapping[str, Any]:
    return {}


class JobLedger:
    """The document of one job, as its owner writes it.

    Args:
      document: the job's.
      counters: what the job counts.

    Attributes:
      batches: of the job.

    Raises (every method): JobError for credentials, permission or database, or because another process has taken the
    job; TransientError after bounded retries.
    """

    def __init__(self, document: LedgerDocument, counters: Counters):
        self._document, self.batches = document, Batches(document, counters)
        lost = f"job {document.id} was taken over or removed by another process; this one stops"
        self._guarded = GuardedDocument(document, lost)
        self._owned: dict[str, Any] = {}
        self._bytes_total: int | None = None

    def open(
        self,
        description: JobDescription,
        owner: Owner,
        *,
        keep: Callable[[Job | None], Mapping[str, Any]] = _nothing,
        restart: bool = False,
        take_over: bool = False,
    ) -> Opening:
        """Takes the job for its owner: begins its next run, or resumes an unfinished one.

        Args:
          keep: what a new run keeps, given the job as the run before left it; None for a job's first run.

        Raises:
          UsageError: somebody else runs it, or input or spec have changed under an unfinished run; or there is a
            document at its place that is not a job, which is never replaced.
        """
        found = self._guarded.read()
        before = Job.of(found.id, found.fields) if found else None
        now = self._document.now()
        if before and not take_over:
            self._refuse_if_running(before, now)
        if before and before.state != COMPLETED and not restart:
            refuse_if_changed(before, description)
            opening = Opening(before.attempt, before.started_at, True, kept=before.kept)
        else:
            opening = Opening(before.attempt + 1 if before else 1, now, False, kept=keep(before))
        self._write(description, owner, opening, now)
        # Also of a resumed run: the process that began it may have died before it had removed them all.
        if opening.attempt > 1:
            self.batches.remove_before(opening.attempt)
        if not opening.resumed:
            return opening
        completed = self.batches.ids("state", "==", BATCH_COMPLETED)
        return Opening(opening.attempt, opening.started_at, True, completed, opening.kept)

    @property
    def bytes_total(self) -> int | None:
        """Of all input, of a run that was adopted; None where nobody knows."""
        return self._bytes_total

    def adopt(self, attempt: int) -> bool:
        """Makes this the ledger of a run that another process has opened; False if that run is over or replaced."""
        found = self._guarded.read()
        if found is None or [found.fields.get(name) for name in ("attempt", "state")] != [attempt, RUNNING]:
            return False
        self._owned = {"owner": found.fields.get("owner")}
        self._bytes_total = found.fields.get("bytes_total")
        return True

    def heartbeat(self, live: Mapping[str, Any] | None = None) -> None:
        """Says that the job is still being run, and how far it is: see `live.py`."""
        now = self._document.now()
        self._update({"heartbeat_at": now, **({**live, "updated_at": now} if live else {})})

    def give_up_batches(self, error: str) -> None:
        """Writes down that the batches in flight are not going to be completed by this process."""
        self.heartbeat()  # which only the owner of these batches can send
        self.batches.give_up(error)

    def finish(
        self, state: str, error: str | None, totals: Mapping[str, Any], live: Mapping[str, Any] | None = None
    ) -> None:
        """Closes the run; `totals` are stored with it, and what the document said while it ran."""
        now = self._document.now()
        self._update(
            {
                "state": state,
                "error": error,
                "totals": dict(totals),
                "batches_total": totals.get("batches") if state == COMPLETED else None,
                **({**live, "updated_at": now} if live else {}),
                "heartbeat_at": now,
                "finished_at": now,
            }
        )

    def _refuse_if_running(self, job: Job, now: datetime.datetime) -> None:
        last_completed_at = self.batches.last_completed_at() if job.owner.dataflow_job else None
        if job.state_at(now, last_completed_at) == RUNNING:
            silence_s = (now - job.last_seen_at(last_completed_at)).total_seconds()
            raise UsageError(_refusal(job, max(silence_s, 0), self._document.client.target.project))

    def _write(self, description: JobDescription, owner: Owner, opening: Opening, now: datetime.datetime) -> None:
        self._owned = {"owner": {"host": owner.host, "pid": owner.pid, "since": now}}
        self._guarded.write(
            {
                **opening.kept,
                "job": description.job,
                "state": RUNNING,
                "attempt": opening.attempt,
                "parameters": dict(description.parameters),
                "input_fingerprint": description.input_fingerprint,
                "spec_fingerprint": description.spec_fingerprint,
                "bytes_total": description.bytes_total,
                **self._owned,
                "heartbeat_at": now,
                "started_at": opening.started_at,
                "finished_at": None,
                "error": None,
                "batches_total": None,
                "totals": {},
                "expire_at": now + KEPT,
            }
        )

    def _update(self, changed: Mapping[str, Any]) -> None:
        # With the owner, so that a write of this process differs from the same one of another.
        self._guarded.write({**self._owned, **changed}, keeps_others=True)


def refuse_if_changed(before: Job, description: JobDescription) -> None:
    """Raises UsageError if a run that is stored as unfinished has another input or spec than this one."""
    changed = [
        name
        for name, then, now in (
            ("the input", before.input_fingerprint, description.input_fingerprint),
            ("the record spec", before.spec_fingerprint, description.spec_fingerprint),
        )
        if then != now
    ]
    if changed:
        differences = [
            f"--{name} was {then}, is {description.parameters.get(name)}"
            for name, then in sorted(before.parameters.items())
            if then != description.parameters.get(name)
        ]
        if before.bytes_total and description.bytes_total and before.bytes_total != description.bytes_total:
            differences.append(f"{before.bytes_total:,} bytes then, {description.bytes_total:,} bytes now")
        raise UsageError(
            f"job {description.job_id} is unfinished, and {' and '.join(changed)} changed since it began"
            + (f" ({'; '.join(differences)})" if differences else "")
            + "; put it back to resume the job, or start over with --restart"
        )


def _refusal(job: Job, silence_s: float, project: str) -> str:
    running = f"job {job.job_id} is being run by {job.owner}, last seen {silence_s:.0f} s ago"
    if job.owner.dataflow_job:
        return (
            f"{running}; wait for it, or choose another --job_id. If it has ended there "
            f"(`{listing_command(job.owner, project)}` shows it), take it over with --take_over"
        )
    return f"{running}; wait for it, choose another --job_id, or take it over with --take_over"
