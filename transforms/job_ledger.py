"""One job in the ledger: who runs it, since when, how far it is. Plain Python, for whoever has a client.

    pipeline_jobs/{job_id}
        job, state, attempt, parameters, input_fingerprint, spec_fingerprint, owner, heartbeat_at, started_at,
        finished_at, error, batches_total, totals, expire_at
    pipeline_jobs/{job_id}/batches/{batch_id}
        state, attempt, source, first, last, counts by outcome, started_at, completed_at, error, ids, expire_at

    nothing ──open──▶ running ──finish──▶ completed ──open──▶ running, attempt + 1, batches of before removed
                         │ ▲
          its owner dies ▼ │ open: the same attempt goes on, behind the batches that are completed
                   interrupted, failed

A batch's document is completed last, after its documents and rows are acknowledged and its dead letters stored, so the
ledger never claims more than is there. Nothing counts with increments, which a retry would repeat: totals are computed
by readers from the batches.
"""

from __future__ import annotations

import datetime
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from transforms.errors import JobError, UsageError
from transforms.firestore import messages
from transforms.firestore.client import FirestoreClient, RpcError
from transforms.firestore.committer import AtomicGroup, Committer, Conflicted, Landed
from transforms.firestore.fetch import fetch_all
from transforms.firestore.outcomes import Outcome
from transforms.firestore.packing import RequestLimits
from transforms.firestore.values import decode_fields, serialised_fields, timestamp
from transforms.retry import RetryPolicy
from transforms.types import BatchOutcome

JOBS_COLLECTION = "pipeline_jobs"
BATCHES_COLLECTION = "batches"

RUNNING, COMPLETED, FAILED, INTERRUPTED = "running", "completed", "failed", "interrupted"
PROCESSING, ERROR = "processing", "error"

HEARTBEAT_INTERVAL_S = 10.0
STALE_AFTER_S = 60.0
# How long the ledger is kept, for a time-to-live policy on expire_at.
_KEPT = datetime.timedelta(days=90)
_READ_TIMEOUT_S = 60.0

COUNTS = ("read", "written", "unchanged", "superseded", "dead_letter_count", "retries", "overflowed", "repaired")


@dataclass(frozen=True)
class JobDescription:
    """What makes two runs the same job, and what may not change under an unfinished one.

    Attributes:
      job: its name, such as `ingest`.
      job_id: the same for the same command.
      parameters: its flags; no secrets.
      input_fingerprint: of all input and of how it is read.
      spec_fingerprint: of the record spec.
    """

    job: str
    job_id: str
    parameters: Mapping[str, Any]
    input_fingerprint: str
    spec_fingerprint: str


@dataclass(frozen=True)
class Owner:
    """The process that runs a job."""

    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)

    @property
    def is_dead_here(self) -> bool:
        """Whether it was a process of this computer that is no more."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # it lives, and is somebody else's
            return False
        return False


@dataclass(frozen=True)
class Opening:
    """How a run begins.

    Attributes:
      attempt: which run of the job it is, counted from 1.
      started_at: when the run began; one that is resumed keeps it.
      resumed: whether an unfinished run goes on.
      completed: ids of the batches that need not be done again.
    """

    attempt: int
    started_at: datetime.datetime
    resumed: bool
    completed: frozenset[str] = frozenset()


class JobLedger:
    """One job's part of the ledger.

    Args:
      client: of the database that keeps the ledger.
      job_id: of the job.
      retry: of every request.
      now: seconds since the epoch.

    Raises (every method): JobError for credentials, permission or database; TransientError after bounded retries.
    """

    def __init__(
        self,
        client: FirestoreClient,
        job_id: str,
        retry: RetryPolicy | None = None,
        now: Callable[[], float] = time.time,
    ):
        self._client, self._job_id, self._now = client, job_id, now
        self._retry = retry or RetryPolicy()
        self._committer = Committer(client, RequestLimits(), self._retry)
        self._path = f"{JOBS_COLLECTION}/{job_id}"
        self._update_time: datetime.datetime | None = None

    # The launcher's part: opening, keeping and closing a job.

    def open(
        self, description: JobDescription, owner: Owner, *, restart: bool = False, take_over: bool = False
    ) -> Opening:
        """Takes the job for this process: begins its next run, or goes on with an unfinished one.

        Raises:
          UsageError: somebody else runs it, or input or spec have changed under an unfinished run.
        """
        stored = self._read_job()
        moment = self._moment()
        unfinished = stored is not None and stored["state"] != COMPLETED
        if stored and stored["state"] == RUNNING and not take_over:
            self._refuse_if_alive(stored, moment)
        if stored and unfinished and not restart:
            _refuse_if_changed(stored, description)
            opening = Opening(stored["attempt"], stored["started_at"], True, self._completed_batches())
        else:
            opening = Opening(stored["attempt"] + 1 if stored else 1, moment, False)
        self._write_job(description, owner, opening, moment)
        if not opening.resumed:
            self._remove_batches()
        return opening

    def heartbeat(self) -> None:
        """Says that the job is still being run.

        Raises:
          JobError: another process has taken the job.
        """
        self._update({"heartbeat_at": self._moment()})

    def finish(self, state: str, error: str | None, totals: Mapping[str, Any]) -> None:
        """Closes the run; `totals` are stored with it."""
        moment = self._moment()
        if state != COMPLETED:
            self._mark_unfinished_batches(error or state)
        self._update(
            {
                "state": state,
                "error": error,
                "totals": dict(totals),
                "batches_total": totals.get("batches") if state == COMPLETED else None,
                "heartbeat_at": moment,
                "finished_at": moment,
            }
        )

    # The workers' part: beginning and completing a batch.

    def begin_batch(self, batch_id: str, attempt: int, fields: Mapping[str, Any]) -> None:
        """Writes down that a batch is being processed."""
        moment = self._moment()
        zeros = dict.fromkeys(COUNTS, 0)
        state = {"state": PROCESSING, "attempt": attempt, "started_at": moment, "completed_at": None, "error": None}
        self._set_batch(batch_id, {**zeros, **state, **fields, "expire_at": moment + _KEPT})

    def complete_batch(self, outcome: BatchOutcome, attempt: int) -> None:
        """Writes down that a batch is done."""
        moment = self._moment()
        reasons = [{"step": step, "code": code, "count": n} for (step, code), n in sorted(outcome.dead_letters.items())]
        fields = {
            "state": COMPLETED,
            "attempt": attempt,
            "source": outcome.source,
            "read": outcome.read,
            "written": outcome.written,
            "unchanged": outcome.unchanged,
            "superseded": outcome.superseded,
            "dead_letter_count": sum(outcome.dead_letters.values()),
            "dead_letters": reasons,
            "has_dead_letters": bool(reasons),
            "retries": outcome.retries,
            "overflowed": outcome.overflowed,
            "repaired": outcome.repaired,
            "ids": list(outcome.ids),
            "completed_at": moment,
            "error": None,
            "expire_at": moment + _KEPT,
        }
        self._set_batch(outcome.batch_id, fields, mask=fields)

    def _set_batch(self, batch_id: str, fields: Mapping[str, Any], mask: Mapping[str, Any] | None = None) -> None:
        name = self._client.target.document_name(f"{self._path}/{BATCHES_COLLECTION}/{batch_id}")
        write = messages.update(messages.document(name, serialised_fields(fields)))
        self._landed(self._commit(write + (messages.update_mask(mask) if mask else b"")))

    # How the launcher's part is done.

    def _read_job(self) -> dict[str, Any] | None:
        name = self._client.target.document_name(self._path)
        answers = fetch_all(self._client, lambda: self._client.batch_get([name], (), _READ_TIMEOUT_S), self._retry)
        for answer in answers:
            if answer.HasField("found"):
                moment = answer.found.update_time
                self._update_time = timestamp(moment.seconds, moment.nanos)
                return decode_fields(answer.found.fields)
        self._update_time = None
        return None

    def _refuse_if_alive(self, stored: Mapping[str, Any], moment: datetime.datetime) -> None:
        owner = Owner(stored["owner"]["host"], stored["owner"]["pid"])
        silence_s = (moment - stored["heartbeat_at"]).total_seconds()
        if silence_s < STALE_AFTER_S and not owner.is_dead_here:
            raise UsageError(
                f"job {self._job_id} is being run by process {owner.pid} of {owner.host}, last heard of "
                f"{max(silence_s, 0):.0f} s ago; wait for it, choose another --job_id, or take it over with --take_over"
            )

    def _write_job(
        self, description: JobDescription, owner: Owner, opening: Opening, moment: datetime.datetime
    ) -> None:
        fields = {
            "job": description.job,
            "state": RUNNING,
            "attempt": opening.attempt,
            "parameters": dict(description.parameters),
            "input_fingerprint": description.input_fingerprint,
            "spec_fingerprint": description.spec_fingerprint,
            "owner": {"host": owner.host, "pid": owner.pid},
            "heartbeat_at": moment,
            "started_at": opening.started_at,
            "finished_at": None,
            "error": None,
            "batches_total": None,
            "totals": {},
            "expire_at": moment + _KEPT,
        }
        self._take(messages.update(messages.document(self._name(), serialised_fields(fields))))

    def _update(self, fields: Mapping[str, Any]) -> None:
        document = messages.document(self._name(), serialised_fields(fields))
        self._take(messages.update(document) + messages.update_mask(fields))

    def _take(self, write: bytes) -> None:
        """Writes the job's document, unless somebody else has since this process last did."""
        condition = messages.if_unchanged_since(self._update_time) if self._update_time else messages.IF_ABSENT
        outcome = self._commit(write + condition)
        if isinstance(outcome, Conflicted):
            if self._is_ours(write):
                return
            raise JobError(f"job {self._job_id} was taken by another process; this one stops")
        self._update_time = self._landed(outcome).update_times[0]

    def _is_ours(self, write: bytes) -> bool:
        """Whether a conflict was met because an earlier attempt of this very write had been applied unheard."""
        wanted = decode_fields(messages.Write.FromString(write).update.fields)
        stored = self._read_job() or {}
        return all(stored.get(name) == value for name, value in wanted.items())

    def _commit(self, write: bytes) -> Outcome:
        ((outcome,), _) = self._committer.commit([AtomicGroup((write,))], guarded=True)
        return outcome

    def _landed(self, outcome: Outcome) -> Landed:
        if not isinstance(outcome, Landed):
            raise self._client.target.job_error(RpcError(outcome.code, outcome.message))
        return outcome

    def _completed_batches(self) -> frozenset[str]:
        return frozenset(_id_of(document) for document in self._batches(COMPLETED))

    def _remove_batches(self) -> None:
        """Removes what an earlier run left, so that totals are those of this one."""
        writes = (messages.delete(document.name) for document in self._batches(None))
        self._committer.commit(AtomicGroup((write,)) for write in writes)

    def _mark_unfinished_batches(self, error: str) -> None:
        fields = {"state": ERROR, "error": error}
        for document in self._batches(PROCESSING):
            self._set_batch(_id_of(document), fields, mask=fields)

    def _batches(self, state: str | None) -> Iterator[Any]:
        """The names of all batches in a state, as documents without fields."""
        query = messages.StructuredQuery()
        query.from_.add(collection_id=BATCHES_COLLECTION)
        query.select.fields.add(field_path="__name__")
        if state is not None:
            query.where.field_filter.field.field_path = "state"
            query.where.field_filter.op = query.where.field_filter.Operator.EQUAL
            query.where.field_filter.value.string_value = state
        answers = fetch_all(
            self._client, lambda: self._client.run_query(self._name(), query, _READ_TIMEOUT_S), self._retry
        )
        return (answer.document for answer in answers if answer.HasField("document"))

    def _name(self) -> str:
        return self._client.target.document_name(self._path)

    def _moment(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self._now(), datetime.timezone.utc)


def _id_of(document: Any) -> str:
    identifier: str = document.name.rpartition("/")[2]
    return identifier


def _refuse_if_changed(stored: Mapping[str, Any], description: JobDescription) -> None:
    """An unfinished run goes on only with the input and the spec it began with."""
    changed = [
        name
        for name, before, now in (
            ("the input", stored["input_fingerprint"], description.input_fingerprint),
            ("the record spec", stored["spec_fingerprint"], description.spec_fingerprint),
        )
        if before != now
    ]
    if changed:
        flags = [
            f"--{name} was {before}, is {description.parameters.get(name)}"
            for name, before in sorted(stored["parameters"].items())
            if before != description.parameters.get(name)
        ]
        raise UsageError(
            f"job {description.job_id} is unfinished, and {' and '.join(changed)} changed since it began"
            + (f" ({'; '.join(flags)})" if flags else "")
            + "; put it back to go on, or start over with --restart"
        )
