"""What can be said of records without a service: who each is, and what the spec makes of it. Plain Python.

    Batch[Record] ──identify──▶ Batch[Keyed] ─ … ─▶ Batch[Compared] ──flatten──▶ Batch[Flat]
                        │                                               │
                        ▼                                               ▼
            MISSING_ID, INVALID_ID …                INTEGER_OUT_OF_RANGE, TOO_DEEP, MISSING_FIELD …

They are two because a record whose documents already have the same hash needs no flat form, nor an encoding.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from transforms.batch import Batch, DeadLetter, Record, is_first_of_slice
from transforms.errors import RecordError
from transforms.firestore.values import encoded_fields
from transforms.records.canonical import canonical
from transforms.records.spec import FieldTally, RecordSpec
from transforms.upsert.entries import Compared, Flat, Keyed
from transforms.upsert.layout import META_FIELD

_HASH_BYTES = 16
_SAMPLES = 5  # records


def identify(batch: Batch[Record], spec: RecordSpec) -> Batch[Keyed]:
    """The batch with ids and hashes, and with the units that its Unix times are in."""
    units = spec.units_of(record.value for record in batch.entries)
    spec = spec.in_units(units)
    keyed, unfit = [], []
    for record in batch.entries:
        key = None
        try:
            key = spec.key_of(record.value, record.fallback_id)
            digest = content_hash(canonical(without_meta(record.value)), spec.fingerprint)
        except RecordError as error:
            unfit.append(DeadLetter.of("IdentifyRecords", record, error, key))
        else:
            keyed.append(Keyed(key, record, digest))
    return batch.then(keyed, unfit, units=units)


def flatten(batch: Batch[Compared], spec: RecordSpec) -> Batch[Flat]:
    """The batch with contents and flat forms, and with what the spec found in its records."""
    spec, tally = spec.in_units(batch.units), FieldTally()
    flat, unfit = [], []
    for entry in batch.entries:
        try:
            value = entry.record.value
            flat.append(Flat(*entry, encoded_fields(without_meta(value)), spec.flatten(value, entry.key, tally)))
        except RecordError as error:
            unfit.append(DeadLetter.of("FlattenRecords", entry.record, error, entry.key))
    # To compare paths takes as long as to flatten a hundred records, and other batches of the slice look alike.
    samples = [entry.record.value for entry in flat[:_SAMPLES]] if is_first_of_slice(batch.batch_id) else []
    return batch.then(flat, unfit, fields=spec.report(tally, samples))


def content_hash(content: bytes, spec_fingerprint: str) -> str:
    """Identifies what a record becomes: its canonical typed form, in which 1 is not 1.0 and NaN is not null, and the
    spec that flattens it.

    >>> content_hash(b"", "00") == content_hash(b"", "01")
    False
    """
    digest = hashlib.blake2b(content, digest_size=_HASH_BYTES)
    digest.update(spec_fingerprint.encode())
    return digest.hexdigest()


def without_meta(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record without a `_meta` that Firebeam wrote earlier: it describes the document, not the record.

    Raises:
      RecordError: the record has a `_meta` of its own, which would be lost.
    """
    if META_FIELD not in value:
        return value
    meta = value[META_FIELD]
    if not (isinstance(meta, Mapping) and "content_hash" in meta and "schema_version" in meta):
        raise RecordError("RESERVED_FIELD", f"{META_FIELD}: Firebeam keeps its own data there; rename the field")
    return {name: member for name, member in value.items() if name != META_FIELD}
