"""What flattening a batch says of its fields, and that a batch reads all of its Unix times alike."""

import datetime

import pytest

from tests.unit.records.test_spec_flatten import spec_of
from transforms.batch import Batch, EmptyField, FieldCount, Record
from transforms.upsert.entries import Compared
from transforms.upsert.records import flatten, identify
from transforms.upsert.stored import Stored
from transforms.upsert.versions import Verdict

SPEC = spec_of("price: {type: number, from: price}\nyears: {type: number, from: [years_experience, y]}")
VALUES = [
    {"id": "a", "price": "9,99", "info": {"yearsOfExperience": 3}},
    {"id": "b", "price": 3},
    {"id": "c"},
    {"id": "d", "price": 2, "_meta": "own"},
]


def keyed(values, spec, batch_id="0123456789ab-00000-00000"):
    records = tuple(Record(position, value) for position, value in enumerate(values))
    return identify(Batch(batch_id, "a.jsonl", len(records), records), spec)


def compared(batch):
    return batch.then([Compared(*entry, Stored((None, None)), Verdict.WRITE) for entry in batch.entries])


@pytest.mark.parametrize("ordinal", [0, 7])
def test_a_batch_says_how_often_each_field_had_a_value(ordinal):
    batch = flatten(compared(keyed(VALUES, SPEC, f"0123456789ab-00000-{ordinal:05d}")), SPEC)
    assert [letter.code for letter in batch.dead_letters] == ["RESERVED_FIELD"]
    assert batch.fields.records == 3
    assert batch.fields.counts == {"thing_id": FieldCount(3), "price": FieldCount(1, 1), "years": FieldCount()}
    # Paths are compared in the first batch of a slice only: it takes time, and the others look alike.
    looked = (EmptyField("years", ("years_experience", "y"), ("info.yearsOfExperience",)),)
    assert batch.fields.empty == (looked if ordinal == 0 else ())


def test_what_leaves_a_batch_before_it_is_flattened_does_not_change_its_units():
    spec = spec_of("t: {type: timestamp, from: t}")
    seconds = [{"id": f"s{n}", "t": 946684800 + n} for n in range(3)]
    batch = keyed([*seconds, {"id": "odd", "t": 946684800000}, {"id": "early", "t": 86_400}], spec)
    rest = compared(batch.then(batch.entries[3:], unchanged=3))
    flat = {entry.key: entry.flat.get("t") for entry in flatten(rest, spec).entries}
    assert flat == {"odd": None, "early": datetime.datetime(1970, 1, 2, tzinfo=datetime.timezone.utc)}


def test_a_record_whose_names_make_too_long_a_path_is_a_dead_letter_before_anything_is_sent():
    values = [{"id": "a"}, {"id": "b", "x" * 800: [{"y" * 700: 1}]}]
    batch = flatten(compared(keyed(values, SPEC)), SPEC)
    assert [entry.key for entry in batch.entries] == ["a"]
    (dead,) = batch.dead_letters
    assert (dead.step, dead.code, dead.record_id) == ("FlattenRecords", "FIELD_PATH_TOO_LONG", "b")
    assert "takes 1,501 bytes, Firestore takes at most 1,500" in dead.message
