"""What can be said of records without a service: who each is, and what the spec makes of it. Plain Python.

    Batch[Record] ──identify──▶ Batch[Keyed] ─ … ─▶ Batch[Compared] ──flatten──▶ Batch[Flat]
                        │                                               │
                        ▼                                               ▼
            MISSING_ID, INVALID_ID …                INTEGER_OUT_OF_RANGE, TOO_DEEP, MISSING_FIELD …

They are two because a record whose documents already have the same hash needs no flat form, nor an encoding.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from transforms.batch import Batch, DeadLetter, FieldReport, Record, is_first_of_slice
from transforms.firestore.values import encoded_fields
from transforms.records.canonical import canonical
from transforms.records.keys import id_of, unescaped
from transforms.records.spec import FieldTally, Origin, RecordSpec
from transforms.unexpected import FAILURES
from transforms.upsert.entries import Compared, Flat, Keyed
from transforms.upsert.failures import unexpected_of
from transforms.upsert.forms import AS_IT_CAME, RecordForm

_HASH_BYTES = 16
N_SAMPLES = 5  # records


def identify(batch: Batch[Record], spec: RecordSpec, form: RecordForm = AS_IT_CAME) -> Batch[Keyed]:
    """The batch with ids and hashes, and with the units that its Unix times are in."""
    units = spec.units_of(value_for(record, spec) for record in batch.entries)
    spec = spec.in_units(units)
    keyed, unfit = [], []
    counts: Counter[str] = Counter()
    unexpected = unexpected_of(batch.entries, "identifying the record")
    for record in batch.entries:
        key = None
        try:
            key = key_of(record, spec)
            record = form.read(record)  # as it came, it is the dead letter's
            digest = content_hash(canonical(form.content_of(record, spec)), spec.fingerprint)
            if record.answer:
                named = unescaped(key) if spec.escapes_ids else key
                counts["ids_differing"] += spec.id_in(value_for(record, spec)) not in (None, named)
                counts["answers_repaired"] += bool(record.answer.repairs)
                counts["source_fields_dropped"] += record.answer.n_fields_dropped
        except FAILURES as error:
            unfit.append(DeadLetter.of("IdentifyRecords", record, unexpected.as_record_error(error), key))
        else:
            keyed.append(Keyed(key, record, digest))
    unexpected.check_not_alike()
    return batch.then(keyed, unfit, units=units, counts={name: n for name, n in counts.items() if n})


def flatten(batch: Batch[Compared], spec: RecordSpec, form: RecordForm = AS_IT_CAME) -> Batch[Flat]:
    """The batch with contents and flat forms, and with what the spec found in its records."""
    spec, tally = spec.in_units(batch.units), FieldTally()
    flat, unfit = [], []
    unexpected = unexpected_of([entry.record for entry in batch.entries], "flattening the record")
    for entry in batch.entries:
        try:
            content = encoded_fields(form.fields_of(entry.record))
            flat.append(Flat(*entry, content, spec.flatten(value_for(entry.record, spec), entry.key, tally)))
        except FAILURES as error:
            unfit.append(DeadLetter.of("FlattenRecords", entry.record, unexpected.as_record_error(error), entry.key))
    unexpected.check_not_alike()
    return batch.then(flat, unfit, fields=report_of(batch, spec, tally, [entry.record for entry in flat[:N_SAMPLES]]))


def report_of(batch: Batch[Any], spec: RecordSpec, tally: FieldTally, samples: Iterable[Record]) -> FieldReport:
    """What the spec found in the records of a batch.

    Args:
      samples: the first `N_SAMPLES` of those that were flattened.
    """
    # To compare paths takes as long as to flatten a hundred records, and other batches of the slice look alike.
    values = [record.value for record in samples] if is_first_of_slice(batch.batch_id) else []
    return spec.report(tally, values)


def key_of(record: Record, spec: RecordSpec) -> str:
    """The document id of a record.

    | the record is                    | the first that there is                                                       |
    |----------------------------------|-------------------------------------------------------------------------------|
    | a model's answer                 | the request's id; the spec's key in the line around the answer; in the answer |
    | … with `--key=record`            | the spec's key in the answer; the request's id; the key in the line around it |
    | one of several records in one    | the spec's key in the record; the request's id or the line's key, with `-n`   |
    | of anything else                 | the spec's key in the record; the id of the document it was read from         |

    Raises:
      RecordError: MISSING_ID or INVALID_ID.
    """
    answer = record.answer
    if answer is None:
        return spec.key_of(value_for(record, spec), record.fallback_id)
    came_with = id_of(record.fallback_id)
    if came_with is None and (around := spec.key.read(answer.source_fields)) is not None:
        came_with = f"{around}-{answer.part}" if answer.part else around
    if answer.is_named_by_request and not answer.part and came_with is not None:
        return spec.key_of({}, came_with)
    return spec.key_of(value_for(record, spec), came_with)


def value_for(record: Record, spec: RecordSpec) -> Mapping[str, Any]:
    """A record as its spec reads it: with the id that came with it, if the spec asks for that."""
    return spec.with_origin(record.value, Origin(record.fallback_id))


def content_hash(content: bytes, spec_fingerprint: str) -> str:
    """Identifies what a record becomes: its canonical typed form, in which 1 is not 1.0 and NaN is not null, and the
    spec that flattens it.

    >>> content_hash(b"", "00") == content_hash(b"", "01")
    False
    """
    digest = hashlib.blake2b(content, digest_size=_HASH_BYTES)
    digest.update(spec_fingerprint.encode())
    return digest.hexdigest()
