"""What a copy would refuse: the copy with its writes switched off. Plain Python; the steps are in `steps.py`.

    Batch[Record] ──check──▶ Batch[Audited], nothing written
                                  └─fingerprints─▶ ids that several items have

Every item goes through the functions that make the documents of a copy, so the two cannot disagree; one whose values
show that its document will do is spared the encoding. What a copy finds only in Firestore, that another item has a
document's id already, is found by 16 bytes per item instead.
"""

from __future__ import annotations

import datetime
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from transforms.batch import Batch, DeadLetter, Record
from transforms.firestore.fit import surely_fits
from transforms.firestore.values import encoded_fields
from transforms.migrate.documents import expire_at
from transforms.migrate.items import ItemForm, MigratedLayout
from transforms.records.canonical import canonical
from transforms.records.spec import FieldTally, RecordSpec
from transforms.unexpected import FAILURES
from transforms.upsert.entries import Flat
from transforms.upsert.failures import unexpected_of
from transforms.upsert.groups import group_of
from transforms.upsert.records import N_SAMPLES, key_of, report_of, value_for
from transforms.upsert.stored import NOTHING
from transforms.upsert.versions import Verdict

# Of a copy: the same reason has the same name in both.
IDENTIFY, FLATTEN, STEP = "IdentifyRecords", "FlattenRecords", "UpsertPairs"
SHARDS = 16
_STEPS = {
    IDENTIFY: "identifying the record",
    FLATTEN: "flattening the record",
    STEP: "making the document",
}
_DIGEST_BYTES = 8
_NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
_META: Mapping[str, Any] = {
    "schema_version": 1,
    "version": 1,
    "content_hash": "0" * 32,
    "created_at": _NOW,
    "updated_at": _NOW,
    "attempt": 1,
}


class Audited(NamedTuple):
    """An item that a copy would store.

    Attributes:
      key: the id of its document.
      item: what tells it from all other items.
      unchanged: nothing was written.
    """

    key: str
    item: str
    unchanged: bool = True


def check(
    batch: Batch[Record], spec: RecordSpec, form: ItemForm, layout: MigratedLayout, job_id: str
) -> Batch[Audited]:
    """The batch without the items that a copy would refuse. Nothing is written."""
    entries = batch.entries
    spec = spec.in_units(spec.units_of(value_for(record, spec) for record in entries))
    trial = _Trial(spec, form, layout, {**_META, "source": batch.source, "job_id": job_id, "batch_id": batch.batch_id})
    unexpected = {step: unexpected_of(entries, doing) for step, doing in _STEPS.items()}
    fit: list[Audited] = []
    unfit: list[DeadLetter] = []
    samples: list[Record] = []
    for record in entries:
        try:
            key, read = trial.of(record)
        except FAILURES as error:
            refused = unexpected[trial.step].as_record_error(error)
            unfit.append(DeadLetter.of(trial.step, record, refused, trial.key))
            continue
        fit.append(Audited(key, read.version.record if read.version else ""))
        if len(samples) < N_SAMPLES:
            samples.append(read)
    for errors in unexpected.values():
        errors.check_not_alike()
    report = report_of(batch, spec, trial.tally, samples)
    return batch.then(fit, unfit, fields=report, counts={"audited": len(fit), "unchanged": 0})


class _Trial:
    """Does with one item after the other what a copy does with it, up to the request.

    Attributes:
      step: of a copy, the one that is being tried.
      key: id of the item's document, once it is known.
      tally: what the spec found.
    """

    def __init__(self, spec: RecordSpec, form: ItemForm, layout: MigratedLayout, meta: Mapping[str, Any]):
        self._spec, self._form, self._layout, self._meta = spec, form, layout, meta
        self.step, self.tally = "", FieldTally()
        self.key: str | None = None

    def of(self, record: Record) -> tuple[str, Record]:
        """The item's document id, and the item as it is read. Raises RecordError, or another one of FAILURES."""
        spec, form = self._spec, self._form
        self.step, self.key = IDENTIFY, None
        self.key = key = key_of(record, spec)
        record = form.read(record)
        # Whether a document can be made is nearly always plain from the values, at a tenth of the cost of making it.
        fits = surely_fits(record.value)
        if not fits:
            canonical(form.content_of(record, spec))
        self.step = FLATTEN
        content = b"" if fits else encoded_fields(form.fields_of(record))
        flat = spec.flatten(value_for(record, spec), key, self.tally)
        self.step = STEP
        if fits:
            expire_at(record.value, _NOW)
        else:
            meta = {**self._meta, "position": record.position, **self._layout.meta_of(record)}
            group_of(Flat(key, record, "", NOTHING, Verdict.WRITE, content, flat), meta, self._layout)
        return key, record


def fingerprints(batch: Batch[Audited]) -> Iterator[tuple[int, bytes]]:
    """The ids of a batch's documents and the items they are made of, in some parts by id: 8 and 8 bytes each."""
    parts: dict[int, list[bytes]] = defaultdict(list)
    for entry in batch.entries:
        if entry.item:
            key = key_digest(entry.key)
            parts[key[0] % SHARDS].append(key + _digest(entry.item))
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
