"""The document of a job says how far it is: sums over the ledger, at most once per second, exact at the end."""

import datetime
from collections import Counter

import pytest

from transforms.ledger.batches import Batches
from transforms.ledger.jobs import job_document
from transforms.ledger.live import (
    BatchCounts,
    Liveness,
    counts_of_batches,
    counts_of_provider_batches,
    live_fields,
)
from transforms.ledger.owners import Owner
from transforms.ledger.provider_batches import ProviderBatch, ProviderBatches
from transforms.ledger.runs import JobDescription, JobLedger
from transforms.ledger.totals import Totals
from transforms.outcomes import RECORDS, BatchOutcome
from transforms.testing import ScriptedFirestore, always

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)


@pytest.fixture
def document():
    with ScriptedFirestore() as server:
        document = job_document(server.target.connect(), "ingest-1")
        JobLedger(document, RECORDS).open(
            JobDescription("ingest", "ingest-1", {}, "input", "spec", 1_000), Owner.on_dataflow("r", "j")
        )
        yield document


def complete(document, batch_id, n):
    batches = Batches(document, RECORDS)
    batches.begin(batch_id, 1, {})
    batches.complete(
        BatchOutcome(batch_id, "in.jsonl", {"read": n, "written": n, "bytes_read": 250}, ids=(f"{batch_id}-a",)), 1
    )


def test_of_files_it_says_what_is_done_by_bytes_and_how_many_batches_there_are_at_the_end():
    totals = Totals(
        RECORDS, 2, 1, 0, counts=Counter(read=5, written=3, unchanged=2, bytes_read=250), profiles=("a", "b")
    )
    counts = counts_of_batches(None, totals, 1)
    running = live_fields(totals, counts, 1_000)
    assert (running["batches_total"], running["batches_processing"], running["batches_completed"]) == (None, 1, 2)
    assert (running["progress"], running["profiles"]) == (0.25, ["a", "b"])
    assert running["records"] == {"read": 5, "written": 3, "unchanged": 2, "superseded": 0, "dead_letters": 0}
    over = live_fields(totals, counts, 1_000, is_over=True)
    assert (over["batches_total"], over["progress"]) == (2, 1.0)
    assert live_fields(totals, counts, None)["progress"] is None


def test_of_a_provider_it_counts_the_provider_s_batches_and_their_tokens(document):
    ledger = ProviderBatches(document)
    states = ["planned", "running", "ready", "processing", "completed", "completed", "failed", "undecided"]
    for n, state in enumerate(states):
        ledger.write(ProviderBatch(f"fb-{n}", "openai", n, state, input_tokens=10 if n < 3 else None, output_tokens=n))
    counts = counts_of_provider_batches(document, Totals(RECORDS), 1)
    assert counts == BatchCounts(8, 3, 1, 2, 2, 30, sum(range(8)))
    fields = live_fields(Totals(RECORDS), counts, None)
    assert (fields["progress"], fields["tokens"]) == (0.25, {"input": 30, "output": 28})


def test_a_batch_that_moves_while_the_batches_are_counted_is_counted_once():
    with ScriptedFirestore() as server:
        document = job_document(server.target.connect(), "ingest-1")
        ledger = ProviderBatches(document)
        ledger.write(ProviderBatch("fb-0", "openai", 0, "completed"))
        for n_before_it_moves in range(6):
            ledger.write(ProviderBatch("fb-1", "openai", 1, "running"))
            states = iter(["running"] * n_before_it_moves + ["processing", "completed"])

            def moving(messages, states=states):
                yield from messages
                ledger.write(ProviderBatch("fb-1", "openai", 1, next(states, "completed")))

            server.script("RunAggregationQuery", always(moving))
            counts = counts_of_provider_batches(document, Totals(RECORDS), 1)
            assert counts.total == 2
            assert sum(counts[1:5]) == 2
            assert min(counts[1:5]) == 0


def test_a_worker_keeps_the_document_of_an_unattended_run_live_once_per_second(document):
    now = [100.0]
    liveness = Liveness(document, RECORDS, 1, counts_of_batches, lambda: now[0])
    complete(document, "a-0-0", 3)
    liveness.note()
    assert document.read().fields["records"]["read"] == 3
    complete(document, "a-0-1", 4)
    now[0] += 0.5
    liveness.note()
    assert document.read().fields["records"]["read"] == 3
    now[0] += 0.6
    liveness.note()
    fields = document.read().fields
    assert (fields["records"]["read"], fields["batches_completed"], fields["progress"]) == (7, 2, 0.5)
    assert set(fields["profiles"]) == {"a-0-0-a", "a-0-1-a"}
    assert fields["updated_at"] >= NOON


def test_a_run_that_is_over_or_replaced_is_left_as_it_is(document):
    complete(document, "a-0-0", 3)
    Liveness(document, RECORDS, 2, counts_of_batches).note()
    assert "records" not in document.read().fields
