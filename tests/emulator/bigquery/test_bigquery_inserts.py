"""Rows into the BigQuery emulator and back."""

import datetime
import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from transforms.bigquery.inserter import InsertResult, Rejected, RowInserter
from transforms.bigquery.rows import insert_id
from transforms.bigquery.schema import Column
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import JobError
from transforms.retry import Retry
from transforms.upsert.rows import RowEncoder

pytestmark = pytest.mark.emulator

MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, datetime.timezone.utc)


def test_every_type_comes_back_as_it_was(
    people: BigQueryTarget, people_columns: tuple[Column, ...], rows_of: Callable[..., Any]
) -> None:
    flat = {
        "id": "ada",
        "name": 'Zoë 😀 \u0000 "quoted" \n',
        "age": 2**63 - 1,
        "score": 0.1 + 0.2,
        "ok": False,
        "seen_at": datetime.datetime(1, 1, 1, tzinfo=datetime.timezone.utc),
        "skills": ["go", "", "é"],
        "details": {"a": [1, 1.5, None, {"b": True}]},
    }
    meta = {"version": 3, "created_at": MOMENT, "source": "gs://b/f", "position": 2**53 + 1}
    record = {"name": "Zoë", "nested": {"list": [1, "two", None]}, "big": 2**63}
    row = RowEncoder(people_columns).row(flat, meta, MOMENT, record)
    assert row.overflowed == ()
    assert RowInserter(people).insert([row.cells], ["1"]).accepted == 1
    assert rows_of(people) == [
        {
            **flat,
            "update_time": MOMENT,
            "_meta_version": 3,
            "_meta_created_at": MOMENT,
            "_meta_source": "gs://b/f",
            "_meta_position": 2**53 + 1,
            "profile": record,
        }
    ]


@pytest.mark.parametrize("score", [math.inf, -math.inf, math.nan])
def test_numbers_that_are_no_numbers_keep_their_column(
    people: BigQueryTarget, people_columns: tuple[Column, ...], rows_of: Callable[..., Any], score: float
) -> None:
    row = RowEncoder(people_columns).row({"id": "x", "score": score}, {}, MOMENT)
    assert RowInserter(people).insert([row.cells], ["1"]).accepted == 1
    assert repr(rows_of(people)[0]["score"]) == repr(score)


def test_values_that_do_not_fit_land_in_the_overflow_column_of_an_accepted_row(
    people: BigQueryTarget, people_columns: tuple[Column, ...], rows_of: Callable[..., Any]
) -> None:
    flat = {
        "id": "x",
        "name": 8,
        "age": "8+",
        "score": True,
        "ok": 1,
        "seen_at": datetime.datetime(2026, 1, 1),
        "skills": ["go", None],
        "details": {"n": math.nan, "s": "\ud800"},
        "unheard_of": 2**70,
    }
    row = RowEncoder(people_columns).row(flat, {}, MOMENT, {"deep": [math.inf]})
    assert RowInserter(people).insert([row.cells], ["1"]).accepted == 1
    stored = rows_of(people)[0]
    assert stored["_overflow"] == {
        "name": 8,
        "age": "8+",
        "score": True,
        "ok": 1,
        "seen_at": "2026-01-01T00:00:00",
        "skills": ["go", None],
        "unheard_of": str(2**70),
    }
    assert stored["details"] == {"n": "NaN", "s": "\ufffd"}
    assert stored["profile"] == {"deep": ["Infinity"]}


def test_bad_rows_are_rejected_with_the_column_and_good_ones_land(
    people: BigQueryTarget, rows_of: Callable[..., Any]
) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "good"},
        {"id": "bad", "age": "eight"},
        {"id": "worse", "nonsense": 1},
        {"id": "fine", "age": 8},
        {"id": "worst", "details": "no json"},
    ]
    inserter = RowInserter(people, retry=Retry(max_attempts=2, initial_s=0.0))
    result = inserter.insert(rows, [str(n) for n in range(len(rows))])
    assert result.accepted == 2
    assert result.rejected[:2] == (
        Rejected(1, "INVALID", "column age: Cannot convert value to integer (bad value)"),
        Rejected(2, "UNKNOWN_COLUMN", "column nonsense: no such field: nonsense", retryable=True),
    )
    assert (result.rejected[2].index, result.rejected[2].code) == (4, "INVALID")
    assert "no json" not in result.rejected[2].message
    assert [row["id"] for row in rows_of(people)] == ["fine", "good"]


def test_rows_sent_again_under_the_same_insert_ids_are_there_once(
    people: BigQueryTarget, rows_of: Callable[..., Any]
) -> None:
    rows = [{"id": f"{n:04}", "name": "x" * 100} for n in range(1200)]
    ids = [insert_id(row["id"], "hash", "batch") for row in rows]
    first = RowInserter(people).insert(rows, ids)
    assert first == InsertResult(1200, (), requests=3, retries=0)
    assert RowInserter(people).insert(rows, ids).accepted == 1200
    assert [row["id"] for row in rows_of(people)] == [row["id"] for row in rows]


def test_a_missing_table_stops_the_job(target: BigQueryTarget) -> None:
    inserter = RowInserter(target, missing_table_retry=Retry(max_attempts=1))
    with pytest.raises(JobError, match=f"BigQuery table {target.id}: Not found: Table .* To fix it: check project"):
        inserter.insert([{"id": "x"}], ["1"])


def test_the_profile_can_be_queried_as_json(people: BigQueryTarget, people_columns: tuple[Column, ...]) -> None:
    row = RowEncoder(people_columns).row({"id": "x"}, {}, MOMENT, {"skills": [{"name": "go"}]})
    RowInserter(people).insert([json.loads(json.dumps(row.cells))], ["1"])
    query = f"SELECT JSON_VALUE(profile, '$.skills[0].name') AS skill FROM `{people.id}`"
    assert [found["skill"] for found in people.client().query(query).result()] == ["go"]
