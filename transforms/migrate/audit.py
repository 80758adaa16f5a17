"""What a copy would refuse: the copy with its writes switched off. Plain Python; the steps are in `steps.py`.

    Batch[Keyed] ─as_if_new─▶ Batch[Compared] ─flatten─▶ Batch[Flat] ─check─▶ Batch[Written], nothing written
                                                                      └─fingerprints─▶ ids that several items have

Every record goes through the functions that make the documents of a copy, so the two cannot disagree. What a copy finds
only in Firestore, that another item has a document's id already, is found by 16 bytes per item instead.
"""

from __future__ import annotations

import datetime
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from transforms.batch import Batch, DeadLetter
from transforms.unexpected import FAILURES
from transforms.upsert.entries import Compared, Flat, Keyed, Written
from transforms.upsert.failures import unexpected_of
from transforms.upsert.groups import group_of
from transforms.upsert.layout import Layout
from transforms.upsert.stored import NOTHING
from transforms.upsert.versions import Verdict

STEP = "UpsertPairs"  # of a copy: the same reason has the same name in both
SHARDS = 16
_DIGEST_BYTES = 8
_META: Mapping[str, Any] = {
    "schema_version": 1,
    "version": 1,
    "content_hash": "0" * 32,
    "created_at": datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
    "updated_at": datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
    "attempt": 1,
}


def as_if_new(batch: Batch[Keyed]) -> Batch[Compared]:
    """The batch as if nothing were stored."""
    return batch.then([Compared(*entry, NOTHING, Verdict.WRITE) for entry in batch.entries])


def check(batch: Batch[Flat], layout: Layout, job_id: str) -> Batch[Written]:
    """The batch without the records whose documents Firestore would refuse. Nothing is written."""
    fit: list[Written] = []
    unfit: list[DeadLetter] = []
    unexpected = unexpected_of([entry.record for entry in batch.entries], "making the document")
    for entry in batch.entries:
        record = entry.record
        place = {"source": batch.source, "position": record.position, "job_id": job_id, "batch_id": batch.batch_id}
        meta = {**_META, **place, **layout.meta_of(record)}
        try:
            group_of(entry, meta, layout)
        except FAILURES as error:
            unfit.append(DeadLetter.of(STEP, record, unexpected.as_record_error(error), entry.key))
        else:
            fit.append(Written(entry.key, record, entry.flat, meta, meta["updated_at"], unchanged=True))
    unexpected.check_not_alike()
    return batch.then(fit, unfit, counts={"audited": len(fit), "unchanged": 0})


def fingerprints(batch: Batch[Written]) -> Iterator[tuple[int, bytes]]:
    """The ids of a batch's documents and the items they are made of, in some parts by id: 8 and 8 bytes each."""
    parts: dict[int, list[bytes]] = defaultdict(list)
    for entry in batch.entries:
        if entry.record.version is not None and entry.record.version.record:
            key = key_digest(entry.key)
            parts[key[0] % SHARDS].append(key + _digest(entry.record.version.record))
    for shard, pairs in parts.items():
        yield shard, b"".join(pairs)


def shared_keys(parts: Iterable[bytes]) -> frozenset[bytes]:
    """The digests of ids that more than one item has.

    >>> shared_keys([b"keyAitem1111" b"....", b""])
    frozenset()
    """
    first: dict[bytes, bytes] = {}
    shared: set[bytes] = set()
    for part in parts:
        for at in range(0, len(part), 2 * _DIGEST_BYTES):
            key, item = part[at : at + _DIGEST_BYTES], part[at + _DIGEST_BYTES : at + 2 * _DIGEST_BYTES]
            if first.setdefault(key, item) != item:
                shared.add(key)
    return frozenset(shared)


def key_digest(key: str) -> bytes:
    """Of a document id, as `fingerprints` has it."""
    return _digest(key)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()
