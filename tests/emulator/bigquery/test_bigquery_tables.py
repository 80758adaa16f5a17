"""Tables and views on the BigQuery emulator."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.clocks import no_waiting
from transforms.bigquery.inserter import RowInserter
from transforms.bigquery.schema import Column, TableOptions
from transforms.bigquery.tables import Ensured, ensure_latest_view, ensure_table, existing_columns
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import JobError, TransientError
from transforms.records.table import latest_rows
from transforms.retry import Retry
from transforms.upsert.rows import RowEncoder

pytestmark = pytest.mark.emulator

MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, datetime.timezone.utc)


def test_a_table_is_made_with_columns_partitioning_and_clustering(
    target: BigQueryTarget, people_columns: tuple[Column, ...], layout: TableOptions
) -> None:
    made = ensure_table(target, people_columns, layout)
    assert made == Ensured(created=True, added=tuple(column.name for column in people_columns))
    table = target.client().get_table(target.id)
    assert [(field.name, field.field_type, field.mode) for field in table.schema] == [
        (column.name, column.legacy_type, column.mode) for column in people_columns
    ]
    assert (table.time_partitioning.field, table.time_partitioning.type_) == ("update_time", "DAY")
    assert table.clustering_fields == ["id"]


def test_a_new_table_has_just_the_columns_it_was_made_with(target: BigQueryTarget, layout: TableOptions) -> None:
    types = ("STRING", "INT64", "FLOAT64", "BOOL", "TIMESTAMP", "BYTES", "GEOGRAPHY", "JSON")
    plain = tuple(Column(f"of_{each.lower()}", each, description=f"a {each}") for each in types)
    inner = Column("inner", "STRUCT", "REPEATED", fields=plain)
    columns = (Column("id", "STRING", "REQUIRED"), Column("update_time", "TIMESTAMP"), *plain)
    columns += (Column("texts", "STRING", "REPEATED"), Column("outer", "STRUCT", fields=(*plain, inner)))
    assert ensure_table(target, columns, layout).created
    assert existing_columns(target) == columns


def test_an_up_to_date_table_is_left_as_it_is(
    people: BigQueryTarget, people_columns: tuple[Column, ...], layout: TableOptions
) -> None:
    before = people.client().get_table(people.id).etag
    assert ensure_table(people, people_columns, layout) == Ensured(created=False, added=())
    assert people.client().get_table(people.id).etag == before


def test_missing_columns_are_added_and_rows_are_kept(
    people: BigQueryTarget, people_columns: tuple[Column, ...], layout: TableOptions, rows_of: Callable[..., Any]
) -> None:
    inserter = RowInserter(people)
    inserter.insert([{"id": "old"}], ["1"])
    grown = (*people_columns, Column("team", "STRING"), Column("badges", "STRING", "REPEATED"))
    assert ensure_table(people, grown, layout) == Ensured(created=False, added=("team", "badges"))
    inserter.insert([{"id": "new", "team": "red", "badges": ["a"]}], ["2"])
    assert rows_of(people) == [{"id": "new", "team": "red", "badges": ["a"]}, {"id": "old"}]


def test_a_type_change_stops_the_job_with_the_difference_and_changes_nothing(
    people: BigQueryTarget, people_columns: tuple[Column, ...], layout: TableOptions
) -> None:
    changed = [column for column in people_columns if column.name not in ("age", "skills")]
    changed += [Column("age", "STRING"), Column("skills", "STRING"), Column("team", "STRING")]
    with pytest.raises(JobError) as raised:
        ensure_table(people, changed, layout)
    assert str(raised.value) == (
        f"BigQuery table {people.id} does not fit the spec: age is INT64, wanted STRING; "
        "skills is ARRAY<STRING>, wanted STRING. Rename the fields in the spec, or write to a new table; "
        "a column's type is never changed"
    )
    assert ensure_table(people, people_columns, layout) == Ensured(created=False, added=())


class RacedClient:
    """A client that lets another job go first, just before one of its own requests."""

    def __init__(self, client: Any, request: str, other_job: Callable[[], object]):
        self.client, self.request, self.other_job = client, request, other_job
        self.raced = False

    def __getattr__(self, name: str) -> Any:
        if name == self.request and not self.raced:
            self.raced = True
            self.other_job()
        return getattr(self.client, name)


def test_two_jobs_may_make_the_table_at_once(
    target: BigQueryTarget, people_columns: tuple[Column, ...], layout: TableOptions
) -> None:
    client: Any = RacedClient(target.client(), "create_table", lambda: ensure_table(target, people_columns, layout))
    mine = (*people_columns, Column("mine", "STRING"))
    assert ensure_table(target, mine, layout, client=client) == Ensured(created=False, added=("mine",))


def test_two_jobs_may_add_columns_at_once(
    people: BigQueryTarget, people_columns: tuple[Column, ...], layout: TableOptions
) -> None:
    theirs = (*people_columns, Column("theirs", "STRING"))
    client: Any = RacedClient(people.client(), "update_table", lambda: ensure_table(people, theirs, layout))
    mine = (*people_columns, Column("mine", "STRING"))
    assert ensure_table(people, mine, layout, client=client) == Ensured(created=False, added=("mine",))
    names = [field.name for field in people.client().get_table(people.id).schema]
    assert names[-2:] == ["theirs", "mine"]


def test_two_jobs_may_bring_the_view_up_to_date_at_once(
    people: BigQueryTarget, people_columns: tuple[Column, ...], layout: TableOptions
) -> None:
    ensure_latest_view(people, latest_rows(people, "id"))
    ensure_table(people, (*people_columns, Column("team", "STRING")), layout)
    client: Any = RacedClient(
        people.client(), "update_table", lambda: ensure_latest_view(people, latest_rows(people, "id"))
    )
    view = ensure_latest_view(people, latest_rows(people, "id"), client=client)
    assert "team" in [field.name for field in people.client().get_table(view.id).schema]


def test_a_missing_dataset_is_an_error_that_says_how_to_make_it(
    missing_target: BigQueryTarget, people_columns: tuple[Column, ...], layout: TableOptions
) -> None:
    name = f"{missing_target.project}:{missing_target.dataset}"
    with pytest.raises(JobError) as raised:
        ensure_table(missing_target, people_columns, layout)
    assert str(raised.value) == (
        f"BigQuery dataset {name} does not exist. Make it where the data should live: "
        f"bq --location=EU mk --dataset {name}"
    )


def test_a_missing_dataset_is_made_where_a_location_is_given(
    missing_target: BigQueryTarget, people_columns: tuple[Column, ...], layout: TableOptions
) -> None:
    assert ensure_table(missing_target, people_columns, layout, dataset_location="EU").created
    assert missing_target.client().get_dataset(missing_target.dataset).location == "EU"


def test_a_view_cannot_take_rows(
    people: BigQueryTarget, people_columns: tuple[Column, ...], layout: TableOptions
) -> None:
    view = ensure_latest_view(people, latest_rows(people, "id"))
    with pytest.raises(JobError, match=f"BigQuery {view.id} is a view; rows need a table: choose another name"):
        ensure_table(view, people_columns, layout)


def test_a_service_that_does_not_answer_is_waited_for_and_no_job_error(
    people_columns: tuple[Column, ...], layout: TableOptions
) -> None:
    delays_s: list[float] = []
    retry = Retry(3, 2.0, clock=no_waiting(slept=delays_s, chance=0.5))
    nobody = BigQueryTarget("demo-x", "d", "t", "http://127.0.0.1:9")  # the discard port, where nothing listens
    with pytest.raises(TransientError, match=r"BigQuery table demo-x.d.t: no answer from BigQuery \(ConnectionError\)"):
        ensure_table(nobody, people_columns, layout, retry=retry)
    assert delays_s == [1.0, 2.0]


def test_the_latest_view_has_one_row_an_id_that_of_the_newest_update_time(
    people: BigQueryTarget, people_columns: tuple[Column, ...], rows_of: Callable[..., Any]
) -> None:
    encoder = RowEncoder(people_columns)
    second = datetime.timedelta(microseconds=1)
    rows = [
        encoder.row({"id": "ada", "age": 1}, {"version": 1}, MOMENT),
        encoder.row({"id": "ada", "age": 2}, {"version": 2}, MOMENT + second),
        encoder.row({"id": "ada", "age": 3}, {"version": 3}, MOMENT - second),
        encoder.row({"id": "bob", "age": 4}, {"version": 1}, None),
        encoder.row({"id": "bob", "age": 5}, {"version": 1}, MOMENT),
    ]
    RowInserter(people).insert([row.cells for row in rows], [str(n) for n in range(len(rows))])
    view = ensure_latest_view(people, latest_rows(people, "id"))
    assert view.id == f"{people.id}_latest"
    assert [(row["id"], row["age"]) for row in rows_of(view)] == [("ada", 2), ("bob", 5)]


def test_equal_update_times_are_decided_the_same_way_every_time(
    people: BigQueryTarget, people_columns: tuple[Column, ...], rows_of: Callable[..., Any]
) -> None:
    encoder = RowEncoder(people_columns)
    rows = [encoder.row({"id": "ada"}, {"version": 1, "batch_id": f"b{n}"}, MOMENT).cells for n in range(5)]
    inserter = RowInserter(people)
    view = ensure_latest_view(people, latest_rows(people, "id"))
    for turn in (rows[2:4], rows[4:], rows[:2], rows):
        inserter.insert(turn, [f"{id(turn)}-{n}" for n in range(len(turn))])
    assert [row["_meta_batch_id"] for row in rows_of(view)] == ["b4"]


def test_the_latest_view_is_left_alone_when_up_to_date_and_follows_added_columns(
    people: BigQueryTarget, people_columns: tuple[Column, ...], layout: TableOptions, rows_of: Callable[..., Any]
) -> None:
    view = ensure_latest_view(people, latest_rows(people, "id"))
    before = people.client().get_table(view.id).etag
    assert ensure_latest_view(people, latest_rows(people, "id")) == view
    assert people.client().get_table(view.id).etag == before
    ensure_table(people, (*people_columns, Column("team", "STRING")), layout)
    ensure_latest_view(people, latest_rows(people, "id"))
    RowInserter(people).insert([{"id": "ada", "team": "red"}], ["1"])
    assert rows_of(view) == [{"id": "ada", "team": "red"}]
    assert "team" in [field.name for field in people.client().get_table(view.id).schema]


def test_a_table_in_the_views_place_is_not_overwritten(
    people: BigQueryTarget, people_columns: tuple[Column, ...], layout: TableOptions
) -> None:
    ensure_table(people.latest, people_columns, layout)
    with pytest.raises(JobError, match=f"BigQuery {people.latest.id} is not a view: rename or drop it"):
        ensure_latest_view(people, latest_rows(people, "id"))


def test_a_view_of_a_missing_table_is_an_error(target: BigQueryTarget) -> None:
    with pytest.raises(JobError, match=f"BigQuery view {target.latest.id}: "):
        ensure_latest_view(target, latest_rows(target, "id"))
