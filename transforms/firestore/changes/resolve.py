"""Makes changes of a snapshot: what its messages say, and what they leave out.

The service may forget deletes while a listener is away. Then it says how many documents there are, perhaps which, or
sends everything again. The documents it does not mention are found from the names at the position:

    RESET                        names at the position − names sent
    a count that does not agree  names − those that the Bloom filter does not have; if that does not explain the count,
                                 names − names at the snapshot
    announced before a crash     names announced behind the position − names sent: they did not match at the position,
                                 so only a listener that wrote them down learns that they are gone

Names come from the cache, else from a read at the position's own read time; never from what happens to be in a sink.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from transforms.firestore.changes.change import ADDED, MODIFIED, REMOVED, Change
from transforms.firestore.changes.name_cache import NameCache
from transforms.firestore.changes.positions import Follow
from transforms.firestore.changes.reads import Reads, TooManyNamesError
from transforms.firestore.changes.times import from_micros, micros, micros_of
from transforms.firestore.changes.watch import ExistenceFilter, Snapshot, State

# What is known about the removal of a document: its last version, and whether it is deleted; None for not known.
_Removal = tuple[int | None, bool | None]


class CannotFollowError(Exception):
    """Following does not tell what has changed, so the two states must be compared; the text says why."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """Attributes:
    changes: sorted by version and path, removals last.
    n_documents: how many documents the query has; None if that is not known.
    """

    changes: list[Change]
    n_documents: int | None


def resolve(snapshot: Snapshot, position: Follow, names: NameCache, announced: Set[str], reads: Reads) -> Resolved:
    """The changes of a snapshot behind `position`; `names` has those of the snapshot afterwards.

    Args:
      announced: paths of documents that may have been handed out as added behind the position.

    Raises:
      CannotFollowError: the position must be compared with a newer state.
      JobError, TransientError: from a read.
    """
    latest = snapshot.latest
    lost: Set[str] = frozenset()
    if snapshot.is_full:
        lost = _not_sent(snapshot, position, names, reads)
    elif snapshot.filter is not None:
        lost = _forgotten(snapshot.filter, snapshot, position, names, reads)
    known = names.versions
    removals: dict[str, _Removal] = {}
    for path, each in latest.items():
        if not each.state.is_present and (known is None or path in known or path in announced):
            deleted = {State.DELETED: True, State.LEFT: False}.get(each.state)
            removals[path] = (None if known is None else known.get(path), deleted)
    for path in lost | announced:
        if path not in removals and not (path in latest and latest[path].state.is_present):
            removals[path] = (None if known is None else known.get(path), None)
    read_time = from_micros(snapshot.read_time_us)
    changes = list(_changes(snapshot, position, names, reads, read_time))
    gone = list(_removals(removals, reads, read_time))
    # Last, because whatever fails before leaves the names as they were at the position.
    return Resolved(changes + gone, _n_documents(snapshot, position, names, changes, removals))


def _changes(
    snapshot: Snapshot, position: Follow, names: NameCache, reads: Reads, read_time: datetime.datetime
) -> Iterator[Change]:
    position_us = micros(position.read_time)
    after = (micros(position.after.update_time), position.after.path) if position.after else (-1, "")
    changed = sorted((each.version_us, path) for path, each in snapshot.latest.items() if each.document is not None)
    for version_us, path in changed:
        if (version_us, path) <= after:
            continue
        document = snapshot.latest[path].document
        assert document is not None
        if names.versions is not None:
            was_there = path in names.versions
        else:
            was_there = not reads.is_filtered and micros_of(document.message.create_time) <= position_us
        kind = MODIFIED if was_there else ADDED
        yield Change(kind, path, document, from_micros(version_us), read_time)


def _removals(removals: Mapping[str, _Removal], reads: Reads, read_time: datetime.datetime) -> Iterator[Change]:
    unsure = sorted(path for path, (_, deleted) in removals.items() if deleted is None)
    existing = reads.existing(unsure, read_time) if unsure and reads.is_filtered else frozenset()
    for path in sorted(removals):
        version_us, deleted = removals[path]
        update_time = None if version_us is None else from_micros(version_us)
        is_deleted = path not in existing if deleted is None else deleted
        yield Change(REMOVED, path, None, update_time, read_time, is_deleted)


def _n_documents(
    snapshot: Snapshot,
    position: Follow,
    names: NameCache,
    changes: list[Change],
    removals: Mapping[str, _Removal],
) -> int | None:
    """Brings the names up to the snapshot, and counts them."""
    present = ((path, each.version_us) for path, each in snapshot.latest.items() if each.state.is_present)
    if snapshot.is_full:
        versions = dict(present)
        names.replace(versions.items())
        return len(versions)
    if names.versions is not None:
        changed = [(path, version) for path, version in present if version >= names.versions.get(path, 0)]
        return names.change(changed, removals)
    is_same = not removals and position.after is None and all(change.kind == MODIFIED for change in changes)
    return position.documents if is_same else None


def _not_sent(snapshot: Snapshot, position: Follow, names: NameCache, reads: Reads) -> Set[str]:
    """Names at the position that are not among all the names the server has sent."""
    present = {path for path, each in snapshot.latest.items() if each.state.is_present}
    if names.versions is None and not reads.is_filtered and position.documents is not None:
        position_us = micros(position.read_time)
        survivors = sum(
            each.document is None or micros_of(each.document.message.create_time) <= position_us
            for each in snapshot.latest.values()
            if each.state.is_present
        )
        if survivors == position.documents:
            return frozenset()
    return _names_at(position, names, reads).keys() - present


def _forgotten(told: ExistenceFilter, snapshot: Snapshot, position: Follow, names: NameCache, reads: Reads) -> Set[str]:
    """Names that the server has not mentioned although they do not match any more."""
    if names.versions is None:
        # All that is not counted here only makes the number smaller: deletes, and documents created again.
        n_new = told.n_changed if reads.is_filtered else told.n_created
        if _count_at(position, reads) + n_new == told.n_documents:
            return frozenset()
    known = _names_at(position, names, reads).keys()
    expected = (known | told.present) - told.gone
    if len(expected) == told.n_documents:
        return frozenset()
    if told.bloom is not None:
        may_remain = {path for path in expected if told.bloom.may_contain(reads.prefix + path)}
        if len(may_remain) == told.n_documents:
            return expected - may_remain
    return _by_names(snapshot, known, names, reads)


def _by_names(snapshot: Snapshot, known: Set[str], names: NameCache, reads: Reads) -> Set[str]:
    """Names that are not there at the snapshot although nobody said so."""
    states = snapshot.latest.items()
    present = {path for path, each in states if each.state.is_present}
    gone = {path for path, each in states if not each.state.is_present}
    expected = (known | present) - gone
    now = _all_versions(from_micros(snapshot.read_time_us), names, reads).keys()
    if now - expected:
        raise CannotFollowError("the server's count of documents stays wrong")
    return expected - now


def _names_at(position: Follow, names: NameCache, reads: Reads) -> dict[str, int]:
    if names.versions is not None:
        return names.versions
    _check_readable(position, reads)
    found = _all_versions(position.read_time, names, reads)
    names.replace(found.items())
    return found


def _count_at(position: Follow, reads: Reads) -> int:
    if position.documents is not None:
        return position.documents
    _check_readable(position, reads)
    return reads.count(position.read_time)


def _check_readable(position: Follow, reads: Reads) -> None:
    if reads.readable(position.read_time) != position.read_time:
        raise CannotFollowError("documents may be gone, and the state at the position can no longer be read exactly")


def _all_versions(read_time: datetime.datetime, names: NameCache, reads: Reads) -> dict[str, int]:
    try:
        return reads.all_versions(read_time, names.room)
    except TooManyNamesError as error:
        raise CannotFollowError(f"documents may be gone, and {error}") from None
