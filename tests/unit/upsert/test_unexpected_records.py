"""Code that fails on one record makes a dead letter of it, wherever it fails; on every record it stops the run."""

import dataclasses
import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pipeline.specs
from tests.support import any_documents
from tests.support.clocks import no_waiting
from tests.unit.records.test_spec_flatten import spec_of
from transforms.batch import Batch, DeadLetter, Record
from transforms.bigquery.methods import FILE_LOADS
from transforms.bigquery.row_writer import RowsPlan, RowTable, RowWriter
from transforms.bigquery.rows import Row
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import JobError, OutageError
from transforms.firestore.packing import RequestLimits
from transforms.retry import Retry
from transforms.testing import ScriptedFirestore
from transforms.upsert.decide import compare
from transforms.upsert.entries import Compared
from transforms.upsert.layout import PairLayout
from transforms.upsert.records import flatten, identify
from transforms.upsert.stored import Stored
from transforms.upsert.upserter import Upserter
from transforms.upsert.versions import RunIdentity, Verdict

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
SPEC = spec_of("name: {type: string, from: name}\nat: {type: timestamp, from: at}\nwords: {type: strings, from: words}")
RUN = RunIdentity("ingest-1", 1, NOON, frozenset({"aaa"}))


SHIPPED = ["profiles", "candles", "student_records"]


class UnforeseenMap(dict):
    """Reading it fails, as of a type that nobody has thought of."""

    def items(self):
        raise AttributeError("secret")

    get = __iter__ = items


@dataclasses.dataclass(frozen=True)
class Buggy:
    """A path, a cleaner or a derivation that fails on what it finds."""

    at: str = "name"
    text = "buggy"
    steps = ("name",)
    error: type[Exception] = KeyError

    def read(self, record):
        return self(record.get("name")) or "id"

    def __call__(self, value):
        if value == "bad":
            raise self.error("secret")

    def compute(self, flat):
        return self(flat.get("name"))


def buggy_cleaner(error=KeyError):
    def with_bug(field):
        sources = [dataclasses.replace(source, clean=Buggy(error=error)) for source in field.sources]
        return dataclasses.replace(field, sources=tuple(sources)) if field.name == "name" else field

    return dataclasses.replace(SPEC, fields=tuple(map(with_bug, SPEC.fields)))


def buggy_key():
    return dataclasses.replace(SPEC, key=dataclasses.replace(SPEC.key, paths=(Buggy(), *SPEC.key.paths)))


def buggy_derivation():
    (derived,) = (field for field in SPEC.fields if field.name == "words")
    return dataclasses.replace(SPEC, derived=(dataclasses.replace(derived, derive=Buggy()),))


def batch_of(names, failed_at=None):
    values = ({"id": f"r{n}", "name": name} for n, name in enumerate(names))
    records = tuple(Record(n * 10, value, line=n + 1, failed_at=failed_at) for n, value in enumerate(values))
    return Batch("aaa-00000-00000", "in.jsonl", len(records), records)


def compared(batch, spec=SPEC):
    keyed = identify(batch, spec)
    return keyed.then([Compared(*entry, Stored((None, None)), Verdict.WRITE) for entry in keyed.entries])


def reasons(batch):
    return [(dead.step, dead.code, dead.line) for dead in batch.dead_letters]


STEPS = {
    "key": ("IdentifyRecords", lambda batch: identify(batch, buggy_key())),
    "cleaner": ("FlattenRecords", lambda batch: flatten(compared(batch), buggy_cleaner())),
    "derivation": ("FlattenRecords", lambda batch: flatten(compared(batch), buggy_derivation())),
}


@pytest.mark.parametrize("where", STEPS)
def test_one_record_is_one_dead_letter_and_the_others_go_on(where):
    step, through = STEPS[where]
    batch = through(batch_of(["good", "bad", "good"]))
    assert len(batch.entries) == 2
    (dead,) = batch.dead_letters
    assert (dead.step, dead.code, dead.position, dead.line) == (step, "UNEXPECTED_ERROR", 10, 2)
    assert dead.original["name"] == "bad"
    assert "failed unexpectedly: KeyError in test_unexpected_records.py, line " in dead.message
    assert "secret" not in dead.message


@pytest.mark.parametrize("where", STEPS)
def test_the_same_of_all_records_stops_the_run(where):
    with pytest.raises(JobError, match=r"^all 20 records of a batch failed for one reason: .*ing the record failed"):
        STEPS[where][1](batch_of(["bad"] * 20))


@pytest.mark.parametrize("where", STEPS)
def test_dead_letters_may_all_fail_again(where):
    assert len(STEPS[where][1](batch_of(["bad"] * 20, datetime.datetime.now(datetime.timezone.utc))).dead_letters) == 20


@pytest.mark.parametrize("error", [JobError, OutageError, OSError, MemoryError])
def test_what_is_not_about_the_record_ends_the_batch(error):
    with pytest.raises(error):
        flatten(compared(batch_of(["good", "bad"])), buggy_cleaner(error))


def test_a_value_that_cannot_even_be_looked_at_is_a_dead_letter():
    batch = batch_of(["good", UnforeseenMap()])
    assert [dead.line for dead in identify(batch, SPEC).dead_letters] == [2]


def test_a_value_that_fails_where_units_are_voted_on_does_not_keep_others_from_voting():
    spec = spec_of("at: {type: timestamp, from: at}")
    records = [Record(n, {"id": f"r{n}", "at": 946684800 + n}) for n in range(3)]
    records.append(Record(3, {"id": "r3", "at": UnforeseenTime()}))
    batch = identify(Batch("aaa-00000-00000", "in.jsonl", 4, tuple(records)), spec)
    assert [unit for *_, unit in batch.units] == ["s"]
    assert len(batch.entries) == 3


class UnforeseenTime(int):
    def __abs__(self):
        raise ArithmeticError("secret")

    __lt__ = __le__ = __gt__ = __ge__ = __float__ = __int__ = __index__ = __abs__


# Comparing and writing.


def test_what_fails_while_it_is_compared_is_a_dead_letter():
    keyed = identify(batch_of(["good", "good", "good"]), SPEC)
    stored = {"r1": Stored(("not what is stored", None))}
    batch = compare(keyed, stored, "versioned", RUN)
    assert [(dead.step, dead.code, dead.line) for dead in batch.dead_letters] == [
        ("CompareVersions", "UNEXPECTED_ERROR", 2)
    ]
    assert [entry.key for entry in batch.entries] == ["r0", "r2"]


def upserted(server, n_bad, n_records=3):
    batch = flatten(compared(batch_of(["good"] * n_records)), SPEC)
    entries = [entry._replace(content=None) if n < n_bad else entry for n, entry in enumerate(batch.entries)]
    layout = PairLayout(server.target, SPEC.full_collection, SPEC.flat_collection, SPEC.schema_version, "versioned")
    upserter = Upserter(server.target.connect(), layout, RUN, RequestLimits(), Retry(3, 0, 0, clock=no_waiting()))
    return upserter.upsert(batch.then(entries))


def test_what_fails_while_it_is_encoded_is_a_dead_letter_and_the_others_are_written():
    with ScriptedFirestore() as server:
        batch = upserted(server, n_bad=1)
        assert [(dead.step, dead.code, dead.line) for dead in batch.dead_letters] == [
            ("UpsertPairs", "UNEXPECTED_ERROR", 1)
        ]
        assert sorted(server.documents) == ["things/r1", "things/r2", "things_full/r1", "things_full/r2"]


def test_if_no_record_can_be_encoded_the_run_stops():
    with ScriptedFirestore() as server:
        with pytest.raises(JobError, match=r"^all 20 records of a batch failed for one reason: writing the record"):
            upserted(server, n_bad=20, n_records=20)


# Rows.


class BuggyRows:
    def __init__(self, columns, typed):
        pass

    def takes(self, entry, is_dead):
        return True

    def row(self, entry):
        Buggy()(entry)
        return Row({"name": entry}, ())

    def identity(self, entry):
        return (entry,)


def rows_of(entries, **how):
    table = RowTable("rows", BigQueryTarget("p", "d", "t"), BuggyRows, ())
    plan = RowsPlan(
        (table,), FILE_LOADS, lambda entry, code, message, _: DeadLetter("Rows", code, message, None), **how
    )
    return RowWriter(plan).write(Batch("aaa-00000-00000", "in.jsonl", len(entries), tuple(entries)))


def test_a_row_that_cannot_be_made_is_one_dead_letter():
    batch = rows_of(["good", "bad"])
    assert [dead.code for dead in batch.dead_letters] == ["UNEXPECTED_ERROR"]
    assert batch.entries == ("good",)


def test_if_no_row_can_be_made_the_run_stops_unless_all_have_failed_before():
    with pytest.raises(JobError, match=r"^all 20 records of a batch failed for one reason: making the row failed"):
        rows_of(["bad"] * 20)
    assert len(rows_of(["bad"] * 20, may_all_be_bad=True).dead_letters) == 20


# The code as it is foresees everything that Firestore can hold.


@settings(max_examples=200, deadline=None)
@given(
    st.lists(any_documents.records, min_size=1, max_size=5), st.sampled_from(["profiles", "candles", "student_records"])
)
def test_no_record_of_firestore_s_types_is_unexpected_to_a_shipped_spec(values, name):
    spec = pipeline.specs.read_spec(name)
    records = tuple(Record(n, {"id": f"r{n}", **value}) for n, value in enumerate(values))
    batch = Batch("aaa-00000-00000", "in.jsonl", len(records), records)
    dead = flatten(compared(batch, spec), spec).dead_letters
    assert "UNEXPECTED_ERROR" not in {each.code for each in dead}
