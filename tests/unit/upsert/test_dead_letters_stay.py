"""A record that cannot be written is a dead letter of every run, whatever has replaced it meanwhile."""

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clocks import no_waiting
from transforms.batch import Batch, Record
from transforms.firestore.packing import RequestLimits
from transforms.records.spec import load_spec
from transforms.retry import Retry
from transforms.testing import ScriptedFirestore
from transforms.upsert.decide import compare
from transforms.upsert.layout import PairLayout
from transforms.upsert.modes import CREATE_ONLY, MERGE, MODES, VERSIONED
from transforms.upsert.records import flatten, identify
from transforms.upsert.stored import read_stored
from transforms.upsert.upserter import Upserter
from transforms.upsert.versions import ALL_ROWS, RunIdentity

NOON = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.timezone.utc)
SPEC = load_spec(
    """
name: people
schema_version: 1
full_collection: people_full
flat_collection: people
key: {name: person_id, from: id}
fields:
  name: {type: string, from: name, required: true}
""",
    "people.yaml",
)
TOO_LARGE = "x" * 1024 * 1024
VALUES = {
    "good": {"name": "Ada"},
    "better": {"name": "Ada Lovelace"},
    "MISSING_FIELD": {},
    "INTEGER_OUT_OF_RANGE": {"name": "Ada", "n": 2**63},
    "DOCUMENT_TOO_LARGE": {"name": TOO_LARGE},
}


def layout_of(server, mode=VERSIONED):
    return PairLayout(server.target, SPEC.full_collection, SPEC.flat_collection, SPEC.schema_version, mode)


def run_of(day, rows_known=ALL_ROWS):
    """A run of the job that begins on a day."""
    return RunIdentity("ingest-1", day + 1, NOON + datetime.timedelta(days=day), frozenset({"aaa"}), rows_known)


def run(server, batches, day, mode=VERSIONED, rows_known=ALL_ROWS):
    """The batches of one source through the steps of a run that begins on a day, one after the other."""
    identity, layout = run_of(day, rows_known), layout_of(server, mode)
    retry = Retry(3, 0, 0, clock=no_waiting(identity.started_at.timestamp))
    client = server.target.connect()
    upserter = Upserter(client, layout, identity, RequestLimits(), retry)
    done = []
    for batch in batches:
        keyed = identify(batch, SPEC)
        stored = read_stored(client, layout, [entry.key for entry in keyed.entries], retry)
        done.append(upserter.upsert(flatten(compare(keyed, stored, mode, identity), SPEC)))
    return done


def batches_of(*batches):
    """Batches of records, each given by its id and the kind of its value."""
    found, position = [], 0
    for n, kinds in enumerate(batches):
        records = []
        for key, kind in kinds:
            records.append(Record(position, {"id": key, **VALUES[kind]}, line=position + 1))
            position += 1
        found.append(Batch(f"aaa-00000-{n:05}", "in.jsonl", len(records), tuple(records)))
    return found


def dead_letters(done):
    return [sorted((each.position, each.step, each.code) for each in batch.dead_letters) for batch in done]


def counts(done):
    return [
        (len([each for each in batch.entries if not each.unchanged]), batch.unchanged, batch.superseded, len(dead))
        for batch, dead in zip(done, dead_letters(done), strict=True)
    ]


BAD = [kind for kind in VALUES if kind.isupper()]
records = st.tuples(st.sampled_from("ab"), st.sampled_from(list(VALUES)))


@settings(max_examples=25)
@given(batches=st.lists(st.lists(records, min_size=1, max_size=4), min_size=1, max_size=3), mode=st.sampled_from(MODES))
def test_the_same_command_twice_has_the_same_dead_letters_whatever_replaces_their_records(batches, mode):
    with ScriptedFirestore() as server:
        first, again = (run(server, batches_of(*batches), day, mode) for day in (0, 1))
    assert dead_letters(again) == dead_letters(first)
    bad = {n for n, (_, kind) in enumerate(kind for batch in batches for kind in batch) if kind in BAD}
    assert {position for batch in dead_letters(first) for position, _, _ in batch} == bad


@pytest.mark.parametrize("mode", [VERSIONED, MERGE, CREATE_ONLY])
@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("apart", [False, True], ids=["in one batch", "in a later batch"])
def test_a_later_good_record_of_its_id_hides_no_record_that_cannot_be_written(mode, kind, apart):
    bad, good = ("a", kind), ("a", "good")
    batches = batches_of([bad], [good]) if apart else batches_of([bad, good])
    with ScriptedFirestore() as server:
        first, again = (run(server, batches, day, mode) for day in (0, 1))
    for done in (first, again):
        assert [code for batch in dead_letters(done) for _, _, code in batch] == [kind]
    unchanged = [(0, 0, 0, 1), (0, 1, 0, 0)] if apart else [(0, 1, 0, 1)]
    assert counts(again) == unchanged


def test_only_creating_what_exists_still_asks_whether_it_could_be_written():
    with ScriptedFirestore() as server:
        run(server, batches_of([("a", "good")]), 0)
        (done,) = run(server, batches_of([("a", "better"), ("a", "MISSING_FIELD"), ("a", "good")]), 1, CREATE_ONLY)
    assert counts([done]) == [(0, 2, 0, 1)]


def test_a_record_that_a_later_batch_replaces_was_written_and_is_superseded_in_later_runs():
    batches = batches_of([("a", "good")], [("a", "better")])
    with ScriptedFirestore() as server:
        first, again = (run(server, batches, day) for day in (0, 1))
    assert counts(first) == [(1, 0, 0, 0), (1, 0, 0, 0)]
    assert counts(again) == [(0, 0, 1, 0), (0, 1, 0, 0)]


def test_what_is_stored_already_is_not_flattened_again():
    batches = batches_of([("a", "good"), ("b", "good")])
    with ScriptedFirestore() as server:
        run(server, batches, 0)
        keyed = identify(batches[0], SPEC)
        stored = read_stored(server.target.connect(), layout_of(server), ["a", "b"], Retry(1))
        compared = compare(keyed, stored, VERSIONED, run_of(1))
    assert (compared.entries, compared.unchanged) == ((), 2)
