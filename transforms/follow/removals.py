"""A document that was removed from Firestore past DualStore while Firestore is primary: the item goes, too.

    removed, a tombstone is there       DualStore has deleted it: the tombstone's own change does the rest
    removed, a document is there        written again: so does its own change
    removed, Cosmos DB has an item      a tombstone is written in the name of who removed it, and repaired as any

A document says which item it was a copy of only as long as it can be read at an earlier read time.
"""

from __future__ import annotations

import datetime

from transforms.dual.kinds import Key, Kind
from transforms.dual.repairs import repair
from transforms.dual.rules import View
from transforms.dual.stored import COSMOS, FIRESTORE, Conflict, Draft, Failed, Version, Write, Written
from transforms.errors import JobError, RecordError
from transforms.firestore.changes.times import micros
from transforms.firestore.reader import read_paths
from transforms.firestore.target import FirestoreTarget
from transforms.follow.changes import Gone
from transforms.follow.firestore_feed import naming_of
from transforms.follow.repairing import Repairing
from transforms.migrate.documents import Stamp
from transforms.retry import Retry

_REMOVER = "removed"


class Removals:
    """Thread-safe.

    Args:
      target, collection: where the documents were.
      repairing: drives what follows.
    """

    def __init__(self, target: FirestoreTarget, kind: Kind, collection: str, repairing: Repairing, retry: Retry):
        self._target, self._kind, self._collection = target, kind, collection
        self._repairing, self._retry = repairing, retry

    def follow(self, gone: Gone, view: View) -> Failed | None:
        """Removes the item of a document that is gone. Returns what failed; None if it is done, or nothing is to do."""
        key = Key(gone.document_id, "", ())
        there = self._repairing.read(key, FIRESTORE)
        if there is not None:
            return there if isinstance(there, Failed) else None
        named = self._key_before(gone)
        if named is None:
            return None
        item = self._repairing.read(named, COSMOS)
        if isinstance(item, Failed):
            return item
        if item is None or item.is_tombstone or item.is_pending:
            return None  # forgotten since, or a pending write that is resolved by itself
        outcome = self._removed(named, gone.removed_at, view)
        return None if isinstance(outcome, bool) else outcome

    def remove(self, key: Key, version: Version, at: datetime.datetime, view: View) -> bool | Failed:
        """Removes an item of which there is no document, if it still has this version.

        Args:
          key: of the item.
          version: that it was found in.
          at: when it was found to have no document.

        Returns:
          Whether it was removed; False if there is a document by now, or another version. What failed.
        """
        there = self._repairing.read(key, FIRESTORE)
        if there is not None:
            return there if isinstance(there, Failed) else False
        item = self._repairing.read(key, COSMOS)
        if isinstance(item, Failed):
            return item
        if item is None or item.version != version or item.is_tombstone or item.is_pending:
            return False
        return self._removed(key, at, view)

    def _removed(self, named: Key, at: datetime.datetime, view: View) -> bool | Failed:
        """Writes a tombstone where there is nothing, and repairs it as any; whether it has."""
        stamp = Stamp(micros(at), _REMOVER, 0)
        request = Write(FIRESTORE, Draft(None, stamp), None)
        answer = self._repairing.stores[FIRESTORE].answer(named, request, self._repairing.limit_s())
        if isinstance(answer, Conflict):
            return False
        if not isinstance(answer, Written):
            return answer if isinstance(answer, Failed) else Failed("no answer")
        tombstone = self._repairing.read(named, FIRESTORE)
        if tombstone is None or isinstance(tombstone, Failed):
            return tombstone or False
        return self._repairing.run(named, repair(FIRESTORE, tombstone, view), tombstone) or True

    def _key_before(self, gone: Gone) -> Key | None:
        """The key that the document had; None if it can no longer be read: the comparison of keys finds it."""
        if gone.seen_at is None:
            return None
        path = f"{self._collection}/{gone.document_id}"
        try:
            (document,) = read_paths(self._target.connect(), [path], gone.seen_at, retry=self._retry)
            return self._kind.key_of(naming_of(document, is_tombstone=False)) if document.exists else None
        except (JobError, RecordError):
            self._repairing.counts.add("removed_unknown")
            return None
