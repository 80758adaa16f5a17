"""One job in the ledger: who runs it, since when, how far it is. Plain Python, for whoever has a client.

    pipeline_jobs/{job_id}
        job, state, attempt, parameters, input_fingerprint, spec_fingerprint, bytes_total, owner, heartbeat_at,
        started_at, finished_at, error, batches_total, totals, expire_at
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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from transforms.batch import BatchOutcome
from transforms.errors import JobError, TransientError
from transforms.firestore import messages
from transforms.firestore.client import FirestoreClient, RpcError
from transforms.firestore.committer import AtomicGroup, Committer, Conflicted, Landed
from transforms.firestore.fetch import fetch_all
from transforms.firestore.outcomes import Outcome
from transforms.firestore.packing import RequestLimits
from transforms.firestore.values import decode_fields, encode, serialised_fields
from transforms.ledger.document import LedgerDocument
from transforms.ledger.runs import COMPLETED as COMPLETED
from transforms.ledger.runs import FAILED as FAILED
from transforms.ledger.runs import INTERRUPTED as INTERRUPTED
from transforms.ledger.runs import RUNNING as RUNNING
from transforms.ledger.runs import STALE_AFTER_S as STALE_AFTER_S
from transforms.ledger.runs import JobDescription as JobDescription
from transforms.ledger.runs import Opening as Opening
from transforms.ledger.runs import Owner as Owner
from transforms.ledger.runs import refuse_if_alive, refuse_if_changed, rows_known_after
from transforms.retry import Retry
from transforms.upsert.versions import NO_ROWS

JOBS_COLLECTION = "pipeline_jobs"
BATCHES_COLLECTION = "batches"

PROCESSING, ERROR = "processing", "error"

HEARTBEAT_INTERVAL_S = 10.0
# How long the ledger is kept, for a time-to-live policy on expire_at.
KEPT = datetime.timedelta(days=90)
_READ_TIMEOUT_S = 60.0

_EQUAL = messages.StructuredQuery.FieldFilter.EQUAL
_LESS_THAN = messages.StructuredQuery.FieldFilter.LESS_THAN

COUNTS = (
    "read",
    "written",
    "unchanged",
    "superseded",
    "dead_letter_count",
    "retries",
    "overflowed",
    "repaired",
    "bytes_read",
)


class JobLedger:
    """One job's part of the ledger.

    Args:
      client: of the database that keeps the ledger.
      job_id: of the job.
      retry: of every request; its clock says when things happened.

    Raises (every method): JobError for credentials, permission or database; TransientError after bounded retries.
    """

    def __init__(
        self,
        client: FirestoreClient,
        job_id: str,
        retry: Retry | None = None,
    ):
        self._client, self._job_id, self._retry = client, job_id, retry or Retry()
        self._committer = Committer(client, RequestLimits(), self._retry)
        self._path = f"{JOBS_COLLECTION}/{job_id}"
        self._update_time: datetime.datetime | None = None
        self._owned: dict[str, Any] = {}

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
            refuse_if_changed(stored, description)
            opening = Opening(stored["attempt"], stored["started_at"], True, rows_known=stored["rows_known"])
        else:
            rows_known = rows_known_after(stored, description) if stored else NO_ROWS
            opening = Opening(stored["attempt"] + 1 if stored else 1, moment, False, rows_known=rows_known)
        self._write_job(description, owner, opening, moment)
        # Also behind a resumed run: the process that began it may have died before it had removed them all.
        self._remove(self._batches("attempt", _LESS_THAN, opening.attempt))
        if not opening.resumed:
            return opening
        return replace(opening, completed=self._completed_batches())

    def heartbeat(self) -> None:
        """Says that the job is still being run.

        Raises:
          JobError: another process has taken the job.
        """
        self._update({"heartbeat_at": self._moment()})

    def give_up_batches(self, error: str) -> None:
        """Writes down that the batches in flight are not going to be completed by this process.

        Raises:
          JobError: another process has taken the job, and the batches in flight are its own.
        """
        self.heartbeat()
        fields = {"state": ERROR, "error": error}
        for document in self._batches("state", _EQUAL, PROCESSING):
            self._set_batch(_id_of(document), fields, mask=fields)

    def finish(self, state: str, error: str | None, totals: Mapping[str, Any]) -> None:
        """Closes the run; `totals` are stored with it.

        Raises:
          JobError: another process has taken the job.
        """
        moment = self._moment()
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

    # The workers' part: beginning and completing a batch, and closing a run that nobody waits for.

    def adopt(self, attempt: int) -> bool:
        """Makes this the ledger of a run that another process has opened; False if that run is over or replaced."""
        stored = self._read_job()
        if stored is None or stored["attempt"] != attempt or stored["state"] != RUNNING:
            return False
        self._owned = {"owner": stored["owner"]}
        return True

    def begin_batch(self, batch_id: str, attempt: int, fields: Mapping[str, Any]) -> None:
        """Writes down that a batch is being processed."""
        moment = self._moment()
        zeros = dict.fromkeys(COUNTS, 0)
        state = {"state": PROCESSING, "attempt": attempt, "started_at": moment, "completed_at": None, "error": None}
        self._set_batch(batch_id, {**zeros, **state, **fields, "expire_at": moment + KEPT})

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
            "overflowed_by": [{"field": name, "count": n} for name, n in sorted(outcome.overflowed_by.items())],
            "has_overflow": bool(outcome.overflowed_by),
            "repaired": outcome.repaired,
            "bytes_read": outcome.bytes_read,
            "ids": list(outcome.ids),
            "completed_at": moment,
            "error": None,
            "expire_at": moment + KEPT,
        }
        self._set_batch(outcome.batch_id, fields, mask=fields)

    def _set_batch(self, batch_id: str, fields: Mapping[str, Any], mask: Mapping[str, Any] | None = None) -> None:
        name = self._client.target.document_name(f"{self._path}/{BATCHES_COLLECTION}/{batch_id}")
        write = messages.update(messages.document(name, serialised_fields(fields)))
        self._landed(self._commit(write + (messages.update_mask(mask) if mask else b""), guarded=False))

    # How the launcher's part is done.

    def _read_job(self) -> dict[str, Any] | None:
        """The job's document; from now on `_take` expects to replace this state of it."""
        stored = LedgerDocument(self._client, self._path, self._retry).read()
        self._update_time = stored.update_time if stored else None
        return stored.fields if stored else None

    def _refuse_if_alive(self, stored: Mapping[str, Any], moment: datetime.datetime) -> None:
        owner = Owner(stored["owner"]["host"], stored["owner"]["pid"])
        heard_at = [stored["heartbeat_at"], *(self._last_completions() if owner.dataflow_job else ())]
        silence_s = (moment - max(heard_at)).total_seconds()
        refuse_if_alive(self._job_id, owner, stored["owner"]["since"], silence_s, self._client.target.project)

    def _last_completions(self) -> list[datetime.datetime]:
        """When the batch was completed that was completed last; empty if none was."""
        query = messages.StructuredQuery()
        query.from_.add(collection_id=BATCHES_COLLECTION)
        query.select.fields.add(field_path="completed_at")
        query.order_by.add(direction="DESCENDING").field.field_path = "completed_at"
        query.limit.value = 1
        times = [decode_fields(document.fields)["completed_at"] for document in self._documents(query)]
        return [time for time in times if time is not None]

    def _write_job(
        self, description: JobDescription, owner: Owner, opening: Opening, moment: datetime.datetime
    ) -> None:
        self._owned = {"owner": {"host": owner.host, "pid": owner.pid, "since": moment}}
        fields = {
            "job": description.job,
            "state": RUNNING,
            "attempt": opening.attempt,
            "parameters": dict(description.parameters),
            "input_fingerprint": description.input_fingerprint,
            "spec_fingerprint": description.spec_fingerprint,
            "bytes_total": description.bytes_total,
            **self._owned,
            "heartbeat_at": moment,
            "rows_known": opening.rows_known,
            "started_at": opening.started_at,
            "finished_at": None,
            "error": None,
            "batches_total": None,
            "totals": {},
            "expire_at": moment + KEPT,
        }
        self._take(messages.update(messages.document(self._name(), serialised_fields(fields))))

    def _update(self, changed: Mapping[str, Any]) -> None:
        fields = {**self._owned, **changed}  # so that a write of this process is told from the same one of another
        document = messages.document(self._name(), serialised_fields(fields))
        self._take(messages.update(document) + messages.update_mask(fields))

    def _take(self, write: bytes) -> None:
        """Writes the job's document, unless somebody else has since this process last did."""
        expected = self._update_time
        condition = messages.if_unchanged_since(expected) if expected else messages.IF_ABSENT
        attempts = self._retry.attempts()
        while True:
            outcome = self._commit(write + condition, guarded=True)
            if not isinstance(outcome, Conflicted):
                self._update_time = self._landed(outcome).update_times[0]
                return
            stored = self._read_job() or {}
            if _holds(stored, write):  # an earlier attempt of this very write was applied, and nobody heard of it
                return
            if self._update_time != expected:
                self._update_time = expected  # so that this process writes nothing to a job it has lost
                raise JobError(f"job {self._job_id} was taken over or removed by another process; this one stops")
            if not attempts.again():
                raise TransientError(
                    f"Firestore did not take the document of job {self._job_id}; the last answer was "
                    f"{outcome.code}: {outcome.message}"
                )

    def _commit(self, write: bytes, *, guarded: bool) -> Outcome:
        (outcome,) = self._committer.commit([AtomicGroup((write,))], guarded=guarded).outcomes
        return outcome

    def _landed(self, outcome: Outcome) -> Landed:
        if not isinstance(outcome, Landed):
            raise self._client.target.job_error(RpcError(outcome.code, outcome.message))
        return outcome

    def _completed_batches(self) -> frozenset[str]:
        return frozenset(_id_of(document) for document in self._batches("state", _EQUAL, COMPLETED))

    def _remove(self, documents: Iterable[Any]) -> None:
        """Removes what earlier runs left, so that totals are those of this one."""
        self._committer.commit(AtomicGroup((messages.delete(document.name),)) for document in documents)

    def _batches(self, field_path: str, operator: int, value: Any) -> Iterator[Any]:
        """The names of the batches whose field compares so, as documents without fields."""
        query = messages.StructuredQuery()
        query.from_.add(collection_id=BATCHES_COLLECTION)
        query.select.fields.add(field_path="__name__")
        condition = query.where.field_filter
        condition.field.field_path, condition.op = field_path, operator
        condition.value.CopyFrom(encode(value))
        return self._documents(query)

    def _documents(self, query: Any) -> Iterator[Any]:
        answers = fetch_all(
            self._client, lambda: self._client.run_query(self._name(), query, _READ_TIMEOUT_S), self._retry
        )
        return (answer.document for answer in answers if answer.HasField("document"))

    def _name(self) -> str:
        return self._client.target.document_name(self._path)

    def _moment(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self._retry.clock.now(), datetime.timezone.utc)


def _id_of(document: Any) -> str:
    identifier: str = document.name.rpartition("/")[2]
    return identifier


def _holds(stored: Mapping[str, Any], write: bytes) -> bool:
    wanted = decode_fields(messages.Write.FromString(write).update.fields)
    return all(name in stored and stored[name] == value for name, value in wanted.items())
