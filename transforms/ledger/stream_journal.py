"""The journal of announced names, kept below the documents of their streams. Plain Python.

    pipeline_streams/{job_id}:{stream}/journal/{slot}
        entries [{read_time, paths}], expire_at         paths as JSON in bytes, or each would be a row of an index

`RingJournal` says which entry goes where. A slot is written only in the state in which this process saw it last: if
another worker of the run had the stream meanwhile, the ring is read again, and keeps that worker's entries, too.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from transforms.errors import TransientError
from transforms.firestore import messages
from transforms.firestore.changes.journal import JournalEntry
from transforms.firestore.changes.journal_ring import RingJournal
from transforms.firestore.committer import Conflicted
from transforms.ledger.document import KEPT, LedgerDocument
from transforms.ledger.entry import LedgerEntry
from transforms.ledger.stream_writer import WRITERS
from transforms.ledger.streams import stream_document

_JOURNAL = "journal"


@dataclass(frozen=True)
class LedgerJournal:
    """The journal of the streams of a run; picklable, as `changes.journal.Journal` wants it.

    Raises (every method): JobError for credentials, permission or database; TransientError after bounded retries.
    """

    entry: LedgerEntry

    def add(self, stream_id: str, entry: JournalEntry) -> None:
        """Returns when the entry is stored."""
        attempts = self.entry.retry.attempts()
        while True:
            try:
                return self._ring(stream_id).add(stream_id, entry)
            except _SlotChangedError as error:
                self._drop(stream_id)
                if not attempts.again():
                    raise TransientError(str(error)) from error

    def entries(self, stream_id: str) -> Sequence[JournalEntry]:
        """All that are stored and that no saved position covers."""
        self._drop(stream_id)  # another worker may have written since
        return self._ring(stream_id).entries(stream_id)

    def forget(self, stream_id: str, until: datetime.datetime) -> None:
        """Nothing: the run may be resumed from an earlier position, the one that is saved."""

    def _ring(self, stream_id: str) -> RingJournal:
        key = self._key(stream_id)
        with _LOCK:
            if key not in _RINGS:
                document = stream_document(self.entry.target.connect(), self.entry.job_id, stream_id, self.entry.retry)
                _RINGS[key] = RingJournal(_Slots(document))
            ring = _RINGS[key]
        writer = WRITERS.known(self.entry, stream_id)
        if writer and writer.covered_until is not None:
            ring.saved(stream_id, writer.covered_until)
        return ring

    def _drop(self, stream_id: str) -> None:
        with _LOCK:
            _RINGS.pop(self._key(stream_id), None)

    def _key(self, stream_id: str) -> tuple[object, ...]:
        return self.entry.target, self.entry.job_id, self.entry.attempt, stream_id


_LOCK = threading.Lock()
_RINGS: dict[tuple[object, ...], RingJournal] = {}


class _SlotChangedError(Exception):
    """Another worker has written the slot."""


class _Slots:
    """The slots of one stream; see `JournalStore`."""

    def __init__(self, document: LedgerDocument):
        self._document = document
        self._seen_at: dict[int, datetime.datetime | None] = {}

    def write(self, stream_id: str, slot: int, entries: Sequence[JournalEntry]) -> None:
        """Raises _SlotChangedError if the slot is not as it was seen last."""
        document = self._document.below(_JOURNAL, slot)
        listed = [{"read_time": entry.read_time, "paths": orjson.dumps(entry.paths)} for entry in entries]
        seen_at = self._seen_at.get(slot)
        condition = messages.if_unchanged_since(seen_at) if seen_at else messages.IF_ABSENT
        outcome = document.write({"entries": listed, "expire_at": document.now() + KEPT}, condition)
        if isinstance(outcome, Conflicted):
            raise _SlotChangedError(f"{document.path} is written by another process: {outcome.message}")
        self._seen_at[slot] = outcome.update_times[0]

    def read(self, stream_id: str) -> Mapping[int, Sequence[JournalEntry]]:
        """What all slots hold."""
        found = self._document.documents(self._document.query(_JOURNAL))
        self._seen_at = {int(each.id): each.update_time for each in found}
        return {
            int(document.id): [
                JournalEntry(each["read_time"], tuple(orjson.loads(each["paths"])))
                for each in document.fields["entries"]
            ]
            for document in found
        }
