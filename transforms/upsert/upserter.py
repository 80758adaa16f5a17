"""Writes batches of pairs, and settles what becomes of each record when others write the same documents. Plain Python.

    entries ──judge──▶ to write ──pair──▶ Committer ─┬─ acknowledged ──▶ written
       ▲         │                                   ├─ refused ───────▶ dead letter
       │         └─▶ unchanged, superseded, landed   └─ conflict ─┐
       └──────────────────── read again ◀─────────────────────────┘

A Commit that meets a conflict is sent again as a whole three times, because the service does not say which pair it was;
then in ever smaller parts, until each pair stands alone; a pair that conflicts five times alone is a dead letter.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from transforms.batch import Batch, DeadLetter
from transforms.errors import RecordError
from transforms.firestore.client import FirestoreClient
from transforms.firestore.committer import AtomicGroup, Committer, Conflicted, Landed, Refused, refuse_unanimous
from transforms.firestore.fetch import fetch_all
from transforms.firestore.packing import RequestLimits
from transforms.firestore.qos import QualityOfService
from transforms.retry import Retry
from transforms.upsert.entries import Compared, Flat, Keyed, Written
from transforms.upsert.modes import OVERWRITE
from transforms.upsert.pairs import PairLayout, meta_of, pair
from transforms.upsert.versions import (
    META_FIELD,
    NOTHING,
    Candidate,
    RunIdentity,
    StoredDocument,
    StoredPair,
    Verdict,
    judge,
    stored_pairs,
)

_STEP = "UpsertPairs"
_READ_TIMEOUT_S = 60.0

# Of a request; the rest is for the database's name and the mask. A name has a tag and a length before it.
_SHARE_OF_NAMES = 0.9
_NAME_OVERHEAD_BYTES = 4

# How often a Commit that met a conflict is sent as it is; then its size is halved each time; then a pair that still
# conflicts, alone, is tried so often.
_WHOLE_ROUNDS = 3
_LONE_ROUNDS = 5
_CONFLICT_BACKOFF = Retry(initial_s=0.05, max_s=2.0)


def compare(
    batch: Batch[Keyed], layout: PairLayout, run: RunIdentity, client: FirestoreClient, retry: Retry
) -> Batch[Compared]:
    """The batch without the records that are unchanged or superseded by what is stored."""
    keys = [] if layout.mode == OVERWRITE else [entry.key for entry in batch.entries]
    stored = read_stored(client, layout, keys, retry)
    entries, verdicts = [], []
    settled: set[str] = set()  # ids whose documents already hold what the last record of the batch says
    for entry in reversed(batch.entries):
        pair_stored = stored.get(entry.key, NOTHING)
        verdict = judge(_candidate(entry, batch), pair_stored, layout.mode, run)
        if verdict is Verdict.UNCHANGED:
            settled.add(entry.key)
        elif verdict is Verdict.WRITE and entry.key in settled:
            verdict = Verdict.SUPERSEDED
        verdicts.append(verdict)
        if verdict in (Verdict.WRITE, Verdict.LANDED, Verdict.ROW_OWED):
            entries.append(Compared(*entry, pair_stored))
    entries.reverse()
    return batch.then(
        entries, unchanged=verdicts.count(Verdict.UNCHANGED), superseded=verdicts.count(Verdict.SUPERSEDED)
    )


def read_stored(
    client: FirestoreClient, layout: PairLayout, keys: Sequence[str], retry: Retry
) -> dict[str, StoredPair]:
    """What is stored under these ids, by id; ids with neither document are left out."""
    names = layout.names(dict.fromkeys(keys))
    if not names:
        return {}
    answers: list[Any] = []
    for part in _requests(names, client.target.max_request_bytes):
        answers += fetch_all(client, partial(client.batch_get, part, (META_FIELD,), _READ_TIMEOUT_S), retry)
    return stored_pairs(answers, layout.full_prefix, layout.flat_prefix)


def _requests(names: Sequence[str], max_request_bytes: int) -> Iterator[Sequence[str]]:
    """The names of one BatchGetDocuments after the other: nearly always of a single one.

    >>> [len(part) for part in _requests(["x" * 100] * 10, 600)]
    [5, 5]
    """
    budget = int(max_request_bytes * _SHARE_OF_NAMES)
    first = held_bytes = 0
    for at, name in enumerate(names):
        size = len(name.encode()) + _NAME_OVERHEAD_BYTES
        if held_bytes + size > budget and at > first:
            yield names[first:at]
            first, held_bytes = at, 0
        held_bytes += size
    yield names[first:]


class Upserter:
    """Writes batches of pairs, for whoever has a client.

    Args:
      may_all_be_bad: the records have failed before, so it says nothing of the job that all of a batch fail again.
    """

    def __init__(
        self,
        client: FirestoreClient,
        layout: PairLayout,
        run: RunIdentity,
        limits: RequestLimits,
        retry: Retry,
        qos: QualityOfService | None = None,
        *,
        may_all_be_bad: bool = False,
    ):
        self._may_all_be_bad = may_all_be_bad
        self._client, self._layout, self._run, self._limits, self._retry = client, layout, run, limits, retry
        self._qos = qos
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
        clock = self._retry.clock
        backoff = dataclasses.replace(_CONFLICT_BACKOFF, clock=clock)
        books = _Books(batch, self._layout.schema_version)
        current = books.supersede([entry for entry in batch.entries if self._is_fit(entry, batch, books)])
        for round_number, max_pairs in enumerate(_rounds(self._pairs_per_commit(len(current))), start=1):
            current = self._round(current, max_pairs, books)
            if not current:
                return books.closed()
            clock.sleep(backoff.delay_s(round_number))
            current = self._read_again(current, books)
        books.give_up([entry for entry in current if self._is_open(entry, books)])
        return books.closed()

    def _is_fit(self, entry: Flat, batch: Batch[Flat], books: _Books) -> bool:
        """Whether a record that shares its id with others could be written at all; one that could not replaces none."""
        if entry.key not in books.repeated:
            return True
        candidate = _candidate(entry, batch)
        try:
            pair(entry, meta_of(entry, candidate, self._layout, self._run.job_id, self._moment()), self._layout)
        except RecordError as error:
            books.unfit(entry, error)
            return False
        return True

    def _is_open(self, entry: Flat, books: _Books) -> bool:
        """Whether a record is still to be written; books it if not."""
        verdict = self._verdict(entry, books.batch)
        if verdict is not Verdict.WRITE:
            books.settle(entry, verdict)
        return verdict is Verdict.WRITE

    def _verdict(self, entry: Flat, batch: Batch[Flat]) -> Verdict:
        return judge(_candidate(entry, batch), entry.stored, self._layout.mode, self._run)

    def _round(self, entries: Sequence[Flat], max_pairs: int, books: _Books) -> list[Flat]:
        """Judges and writes the entries; returns those that met a conflict."""
        moment = self._moment()
        sent: list[tuple[Flat, dict[str, Any]]] = []

        def groups() -> Iterator[AtomicGroup]:
            for entry in entries:
                if not self._is_open(entry, books):
                    continue
                candidate = _candidate(entry, books.batch)
                meta = meta_of(entry, candidate, self._layout, self._run.job_id, moment)
                try:
                    group = pair(entry, meta, self._layout)
                except RecordError as error:
                    books.unfit(entry, error)
                    continue
                sent.append((entry, meta))
                yield group

        guarded = self._layout.mode != OVERWRITE
        report = self._committer(max_pairs).commit(groups(), guarded=guarded, may_all_be_bad=True)
        if not (self._may_all_be_bad or books.has_stored):
            refuse_unanimous(report.outcomes)
        books.retries += report.retries
        self._throttled_s += report.throttled_s
        conflicted = []
        for (entry, meta), outcome in zip(sent, report.outcomes, strict=True):
            if isinstance(outcome, Landed):
                books.landed(entry, meta, outcome.update_times[0])
            elif isinstance(outcome, Conflicted):
                books.conflicted(entry)
                conflicted.append(entry)
            else:
                books.refused(entry, outcome)
        return conflicted

    def _read_again(self, entries: Sequence[Flat], books: _Books) -> list[Flat]:
        """The entries with what is stored about them now; a run that yields leaves what somebody has just written."""
        stored = read_stored(self._client, self._layout, [entry.key for entry in entries], self._retry)
        again = []
        for entry in entries:
            current = entry._replace(stored=stored.get(entry.key, NOTHING))
            is_outrun = self._run.yields and current.stored.is_newer_than(entry.stored)
            if is_outrun and self._verdict(current, books.batch) is Verdict.WRITE:
                books.settle(current, Verdict.SUPERSEDED)
            else:
                again.append(current)
        return again

    def _committer(self, max_pairs: int) -> Committer:
        limits = dataclasses.replace(self._limits, max_writes=max_pairs * self._writes_per_pair())
        return Committer(self._client, limits, self._retry, self._qos)

    def _writes_per_pair(self) -> int:
        return 4 if self._layout.keep_versions else 2

    def _pairs_per_commit(self, n_pairs: int) -> int:
        return max(1, min(n_pairs, self._limits.max_writes // self._writes_per_pair()))

    def _moment(self) -> datetime.datetime:
        """Now, but never before the run began, whatever this worker's clock says: see `RunIdentity`."""
        return max(
            datetime.datetime.fromtimestamp(self._retry.clock.now(), datetime.timezone.utc), self._run.started_at
        )


class _Books:
    """What has become of the records of one batch so far."""

    def __init__(self, batch: Batch[Flat], schema_version: int):
        self.batch, self.retries = batch, 0
        self.repeated = {key for key, n in Counter(entry.key for entry in batch.entries).items() if n > 1}
        self._schema_version = schema_version
        self._superseded, self._repaired, self._unchanged = 0, 0, 0
        self._torn: set[str] = set()
        self._written: list[Written] = []
        self._dead_letters: list[DeadLetter] = []

    @property
    def has_stored(self) -> bool:
        """Whether Firestore holds any record of the batch, so that it is not the job that is wrong."""
        return bool(self._written or self._unchanged or self.batch.unchanged)

    def supersede(self, entries: Sequence[Flat]) -> list[Flat]:
        """The last record of every id."""
        current, superseded = supersede(entries)
        self._superseded += superseded
        return current

    def landed(self, entry: Flat, meta: dict[str, Any], update_time: datetime.datetime) -> None:
        self._repaired += entry.stored.torn
        self._written.append(Written(entry.key, entry.record, entry.flat, meta, update_time))

    def conflicted(self, entry: Flat) -> None:
        """A record whose Commit may have landed all the same; what was torn before is repaired then."""
        if entry.stored.torn:
            self._torn.add(entry.key)

    def settle(self, entry: Flat, verdict: Verdict) -> None:
        """A record that turned out to need no write."""
        if verdict in (Verdict.LANDED, Verdict.ROW_OWED) and entry.stored.full:
            self._repaired += entry.key in self._torn
            meta = _meta_of_stored(entry.stored.full, self._schema_version)
            update_time, unchanged = entry.stored.full.update_time, verdict is Verdict.ROW_OWED
            self._written.append(Written(entry.key, entry.record, entry.flat, meta, update_time, unchanged))
        elif verdict is Verdict.SUPERSEDED:
            self._superseded += 1
        else:
            self._unchanged += 1

    def unfit(self, entry: Flat, error: RecordError) -> None:
        self._dead_letters.append(DeadLetter.of(_STEP, entry.record, error, entry.key))

    def refused(self, entry: Flat, outcome: Refused) -> None:
        letter = DeadLetter.of(_STEP, entry.record, RecordError(outcome.code, outcome.message), entry.key)
        self._dead_letters.append(dataclasses.replace(letter, retryable=outcome.retryable))

    def give_up(self, entries: Sequence[Flat]) -> None:
        """Records whose documents somebody else changed every time."""
        error = RecordError("CONFLICT", "somebody else changed the documents each time they were about to be written")
        for entry in entries:
            letter = DeadLetter.of(_STEP, entry.record, error, entry.key)
            self._dead_letters.append(dataclasses.replace(letter, retryable=True))

    def closed(self) -> Batch[Written]:
        return self.batch.then(
            self._written,
            self._dead_letters,
            superseded=self._superseded,
            unchanged=self._unchanged,
            retries=self.retries,
            repaired=self._repaired,
        )


def supersede(entries: Sequence[Flat]) -> tuple[list[Flat], int]:
    """The last record of every id, in their order, and how many earlier ones they replace."""
    last = {entry.key: index for index, entry in enumerate(entries)}
    current = [entry for index, entry in enumerate(entries) if last[entry.key] == index]
    return current, len(entries) - len(current)


def _rounds(pairs_per_commit: int) -> Iterator[int]:
    """How many pairs a Commit may hold, round by round, while conflicts go on.

    >>> list(_rounds(10))
    [10, 10, 10, 5, 2, 1, 1, 1, 1, 1]
    """
    for _ in range(_WHOLE_ROUNDS):
        yield pairs_per_commit
    while (pairs_per_commit := pairs_per_commit // 2) > 1:
        yield pairs_per_commit
    for _ in range(_LONE_ROUNDS):
        yield 1


def _candidate(entry: Keyed | Flat, batch: Batch[Any]) -> Candidate:
    return Candidate(entry.content_hash, batch.source, entry.record.position, batch.batch_id)


def _meta_of_stored(stored: StoredDocument, schema_version: int) -> dict[str, Any]:
    """The `_meta` of a pair that this batch wrote before; of one spec, because the hash is."""
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
    }
