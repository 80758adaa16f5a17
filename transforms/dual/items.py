"""What Cosmos DB keeps of a record for DualStore: items of records, tombstones among them. No request here.

{"id": …, …, "_meta": {"stamp": {…}, "update_time": …, "pending": true}}     an item
{"id": …, partition key, "_deleted": true, "_meta": {…}}                     its tombstone
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from transforms.dual.kinds import Key
from transforms.dual.stored import Draft, Stored, Version
from transforms.migrate.documents import (
    META_FIELD,
    Stamp,
    content_of,
    copied_from,
    is_pending,
    is_tombstone,
    stamp_of,
    tombstone_of,
)

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)


def version_of(item: Mapping[str, Any]) -> Version:
    """The version of an item as the service gives it."""
    return Version(item["_ts"] * 1_000_000, item["_etag"])


def stored_of(item: Mapping[str, Any], *, needs_content: bool = True) -> Stored:
    """An item as the service gives it. Raises RecordError for values that Cosmos DB should not hold.

    Args:
      needs_content: as in `Read`; without, nothing is converted.

    >>> stored_of({"id": "a", "_ts": 7, "_etag": "e"})
    Stored(content={'id': 'a'}, version=Version(time=7000000, tag='e'), stamp=Stamp(time=7000000, instance='', n=0), \
copied=None, is_pending=False)
    """
    version = version_of(item)
    return Stored(
        None if is_tombstone(item) else content_of(item) if needs_content else {},
        version,
        stamp_of(item) or Stamp(version.time),
        _copied(item),
        is_pending(item),
    )


def item_of(key: Key, draft: Draft) -> dict[str, Any]:
    """The item of a draft."""
    copied = None if draft.copied is None else _EPOCH + draft.copied.time * _MICROSECOND
    meta = copied_from(draft.stamp, copied, is_pending=draft.is_pending)
    if draft.content is None:
        naming = {name: value for name, value in key.naming.items() if name != "id"}
        return tombstone_of(key.item_id, naming, meta)
    return {**draft.content, META_FIELD: meta}


def _copied(item: Mapping[str, Any]) -> Version | None:
    meta = item.get(META_FIELD)
    text = meta.get("update_time") if isinstance(meta, Mapping) else None
    if not isinstance(text, str):
        return None
    try:
        return Version((datetime.datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND)
    except (TypeError, ValueError):
        return None  # somebody else's `_meta`: such an item is refused by the audit
