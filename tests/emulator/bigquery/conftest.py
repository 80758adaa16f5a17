"""Tables of a test's own on the BigQuery emulator."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline.emulators.start import BigQueryEmulator
from transforms.bigquery.schema import Column, TableOptions
from transforms.bigquery.tables import ensure_table
from transforms.bigquery.target import BigQueryTarget
from transforms.records.table import meta_columns


@pytest.fixture
def people_columns() -> tuple[Column, ...]:
    """One column of each kind."""
    return (
        Column("id", "STRING", description="document id"),
        Column("name", "STRING"),
        Column("age", "INT64"),
        Column("score", "FLOAT64"),
        Column("ok", "BOOL"),
        Column("seen_at", "TIMESTAMP"),
        Column("skills", "STRING", "REPEATED"),
        Column("details", "JSON"),
        Column("update_time", "TIMESTAMP"),
        *meta_columns(),
        Column("profile", "JSON"),
        Column("_overflow", "JSON"),
    )


@pytest.fixture
def layout() -> TableOptions:
    return TableOptions("update_time", "DAY", ("id",))


@pytest.fixture
def missing_target(bigquery: BigQueryEmulator) -> Iterator[BigQueryTarget]:
    """A table in a dataset that does not exist yet; the emulator is slower by every table that is left in it."""
    target = BigQueryTarget(bigquery.project, f"d_{uuid.uuid4().hex[:12]}", "people", bigquery.rest)
    yield target
    target.client().delete_dataset(target.dataset, delete_contents=True, not_found_ok=True)


@pytest.fixture
def target(missing_target: BigQueryTarget) -> BigQueryTarget:
    """A table that does not exist yet, in a dataset that does."""
    missing_target.client().create_dataset(missing_target.dataset)
    return missing_target


@pytest.fixture
def people(target: BigQueryTarget, people_columns: tuple[Column, ...], layout: TableOptions) -> BigQueryTarget:
    """An empty table of people."""
    ensure_table(target, people_columns, layout)
    return target


@pytest.fixture
def rows_of() -> Callable[..., list[dict[str, Any]]]:
    """The rows of a table or view in the order given, without columns that are NULL or empty."""

    def query(target: BigQueryTarget, order: str = "id") -> list[dict[str, Any]]:
        found = target.client().query(f"SELECT * FROM `{target.id}` ORDER BY {order}").result()
        return [{name: value for name, value in row.items() if value not in (None, [])} for row in found]

    return query
