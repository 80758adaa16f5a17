"""What Firestore keeps of a record for DualStore: the requests for it, and what is read from the answers. No RPC here.

COLLECTION/{id}               the document     ┐ one of the two, written in one Commit under the condition
COLLECTION_tombstones/{id}    its tombstone    ┘ that both are as they were read
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from transforms.dual.finding import Search, steps_of
from transforms.dual.kinds import Key, Kind
from transforms.dual.stored import Draft, Read, Remove, Stored, Version, Write
from transforms.firestore import field_paths, messages
from transforms.firestore.limits import check_document
from transforms.firestore.query import Query
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import decode_fields, encoded_fields, timestamp
from transforms.migrate.documents import (
    META_FIELD,
    REFUSE,
    Stamp,
    content_in,
    document_of,
    stamp_of,
    tombstones_of,
)
from transforms.records.canonical import canonical
from transforms.upsert.records import content_hash
from transforms.upsert.source_versions import another_has_its_id

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)
SOURCE = "dual_write"
# Appended to a delete: nothing may be there. Precondition.exists = false.
_ABSENT = messages.IF_ABSENT


class Documents:
    """The documents of one kind in one database.

    Args:
      target: the database.
      kind: of the records.
      nested_arrays: as in `document_of`.
    """

    def __init__(self, target: FirestoreTarget, kind: Kind, nested_arrays: str = REFUSE):
        self._kind, self._nested_arrays = kind, nested_arrays
        self._naming = (META_FIELD, *(field_paths.render([name]) for name in kind.names_of_item))
        self._documents = target.document_name(kind.collection) + "/"
        self._tombstones = target.document_name(tombstones_of(kind.collection)) + "/"

    def names(self, key: Key) -> tuple[str, str]:
        """Of the document and of its tombstone."""
        return self._documents + key.document_id, self._tombstones + key.document_id

    def mask(self, read: Read) -> tuple[str, ...]:
        """The field paths that a read needs; empty for all."""
        return () if read.needs_content else self._naming

    def found(self, key: Key, read: Read, answers: Iterable[Any]) -> Stored | None:
        """The record, from the answers of a BatchGetDocuments for its names.

        Raises:
          RecordError: ID_OF_ANOTHER_ITEM: the document is that of another item.
        """
        held = [self._stored(key, read, answer.found) for answer in answers if answer.HasField("found")]
        return max(held, key=lambda each: (each.stamp, each.version), default=None)

    def content(self, message: Any) -> dict[str, Any]:
        """The item of a protobuf `Document`. Raises RecordError."""
        return content_in(decode_fields(message.fields))

    def query(self, search: Search) -> Query:
        """Firestore's query."""
        query = Query(self._kind.collection)
        for field, sign, value in search.where:
            query = query.where(field_paths.render(steps_of(field)), sign, value)
        if search.order_by is not None:
            query = query.order_by(field_paths.render(steps_of(search.order_by)), descending=search.descending)
        return query.limit(search.limit)

    def writes(self, key: Key, write: Write, now: datetime.datetime) -> list[bytes]:
        """The serialised `Write`s of one Commit; the first one's update_time is the version.

        Raises:
          RecordError: Firestore cannot hold the document.
        """
        document, tombstone = self.names(key)
        is_over_tombstone = write.over is not None and write.over.is_tombstone
        at_document = _condition(None if is_over_tombstone else write.over, write)
        at_tombstone = _condition(write.over if is_over_tombstone else None, write)
        fields = encoded_fields(self._fields(key, write.draft, write.over, now))
        if write.draft.content is None:
            update = messages.update(messages.document(tombstone, fields)) + at_tombstone
            return [update, messages.delete(document) + at_document]
        serialised = messages.document(document, fields)
        check_document(serialised)
        return [messages.update(serialised) + at_document, messages.delete(tombstone) + at_tombstone]

    def removal(self, key: Key, remove: Remove) -> list[bytes]:
        """The serialised `Write` that removes a tombstone."""
        _, tombstone = self.names(key)
        return [messages.delete(tombstone) + messages.if_unchanged_since(_time(remove.found.version))]

    def version(self, response: Any) -> Version:
        """That a Commit gave the record, from its response."""
        results = response.write_results
        time = results[0].update_time if results and results[0].HasField("update_time") else response.commit_time
        return _version(time)

    def _fields(self, key: Key, draft: Draft, over: Stored | None, now: datetime.datetime) -> dict[str, Any]:
        meta: dict[str, Any] = {"stamp": draft.stamp.as_fields()}
        if draft.is_pending:
            meta["pending"] = True
        if draft.content is None:
            meta["key"] = dict(key.naming)
            if draft.copied is not None:
                meta.update(_source_version(draft.copied))
            return {META_FIELD: meta}
        kept: Mapping[str, Any] = over.kept if over is not None else {}
        digest = content_hash(canonical(draft.content), self._kind.spec.fingerprint)
        is_same = kept.get("content_hash") == digest
        meta |= {
            "schema_version": self._kind.spec.schema_version,
            "version": kept.get("version", 0) + (0 if is_same else 1),
            "content_hash": digest,
            "created_at": kept.get("created_at", now),
            "updated_at": now,
            "source": SOURCE,
            "position": -1,
            "job_id": "",
            "batch_id": "",
            "attempt": 0,
        }
        source = _source_version(draft.copied) if draft.copied is not None else {}
        return document_of({**draft.content, **source}, meta, now, self._nested_arrays)

    def _stored(self, key: Key, read: Read, message: Any) -> Stored:
        fields = decode_fields(message.fields)
        meta = fields.get(META_FIELD)
        known: Mapping[str, Any] = meta if isinstance(meta, Mapping) else {}
        version = _version(message.update_time)
        is_tombstone = message.name.startswith(self._tombstones)
        if self._kind.is_of_another(key, known.get("key", key.naming) if is_tombstone else fields):
            if not is_tombstone or known.get("pending") is True:
                raise another_has_its_id()
            # The other item is gone, so the id is free; when it was deleted says nothing about this one.
            return Stored(None, version, Stamp(0))
        copied = Version(known["_ts"] * 1_000_000, known["_etag"]) if "_ts" in known and "_etag" in known else None
        created = timestamp(message.create_time.seconds, message.create_time.nanos)
        return Stored(
            None if is_tombstone else content_in(fields, key.item_id) if read.needs_content else {},
            version,
            stamp_of(fields) or Stamp(copied.time if copied is not None else version.time),
            copied,
            known.get("pending") is True,
            {
                "version": known.get("version", 0),
                "content_hash": known.get("content_hash", ""),
                "created_at": known.get("created_at", created),
            },
        )


def _condition(found: Stored | None, write: Write) -> bytes:
    if not write.is_guarded:
        return b""
    return _ABSENT if found is None else messages.if_unchanged_since(_time(found.version))


def _source_version(copied: Version) -> dict[str, Any]:
    return {"_ts": copied.time // 1_000_000, "_etag": copied.tag}


def _version(time: Any) -> Version:
    return Version(time.seconds * 1_000_000 + time.nanos // 1_000)


def _time(version: Version) -> datetime.datetime:
    return _EPOCH + version.time * _MICROSECOND
