"""LoadRows on the BigQuery emulator: load jobs end in the same table as insertAll."""

import datetime
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.combiners import Count

from pipeline.emulators.start import BigQueryEmulator
from transforms.bigquery.inserter import RowInserter
from transforms.bigquery.load import LoadRows
from transforms.bigquery.rows import json_columns, loadable
from transforms.bigquery.schema import Column, TableOptions
from transforms.bigquery.tables import ensure_table
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import JobError
from transforms.upsert.rows import RowEncoder

pytestmark = pytest.mark.emulator

MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, datetime.timezone.utc)


@pytest.fixture
def temp_location(bigquery: BigQueryEmulator) -> Iterator[str]:
    """A gs:// folder that both Beam and the emulator see."""
    if bigquery.gcs is None:
        pytest.skip("load jobs need a Cloud Storage emulator")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", bigquery.gcs)
        yield f"gs://{bigquery.bucket}/loads"


@pytest.fixture
def rows(people_columns: tuple[Column, ...]) -> list[dict[str, Any]]:
    """Rows that use every column, one of them with values that overflow."""
    encoder = RowEncoder(people_columns)
    rich = {
        "name": "Zoë 😀",
        "age": 2**63 - 1,
        "score": float("-inf"),
        "ok": True,
        "seen_at": MOMENT,
        "skills": ["go", "é"],
        "details": {"text": '{"a": 1}', "list": [1, 1.0, None]},
    }
    poor = {"age": 8.5, "skills": "go", "score": 0.1}
    return [
        encoder.row({"id": f"{n}", **(rich if n % 2 else poor)}, {"version": n}, MOMENT, {"text": "x", "n": n}).cells
        for n in range(20)
    ]


@pytest.fixture
def loadable_rows(people_columns: tuple[Column, ...], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [loadable(row, json_columns(people_columns)) for row in rows]


@pytest.fixture
def inserted(
    people: BigQueryTarget,
    people_columns: tuple[Column, ...],
    layout: TableOptions,
    rows: list[dict[str, Any]],
    rows_of: Callable[..., Any],
) -> list[dict[str, Any]]:
    """What a table holds after the same rows went in by insertAll."""
    other = BigQueryTarget(people.project, people.dataset, "inserted", people.emulator)
    ensure_table(other, people_columns, layout)
    RowInserter(other).insert(rows, [row["id"] for row in rows])
    stored: list[dict[str, Any]] = rows_of(other)
    return stored


def test_file_loads_end_in_the_same_table_as_insert_all(
    people: BigQueryTarget,
    people_columns: tuple[Column, ...],
    loadable_rows: list[dict[str, Any]],
    inserted: list[dict[str, Any]],
    rows_of: Callable[..., Any],
    temp_location: str,
) -> None:
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        load_jobs = (
            pipeline
            | "Rows" >> beam.Create(loadable_rows)
            | "LoadRows" >> LoadRows(people, people_columns, temp_location=temp_location)
        )
        assert_that(load_jobs | "CountJobs" >> Count.Globally(), equal_to([1]))
    assert rows_of(people) == inserted
    assert inserted[1]["details"] == {"text": '{"a": 1}', "list": [1, 1.0, None]}


def test_file_loads_take_the_temp_location_of_the_pipeline(
    people: BigQueryTarget,
    people_columns: tuple[Column, ...],
    loadable_rows: list[dict[str, Any]],
    rows_of: Callable[..., Any],
    temp_location: str,
) -> None:
    options = PipelineOptions(["--temp_location", temp_location])
    with beam.Pipeline(runner=FnApiRunner(), options=options) as pipeline:
        _ = pipeline | "Rows" >> beam.Create(loadable_rows[:1]) | "LoadRows" >> LoadRows(people, people_columns)
    assert [row["id"] for row in rows_of(people)] == ["0"]


def test_a_missing_table_fails_the_job_and_is_not_made(
    target: BigQueryTarget, people_columns: tuple[Column, ...], temp_location: str
) -> None:
    with pytest.raises(Exception, match=rf"(?i)not found: table {target.project}[:.]{target.dataset}\.{target.table}"):
        with beam.Pipeline(runner=FnApiRunner()) as pipeline:
            _ = (
                pipeline
                | "Rows" >> beam.Create([{"id": "x"}])
                | "LoadRows" >> LoadRows(target, people_columns, temp_location=temp_location)
            )
    assert target.table not in [table.table_id for table in target.client().list_tables(target.dataset)]


def test_a_row_that_does_not_fit_fails_the_job_with_the_message_of_bigquery_and_the_file(
    people: BigQueryTarget, people_columns: tuple[Column, ...], temp_location: str
) -> None:
    why = rf"load job \S+ into table {people.id} failed: file {temp_location}/\S+: JSON table .* errors: 1\. To fix "
    with pytest.raises(JobError, match=why):
        with beam.Pipeline(runner=FnApiRunner()) as pipeline:
            _ = (
                pipeline
                | "Rows" >> beam.Create([{"id": "x"}, {"id": "y", "age": "eight"}])
                | "LoadRows" >> LoadRows(people, people_columns, temp_location=temp_location)
            )
