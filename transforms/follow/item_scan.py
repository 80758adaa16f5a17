"""Items whose documents are gone while Firestore is primary: found by comparing keys. Plain Python.

    items of the container, some hundred ──ids──▶ documents and tombstones that Firestore has ──▶ items without either
                                                                            │ both read again, one by one
                                                                            ▼
                                         removed as if Listen had shown it, unless the item has another version by now

Listen shows deletes as long as Firestore can be read at the time when the job stopped. What was deleted before that is
found here. Only items that had a document go: copies of one, and those of before the last verify that found the stores
equal. An item that Firestore never took, or that others wrote into Cosmos DB since, stays and is counted.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from transforms.cosmos.connection import Connection
from transforms.cosmos.items import accessor
from transforms.cosmos.reads import query
from transforms.dual.items import version_of
from transforms.dual.kinds import Key, Kind
from transforms.dual.rules import View
from transforms.dual.stored import FIRESTORE, Version
from transforms.errors import JobError, RecordError, TransientError
from transforms.firestore.fetch import fetch_all
from transforms.firestore.query import Query
from transforms.firestore.reader import MAX_PATHS_PER_REQUEST, REQUEST_TIMEOUT_S, read
from transforms.firestore.target import FirestoreTarget
from transforms.follow.removals import Removals
from transforms.migrate.documents import META_FIELD, is_pending, is_tombstone, tombstones_of
from transforms.retry import Retry

# How far the clocks of the stores and of verify may be apart.
_CLOCKS = datetime.timedelta(minutes=1)
_OURS = ("id", "_ts", "_etag", META_FIELD, "_deleted")


class Candidate(NamedTuple):
    """An item that may have to go, as the comparison found it.

    Attributes:
      had_document: whether it is known to have had one.
    """

    key: Key
    version: Version
    had_document: bool


class ItemScan:
    """Removes the items of documents that are gone.

    Args:
      connection: the container.
      target, collection: where the documents are.
      removals: removes an item.
      equal_at: when a verify began that found the stores equal; None for never.
      view: what repairs go by; None around a change of the primary.
      now: the time of the migration's document.
    """

    def __init__(
        self,
        connection: Connection,
        target: FirestoreTarget,
        kind: Kind,
        collection: str,
        removals: Removals,
        equal_at: Callable[[], datetime.datetime | None],
        view: Callable[[], View | None],
        now: Callable[[], datetime.datetime],
        retry: Retry,
    ):
        self._connection, self._target, self._kind, self._collection = connection, target, kind, collection
        self._removals, self._equal_at, self._view, self._now = removals, equal_at, view, now
        self._retry = retry

    def __call__(self) -> Mapping[str, Any]:
        """How many items were compared, removed, and have no document for reasons that nobody knows.

        Raises:
          JobError: the collection is empty, so everything would be removed.
          TransientError: a request failed too often, or the phase is about to change.
        """
        equal_at, is_checked = self._equal_at(), False
        compared = removed = unknown = 0
        for items in self._pages():
            compared += len(items)
            for each in self._missing([candidate for item in items if (candidate := self._candidate(item, equal_at))]):
                if not each.had_document:
                    unknown += 1
                    continue
                if not is_checked:
                    self._check_not_empty()
                    is_checked = True
                removed += self._remove(each)
        return {"items_compared": compared, "items_deleted": removed, "items_without_document": unknown}

    def _pages(self) -> Iterator[list[Mapping[str, Any]]]:
        names = [*_OURS, *(name for name in self._kind.naming_fields if name not in _OURS)]
        members = ", ".join(f"{accessor([name])} AS f{n}" for n, name in enumerate(names))
        text = f"SELECT {members} FROM c"  # noqa: S608  # names of fields, quoted
        for page in query(self._connection, text, max_items=MAX_PATHS_PER_REQUEST):
            yield [{name: row[f"f{n}"] for n, name in enumerate(names) if f"f{n}" in row} for row in page]

    def _candidate(self, item: Mapping[str, Any], equal_at: datetime.datetime | None) -> Candidate | None:
        """None for tombstones, for writes that Firestore has yet to get, and for items that are not records."""
        if is_tombstone(item) or is_pending(item):
            return None
        try:
            key = self._kind.key_of(item)
        except RecordError:
            return None
        return Candidate(key, version_of(item), had_document(item, equal_at))

    def _missing(self, candidates: Sequence[Candidate]) -> Iterator[Candidate]:
        missing = candidates
        for collection in (self._collection, tombstones_of(self._collection)):
            there = self._there([f"{collection}/{each.key.document_id}" for each in missing])
            missing = [each for each in missing if f"{collection}/{each.key.document_id}" not in there]
        return iter(missing)

    def _there(self, paths: Sequence[str]) -> set[str]:
        """Which documents exist. A page has no more than one request takes."""
        if not paths:
            return set()
        client, prefix = self._target.connect(), self._target.document_name("")
        names = [prefix + path for path in dict.fromkeys(paths)]
        asked = partial(client.batch_get, names, (META_FIELD,), REQUEST_TIMEOUT_S)
        answers = fetch_all(client, asked, self._retry)
        return {answer.found.name.removeprefix(prefix) for answer in answers if answer.HasField("found")}

    def _check_not_empty(self) -> None:
        if not any(read(self._target.connect(), Query(self._collection).limit(1), retry=self._retry)):
            raise JobError(
                f"{self._collection} holds no documents, so every item of {self._connection.label} would be deleted; "
                "check the names, or pass --deletes=ignore"
            )

    def _remove(self, candidate: Candidate) -> bool:
        view = self._view()
        if view is None or view.primary != FIRESTORE:
            raise TransientError("the phase changes; keys are compared again once Firestore is the steady primary")
        outcome = self._removals.remove(candidate.key, candidate.version, self._now(), view)
        if not isinstance(outcome, bool):
            raise TransientError(outcome.reason)
        return outcome


def had_document(item: Mapping[str, Any], equal_at: datetime.datetime | None) -> bool:
    """Whether Firestore is known to have held an item in this version.

    >>> noon = datetime.datetime.fromtimestamp(1_000, datetime.timezone.utc)
    >>> had_document({"_ts": 900}, noon), had_document({"_ts": 990}, noon), had_document({"_ts": 900}, None)
    (True, False, False)
    >>> had_document({"_ts": 990, "_meta": {"update_time": "2026-01-01T00:00:00+00:00"}}, None)
    True
    """
    meta = item.get(META_FIELD)
    if isinstance(meta, Mapping) and "update_time" in meta:
        return True
    if equal_at is None:
        return False
    return datetime.datetime.fromtimestamp(item["_ts"], datetime.timezone.utc) < equal_at - _CLOCKS
