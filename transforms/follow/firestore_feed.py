"""Pages of what Firestore's Listen gives of a collection and of its tombstones, deletes included: listen's source.

    COLLECTION             added, modified ─▶ Changed      removed ─▶ Gone, perhaps with a tombstone
    COLLECTION_tombstones  added, modified ─▶ Changed      removed: the job itself has removed it

Names that were announced are kept in memory: a document that was written, applied, and removed past DualStore between
two saved positions of a job that was killed is found by the comparison of keys.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from transforms.dual.kinds import Kind
from transforms.dual.stored import FIRESTORE
from transforms.errors import JobError, RecordError
from transforms.firestore.changes.change import REMOVED, Change
from transforms.firestore.changes.change_batch import ChangeBatch, StreamState
from transforms.firestore.changes.journal import JournalEntry, MemoryJournal
from transforms.firestore.changes.options import ListenedQuery, ListenOptions
from transforms.firestore.changes.positions import Follow, Position, from_json, to_json
from transforms.firestore.changes.stream import Stream
from transforms.firestore.changes.times import micros
from transforms.firestore.documents import Document
from transforms.firestore.query import Query
from transforms.firestore.target import FirestoreTarget
from transforms.follow.changes import Changed, Gone, Page, Unreadable
from transforms.follow.positions import Saved
from transforms.migrate.documents import META_FIELD, content_in, is_pending, stamp_of, tombstones_of

DOCUMENTS, TOMBSTONES = "documents", "tombstones"
_MAX_CHANGES = 200
# Whether a change of the primary may end depends on how far the feed is, and the service need not say so for 30 s.
_SILENCE_S, _EMULATOR_SILENCE_S = 10.0, 3.0


class _Token(NamedTuple):
    name: str
    batch: ChangeBatch


class FirestoreFeed:
    """The changes of a collection. For one thread; opens its streams when it is made.

    Args:
      positions: where the streams begin; None for a snapshot of everything.
      saved: keeps them.
      options: of the streams; where they do not say how long one may be silent, it is as long as a change of the
        primary may wait.
    """

    def __init__(
        self,
        target: FirestoreTarget,
        kind: Kind,
        collection: str,
        positions: Mapping[str, Position],
        saved: Saved,
        options: ListenOptions = ListenOptions(),  # noqa: B008  # frozen
    ):
        self._kind, self._saved = kind, saved
        self._journal = MemoryJournal()
        self._positions: dict[str, Position | None] = {name: positions.get(name) for name in (DOCUMENTS, TOMBSTONES)}
        if options.silence_s is None:
            options = replace(options, silence_s=_EMULATOR_SILENCE_S if target.emulator_host else _SILENCE_S)
        options = options.of(target)
        paths = {DOCUMENTS: collection, TOMBSTONES: tombstones_of(collection)}
        self._streams = {
            name: Stream(
                target.connect(), ListenedQuery(name, Query(path)), self._positions[name], options, self._journal
            )
            for name, path in paths.items()
        }

    @property
    def read_to(self) -> datetime.datetime | None:
        """As `Feed.read_to`."""
        reached = [
            position.read_time if isinstance(position, Follow) and position.after is None else None
            for position in self._positions.values()
        ]
        return None if None in reached else min(time for time in reached if time is not None)

    def next(self) -> Page | None:
        """As `Feed.next`."""
        for name, stream in sorted(self._streams.items(), key=self._reached):
            while stream.is_ready:
                batch = stream.take(_MAX_CHANGES)
                if batch.state is StreamState.FAILED:
                    raise JobError(f"Firestore's changes cannot be followed: {batch.reason}")
                if batch.announced:
                    self._journal.add(name, JournalEntry(batch.read_time, batch.announced))
                page = self._page(name, batch, stream.position)
                if page.changes or page.gone or page.unreadable:
                    return page
                self.applied(page)
            stream.check_silence()
        return None

    def applied(self, page: Page) -> None:
        """As `Feed.applied`."""
        name, batch = page.token
        self._streams[name].accept(batch)
        self._positions[name] = batch.position
        if isinstance(batch.position, Follow) and batch.position.after is None:
            self._journal.forget(name, batch.position.read_time)
        self._saved.save(self._fields)

    def close(self) -> None:
        """As `Feed.close`."""
        for stream in self._streams.values():
            stream.close()
        self._saved.save(self._fields, at_once=True)

    @property
    def _fields(self) -> dict[str, Any]:
        return {
            "streams": {
                name: None if position is None else to_json(position) for name, position in self._positions.items()
            }
        }

    def _reached(self, entry: tuple[str, Stream]) -> datetime.datetime:
        position = self._positions[entry[0]]
        earliest = datetime.datetime.min.replace(tzinfo=datetime.timezone.utc)
        return position.read_time if isinstance(position, Follow) else earliest

    def _page(self, name: str, batch: ChangeBatch, before: Position | None) -> Page:
        changes, unreadable, gone = [], [], []
        for change in batch.changes:
            if change.document is None:
                if name == DOCUMENTS and change.kind == REMOVED and change.deleted:
                    gone.append(Gone(change.path.rpartition("/")[2], _seen_at(change, before), change.read_time))
                continue
            try:
                changes.append(self._changed(name, change.document))
            except RecordError as error:
                unreadable.append(Unreadable(change.document.id, dict(change.document.fields), error))
        return Page(FIRESTORE, changes, unreadable, gone, token=_Token(name, batch))

    def _changed(self, name: str, document: Document) -> Changed:
        fields = document.fields
        time = document.update_time
        assert time is not None, "a document that was read has a version"
        key = self._kind.key_of(naming_of(document, is_tombstone=name == TOMBSTONES))
        stamp = stamp_of(fields)
        changed_us = micros(time) if stamp is None else min(micros(time), max(stamp.time, micros(time) - 1_000_000))
        return Changed(replace(key, document_id=document.id), changed_us, is_pending(fields))


def naming_of(document: Document, *, is_tombstone: bool) -> Mapping[str, Any]:
    """The fields that name a document's record. Raises RecordError."""
    if not is_tombstone:
        return content_in(document.fields, document.id)
    meta = document.fields.get(META_FIELD)
    naming = meta.get("key") if isinstance(meta, Mapping) else None
    if not isinstance(naming, Mapping):
        raise RecordError("NOT_A_TOMBSTONE", "the document has no _meta.key, as tombstones of DualStore have")
    return naming


def positions_in(fields: Mapping[str, Any] | None) -> dict[str, Position]:
    """What `FirestoreFeed` saved. Raises ValueError."""
    streams = {} if fields is None else fields["streams"]
    return {name: from_json(position) for name, position in streams.items() if position is not None}


def begun_at(positions: Mapping[str, Position], announced_at: datetime.datetime | None) -> dict[str, Position]:
    """Where the streams begin.

    Args:
      positions: saved, perhaps when Firestore was primary the last time.
      announced_at: of the change that makes Firestore primary; None while no such change is under way. What was
        written before it is a copy, or pending, and pending writes are searched for.
    """
    begun = dict(positions)
    if announced_at is not None:
        for name in (DOCUMENTS, TOMBSTONES):
            position = begun.get(name)
            if position is None or _time_of(position) < announced_at:
                begun[name] = Follow(announced_at)
    return begun


def _time_of(position: Position) -> datetime.datetime:
    return position.read_time if isinstance(position, Follow) else position.to


def _seen_at(change: Change, before: Position | None) -> datetime.datetime | None:
    """A read time at which a document that was removed may still be there."""
    position = before.read_time if isinstance(before, Follow) else before.since if before is not None else None
    times = [time for time in (position, change.update_time) if time is not None]
    return max(times, default=None)
