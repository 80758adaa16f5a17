"""An item of Cosmos DB as a document of Firestore, and back: pure, and the identity both ways.

    item (Cosmos DB)                            document (Firestore)
    id, name, scores, …                   ◀──▶  id, name, scores, …       the content: whole numbers are integers
    ttl: 60                               ◀──▶  expire_at, _meta.ttl      _ts + ttl, for a time-to-live policy
    [[1]]                                 ◀──▶  [{"_array": [1]}]         with nested_arrays=wrap
    _ts, _etag                             ──▶  _meta._ts, _meta._etag    the version of which it is a copy
    _rid, _self, _attachments, _lsn             left out
                                                source_system, migration_timestamp
    _meta: stamp, update_time, pending    ◀──▶  _meta: stamp, pending, and what ingest writes
    _deleted: true, a tombstone           ◀──▶  a document of that id in COLLECTION_tombstones

`content_of` and `content_in` give the same content of either, so "unchanged" means the same wherever it is asked. What
one of the two cannot hold is a `RecordError` that names the field and shows no value.

    >>> item = {"id": "a", "score": 1.0, "ttl": 60, "_ts": 0, "_etag": "1"}
    >>> document = document_of(item, {}, datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc))
    >>> document["score"], document["expire_at"].isoformat(), document["_meta"]
    (1, '1970-01-01T00:01:00+00:00', {'_ts': 0, '_etag': '1', 'ttl': 60})
    >>> item_of(document)
    {'id': 'a', 'score': 1, 'ttl': 60}
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, NamedTuple

from transforms.errors import RecordError
from transforms.migrate.converted import as_json, flat, nested

META_FIELD = "_meta"
DELETED_FIELD = "_deleted"
SOURCE_SYSTEM = "cosmos_migration"

# What Cosmos DB itself writes into an item; `_lsn` is in its change feed only.
SYSTEM_FIELDS = frozenset({"_rid", "_self", "_etag", "_attachments", "_ts", "_lsn"})
# Beside the content of a document; none of them is content.
BESIDE_FIELDS = frozenset({"source_system", "migration_timestamp", "expire_at"})
# Names that no item may have for itself. An item's `_meta` is ours if it has a stamp.
OWN_FIELDS = BESIDE_FIELDS | {META_FIELD, DELETED_FIELD}
_NOT_CONTENT = SYSTEM_FIELDS | OWN_FIELDS

REFUSE, WRAP = "refuse", "wrap"
NESTED_ARRAYS = (REFUSE, WRAP)

# Seconds. Source: "Time to live" in the documentation of Cosmos DB.
MAX_TTL_S = 2**31 - 1

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


class Stamp(NamedTuple):
    """When a DualStore began a write; of two stamps the greater one is the later.

    Attributes:
      time: microseconds since the epoch, by the clock of the instance, and later than any stamp that it could see.
      instance: of the application.
      n: counted by the instance, so that none of its stamps are equal.
    """

    time: int
    instance: str = ""
    n: int = 0

    def as_fields(self) -> dict[str, Any]:
        """As both stores keep it."""
        return self._asdict()


_STAMP_FIELDS = set(Stamp._fields)
_ITEM_META_FIELDS = {"stamp", "update_time", "pending"}


def content_of(item: Mapping[str, Any], *, may_share: bool = False) -> dict[str, Any]:
    """The content of an item: what hashes are made of, what is compared, and what another store gets.

    Args:
      may_share: whether the content may have the item's own maps and arrays, because nobody changes them afterwards.

    Raises:
      RecordError: INTEGER_OUT_OF_RANGE or NOT_JSON: a value that Cosmos DB does not hold exactly.

    >>> content_of({"id": "a", "n": 2.0, "_ts": 7, "_meta": {"stamp": {}}})
    {'id': 'a', 'n': 2}
    """
    return as_json({name: value for name, value in item.items() if name not in _NOT_CONTENT}, may_share=may_share)


def document_of(
    item: Mapping[str, Any],
    meta: Mapping[str, Any],
    now: datetime.datetime,
    nested_arrays: str = REFUSE,
) -> dict[str, Any]:
    """The document of an item, as Python values.

    Args:
      item: as Cosmos DB gives it, or content that it does not have yet.
      meta: what `_meta` gets beside `meta_of(item)`: hash, version and so on.
      now: when it is migrated.
      nested_arrays: `refuse` or `wrap`.

    Raises:
      RecordError: as `content_of`; NESTED_ARRAY.
    """
    fields = fields_of(content_of(item), nested_arrays)
    return {**fields, **beside(item, now), META_FIELD: {**meta, **meta_of(item)}}


def fields_of(content: Mapping[str, Any], nested_arrays: str = REFUSE) -> dict[str, Any]:
    """The document's fields of a content, without what is beside them.

    Raises:
      RecordError: NESTED_ARRAY: an array directly in an array, and nested_arrays is refuse.

    >>> fields_of({"rows": [[1], {"_array": [2]}]}, WRAP)
    {'rows': [{'_array': [1]}, {'__array': [2]}]}
    """
    if nested_arrays not in NESTED_ARRAYS:
        raise ValueError(f"nested_arrays must be one of {', '.join(NESTED_ARRAYS)}, got {nested_arrays!r}")
    has_ttl = _ttl(content) is not None
    kept = {name: value for name, value in content.items() if not (has_ttl and name == "ttl")}
    return flat(kept, wraps=nested_arrays == WRAP)


def beside(item: Mapping[str, Any], now: datetime.datetime) -> dict[str, Any]:
    """The fields of a document that are beside its content."""
    fields: dict[str, Any] = {"source_system": SOURCE_SYSTEM, "migration_timestamp": now}
    if (at := expire_at(item, now)) is not None:
        fields["expire_at"] = at
    return fields


def expire_at(item: Mapping[str, Any], now: datetime.datetime) -> datetime.datetime | None:
    """When an item expires; None for never. One that Cosmos DB does not have yet counts from now."""
    ttl = _ttl(item)
    if ttl is None:
        return None
    since = now if "_ts" not in item else _EPOCH + datetime.timedelta(seconds=item["_ts"])
    return since + datetime.timedelta(seconds=ttl)


def meta_of(item: Mapping[str, Any]) -> dict[str, Any]:
    """What a document's `_meta` says of the item it is a copy of, as far as it is there."""
    meta: dict[str, Any] = {name: item[name] for name in ("_ts", "_etag") if name in item}
    if (ttl := _ttl(item)) is not None:
        meta["ttl"] = ttl
    if (stamp := stamp_of(item)) is not None:
        meta["stamp"] = stamp.as_fields()
    if is_pending(item):
        meta["pending"] = True
    return meta


def content_in(fields: Mapping[str, Any], document_id: str | None = None) -> dict[str, Any]:
    """The content of a document, equal to that of the item it is a copy of.

    Args:
      fields: of the document, as Python values.
      document_id: what becomes the item's id if the document has no field `id`.

    Raises:
      RecordError: as `content_of`; NO_ID; RESERVED_FIELD: a field that Cosmos DB would overwrite.
    """
    reserved = SYSTEM_FIELDS.intersection(fields)
    if reserved:
        raise RecordError("RESERVED_FIELD", f"{min(reserved)}: Cosmos DB writes a value of its own there; rename it")
    content = nested({name: value for name, value in fields.items() if name not in OWN_FIELDS})
    if "id" not in content:
        if document_id is None:
            raise RecordError("NO_ID", "the document has no field id, which every item must have")
        content["id"] = document_id
    if "ttl" in (meta := _meta(fields)):
        content["ttl"] = meta["ttl"]
    return content


def item_of(
    fields: Mapping[str, Any], meta: Mapping[str, Any] | None = None, document_id: str | None = None
) -> dict[str, Any]:
    """The item of a document, as it is written to Cosmos DB.

    Args:
      fields: of the document, as Python values.
      meta: the item's `_meta`, see `copied_from`; default: none.
      document_id: as in `content_in`.

    Raises:
      RecordError: as `content_in`.
    """
    content = content_in(fields, document_id)
    return {**content, META_FIELD: dict(meta)} if meta else content


def copied_from(
    stamp: Stamp | None, update_time: datetime.datetime | None, *, is_pending: bool = False
) -> dict[str, Any]:
    """The `_meta` of an item that DualStore or the job writes.

    Args:
      stamp: of the write; None if nobody gave it one.
      update_time: of the document of which it is a copy; None if it is not one.
      is_pending: whether Firestore has yet to get it.
    """
    meta: dict[str, Any] = {}
    if stamp is not None:
        meta["stamp"] = stamp.as_fields()
    if update_time is not None:
        meta["update_time"] = update_time.astimezone(datetime.timezone.utc).isoformat()
    if is_pending:
        meta["pending"] = True
    return meta


def tombstone_of(item_id: str, partition_key: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    """The item that says that an item of this id was deleted.

    Args:
      partition_key: fields that make up its partition key.

    >>> tombstone_of("a", {"student": "s"}, {"stamp": {}})
    {'student': 's', 'id': 'a', '_deleted': True, '_meta': {'stamp': {}}}
    """
    return {**partition_key, "id": item_id, DELETED_FIELD: True, META_FIELD: dict(meta)}


def tombstones_of(collection: str) -> str:
    """The collection of the tombstones of a collection's documents.

    >>> tombstones_of("student_attempts")
    'student_attempts_tombstones'
    """
    return f"{collection}_tombstones"


def is_migrated(fields: Mapping[str, Any]) -> bool:
    """Whether a document is the copy of an item.

    >>> is_migrated({"source_system": "cosmos_migration", "_meta": {"_ts": 1}}), is_migrated({"id": "a"})
    (True, False)
    """
    return fields.get("source_system") == SOURCE_SYSTEM and not _meta(fields).keys().isdisjoint(("_ts", "stamp"))


def is_tombstone(item: Mapping[str, Any]) -> bool:
    """Whether an item says that it was deleted."""
    return item.get(DELETED_FIELD) is True and _is_ours(item)


def is_pending(fields: Mapping[str, Any]) -> bool:
    """Whether only the store it was read from has accepted an item or document."""
    return _meta(fields).get("pending") is True


def stamp_of(fields: Mapping[str, Any]) -> Stamp | None:
    """The stamp of an item or document; None if it has none, so that its time of change counts."""
    stamp = _meta(fields).get("stamp")
    if not isinstance(stamp, Mapping) or stamp.keys() != _STAMP_FIELDS or type(stamp["time"]) is not int:
        return None
    return Stamp(**stamp)


def own_fields_of(item: Mapping[str, Any]) -> list[str]:
    """Fields of an item that have our names and are not ours: such an item is refused.

    >>> own_fields_of({"id": "a", "_meta": {"page": 1}, "expire_at": 0})
    ['_meta', 'expire_at']
    """
    found = OWN_FIELDS.intersection(item)
    return sorted(found - {META_FIELD, DELETED_FIELD} if _is_ours(item) else found)


def check_own_fields(item: Mapping[str, Any]) -> None:
    """Raises RecordError: RESERVED_FIELD: a field of an item has a name that is ours, and is not."""
    if own := own_fields_of(item):
        raise RecordError("RESERVED_FIELD", f"{own[0]}: Firebeam keeps its own data there; rename the field")


def _is_ours(item: Mapping[str, Any]) -> bool:
    """Whether the `_meta` of an item was made by `copied_from`."""
    meta = _meta(item)
    return bool(meta) and meta.keys() <= _ITEM_META_FIELDS and (stamp_of(item) is not None or "stamp" not in meta)


def _meta(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = fields.get(META_FIELD)
    return meta if isinstance(meta, Mapping) else {}


def _ttl(item: Mapping[str, Any]) -> int | None:
    """Seconds; None where Cosmos DB lets an item live for ever, or for as long as its container says."""
    ttl: Any = item.get("ttl")
    is_ttl = type(ttl) in (int, float) and 0 < ttl <= MAX_TTL_S and ttl == int(ttl)
    return int(ttl) if is_ttl else None
