"""Writes batches of records: decide, send, record, until nobody else interferes. Plain Python.

    Batch[Flat] ──decide──▶ writes ─group──▶ Committer ─┬─ acknowledged ──▶ written
                     ▲                                  ├─ refused ───────▶ dead letter
                     └─────────── read again ◀──────────┴─ conflict

A Commit that meets a conflict is sent again as a whole three times, because the service does not say which record it
was; then in ever smaller parts, until each record stands alone; one that conflicts five times alone is a dead letter.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator, Sequence

from transforms.batch import Batch
from transforms.firestore.client import FirestoreClient
from transforms.firestore.committer import AtomicGroup, Committer, Conflicted
from transforms.firestore.packing import RequestLimits
from transforms.firestore.qos import QualityOfService
from transforms.retry import Retry
from transforms.unexpected import FAILURES
from transforms.upsert.decide import Decision, RecordWrite, decide, decide_again, decide_in_doubt
from transforms.upsert.doubts import Resolve
from transforms.upsert.entries import Flat, Written
from transforms.upsert.layout import Layout, writes_per_record
from transforms.upsert.modes import OVERWRITE
from transforms.upsert.result import UpsertResult
from transforms.upsert.stored import read_stored
from transforms.upsert.versions import RunIdentity

# How often a Commit that met a conflict is sent as it is; then its size is halved each time; then a record that still
# conflicts, alone, is tried so often.
_WHOLE_ROUNDS = 3
_LONE_ROUNDS = 5
_CONFLICT_INITIAL_S, _CONFLICT_MAX_S = 0.05, 2.0


class Upserter:
    """Writes batches of records, for whoever has a client.

    Args:
      client: of the database.
      layout: where records go.
      run: who writes.
      limits: of one Commit, and how many refusals alike stop the job.
      retry: of a transient failure.
      qos: how fast; default: as fast as possible.
      resolve: asks the source about a record in doubt, as in `decide_in_doubt`; for runs with an order of their own.
    """

    def __init__(
        self,
        client: FirestoreClient,
        layout: Layout,
        run: RunIdentity,
        limits: RequestLimits,
        retry: Retry,
        qos: QualityOfService | None = None,
        resolve: Resolve | None = None,
    ):
        self._client, self._layout, self._run, self._limits, self._retry = client, layout, run, limits, retry
        self._qos, self._resolve = qos, resolve
        self._conflict_retry = Retry(initial_s=_CONFLICT_INITIAL_S, max_s=_CONFLICT_MAX_S, clock=retry.clock)
        self._throttled_s = 0.0

    def take_throttled_s(self) -> int:
        """Whole seconds that requests were held back since the last call; fractions are kept for the next one."""
        whole = int(self._throttled_s)
        self._throttled_s -= whole
        return whole

    def upsert(self, batch: Batch[Flat]) -> Batch[Written]:
        """Writes a batch; every record is afterwards written, unchanged, superseded or a dead letter.

        Raises:
          TransientError: a request failed too often. What was acknowledged before stays written.
          JobError: no record can succeed.
        """
        result = UpsertResult(batch, schema_version=self._layout.schema_version)
        decision = self._without_doubt(decide(batch, self._layout, self._run, self._now()), batch)
        result.add_decision(decision)
        for n_conflicts, max_records in enumerate(_rounds(self._records_per_commit(len(decision.writes))), start=1):
            conflicted = self._send(decision.writes, max_records, result)
            if not conflicted:
                return result.closed()
            self._retry.clock.sleep(self._conflict_retry.delay_s(n_conflicts))
            decision = self._decide_again(conflicted, batch)
            result.add_decision(decision)
        for write in decision.writes:
            result.give_up(write.entry)
        return result.closed()

    def _send(self, writes: Sequence[RecordWrite], max_records: int, result: UpsertResult) -> list[Flat]:
        """Sends records, each encoded while the ones before it are on the wire; returns those that met a conflict."""
        sent: list[RecordWrite] = []

        def groups() -> Iterator[AtomicGroup]:
            for write in writes:
                try:
                    group = write.encoded(self._layout)
                except FAILURES as error:
                    result.add_unfit(write.entry, error)
                    continue
                sent.append(write)
                yield group

        report = self._committer(max_records, result).commit(groups(), guarded=self._layout.mode != OVERWRITE)
        result.retries += report.retries
        self._throttled_s += report.throttled_s
        conflicted = []
        for write, outcome in zip(sent, report.outcomes, strict=True):
            result.add_outcome(write, outcome)
            if isinstance(outcome, Conflicted):
                conflicted.append(write.entry)
        return conflicted

    def _decide_again(self, entries: Sequence[Flat], batch: Batch[Flat]) -> Decision:
        stored = read_stored(self._client, self._layout, [entry.key for entry in entries], self._retry)
        decision = decide_again(entries, stored, batch, self._layout, self._run, self._now())
        return self._without_doubt(decision, batch)

    def _without_doubt(self, decision: Decision, batch: Batch[Flat]) -> Decision:
        if self._resolve is None or not decision.in_doubt:
            return decision
        return decide_in_doubt(decision, self._resolve, batch, self._layout, self._run, self._now())

    def _committer(self, max_records: int, result: UpsertResult) -> Committer:
        limits = dataclasses.replace(self._limits, max_writes=max_records * writes_per_record(self._layout))
        if result.has_stored:
            limits = dataclasses.replace(limits, stop_at_refused_alike=None)
        return Committer(self._client, limits, self._retry, self._qos)

    def _records_per_commit(self, n_records: int) -> int:
        return max(1, min(n_records, self._limits.max_writes // writes_per_record(self._layout)))

    def _now(self) -> datetime.datetime:
        """Now, but never before the run began, whatever this worker's clock says: see `RunIdentity`."""
        now = datetime.datetime.fromtimestamp(self._retry.clock.now(), datetime.timezone.utc)
        return max(now, self._run.started_at)


def _rounds(records_per_commit: int) -> Iterator[int]:
    """How many records a Commit may hold, round by round, while conflicts continue.

    >>> list(_rounds(10))
    [10, 10, 10, 5, 2, 1, 1, 1, 1, 1]
    """
    for _ in range(_WHOLE_ROUNDS):
        yield records_per_commit
    while (records_per_commit := records_per_commit // 2) > 1:
        yield records_per_commit
    for _ in range(_LONE_ROUNDS):
        yield 1
