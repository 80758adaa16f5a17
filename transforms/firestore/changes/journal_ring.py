"""A durable journal in a few documents that are written in turn.

    add ─▶ slot 3: what is still needed of it + the new entry ─▶ add ─▶ slot 4 ─▶ … ─▶ slot 15 ─▶ slot 0 ─▶ …
    saved(read_time) ─▶ entries up to it are not needed any more; they go when their slot is written next

A document takes about one write per second and holds 1 MiB; sixteen of them in turn take sixteen of each. An entry
stays until a position of its read time is saved, however often the ring goes round.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Mapping, Sequence
from typing import Protocol

from transforms.errors import JobError
from transforms.firestore.changes.journal import JournalEntry

N_SLOTS = 16
MAX_SLOT_BYTES = 800_000  # of names, below Firestore's 1 MiB for a document with all that is around them
_BYTES_AROUND_A_NAME = 16


class JournalStore(Protocol):
    """Where the slots are."""

    def write(self, stream_id: str, slot: int, entries: Sequence[JournalEntry]) -> None:
        """Replaces what a slot holds; durable when it returns."""

    def read(self, stream_id: str) -> Mapping[int, Sequence[JournalEntry]]:
        """What all slots hold."""


class RingJournal:
    """A `Journal`. Thread-safe; one process at a time writes a stream's.

    Args:
      store: of the slots.
      n_slots: how many there are.
      max_slot_bytes: of the names in one of them.
    """

    def __init__(self, store: JournalStore, n_slots: int = N_SLOTS, max_slot_bytes: int = MAX_SLOT_BYTES):
        self._store, self._n_slots, self._max_slot_bytes = store, n_slots, max_slot_bytes
        self._lock = threading.Lock()
        self._slots: dict[str, list[list[JournalEntry]]] = {}
        self._turns: dict[str, int] = {}
        self._saved: dict[str, datetime.datetime] = {}

    def add(self, stream_id: str, entry: JournalEntry) -> None:
        """Writes the entry into the next slot that has room.

        Raises:
          JobError: none has.
        """
        with self._lock:
            slots = self._slots_of(stream_id)
            turn = self._turns.get(stream_id, 0)
            for slot in ((turn + n) % self._n_slots for n in range(self._n_slots)):
                entries = [*self._needed(stream_id, slots[slot]), entry]
                if sum(map(_n_bytes, entries)) <= self._max_slot_bytes:
                    self._store.write(stream_id, slot, entries)
                    slots[slot] = entries
                    self._turns[stream_id] = (slot + 1) % self._n_slots
                    return
        raise JobError(
            f"stream {stream_id}: the journal of {self._n_slots} × {self._max_slot_bytes:,} bytes is full of names "
            "that no saved position covers; save positions more often"
        )

    def entries(self, stream_id: str) -> Sequence[JournalEntry]:
        """All entries that are still needed."""
        with self._lock:
            slots = self._slots_of(stream_id)
            return [entry for slot in slots for entry in self._needed(stream_id, slot)]

    def forget(self, stream_id: str, until: datetime.datetime) -> None:
        """Does nothing: what counts is what was saved."""

    def saved(self, stream_id: str, read_time: datetime.datetime) -> None:
        """A `Follow` position of this read time was saved."""
        with self._lock:
            self._saved[stream_id] = max(read_time, self._saved.get(stream_id, read_time))

    def _slots_of(self, stream_id: str) -> list[list[JournalEntry]]:
        if stream_id not in self._slots:
            stored = self._store.read(stream_id)
            self._slots[stream_id] = [list(stored.get(slot, ())) for slot in range(self._n_slots)]
        return self._slots[stream_id]

    def _needed(self, stream_id: str, entries: Sequence[JournalEntry]) -> list[JournalEntry]:
        saved = self._saved.get(stream_id)
        return [entry for entry in entries if saved is None or entry.read_time > saved]


def _n_bytes(entry: JournalEntry) -> int:
    return sum(len(path.encode()) + _BYTES_AROUND_A_NAME for path in entry.paths)
