"""Remembers which documents were announced before anybody has saved how far the stream has come.

    created at 3 ─▶ announced ─▶ sinks ─▶ killed ─▶ deleted at 7 ─▶ resumed at 1, the last position saved

At 1 the document did not exist and at 8 it does not either, so neither Firestore's Listen nor a comparison of the two
states shows that it is gone, and the counts of documents agree. Only whoever wrote its name down before a sink saw it
knows what to look for. Documents that were there at the position need no journal, and neither does a comparison, whose
two read times are saved before its first change.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol


class JournalEntry(NamedTuple):
    """Names that a snapshot added.

    Attributes:
      read_time: of the snapshot.
      paths: of the documents.
    """

    read_time: datetime.datetime
    paths: tuple[str, ...]


class Journal(Protocol):
    """Keeps entries at least until a `Follow` position of their read time or later was saved for their stream."""

    def add(self, stream_id: str, entry: JournalEntry) -> None:
        """Returns when the entry is durable; it may be added twice."""

    def entries(self, stream_id: str) -> Sequence[JournalEntry]:
        """All entries of the stream that are kept, in any order."""

    def forget(self, stream_id: str, until: datetime.datetime) -> None:
        """The runner has committed a `Follow` position of this read time.

        A journal of positions that are saved elsewhere ignores this: the pipeline may begin again at an earlier one.
        """


class MemoryJournal:
    """A journal that lasts as long as its process, for pipelines whose positions do not last longer, and for tests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, list[JournalEntry]] = {}

    def add(self, stream_id: str, entry: JournalEntry) -> None:
        """Kept in memory."""
        with self._lock:
            self._entries.setdefault(stream_id, []).append(entry)

    def entries(self, stream_id: str) -> Sequence[JournalEntry]:
        """All that were added, except those forgotten."""
        with self._lock:
            return tuple(self._entries.get(stream_id, ()))

    def forget(self, stream_id: str, until: datetime.datetime) -> None:
        """A position of this read time was saved: entries up to it are of no use any more."""
        with self._lock:
            kept = [entry for entry in self._entries.get(stream_id, ()) if entry.read_time > until]
            self._entries[stream_id] = kept


class ProcessJournal:
    """The memory journal of the process it is used in; picklable."""

    def add(self, stream_id: str, entry: JournalEntry) -> None:
        """Kept in memory."""
        _PROCESS.add(stream_id, entry)

    def entries(self, stream_id: str) -> Sequence[JournalEntry]:
        """All that were added in this process, except those forgotten."""
        return _PROCESS.entries(stream_id)

    def forget(self, stream_id: str, until: datetime.datetime) -> None:
        """Entries up to this time are of no use any more."""
        _PROCESS.forget(stream_id, until)


_PROCESS = MemoryJournal()


def announced(
    entries: Iterable[JournalEntry], since: datetime.datetime | None, until: datetime.datetime | None = None
) -> frozenset[str]:
    """Names of the entries behind one read time, up to another.

    >>> noon = datetime.datetime(2026, 1, 1, 12)
    >>> entries = [JournalEntry(noon, ("users/ada",))]
    >>> announced(entries, None, noon), announced(entries, noon)
    (frozenset({'users/ada'}), frozenset())
    """
    return frozenset(
        path
        for entry in entries
        if (since is None or entry.read_time > since) and (until is None or entry.read_time <= until)
        for path in entry.paths
    )
