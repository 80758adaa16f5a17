"""The two steps that need no service: who is this record, and what does the spec make of it?

    Batch[Record] ──IdentifyRecords──▶ Batch[Keyed] ─ … ─▶ Batch[Compared] ──FlattenRecords──▶ Batch[Flat]
                          │                                                        │
                          ▼                                                        ▼
              MISSING_ID, INVALID_ID …                         INTEGER_OUT_OF_RANGE, TOO_DEEP, MISSING_FIELD …

They are two because a record whose documents already have the same hash needs no second one, nor an encoding.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from transforms.batch import Batch, DeadLetter, Record
from transforms.errors import RecordError
from transforms.firestore.values import encoded_fields
from transforms.records.canonical import canonical
from transforms.records.spec import RecordSpec
from transforms.upsert.entries import Compared, Flat, Keyed
from transforms.upsert.versions import META_FIELD

_HASH_BYTES = 16


class IdentifyRecords(beam.PTransform[PCollection[Batch[Record]], PCollection[Batch[Keyed]]]):
    """Gives every record its document id and the hash of its content.

    In: batches of records. Out: the same batches; a record without a usable id is a dead letter. Calls nothing.
    """

    def __init__(self, spec: RecordSpec):
        super().__init__()
        self._spec = spec

    def expand(self, batches: PCollection[Batch[Record]]) -> PCollection[Batch[Keyed]]:
        keyed: PCollection[Batch[Keyed]] = batches | "Identify" >> beam.Map(identify, self._spec)
        return keyed


class FlattenRecords(beam.PTransform[PCollection[Batch[Compared]], PCollection[Batch[Flat]]]):
    """Gives every record its encoded content and its flat form.

    In: batches of compared records. Out: the same batches; what cannot be a Firestore document, or fails a check of the
    spec, is a dead letter. Calls nothing.
    """

    def __init__(self, spec: RecordSpec):
        super().__init__()
        self._spec = spec

    def expand(self, batches: PCollection[Batch[Compared]]) -> PCollection[Batch[Flat]]:
        flat: PCollection[Batch[Flat]] = batches | "Flatten" >> beam.Map(flatten, self._spec)
        return flat


def identify(batch: Batch[Record], spec: RecordSpec) -> Batch[Keyed]:
    """The batch with ids and hashes."""
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
    return batch.then(keyed, unfit)


def flatten(batch: Batch[Compared], spec: RecordSpec) -> Batch[Flat]:
    """The batch with contents and flat forms."""
    flat, unfit = [], []
    for entry in batch.entries:
        try:
            value = entry.record.value
            flat.append(Flat(*entry, encoded_fields(without_meta(value)), spec.flatten(value, entry.key)))
        except RecordError as error:
            unfit.append(DeadLetter.of("FlattenRecords", entry.record, error, entry.key))
    return batch.then(flat, unfit)


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
