"""GroupRejectedRows and its correction: rows that BigQuery refuses after their batch was completed."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from transforms.batch import Batch, BatchOutcome, DeadLetter
from transforms.bigquery.load import LoadRows, RejectedRow
from transforms.bigquery.rejected import GroupRejectedRows, correction
from transforms.bigquery.schema import Column
from transforms.records.table import meta_columns

COLUMNS = (Column("candidate_id", "STRING"), *meta_columns(), Column("profile", "JSON"))


def cells(key: str, position: int, batch_id: str = "batch-1", source: str = "in.jsonl") -> dict[str, Any]:
    return {
        "candidate_id": key,
        "profile": json.dumps({"candidate_id": key, "skills": ["Go"]}),
        "_meta_batch_id": batch_id,
        "_meta_source": source,
        "_meta_position": position,
    }


def rejected(key: str, position: int, batch_id: str = "batch-1", code: str = "INVALID") -> RejectedRow:
    return RejectedRow(cells(key, position, batch_id, f"{batch_id}.jsonl"), code, "column age: not a number")


def letter(key: str, position: int, code: str = "INVALID") -> DeadLetter:
    return DeadLetter(
        "LoadRows",
        code,
        "column age: not a number; both documents are in Firestore, the row is missing",
        {"candidate_id": key, "skills": ["Go"]},
        key,
        position,
    )


def late_batch(batch_id: str, *letters: DeadLetter) -> Batch[Any]:
    return Batch(f"{batch_id}-rows", f"{batch_id}.jsonl", len(letters), (), letters)


def assert_grouped(rows: Iterable[RejectedRow], *expected: Batch[Any], key: str = "candidate_id") -> None:
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        batches = (
            pipeline
            | "Rows" >> beam.Create(list(rows)).with_output_types(RejectedRow)
            | "GroupRejectedRows" >> GroupRejectedRows(key)
        )
        assert_that(batches, equal_to(list(expected)))


def test_all_refused_rows_of_a_batch_are_dead_letters_of_one_batch_in_their_order() -> None:
    assert_grouped(
        [rejected("eve", 20), rejected("ada", 0), rejected("bob", 10, code="ROW_TOO_LARGE")],
        late_batch("batch-1", letter("ada", 0), letter("bob", 10, "ROW_TOO_LARGE"), letter("eve", 20)),
    )


def test_each_batch_has_dead_letters_of_its_own() -> None:
    assert_grouped(
        [rejected("ada", 0), rejected("bob", 0, "batch-2"), rejected("eve", 1)],
        late_batch("batch-1", letter("ada", 0), letter("eve", 1)),
        late_batch("batch-2", letter("bob", 0)),
    )


def test_no_refused_rows_make_no_batch() -> None:
    assert_grouped([])


def test_a_position_that_json_spells_as_text_comes_back_as_the_number_it_was() -> None:
    row = rejected("ada", 0)
    row.row["_meta_position"] = str(2**53)
    assert_grouped([row], late_batch("batch-1", letter("ada", 2**53)))


def test_the_id_comes_from_the_column_that_the_spec_names() -> None:
    row = rejected("ada", 0)
    row.row["symbol"] = "ACME"
    assert_grouped([row], late_batch("batch-1", replace(letter("ada", 0), record_id="ACME")), key="symbol")


def test_a_correction_takes_back_as_many_records_as_it_adds_dead_letters() -> None:
    outcome = correction(late_batch("batch-1", letter("ada", 0), letter("bob", 1, "ROW_TOO_LARGE"), letter("eve", 2)))
    reasons = {("LoadRows", "INVALID"): 2, ("LoadRows", "ROW_TOO_LARGE"): 1}
    assert outcome == BatchOutcome("batch-1-rows", "batch-1.jsonl", read=0, written=-3, dead_letters=reasons)


def test_batches_and_their_corrections_together_add_up() -> None:
    outcomes = [
        BatchOutcome("batch-1", "a.jsonl", read=5, written=3, superseded=1, dead_letters={("Flatten", "X"): 1}),
        BatchOutcome("batch-2", "b.jsonl", read=2, written=2),
        correction(late_batch("batch-1", letter("ada", 0), letter("eve", 1))),
        correction(late_batch("batch-2", letter("bob", 0))),
    ]
    read, written, superseded, dead = (
        sum(outcome.read for outcome in outcomes),
        sum(outcome.written for outcome in outcomes),
        sum(outcome.superseded for outcome in outcomes),
        sum(sum(outcome.dead_letters.values()) for outcome in outcomes),
    )
    assert (read, written, superseded, dead) == (7, 2, 1, 4)
    assert read == written + superseded + dead
    assert len({outcome.batch_id for outcome in outcomes}) == len(outcomes)


def test_rows_that_streaming_inserts_refuse_end_as_corrections_and_the_others_are_sent(
    service: Any, refused_rows: Callable[..., Any]
) -> None:
    def refuse_bob_and_eve(body: Any) -> Any:
        refused = [n for n, row in enumerate(body["rows"]) if row["json"]["candidate_id"] in ("bob", "eve")]
        return refused_rows(*((n, "invalid", "age", "Cannot convert (bad value): secret") for n in refused))

    service.script = [refuse_bob_and_eve] * 9
    rows = [cells("ada", 0), cells("bob", 10), cells("eve", 0, "batch-2")]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        loaded = (
            pipeline
            | "Rows" >> beam.Create(rows).with_output_types(dict[str, Any])
            | "LoadRows" >> LoadRows(service.target, COLUMNS, "STREAMING_INSERTS")
        )
        corrections = (
            loaded.rejected
            | "GroupRejectedRows" >> GroupRejectedRows("candidate_id")
            | "CorrectBatch" >> beam.Map(correction)
        )
        assert_that(
            corrections,
            equal_to(
                [
                    BatchOutcome(f"{batch}-rows", "in.jsonl", 0, -1, dead_letters={("LoadRows", "INVALID"): 1})
                    for batch in ("batch-1", "batch-2")
                ]
            ),
        )
    assert sorted(row["json"]["candidate_id"] for body in service.requests for row in body["rows"]) == [
        "ada",
        "bob",
        "eve",
    ]
