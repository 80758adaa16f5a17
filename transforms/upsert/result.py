"""Records what becomes of the records of one batch while they are upserted. Plain Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from transforms.batch import Batch, BatchResult, DeadLetter
from transforms.errors import RecordError
from transforms.firestore.outcomes import Conflicted, Landed, Outcome
from transforms.upsert.decide import Decision, RecordWrite
from transforms.upsert.entries import Flat, Written
from transforms.upsert.failures import unexpected_of
from transforms.upsert.stored import StoredDocument
from transforms.upsert.versions import Verdict

_STEP = "UpsertPairs"
_CONFLICT = RecordError("CONFLICT", "somebody else changed the documents each time they were about to be written")


@dataclass
class UpsertResult(BatchResult[Written]):
    """What has become of the records of one batch so far.

    Attributes:
      schema_version: of the spec.
    """

    schema_version: int = field(kw_only=True)

    def __post_init__(self) -> None:
        records = [entry.record for entry in self.batch.entries]
        self._unexpected = unexpected_of(records, "writing the record")
        # Records whose Commit may have landed although it met a conflict; they are repaired then.
        self._inconsistent: set[str] = set()

    @property
    def has_stored(self) -> bool:
        """Whether Firestore holds any record of the batch, so that it is not the job that is wrong."""
        return bool(self.entries or self.unchanged or self.batch.unchanged)

    def add_decision(self, decision: Decision) -> None:
        """Those that need no write, or cannot be written."""
        for entry, verdict in decision.resolved:
            self._add_resolved(entry, verdict)
        for entry, error in decision.unfit:
            self.add_unfit(entry, error)

    def add_outcome(self, write: RecordWrite, outcome: Outcome) -> None:
        """A record that was sent. One that met a conflict is to be decided again."""
        entry = write.entry
        if isinstance(outcome, Landed):
            self.repaired += entry.stored.is_inconsistent
            self.entries.append(Written(entry.key, entry.record, entry.flat, write.meta, outcome.update_times[0]))
        elif isinstance(outcome, Conflicted):
            if entry.stored.is_inconsistent:
                self._inconsistent.add(entry.key)
        else:
            self._add_dead(entry, RecordError(outcome.code, outcome.message), retryable=outcome.retryable)

    def add_unfit(self, entry: Flat, error: Exception) -> None:
        """A record that cannot be written, for one of FAILURES."""
        self._add_dead(entry, self._unexpected.as_record_error(error))

    def closed(self) -> Batch[Written]:
        """The batch after the step.

        Raises:
          JobError: nobody expected the error that all records met.
          AccountingError: as `Batch.then`.
        """
        self._unexpected.check_not_alike()
        return super().closed()

    def give_up(self, entry: Flat) -> None:
        """A record whose documents somebody else changed every time."""
        self._add_dead(entry, _CONFLICT, retryable=True)

    def _add_resolved(self, entry: Flat, verdict: Verdict) -> None:
        if verdict in (Verdict.LANDED, Verdict.ROW_MISSING) and entry.stored.first:
            self.repaired += entry.key in self._inconsistent
            meta = _meta_of_stored(entry.stored.first, self.schema_version)
            update_time, unchanged = entry.stored.first.update_time, verdict is Verdict.ROW_MISSING
            self.entries.append(Written(entry.key, entry.record, entry.flat, meta, update_time, unchanged))
        elif verdict is Verdict.SUPERSEDED:
            self.superseded += 1
        else:
            self.unchanged += 1

    def _add_dead(self, entry: Flat, error: RecordError, *, retryable: bool = False) -> None:
        self.dead_letters.append(DeadLetter.of(_STEP, entry.record, error, entry.key, retryable=retryable))


def _meta_of_stored(stored: StoredDocument, schema_version: int) -> dict[str, Any]:
    """The `_meta` of a record that is stored already; of one spec, because the hash is."""
    return {
        "schema_version": schema_version,
        "version": stored.version,
        "content_hash": stored.content_hash,
        "created_at": stored.created_at,
        "updated_at": stored.updated_at,
        "source": stored.source,
        "position": stored.position,
        "job_id": stored.job_id,
        "batch_id": stored.batch_id,
        "attempt": stored.attempt,
    }
