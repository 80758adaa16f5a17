"""Rows into the BigQuery emulator through its Storage Write API, and back through queries."""

import datetime
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline.emulators.start import BigQueryEmulator
from transforms.bigquery.inserter import Rejected
from transforms.bigquery.schema import Column, TableOptions
from transforms.bigquery.storage_target import StorageTarget
from transforms.bigquery.storage_write import StorageWriter
from transforms.bigquery.tables import ensure_table
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import JobError
from transforms.retry import Retry

pytestmark = pytest.mark.emulator

UTC = datetime.timezone.utc
MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
NAMED = "id STRING, name STRING NOT NULL"
NAMED_COLUMNS = (Column("id", "STRING"), Column("name", "STRING", "REQUIRED"))
NO_RETRY = Retry(max_attempts=1)


@pytest.fixture
def writer_to(bigquery: BigQueryEmulator) -> Iterator[Callable[..., StorageWriter]]:
    writers = []

    def make(target: BigQueryTarget, columns: Any, **settings: Any) -> StorageWriter:
        writers.append(StorageWriter(StorageTarget(target, bigquery.grpc), columns, **settings))
        return writers[-1]

    yield make
    for writer in writers:
        writer.close()


def table_of(target: BigQueryTarget, definitions: str) -> None:
    """Makes a table with GoogleSQL, which knows every type."""
    target.client().query(f"CREATE TABLE `{target.id}` ({definitions})").result()


@pytest.mark.parametrize(
    ("column_type", "cells", "stored"),
    [
        ("STRING", ["", 'Zoë 😀 "quoted" \n'], None),
        ("INT64", [-(2**63), 2**63 - 1, 0, 2**53 + 1], None),
        ("FLOAT64", [0.1 + 0.2, 5e-324, -0.0, 1e308], None),
        ("BOOL", [True, False], None),
        ("BYTES", [b"", b"\x00\xff\x80"], None),
        (
            "TIMESTAMP",
            [MOMENT, datetime.datetime(1, 1, 1, tzinfo=UTC), datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)],
            None,
        ),
        ("JSON", ['{"a":[1,1.5,null,"x"]}', '"text"', "7"], [{"a": [1, 1.5, None, "x"]}, "text", 7]),
        ("NUMERIC", ["12.000000001", "-3"], None),
        ("GEOGRAPHY", ["POINT(1.5 -2)"], ["POINT(1.5 -2)"]),
    ],
)
def test_every_type_comes_back_as_it_was(
    target: BigQueryTarget,
    writer_to: Callable[..., StorageWriter],
    column_type: str,
    cells: list[Any],
    stored: list[Any] | None,
) -> None:
    table_of(target, f"n INT64, c {column_type}")
    writer = writer_to(target, [Column("n", "INT64"), Column("c", column_type)])
    rows = [{"n": n, "c": cell} for n, cell in enumerate(cells)]
    assert writer.insert([*rows, {"n": len(rows)}], [""] * (len(rows) + 1)).accepted == len(rows) + 1
    found = [row["c"] for row in target.client().query(f"SELECT c FROM `{target.id}` ORDER BY n").result()]
    if column_type == "NUMERIC":
        found = [number and f"{number.normalize():f}" for number in found]
    assert repr(found) == repr([*(stored or cells), None])


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_numbers_that_are_no_numbers_keep_their_column(
    target: BigQueryTarget, writer_to: Callable[..., StorageWriter], number: float
) -> None:
    table_of(target, "c FLOAT64")
    writer_to(target, [Column("c", "FLOAT64")]).insert([{"c": number}], [""])
    assert [repr(row["c"]) for row in target.client().list_rows(target.id)] == [repr(number)]


@pytest.mark.parametrize(
    ("element", "cells"),
    [
        ("STRING", ["a", "", "é"]),
        ("INT64", [1, -(2**63)]),
        ("FLOAT64", [1.5, -2.0]),
        ("BOOL", [True, False]),
        pytest.param(
            "BYTES",
            [b"\x00", b""],
            marks=pytest.mark.skip(reason="the emulator keeps the elements of ARRAY<BYTES> as base64 text"),
        ),
        ("TIMESTAMP", [MOMENT, MOMENT + datetime.timedelta(microseconds=1)]),
    ],
)
def test_arrays_keep_their_elements_and_order(
    target: BigQueryTarget, writer_to: Callable[..., StorageWriter], element: str, cells: list[Any]
) -> None:
    table_of(target, f"c ARRAY<{element}>")
    writer = writer_to(target, [Column("c", element, "REPEATED")])
    assert writer.insert([{"c": cells}, {"c": []}, {}], ["", "", ""]).accepted == 3
    found = [row["c"] for row in target.client().query(f"SELECT c FROM `{target.id}`").result()]
    assert sorted(found, key=len) == [[], [], cells]


def test_structs_keep_their_fields(target: BigQueryTarget, writer_to: Callable[..., StorageWriter]) -> None:
    table_of(target, "s STRUCT<at TIMESTAMP, tags ARRAY<STRING>, deep STRUCT<n INT64, x FLOAT64>>")
    deep = Column("deep", "STRUCT", fields=(Column("n", "INT64"), Column("x", "FLOAT64")))
    struct = (Column("at", "TIMESTAMP"), Column("tags", "STRING", "REPEATED"), deep)
    cells = {"at": MOMENT, "tags": ["x"], "deep": {"n": 2**60, "x": 0.5}}
    writer_to(target, [Column("s", "STRUCT", fields=struct)]).insert([{"s": cells}], [""])
    assert [row["s"] for row in target.client().query(f"SELECT s FROM `{target.id}`").result()] == [cells]


def test_names_that_only_differ_in_how_they_are_put_together_keep_their_cells(
    target: BigQueryTarget, writer_to: Callable[..., StorageWriter]
) -> None:
    table_of(target, "user_id STRING, userId STRING, self STRING")
    columns = [Column(name, "STRING") for name in ("user_id", "userId", "self")]
    writer_to(target, columns).insert([{"user_id": "a", "userId": "b", "self": "c"}], [""])
    assert [dict(row) for row in target.client().list_rows(target.id)] == [{"user_id": "a", "userId": "b", "self": "c"}]


def test_a_batch_larger_than_a_request_lands_whole_and_in_several(
    people: BigQueryTarget, people_columns: tuple[Column, ...], writer_to: Callable[..., StorageWriter]
) -> None:
    rows = [{"id": f"{n:04}", "name": "x" * 5000, "update_time": MOMENT} for n in range(1200)]
    result = writer_to(people, people_columns, max_rows=1000).insert(rows, [""] * len(rows))
    assert (result.accepted, result.requests) == (1200, 2)
    assert count_of(people) == (1200, 1200)


def test_bad_rows_are_rejected_and_good_ones_land(
    target: BigQueryTarget, writer_to: Callable[..., StorageWriter]
) -> None:
    table_of(target, NAMED)
    rows = [{"id": "a", "name": "A"}, {"id": "b"}, {"id": "c", "name": "C"}, {"id": "d", "name": 8}]
    result = writer_to(target, NAMED_COLUMNS).insert(rows, ["a", "b", "c", "d"])
    assert result.rejected == (
        Rejected(1, "FIELDS_ERROR", "Missing required field: name"),
        Rejected(3, "INVALID", "column name: this int does not fit STRING NOT NULL"),
    )
    assert (result.accepted, count_of(target)) == (2, (2, 2))


def test_a_batch_done_again_in_its_stream_writes_nothing_twice(
    target: BigQueryTarget, writer_to: Callable[..., StorageWriter]
) -> None:
    table_of(target, NAMED)
    rows = [{"id": f"{n}", "name": None if n in (3, 17) else "x"} for n in range(25)]
    kept: list[str] = []
    first = writer_to(target, NAMED_COLUMNS, max_rows=4)
    kept.append(first.begin_stream())
    done = first.insert(rows, [""] * 25, stream=kept[0], keep=kept.append)
    assert (done.accepted, [row.index for row in done.rejected]) == (23, [3, 17])
    for max_rows in (4, 7):
        again = writer_to(target, NAMED_COLUMNS, max_rows=max_rows)
        assert again.insert(rows, [""] * 25, stream=kept[-1], keep=kept.append)[:2] == done[:2]
    assert count_of(target) == (23, 23)


def test_a_batch_begun_with_only_some_of_its_rows_is_completed(
    people: BigQueryTarget, people_columns: tuple[Column, ...], writer_to: Callable[..., StorageWriter]
) -> None:
    rows = [{"id": f"{n}"} for n in range(10)]
    # The emulator counts the rows of a stream that is ended before an append has stored its own: one at a time, here.
    writer = writer_to(people, people_columns, max_rows=3, max_in_flight=1)
    kept = [writer.begin_stream()]
    writer.insert(rows[:6], [""] * 6, stream=kept[0], keep=kept.append)
    assert writer.insert(rows, [""] * 10, stream=kept[0], keep=kept.append).accepted == 10
    assert count_of(people) == (10, 10)


def test_a_column_that_the_table_lacks_stops_the_job(
    people: BigQueryTarget, people_columns: tuple[Column, ...], writer_to: Callable[..., StorageWriter]
) -> None:
    writer = writer_to(people, [*people_columns, Column("later", "INT64")], lag_retry=NO_RETRY)
    with pytest.raises(JobError, match=r"lacks a column of the rows: no such field: later\. Add it"):
        writer.insert([{"id": "a", "later": 1}], ["a"])


def test_a_table_that_is_missing_stops_the_job(
    target: BigQueryTarget, missing_target: BigQueryTarget, writer_to: Callable[..., StorageWriter]
) -> None:
    writer = writer_to(target, [Column("id", "STRING")], lag_retry=NO_RETRY)
    with pytest.raises(JobError, match=r"To fix it: check project, dataset and table"):
        writer.insert([{"id": "a"}], ["a"])


def test_a_writer_goes_on_after_its_table_has_grown(
    people: BigQueryTarget,
    people_columns: tuple[Column, ...],
    layout: TableOptions,
    writer_to: Callable[..., StorageWriter],
) -> None:
    writer = writer_to(people, people_columns)
    writer.insert([{"id": "a"}], ["a"])
    grown = (*people_columns, Column("later", "INT64"))
    ensure_table(people, grown, layout)
    writer.insert([{"id": "b"}], ["b"])
    writer_to(people, grown).insert([{"id": "c", "later": 1}], ["c"])
    assert count_of(people) == (3, 3)


def count_of(target: BigQueryTarget) -> tuple[int, int]:
    """Rows, and different ids."""
    query = f"SELECT COUNT(*), COUNT(DISTINCT id) FROM `{target.id}`"
    rows, ids = next(iter(target.client().query(query).result())).values()
    return rows, ids
