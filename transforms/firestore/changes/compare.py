"""Finds what differs between two states of a query: exactly, deletes included.

    names at `since`    a  b     d            ─┐
    names announced           c               ─┼─ merged by name ─▶ b modified, c removed, d removed, e added
    documents at `to`   a  b'          e      ─┘

Both states are read in name order and merged, so memory is constant and a comparison resumes after any document. A
query whose order is not that of names, because it has an inequality, is compared through a table of names, and begins
again when it is interrupted. Cost: the documents of both states as reads.
"""

from __future__ import annotations

import datetime
import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from transforms.errors import JobError
from transforms.firestore.changes.change import ADDED, MODIFIED, REMOVED, Change, ChangeKind
from transforms.firestore.changes.limits import DEFAULT_LIMITS, Limits
from transforms.firestore.changes.name_cache import NameCache
from transforms.firestore.changes.positions import Compare, Follow, Position
from transforms.firestore.changes.reads import Reads
from transforms.firestore.changes.times import from_micros, micros, micros_of
from transforms.firestore.document_order import sort_key
from transforms.firestore.documents import Document

_ANNOUNCED = -1  # version of a name that was handed out and belongs to neither state
_PROGRESS = 2_000  # documents without a change after which the position moves on all the same

# A document, the version it had before (None for none), and as it is now (None for not there).
_Pair = tuple[str, int | None, Document | None]


def compare(
    reads: Reads,
    position: Compare,
    announced: Iterable[str] = (),
    limits: Limits = DEFAULT_LIMITS,
    names: NameCache | None = None,
) -> Iterator[tuple[list[Change], Position]]:
    """Yields batches of changes, each with the position behind it; the last one is a `Follow`.

    Args:
      reads: of the query.
      position: where to begin.
      announced: paths of documents that may have been handed out as added although they were not there at `since`.
      limits: of a batch.
      names: those at `since`, if they are known, which saves reading them; it learns those at `to`, unless the
        comparison begins in the middle.

    Raises:
      JobError: one of the states cannot be read; the message says how to go on.
      TransientError: the database did not answer.
    """
    since = _since(reads, position, names)
    if reads.is_in_name_order:
        pairs = _merged(_with(since, announced, position.after), reads.documents(position.to, position.after))
    else:
        max_names = names.max_names if names else 0
        pairs = _looked_up(_table(since, announced, max_names), reads.documents(position.to))
    found = _Found(names.room if names else 0)
    is_whole = position.after is None
    batch = _Batch(limits)
    since_us = micros(position.since) if position.since and position.by_version else None
    for path, before, document in pairs:
        if document is not None:
            found.add(path, document)
        change = _change(path, before, document, position.to, since_us)
        if change is not None and batch.is_full_with(change):
            yield _finished(reads, batch, position), position
            batch = _Batch(limits)
        batch.walked += 1
        if change is not None:
            batch.add(change)
        if reads.is_in_name_order:
            position = replace(position, after=path)
        if batch.walked >= _PROGRESS:
            yield _finished(reads, batch, position), position
            batch = _Batch(limits)
    if names is not None:
        names.replace(found.versions.items() if is_whole and found.versions is not None else None)
    n_documents = found.n if is_whole else None
    follow = Follow(position.to, documents=n_documents, deletes_lost_since=position.deletes_lost_since)
    yield _finished(reads, batch, position), follow


def _since(reads: Reads, position: Compare, names: NameCache | None) -> Iterator[tuple[str, int]]:
    """The versions at `since` that lie behind the position, in name order."""
    if position.since is None or position.by_version:
        return iter(())
    if names is None or names.versions is None:
        return reads.versions(position.since, position.after)
    start = None if position.after is None else sort_key(position.after)
    keyed = sorted((sort_key(path), path) for path in names.versions)
    known = names.versions
    return ((path, known[path]) for key, path in keyed if start is None or key > start)


class _Found:
    """Counts the documents at `to`, and remembers their versions while there are not too many."""

    def __init__(self, max_names: int):
        self._max_names = max_names
        self.n = 0
        self.versions: dict[str, int] | None = {}

    def add(self, path: str, document: Document) -> None:
        self.n += 1
        if self.n > self._max_names:
            self.versions = None
        elif self.versions is not None:
            self.versions[path] = micros_of(document.message.update_time)


@dataclass(slots=True)
class _Batch:
    limits: Limits
    changes: list[Change] = field(default_factory=list)
    n_bytes: int = 0
    walked: int = 0

    def is_full_with(self, change: Change) -> bool:
        many = len(self.changes) >= self.limits.changes
        return many or (bool(self.changes) and self.n_bytes + change.n_bytes > self.limits.n_bytes)

    def add(self, change: Change) -> None:
        self.changes.append(change)
        self.n_bytes += change.n_bytes


def _change(
    path: str, before: int | None, document: Document | None, read_time: datetime.datetime, since_us: int | None
) -> Change | None:
    """What became of a document; `since_us` where the earlier state cannot be read, and versions alone must do."""
    if document is None:
        known = before is not None and before != _ANNOUNCED
        return Change(REMOVED, path, None, from_micros(before) if known and before else None, read_time, deleted=True)
    version_us = micros_of(document.message.update_time)
    if version_us == before or (since_us is not None and version_us <= since_us):
        return None
    is_known = before is not None and before != _ANNOUNCED
    if since_us is not None:
        is_known = micros_of(document.message.create_time) <= since_us
    kind: ChangeKind = MODIFIED if is_known else ADDED
    return Change(kind, path, document, document.update_time, read_time)


def _finished(reads: Reads, batch: _Batch, position: Compare) -> list[Change]:
    """The changes, of which those that were removed say whether the document exists."""
    removed = [change.path for change in batch.changes if change.kind == REMOVED]
    if not reads.is_filtered or not removed:
        return batch.changes
    existing = reads.existing(removed, position.to)
    return [replace(each, deleted=False) if each.path in existing else each for each in batch.changes]


def _with(since: Iterator[tuple[str, int]], announced: Iterable[str], after: str | None) -> Iterator[tuple[str, int]]:
    """The names at `since`, and among them, in their order, those announced; of equal ones the former comes first."""
    start = None if after is None else sort_key(after)
    keyed = sorted((sort_key(path), path) for path in set(announced))
    extra = [(path, _ANNOUNCED) for key, path in keyed if start is None or key > start]
    if not extra:
        yield from since
        return
    last = None
    for path, version in heapq.merge(since, extra, key=lambda each: (sort_key(each[0]), each[1] == _ANNOUNCED)):
        if path != last:
            yield path, version
        last = path


def _merged(before: Iterator[tuple[str, int]], documents: Iterator[Document]) -> Iterator[_Pair]:
    earlier, document = next(before, None), next(documents, None)
    earlier_key = sort_key(earlier[0]) if earlier else None
    while earlier is not None or document is not None:
        key = sort_key(document.path) if document is not None else None
        while earlier is not None and earlier_key is not None and (key is None or earlier_key < key):
            yield earlier[0], earlier[1], None
            earlier = next(before, None)
            earlier_key = sort_key(earlier[0]) if earlier else None
        if document is None:
            return
        if earlier is not None and earlier_key == key:
            yield document.path, earlier[1], document
            earlier = next(before, None)
            earlier_key = sort_key(earlier[0]) if earlier else None
        else:
            yield document.path, None, document
        document = next(documents, None)


def _table(since: Iterator[tuple[str, int]], announced: Iterable[str], max_names: int) -> dict[str, int]:
    table = dict.fromkeys(announced, _ANNOUNCED)
    for path, version in since:
        table[path] = version
        if len(table) > max_names:
            raise JobError(
                f"a query with an inequality is compared in memory, but it has more than {max_names:,} documents; "
                "raise max_names, or listen without the inequality"
            )
    return table


def _looked_up(table: dict[str, int], documents: Iterator[Document]) -> Iterator[_Pair]:
    for document in documents:
        yield document.path, table.pop(document.path, None), document
    for path, version in table.items():
        yield path, version, None
