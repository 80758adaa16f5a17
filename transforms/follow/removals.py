"""A document that was removed from Firestore past DualStore while Firestore is primary: the item goes, too.

    removed, a tombstone is there       DualStore has deleted it: the tombstone's own change does the rest
    removed, a document is there        written again: so does its own change
    removed, Cosmos DB has an item      a tombstone is written in the name of who removed it, and repaired as any

A document says which item it was a copy of only as long as it can be read at an earlier read time.
"""

from __future__ import annotations

from transforms.dual.kinds import Key, Kind
from transforms.dual.repairs import repair
from transforms.dual.rules import View
from transforms.dual.stored import COSMOS, FIRESTORE, Conflict, Draft, Failed, Write, Written
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
        stamp = Stamp(micros(gone.removed_at), _REMOVER, 0)
        request = Write(FIRESTORE, Draft(None, stamp), None)
        answer = self._repairing.stores[FIRESTORE].answer(named, request, self._repairing.limit_s())
        if isinstance(answer, Conflict):
            return None
        if not isinstance(answer, Written):
            return answer if isinstance(answer, Failed) else Failed("no answer")
        tombstone = self._repairing.read(named, FIRESTORE)
        if tombstone is None or isinstance(tombstone, Failed):
            return tombstone
        return self._repairing.run(named, repair(FIRESTORE, tombstone, view), tombstone)

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
