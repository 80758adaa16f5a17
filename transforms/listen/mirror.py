"""Changes into documents that mirror those that changed: `--to=spec`, `--to=firestore://COLLECTION`. Plain Python.

    Batch[Changed] ──▶ read `_meta` ──▶ decide ──▶ Commit, guarded ─┬─ acknowledged, or nothing to do ──▶ continues
                          ▲                                         ├─ refused ──▶ dead letter
                          └────────────── conflict ◀────────────────┘

`_meta.position` of a mirrored document is the version of its original, its update_time in microseconds; what is older
is never written over what is newer, in whatever order and however often changes come. So the last state wins, and at
every saved position the mirror is what the query held. `_meta.source` is the path of the original; a delete touches
nothing else. A change that the mirror has already still continues: other sinks may not have it.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from transforms.batch import Batch, DeadLetter
from transforms.errors import RecordError
from transforms.firestore import messages
from transforms.firestore.changes.times import micros
from transforms.firestore.client import FirestoreClient
from transforms.firestore.committer import AtomicGroup, Committer, Conflicted, Refused
from transforms.firestore.fetch import fetch_all
from transforms.firestore.limits import check_document
from transforms.firestore.packing import RequestLimits
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import encoded_fields
from transforms.listen.entries import Changed, refused
from transforms.listen.mirror_places import Places, Written
from transforms.listen.rows import ended_at
from transforms.records.canonical import canonical
from transforms.retry import Retry
from transforms.unexpected import FAILURES, Unexpected
from transforms.upsert.forms import without_meta
from transforms.upsert.layout import META_FIELD
from transforms.upsert.records import content_hash
from transforms.upsert.stored import StoredDocument

STEP = "MirrorChanges"
_READ_TIMEOUT_S = 60.0
_WHOLE_ROUNDS, _ROUNDS = 3, 8  # a Commit that met a conflict is sent as it is, then each change alone
_MAX_CHANGES_PER_READ = 100
_CONFLICT_INITIAL_S, _CONFLICT_MAX_S = 0.05, 2.0


@dataclass(frozen=True)
class MirrorSink:
    """Mirrors every change.

    Attributes:
      target: the database that is written to.
      places: which documents a change becomes.
      job_id: of the job.
      retry: of a request.
    """

    target: FirestoreTarget
    places: Places
    job_id: str
    retry: Retry

    @property
    def step(self) -> str:
        """See `ChangeSink`."""
        return STEP

    def open(self) -> MirrorWriter:
        """See `ChangeSink`."""
        return MirrorWriter(self.target.connect(), self)


class _Pending(NamedTuple):
    """A change that is to be written.

    Attributes:
      version: of the original; of one that is gone, later than all that it had.
    """

    entry: Changed
    written: Written
    version: int


class MirrorWriter:
    """Mirrors with one client; for one thread."""

    def __init__(self, client: FirestoreClient, sink: MirrorSink):
        self._client, self._sink, self._retry = client, sink, sink.retry
        self._waits = replace(sink.retry, initial_s=_CONFLICT_INITIAL_S, max_s=_CONFLICT_MAX_S)

    def close(self) -> None:
        """Holds nothing: the client is the process's."""

    def write(self, batch: Batch[Changed]) -> Batch[Changed]:
        """The batch without the changes that are refused.

        Raises:
          TransientError, JobError: as `Committer.commit` and `fetch_all`.
        """
        dead: dict[str, DeadLetter] = {}
        pending, retries = self._pending(batch, dead), 0
        for failures in range(_ROUNDS):
            if failures:
                self._retry.clock.sleep(self._waits.delay_s(failures))
            is_alone = failures >= _WHOLE_ROUNDS
            pending, sent_again = self._round(pending, batch, dead, is_alone=is_alone)
            retries += sent_again
            if not pending:
                break
        for each in pending:
            message = "somebody else changed the document each time it was about to be written"
            dead[each.entry.key] = refused(each.entry, STEP, "CONFLICT", message, retryable=True)
        taken = [entry for entry in batch.entries if entry.key not in dead]
        return batch.then(taken, list(dead.values()), retries=retries)

    def _pending(self, batch: Batch[Changed], dead: dict[str, DeadLetter]) -> list[_Pending]:
        """The changes that can be written; of several for one place the latest."""
        latest: dict[tuple[str, ...], _Pending] = {}
        unexpected = Unexpected("mirroring the document", len(batch.entries))
        for entry in batch.entries:
            try:
                written = self._sink.places.written(entry)
            except FAILURES as failure:
                error = unexpected.as_record_error(failure)
                dead[entry.key] = refused(entry, STEP, error.code, error.message, retryable=False)
                continue
            before, now = latest.get(written.paths), _Pending(entry, written, self._version(entry))
            if before is None or before.version <= now.version:
                latest[written.paths] = now
        unexpected.check_not_alike()
        return list(latest.values())

    def _version(self, entry: Changed) -> int:
        return micros(ended_at(entry.change)) if entry.is_removed else entry.position

    def _round(
        self, pending: Sequence[_Pending], batch: Batch[Changed], dead: dict[str, DeadLetter], *, is_alone: bool
    ) -> tuple[list[_Pending], int]:
        """Sends what is newer than what is stored; returns what met a conflict, and how many requests came again."""
        stored = self._stored(pending)
        sent: list[_Pending] = []
        groups: list[AtomicGroup] = []
        for each in pending:
            found = [stored.get(path) for path in each.written.paths]
            if not _is_due(each, found):
                continue
            try:
                groups.append(self._group(each, found, batch))
            except RecordError as error:
                dead[each.entry.key] = refused(each.entry, STEP, error.code, error.message, retryable=False)
                continue
            sent.append(each)
        if not groups:
            return [], 0
        limits = RequestLimits(stop_at_refused_alike=None)
        if is_alone:
            limits = replace(limits, max_writes=len(sent[0].written.paths))
        report = Committer(self._client, limits, self._retry).commit(groups, guarded=True)
        for each, outcome in zip(sent, report.outcomes, strict=True):
            if isinstance(outcome, Refused):
                message = refused(each.entry, STEP, outcome.code, outcome.message, retryable=outcome.retryable)
                dead[each.entry.key] = message
        outcomes = zip(sent, report.outcomes, strict=True)
        return [each for each, outcome in outcomes if isinstance(outcome, Conflicted)], report.retries

    def _stored(self, pending: Sequence[_Pending]) -> dict[str, StoredDocument]:
        paths = [path for each in pending for path in each.written.paths]
        prefix = self._client.target.document_name("")
        found: dict[str, StoredDocument] = {}
        for first in range(0, len(paths), _MAX_CHANGES_PER_READ):
            names = [prefix + path for path in paths[first : first + _MAX_CHANGES_PER_READ]]
            answers = fetch_all(
                self._client, partial(self._client.batch_get, names, (META_FIELD,), _READ_TIMEOUT_S), self._retry
            )
            documents = (answer.found for answer in answers if answer.HasField("found"))
            found |= {document.name.removeprefix(prefix): StoredDocument(document) for document in documents}
        return found

    def _group(self, each: _Pending, found: Sequence[StoredDocument | None], batch: Batch[Changed]) -> AtomicGroup:
        """The writes of a change, under the condition that nobody has written since. Raises RecordError."""
        if each.entry.is_removed:
            deletes = zip(each.written.paths, found, strict=True)
            return AtomicGroup(
                tuple(
                    messages.delete(self._client.target.document_name(path)) + _condition(document)
                    for path, document in deletes
                    if document is not None
                )
            )
        meta = encoded_fields({META_FIELD: self._meta(each, found, batch)})
        writes = []
        for path, content, document in zip(each.written.paths, each.written.contents, found, strict=True):
            serialised = messages.document(self._client.target.document_name(path), content, meta)
            check_document(serialised)
            writes.append(messages.update(serialised) + _condition(document))
        return AtomicGroup(tuple(writes))

    def _meta(self, each: _Pending, found: Sequence[StoredDocument | None], batch: Batch[Changed]) -> Mapping[str, Any]:
        document = each.entry.change.document
        assert document is not None, "a removed document is deleted"
        now = datetime.datetime.fromtimestamp(self._retry.clock.now(), datetime.timezone.utc)
        present = [each for each in found if each is not None]
        return {
            "schema_version": self._sink.places.schema_version,
            "version": max((stored.version for stored in present), default=0) + 1,
            "content_hash": content_hash(canonical(without_meta(document.fields)), self._sink.places.fingerprint),
            "created_at": min((stored.created_at or stored.create_time for stored in present), default=now),
            "updated_at": now,
            "source": each.entry.key,
            "position": each.version,
            "job_id": self._sink.job_id,
            "batch_id": batch.batch_id,
            "attempt": 0,
        }


def _is_due(each: _Pending, found: Sequence[StoredDocument | None]) -> bool:
    """Whether what is stored is older than a change, or of another one."""
    present = [document for document in found if document is not None]
    newest = max((document.position for document in present), default=-1)
    if each.entry.is_removed:
        return newest < each.version and any(document.source == each.entry.key for document in present)
    has_it = len(present) == len(found) and all(document.position == each.version for document in present)
    return newest <= each.version and not has_it


def _condition(stored: StoredDocument | None) -> bytes:
    return messages.IF_ABSENT if stored is None else messages.if_unchanged_since(stored.update_time)
