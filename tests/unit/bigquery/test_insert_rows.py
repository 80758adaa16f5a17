"""Rows of records: every entry of a batch has its row, its answer, and a place in the accounts."""

import dataclasses
import datetime
import json
from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from tests.support.clocks import no_waiting
from tests.support.scripted_storage_write import ScriptedStorageWrite
from tests.support.scripted_storage_write import row_errors as storage_row_errors
from transforms.batch import Batch, DeadLetter, Record
from transforms.bigquery.methods import FILE_LOADS, INSERT_ROWS, STORAGE_WRITE
from transforms.bigquery.row_writer import RowWriter
from transforms.bigquery.rows import json_columns, loadable
from transforms.bigquery.schema import Column
from transforms.bigquery.target import BigQueryTarget
from transforms.bigquery.write import WriteRows
from transforms.errors import JobError
from transforms.outcomes import BatchOutcome
from transforms.records.table import meta_columns
from transforms.retry import Retry
from transforms.upsert.entries import Written
from transforms.upsert.rows import rows_of_records

MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
COLUMNS = (
    Column("candidate_id", "STRING"),
    Column("age", "INT64"),
    Column("update_time", "TIMESTAMP"),
    *meta_columns(),
    Column("profile", "JSON"),
    Column("_overflow", "JSON"),
)
EARLIER = DeadLetter("FlattenRecords", "MISSING_FIELD", "name is missing", b"{}", position=3)


def written(key: str, position: int, content_hash: str = "c0ffee", age: Any = 36) -> Written:
    meta = {"content_hash": content_hash, "batch_id": "batch-1", "position": position, "source": "in.jsonl"}
    record = Record(position, {"candidate_id": key, "age": age}, position + 1, b'{"as": "it came"}')
    return Written(key, record, {"candidate_id": key, "age": age}, meta, MOMENT)


def batch_of(*entries: Written, batch_id: str = "batch-1") -> Batch[Written]:
    """A batch that has lost three records on its way: a dead letter, a superseded and an unchanged one."""
    return Batch(batch_id, "in.jsonl", len(entries) + 3, entries, (EARLIER,), superseded=1, unchanged=1, retries=2)


def inserted(service: Any, batch: Batch[Written]) -> Batch[Written]:
    plan = rows_of_records(service.target, COLUMNS, INSERT_ROWS)
    retry = Retry(max_attempts=2, initial_s=1.0, max_s=1.0, clock=no_waiting(chance=0.5))
    return RowWriter(dataclasses.replace(plan, retry=retry)).write(batch)


def collected(batch: Batch[Written]) -> tuple[Batch[Written], list[dict[str, Any]]]:
    writer = RowWriter(rows_of_records(BigQueryTarget("demo-x", "d", "t"), COLUMNS, FILE_LOADS))
    return writer.write(batch), writer.collected()["rows"]


def given(*batches: Batch[Written]) -> Any:
    """A pipeline's source of these batches."""
    return "Batches" >> beam.Create(batches).with_output_types(Batch[Written])


def accounted(batch: Batch[Written]) -> int:
    return len(batch.entries) + len(batch.dead_letters) + batch.superseded + batch.unchanged


def test_a_batch_whose_rows_are_accepted_goes_on_as_it_came(service: Any) -> None:
    before = batch_of(written("ada", 0), written("bob", 1))
    assert inserted(service, before) == before
    (request,) = service.requests
    assert [row["json"]["candidate_id"] for row in request["rows"]] == ["ada", "bob"]


def test_a_row_says_what_the_document_says_and_holds_the_whole_record(service: Any) -> None:
    inserted(service, batch_of(written("ada", 7)))
    cells = service.requests[0]["rows"][0]["json"]
    assert json.loads(cells.pop("profile")) == {"candidate_id": "ada", "age": 36}
    assert cells == {
        "candidate_id": "ada",
        "age": 36,
        "update_time": "2026-01-02T03:04:05.000000+00:00",
        "_meta_source": "in.jsonl",
        "_meta_position": 7,
        "_meta_batch_id": "batch-1",
        "_meta_content_hash": "c0ffee",
    }


def test_a_refused_row_is_a_dead_letter_of_its_own_record_and_the_others_go_on(
    service: Any, refused_rows: Callable[..., Any]
) -> None:
    service.script = [
        refused_rows(
            (2, "invalid", "age", "Cannot convert value to integer (bad value): secret"),
            (0, "invalid", "profile", "Malformed JSON Input: secret"),
        )
    ]
    after = inserted(service, batch_of(*(written(f"id-{n}", n) for n in range(4))))
    assert [entry.key for entry in after.entries] == ["id-1", "id-3"]
    assert after.dead_letters == (
        EARLIER,
        DeadLetter(
            "InsertRows",
            "INVALID",
            "column profile: Malformed JSON; both documents are in Firestore, the row is missing",
            b'{"as": "it came"}',
            "id-0",
            position=0,
            line=1,
        ),
        DeadLetter(
            "InsertRows",
            "INVALID",
            "column age: Cannot convert value to integer (bad value); "
            "both documents are in Firestore, the row is missing",
            b'{"as": "it came"}',
            "id-2",
            position=2,
            line=3,
        ),
    )
    assert (after.read, accounted(after)) == (7, 7)


def test_all_rows_may_be_refused_and_every_one_is_accounted_for(service: Any, refused_rows: Callable[..., Any]) -> None:
    service.script = [refused_rows(*((n, "invalid", "age", f"reason {n}") for n in range(3)))]
    after = inserted(service, batch_of(*(written(f"id-{n}", n) for n in range(3))))
    assert after.entries == ()
    assert [letter.record_id for letter in after.dead_letters[1:]] == ["id-0", "id-1", "id-2"]
    assert accounted(after) == after.read == 6


def test_a_row_that_bigquery_had_no_time_for_is_retryable_and_its_retries_are_counted(
    service: Any, refused_rows: Callable[..., Any]
) -> None:
    service.script = [refused_rows((at, "backendError", "", "try again")) for at in (1, 0)]
    after = inserted(service, batch_of(written("ada", 0), written("bob", 1)))
    assert [(letter.record_id, letter.code, letter.retryable) for letter in after.dead_letters[1:]] == [
        ("bob", "BACKEND_ERROR", True)
    ]
    assert service.sent_ids()[1] == service.sent_ids()[0][1:]
    assert after.retries == 2 + 1


def test_refused_access_stops_the_job_and_makes_no_dead_letters(
    service: Any, bigquery_error: Callable[..., Any]
) -> None:
    service.script = [bigquery_error(403, "accessDenied", "Access Denied: Table people.candidates")]
    with pytest.raises(JobError, match=r"grant roles/bigquery\.dataEditor"):
        inserted(service, batch_of(written("ada", 0)))


def test_the_same_batch_done_again_has_the_same_insert_ids(service: Any) -> None:
    batch, again = (batch_of(written("ada", 0), written("bob", 1)) for _ in range(2))
    inserted(service, batch)
    inserted(service, again)
    first, second = service.sent_ids()
    assert first == second
    assert len(set(first)) == 2


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(batch_of(written("bob", 0)), id="another id"),
        pytest.param(batch_of(written("ada", 0, content_hash="decaf")), id="another content"),
        pytest.param(batch_of(written("ada", 0), batch_id="batch-2"), id="another batch"),
    ],
)
def test_what_is_not_the_same_row_has_another_insert_id(service: Any, other: Batch[Written]) -> None:
    inserted(service, batch_of(written("ada", 0)))
    inserted(service, other)
    (one,), (another,) = service.sent_ids()
    assert one != another


def test_values_that_did_not_fit_are_counted_and_kept(service: Any) -> None:
    after = inserted(service, batch_of(written("ada", 0, age="old"), written("bob", 1), written("eve", 2, age=2.5)))
    assert (after.overflowed, len(after.entries)) == (2, 3)
    rows = [row["json"] for row in service.requests[0]["rows"]]
    assert [json.loads(row["_overflow"]) if "_overflow" in row else None for row in rows] == [
        {"age": "old"},
        None,
        {"age": 2.5},
    ]
    assert [row.get("age") for row in rows] == [None, 36, None]


def test_a_batch_without_entries_sends_nothing(service: Any) -> None:
    empty = batch_of()
    assert inserted(service, empty) == empty
    assert service.requests == []


def test_the_transform_inserts_every_batch_of_a_pipeline(service: Any, refused_rows: Callable[..., Any]) -> None:
    def refuse_bob(body: Any) -> Any:
        at = [n for n, row in enumerate(body["rows"]) if row["json"]["candidate_id"] == "bob"]
        return refused_rows(*((n, "invalid", "age", "not today") for n in at))

    service.script = [refuse_bob, refuse_bob]
    batches = [batch_of(written("ada", 0), written("bob", 1)), batch_of(written("eve", 0), batch_id="batch-2")]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        rows = rows_of_records(service.target, COLUMNS, INSERT_ROWS)
        inserted = (pipeline | given(*batches) | "InsertRows" >> WriteRows(rows)).batches
        assert inserted.element_type == Batch[Written], "or Beam pickles every batch to know its size"
        outcomes = (
            inserted
            | "Outcomes" >> beam.Map(BatchOutcome.of)
            | "Counts"
            >> beam.Map(lambda each: (each.batch_id, each.counts["written"], dict(each.kinds["dead_letters"])))
        )
        earlier = {("FlattenRecords", "MISSING_FIELD"): 1}
        assert_that(
            outcomes,
            equal_to([("batch-1", 1, {**earlier, ("InsertRows", "INVALID"): 1}), ("batch-2", 1, earlier)]),
        )


def test_rows_taken_out_of_a_batch_are_one_per_entry_and_its_overflow_is_counted() -> None:
    batch = batch_of(written("ada", 0, age="old"), written("bob", 1))
    kept, rows = collected(batch)
    assert [cells["candidate_id"] for cells in rows] == ["ada", "bob"]
    assert ([entry.key for entry in kept.entries], kept.read, kept.overflowed) == (["ada", "bob"], 5, 1)


def test_a_row_is_the_same_whichever_way_it_takes(service: Any) -> None:
    batch = batch_of(written("ada", 0, age="old"))
    inserted(service, batch)
    assert collected(batch)[1] == [loadable(service.requests[0]["rows"][0]["json"], json_columns(COLUMNS))]


def test_a_row_that_the_storage_write_api_refuses_is_a_dead_letter_like_any_other() -> None:
    with ScriptedStorageWrite() as storage:
        storage.script = [storage_row_errors((1, "Field age: value 'secret' is out of range"))]
        table, columns = storage.target, (Column("id", "STRING"), *COLUMNS)
        plan = rows_of_records(table.table, columns, STORAGE_WRITE, table.grpc_host)
        after = RowWriter(plan).write(batch_of(written("ada", 0), written("bob", 1, age=2.5)))
    (letter,) = after.dead_letters[1:]
    assert (letter.step, letter.code, letter.record_id) == ("InsertRows", "FIELDS_ERROR", "bob")
    assert letter.message == "Field age: value '…' is out of range; both documents are in Firestore, the row is missing"
    assert (accounted(after), after.overflowed, after.overflowed_by) == (5, 1, {})


def test_columns_that_only_the_job_finds_out_must_be_given_to_the_step() -> None:
    plan = rows_of_records(BigQueryTarget("demo-x", "d", "t"), COLUMNS, INSERT_ROWS)
    unknown = dataclasses.replace(plan.tables[0], columns=None)
    with pytest.raises(ValueError, match="columns must be given, as the plan does not have those of rows"):
        WriteRows(dataclasses.replace(plan, tables=(unknown,)))
