"""While a batch is being written the next one is made ready: everything ends as if one came after the other."""

import dataclasses
import threading

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clocks import no_waiting
from tests.unit.upsert.test_dead_letters_stay import NOON, SPEC, batches_of, layout_of, run, run_of
from transforms.batch import Batch, Record
from transforms.firestore.packing import RequestLimits
from transforms.retry import Retry
from transforms.testing import ScriptedFirestore, always, status
from transforms.upsert.modes import MODES, VERSIONED
from transforms.upsert.steps import CompareVersions, FlattenRecords, IdentifyRecords, UpsertPairs
from transforms.upsert.versions import ALL_ROWS, NO_ROWS, OWN_ROWS

_DONE: list[Batch] = []

# How long a Commit waits for the next batch to be compared, which it may not be: as long as any Commit may take.
_HELD_S = 0.02


def _keep(batch):
    _DONE.append(batch)


def run_by_beam(server, batches, day, mode=VERSIONED, **identity):
    """As `run`, by the steps of a pipeline, in one bundle."""
    layout, run_identity = layout_of(server, mode), run_of(day, **identity)
    retry = Retry(3, 0, 0, clock=no_waiting(run_identity.started_at.timestamp))
    _DONE.clear()
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        _ = (
            pipeline
            | beam.Create(batches, reshuffle=False).with_output_types(Batch[Record])
            | IdentifyRecords(SPEC)
            | CompareVersions(layout, run_identity, retry)
            | FlattenRecords(SPEC)
            | UpsertPairs(layout, run_identity, RequestLimits(), retry)
            | beam.Map(_keep)
        )
    return list(_DONE)


def hold_commits_until_the_next_batch_is_read(server):
    """The worst a wire can do: what is stored is read while the last batch is sent but not applied."""
    asked = threading.Event()

    def commit(request, ordinal):
        asked.clear()

        def effect(messages):
            asked.wait(_HELD_S)
            yield from messages

        return effect

    def read(messages):
        found = list(messages)
        asked.set()
        yield from found

    server.script("Commit", commit)
    server.script("BatchGetDocuments", always(read))


def left_behind(server, done):
    """The documents, and what became of every record of every batch."""
    documents = {path: document.fields for path, document in server.documents.items()}
    return documents, [
        dataclasses.replace(batch, entries=[entry._replace(update_time=None) for entry in batch.entries])
        for batch in done
    ]


kinds = st.tuples(st.sampled_from("ab"), st.sampled_from(["good", "better", "MISSING_FIELD"]))


@st.composite
def sources(draw):
    """Batches with ids that come again, mostly in the very next one; the slices of a source may come in any order."""
    batches = batches_of(*draw(st.lists(st.lists(kinds, min_size=1, max_size=3), min_size=2, max_size=5)))
    return draw(st.permutations(batches)) if draw(st.booleans()) else batches


@settings(max_examples=30)
@given(
    before=st.lists(st.lists(kinds, min_size=1, max_size=2), max_size=1),
    batches=sources(),
    mode=st.sampled_from(MODES),
    rows_known=st.sampled_from([ALL_ROWS, OWN_ROWS, NO_ROWS]),
)
def test_documents_and_counts_are_those_of_one_batch_after_the_other(before, batches, mode, rows_known):
    found = []
    for run_second, hold in ((run, False), (run_by_beam, True)):
        with ScriptedFirestore(now=NOON.timestamp) as server:
            run(server, batches_of(*before), 0)
            if hold:
                hold_commits_until_the_next_batch_is_read(server)
            done = run_second(server, batches, 1, mode, rows_known=rows_known)
            found.append(left_behind(server, done))
    one_after_the_other, in_flight = found
    assert in_flight == one_after_the_other


def test_a_batch_is_read_and_compared_while_the_one_before_is_written():
    compared = threading.Event()
    waited = []

    def commit(messages):
        waited.append(compared.wait(30))
        yield from messages

    def read(messages):
        compared.set()
        yield from messages

    with ScriptedFirestore(scripts={"Commit": [commit], "BatchGetDocuments": [None, read]}) as server:
        done = run_by_beam(server, batches_of([("a", "good")], [("b", "good")]), 0)
    assert waited == [True]
    assert [len(batch.entries) for batch in done] == [1, 1]


def test_batches_come_out_in_their_order_and_all_of_them():
    batches = batches_of(*([(f"{n}", "good")] for n in range(7)))
    with ScriptedFirestore() as server:
        done = run_by_beam(server, batches, 0)
        assert len(server.requests("Commit")) == 7
    assert [batch.batch_id for batch in done] == [batch.batch_id for batch in batches]


def test_a_record_is_accounted_for_before_its_successor_in_the_next_batch_is_written():
    done_before = []

    def commit(messages):
        done_before.append(len(_DONE))
        yield from messages

    with ScriptedFirestore(scripts={"Commit": always(commit)}) as server:
        run_by_beam(server, batches_of([("a", "good")], [("b", "good"), ("a", "better")], [("b", "better")]), 0)
    assert done_before == [0, 1, 2]


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_what_ends_a_batch_ends_the_bundle_and_no_later_batch_is_written(failing):
    batches = batches_of(*([(key, "good")] for key in "abc"))
    refused = status("PERMISSION_DENIED", "not yours")
    with ScriptedFirestore(scripts={"Commit": [None] * failing + [refused]}) as server:
        with pytest.raises(Exception, match="not yours"):
            run_by_beam(server, batches, 0)
        assert len(server.requests("Commit")) == failing + 1
