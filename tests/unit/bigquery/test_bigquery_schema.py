"""The table of a spec, and what lies between it and an existing one."""

import pytest

from transforms.bigquery.schema import (
    Column,
    SchemaDifference,
    TableOptions,
    check_names,
    check_options,
    schema_difference,
)
from transforms.errors import UsageError
from transforms.records.spec import BigQueryOptions, Field, FieldType, Key, RecordSpec
from transforms.records.table import table_columns, table_options


def spec_of(*fields: Field, bigquery: BigQueryOptions = BigQueryOptions()) -> RecordSpec:
    return RecordSpec(
        name="people",
        schema_version=1,
        fingerprint="f",
        key=Key("id"),
        full_collection="full",
        flat_collection="flat",
        fields=(Field("id", FieldType.STRING, "document id"), *fields),
        bigquery=bigquery,
    )


def columns_of(spec: RecordSpec) -> dict[str, str]:
    return {column.name: column.form for column in table_columns(spec)}


def test_every_field_type_has_a_column_type() -> None:
    fields = [Field(field_type.name.lower(), field_type) for field_type in FieldType]
    columns = columns_of(spec_of(*fields))
    assert {name: columns[name] for name in ("id", *(field.name for field in fields))} == {
        "id": "STRING",
        "string": "STRING",
        "integer": "INT64",
        "number": "FLOAT64",
        "bool": "BOOL",
        "timestamp": "TIMESTAMP",
        "strings": "ARRAY<STRING>",
        "json": "JSON",
    }


def test_behind_the_fields_come_update_time_meta_profile_and_overflow() -> None:
    assert columns_of(spec_of()) == {
        "id": "STRING",
        "update_time": "TIMESTAMP",
        "_meta_schema_version": "INT64",
        "_meta_version": "INT64",
        "_meta_content_hash": "STRING",
        "_meta_created_at": "TIMESTAMP",
        "_meta_updated_at": "TIMESTAMP",
        "_meta_source": "STRING",
        "_meta_position": "INT64",
        "_meta_job_id": "STRING",
        "_meta_batch_id": "STRING",
        "_meta_attempt": "INT64",
        "profile": "JSON",
        "_overflow": "JSON",
    }


def test_a_required_field_may_still_be_null_in_the_table() -> None:
    columns = table_columns(spec_of(Field("name", FieldType.STRING, "full name", required=True)))
    assert columns[1] == Column("name", "STRING", "NULLABLE", "full name")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("profile", "columns profile and profile are one for BigQuery"),
        ("_Meta_Version", "columns _Meta_Version and _meta_version are one for"),
        ("Update_Time", "columns Update_Time and update_time are one for"),
        ("_partition_day", "column _partition_day starts with _PARTITION, which BigQuery keeps for itself"),
        ("__root__x", "starts with __ROOT__"),
        ("years-of-work", "'years-of-work' cannot be a BigQuery column"),
        ("9lives", "'9lives' cannot be a BigQuery column"),
        ("x" * 301, "at most 300; rename the field"),
        ("", "'' cannot be a BigQuery column"),
    ],
)
def test_a_field_that_cannot_be_a_column_is_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        table_columns(spec_of(Field(name, FieldType.STRING)))


def test_a_table_is_partitioned_by_update_time_and_clustered_by_key_unless_the_spec_says_otherwise() -> None:
    spec = spec_of()
    assert table_options(spec, table_columns(spec)) == TableOptions("update_time", "DAY", ("id",))
    spec = spec_of(
        Field("day", FieldType.TIMESTAMP),
        Field("size", FieldType.INTEGER),
        bigquery=BigQueryOptions("day", "MONTH", ("size", "id")),
    )
    assert table_options(spec, table_columns(spec)) == TableOptions("day", "MONTH", ("size", "id"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (TableOptions("nope"), "bigquery.partition_by: there is no column nope; choose one of at, a, b, c, d, e, f"),
        (TableOptions("a"), "bigquery.partition_by: a is STRING; choose a TIMESTAMP column"),
        (TableOptions("at", "WEEK"), "bigquery.partition_type must be one of HOUR, DAY, MONTH, YEAR, got WEEK"),
        (TableOptions("at", "DAY", ("nope",)), "bigquery.cluster_by: there is no column nope"),
        (TableOptions("at", "DAY", ("a", "b", "c", "d", "at")), "must name at most 4 columns, got 5"),
        (TableOptions("at", "DAY", ("e",)), "bigquery.cluster_by: e is ARRAY<STRING>; choose from columns of BOOL"),
        (TableOptions("at", "DAY", ("f",)), "bigquery.cluster_by: f is FLOAT64"),
    ],
)
def test_a_layout_that_bigquery_cannot_make_is_refused(options: TableOptions, message: str) -> None:
    columns = [Column("at", "TIMESTAMP"), *(Column(name, "STRING") for name in "abcd")]
    with pytest.raises(UsageError, match=message):
        check_options(options, [*columns, Column("e", "STRING", "REPEATED"), Column("f", "FLOAT64")])


def test_equal_tables_have_no_difference() -> None:
    columns = table_columns(spec_of())
    assert schema_difference(columns, columns) == SchemaDifference((), ())


def test_missing_columns_are_added_in_the_order_wanted() -> None:
    a, b, c = Column("a", "STRING"), Column("b", "INT64"), Column("c", "JSON")
    assert schema_difference([b], [a, b, c]) == SchemaDifference((a, c), ())


def test_descriptions_and_the_case_of_names_make_no_difference() -> None:
    assert schema_difference([Column("ID", "STRING", description="x")], [Column("id", "STRING")]) == SchemaDifference(
        (), ()
    )


def test_a_struct_that_lacks_fields_is_widened_and_keeps_those_it_has() -> None:
    a, b, c = Column("a", "STRING"), Column("b", "INT64"), Column("c", "JSON")
    existing, wanted = Column("m", "STRUCT", fields=(a, b)), Column("m", "STRUCT", fields=(b, c))
    assert schema_difference([existing], [wanted]).widened == (Column("m", "STRUCT", fields=(a, b, c)),)


def test_a_field_of_a_struct_that_has_another_type_is_a_conflict() -> None:
    existing = Column("m", "STRUCT", fields=(Column("a", "STRING"),))
    wanted = Column("m", "STRUCT", fields=(Column("a", "INT64"),))
    assert schema_difference([existing], [wanted]).conflicts == ("m.a is STRING, wanted INT64",)


def test_columns_that_nobody_asks_for_are_left_alone() -> None:
    assert schema_difference([Column("mine", "GEOGRAPHY")], []) == SchemaDifference((), ())


@pytest.mark.parametrize(
    ("existing", "wanted", "conflict"),
    [
        (Column("a", "STRING"), Column("a", "INT64"), "a is STRING, wanted INT64"),
        (Column("a", "STRING"), Column("a", "STRING", "REPEATED"), "a is STRING, wanted ARRAY<STRING>"),
        (Column("a", "STRING", "REQUIRED"), Column("a", "STRING"), "a is STRING NOT NULL, wanted STRING"),
        (
            Column("b", "INT64", "REQUIRED"),
            Column("a", "STRING"),
            "b is INT64 NOT NULL, but no row will have it",
        ),
    ],
)
def test_a_column_that_cannot_hold_what_is_wanted_is_a_conflict(
    existing: Column, wanted: Column, conflict: str
) -> None:
    assert schema_difference([existing], [wanted]).conflicts == (conflict,)


def test_names_are_checked_for_any_columns() -> None:
    check_names([Column("_x", "STRING"), Column("y9", "STRING")])
    with pytest.raises(UsageError, match="starts with _TABLE_"):
        check_names([Column("_table_suffix", "STRING")])
