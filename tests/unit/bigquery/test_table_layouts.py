"""Which row counts, and what of it is compared: found out from a table's columns, whatever its fields are called."""

from typing import Any

import pytest

from transforms.records.table import meta_columns
from transforms.verify.bigquery_store import RowVersions
from transforms.verify.forms import RecordForm, TypedForm
from transforms.verify.ignored import Ignored
from transforms.verify.table_layouts import names_paths, table_store

JOB = {"projectId": "demo-script", "jobId": "job-1", "location": "EU"}
DESTINATION = {"projectId": "p", "datasetId": "d", "tableId": "t"}
META = [(column.name, column.type) for column in meta_columns()]
FIELDS_OF_ANY_NAME = [
    ("document_name", "STRING"),
    ("document_id", "STRING"),
    ("operation", "STRING"),
    ("data", "STRING"),
    ("timestamp", "TIMESTAMP"),
    ("deleted_at", "TIMESTAMP"),
    ("read_time", "TIMESTAMP"),
]


def table(*columns: tuple[str, str]) -> tuple[int, Any]:
    return 200, {
        "tableReference": {"projectId": "demo-script", "datasetId": "people", "tableId": "candidates"},
        "type": "TABLE",
        "schema": {"fields": [{"name": name, "type": type_} for name, type_ in columns]},
    }


def count_of_unnamed_rows() -> list[Any]:
    """The answers to a query that gives 0."""
    query = {"query": "SELECT 0", "destinationTable": DESTINATION}
    schema = {"fields": [{"name": "n", "type": "INTEGER"}]}
    return [
        (200, {"jobReference": JOB, "configuration": {"query": query}, "status": {"state": "DONE"}}),
        (200, {"jobComplete": True, "totalRows": "1", "schema": schema, "rows": [{"f": [{"v": "0"}]}]}),
    ]


@pytest.mark.parametrize("fields", [[("person_id", "STRING")], [("person_id", "STRING"), *FIELDS_OF_ANY_NAME]])
def test_a_table_of_ingest_is_compared_by_its_profiles(service: Any, fields: list[tuple[str, str]]) -> None:
    columns = [*fields, ("update_time", "TIMESTAMP"), *META, ("profile", "JSON"), ("_overflow", "JSON")]
    view = (200, {"type": "VIEW", "view": {"query": "… (PARTITION BY `person_id` ORDER BY …) = 1"}, **table()[1]})
    service.script = [table(*columns), view, *count_of_unnamed_rows()]
    store = table_store(service.target, by_path=False, ignored=Ignored())
    assert isinstance(store.form, RecordForm)
    assert store.form.columns == ("profile",)
    newest = ("`update_time`", "`_meta_version`", "`_meta_updated_at`")
    assert store.versions == RowVersions("person_id", "person_id", "", "`update_time`", newest, "")
    service.script = [table(*columns)]
    assert not names_paths(service.target)


def test_a_row_of_a_migration_may_say_that_its_document_is_gone(service: Any) -> None:
    own = [("update_time", "TIMESTAMP"), *META, ("_meta_deleted_at", "TIMESTAMP"), ("profile", "JSON")]
    view = (200, {"type": "VIEW", "view": {"query": "… (PARTITION BY `person_id` ORDER BY …) = 1"}, **table()[1]})
    service.script = [table(("person_id", "STRING"), *own), view, *count_of_unnamed_rows()]
    store = table_store(service.target, by_path=False, ignored=Ignored())
    assert store.versions.is_deleted == "`_meta_deleted_at` IS NOT NULL"


def test_a_table_of_somebody_elses_has_one_row_per_document_and_fields_of_any_name(service: Any) -> None:
    columns = [("email", "STRING"), ("update_time", "STRING"), *FIELDS_OF_ANY_NAME[3:]]
    service.script = [table(*columns), *count_of_unnamed_rows()]
    store = table_store(service.target, by_path=False, ignored=Ignored(), key_column="email")
    assert store.versions == RowVersions("email", "email")
    assert isinstance(store.form, TypedForm)
    assert store.form.columns == tuple(name for name, _ in columns)
