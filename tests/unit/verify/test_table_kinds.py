"""What a table is does not depend on what a user's fields are called."""

from dataclasses import replace

import pytest

from transforms.bigquery.schema import Column
from transforms.export.changelog import CHANGELOG_COLUMNS
from transforms.export.columns import fixed_columns
from transforms.records.table import meta_columns
from transforms.sql.rows import FIXED_COLUMNS
from transforms.verify.table_kinds import KnownTable, TableKind

PARAMETER = Column("user", "STRING", description="path parameter {user}")
INGEST = (Column("update_time", "TIMESTAMP"), *meta_columns(), Column("profile", "JSON"), Column("_overflow", "JSON"))
# As the change tracker of Firebase's extension makes it.
EXTENSION = (
    Column("timestamp", "TIMESTAMP", "REQUIRED", "The commit timestamp of this change in Cloud Firestore"),
    Column("event_id", "STRING", "REQUIRED", "The ID of the document change event that triggered the Cloud Function"),
    Column("document_name", "STRING", "REQUIRED", "The full name of the changed document"),
    Column("operation", "STRING", "REQUIRED", "One of CREATE, UPDATE, IMPORT, or DELETE."),
    Column("data", "STRING", description="The full JSON representation of the document state"),
    Column("document_id", "STRING", description="The document id as defined in the firestore database."),
)
# Every name and type by which one of the kinds is known.
TELLING = (*fixed_columns(), *CHANGELOG_COLUMNS, *INGEST)


def of_fields(*columns):
    """Columns of a user's fields, as export makes them."""
    return tuple(
        replace(column, name=f"{column.name}_1f2e", mode="NULLABLE", description=f"Firestore field `{column.name}`")
        if column.name in {each.name for each in fixed_columns()}
        else replace(column, mode="NULLABLE", description=f"Firestore field `{column.name}`")
        for column in columns
    )


def without_descriptions(columns):
    """As a view has them that a user has made."""
    return tuple(replace(column, description="") for column in columns)


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        (fixed_columns(), TableKind.EXPORT),
        (fixed_columns(["user"]), TableKind.EXPORT),
        (without_descriptions(fixed_columns()), TableKind.EXPORT),
        (without_descriptions(fixed_columns())[:5], TableKind.EXPORT),
        (CHANGELOG_COLUMNS, TableKind.CHANGELOG),
        (without_descriptions(CHANGELOG_COLUMNS), TableKind.CHANGELOG),
        (EXTENSION, TableKind.CHANGELOG),
        (tuple(replace(each, type="JSON") if each.name == "data" else each for each in EXTENSION), TableKind.CHANGELOG),
        ((Column("id", "INT64"), *FIXED_COLUMNS), TableKind.ROWS),
        (without_descriptions(FIXED_COLUMNS), TableKind.ROWS),
        (of_fields(*FIXED_COLUMNS), TableKind.OTHER),
        (INGEST, TableKind.INGEST),
        (without_descriptions(INGEST), TableKind.INGEST),
        ((Column("id", "STRING"), Column("name", "STRING")), TableKind.OTHER),
        # a user's fields have telling names
        ((*fixed_columns(), *of_fields(*CHANGELOG_COLUMNS)), TableKind.EXPORT),
        ((*fixed_columns(), *of_fields(*INGEST)), TableKind.EXPORT),
        ((*INGEST, *(each for each in without_descriptions(TELLING) if each not in INGEST)), TableKind.EXPORT),
        ((*INGEST, *without_descriptions(CHANGELOG_COLUMNS)), TableKind.INGEST),
        ((*INGEST, Column("deleted_at", "TIMESTAMP"), Column("document_id", "STRING")), TableKind.INGEST),
        (of_fields(*TELLING), TableKind.OTHER),
        # … and other types
        (tuple(replace(each, type="INT64") for each in TELLING), TableKind.OTHER),
        (tuple(replace(each, mode="REPEATED") for each in TELLING), TableKind.OTHER),
    ],
)
def test_a_table_is_what_types_and_descriptions_say(columns, kind):
    assert KnownTable.of(columns).kind is kind


@pytest.mark.parametrize("made_by", [fixed_columns(["user"]), (*fixed_columns(), PARAMETER)])
def test_every_column_of_export_that_is_of_no_field_is_the_row_s_own(made_by):
    table = KnownTable.of((*made_by, *of_fields(Column("deleted_at", "TIMESTAMP"), Column("operation", "STRING"))))
    assert table.own == {column.name for column in made_by}
    assert table.parameters == ("user",)
    assert table.names_paths


def test_a_table_of_ingest_has_fields_of_any_name():
    fields = (Column("document_name", "STRING"), Column("deleted_at", "TIMESTAMP"), Column("read_time", "TIMESTAMP"))
    table = KnownTable.of((*INGEST, *fields))
    assert (table.own, table.names_paths) == ({"update_time"}, False)


@pytest.mark.parametrize(
    ("key", "own"),
    [
        (None, {"document_id", "document_name", "_overflow"}),
        ("document_id", {"document_id", "_overflow"}),
        ("email", {"_overflow"}),
    ],
)
def test_all_columns_of_a_table_of_somebody_elses_are_fields_but_those_that_name_the_document(key, own):
    columns = [
        *(Column(name, "STRING") for name in ("document_id", "document_name", "email", "operation", "update_time")),
        *(Column(name, "TIMESTAMP") for name in ("deleted_at", "read_time", "extracted_at", "create_time")),
        Column("_overflow", "JSON"),
    ]
    table = KnownTable.of(columns, key)
    assert (table.kind, table.own) == (TableKind.OTHER, own)
