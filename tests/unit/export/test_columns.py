"""The columns that documents ask for, and the rows that documents make of them."""

import datetime
import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.any_documents import records as some_documents
from transforms.bigquery.cells import writable
from transforms.bigquery.schema import Column, check_names, schema_difference
from transforms.bigquery.storage_rows import RowMessage
from transforms.export import shapes
from transforms.export.columns import (
    FLATTEN,
    JSON,
    RECORD,
    Rename,
    document_columns,
    field_of,
    fixed_columns,
    legal_name,
    misfits,
    renames,
)
from transforms.export.document_rows import DocumentRows
from transforms.export.shapes import Shape, merge, observe
from transforms.firestore import messages
from transforms.firestore.documents import Document
from transforms.firestore.values import GeoPoint, Reference, Vector, encode_fields

NAME = "projects/p/databases/d/documents/users/ada"
MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)
FIXED = fixed_columns()


def document(**fields):
    message = messages.Document(name=NAME)
    encode_fields(fields, message.fields)
    message.create_time.FromDatetime(MOMENT)
    message.update_time.FromDatetime(MOMENT)
    return Document(message)


def shapes_of(*fields, within_maps=False):
    found: dict[str, Shape] = {}
    for each in fields:
        observe(document(**each).message.fields, found, within_maps=within_maps)
    return found


def columns_of(*fields, nested=JSON, existing=()):
    wanted = document_columns(shapes_of(*fields, within_maps=nested != JSON), nested, FIXED, existing)
    check_names(wanted)
    return {column.name: column for column in wanted if column not in FIXED}


def forms(*fields, **more):
    return {name: column.form for name, column in columns_of(*fields, **more).items()}


def row(columns, /, **fields):
    made = DocumentRows((*FIXED, *columns), read_time=MOMENT).row(document(**fields))
    own = {name: cell for name, cell in made.cells.items() if name not in {column.name for column in FIXED}}
    return own, orjson.loads(made.cells.get("_overflow", "{}")), made.overflowed


@pytest.mark.parametrize(
    ("values", "form"),
    [
        ([1, 2], "INT64"),
        ([2**62], "INT64"),
        ([1.5, math.nan], "FLOAT64"),
        ([1, 1.5], "FLOAT64"),
        ([2**53 + 1, 1.5], "JSON"),
        ([True, None], "BOOL"),
        ([True, 1], "JSON"),
        (["a", None], "STRING"),
        (["a", 1], "JSON"),
        ([Reference(NAME)], "STRING"),
        (["a", Reference(NAME)], "STRING"),
        ([b"a"], "BYTES"),
        ([GeoPoint(1, 2)], "GEOGRAPHY"),
        ([MOMENT], "TIMESTAMP"),
        ([MOMENT, "2026-01-01"], "JSON"),
        ([Vector((1.0,))], "ARRAY<FLOAT64>"),
        ([["a"], []], "ARRAY<STRING>"),
        ([[1], [2.5]], "ARRAY<FLOAT64>"),
        ([[MOMENT]], "ARRAY<TIMESTAMP>"),
        ([[]], "JSON"),
        ([["a", None]], "JSON"),
        ([["a", 1]], "JSON"),
        ([[{"a": 1}]], "JSON"),
        ([["a"], "a"], "JSON"),
        ([{"a": 1}], "JSON"),
        ([{"a": 1}, 1], "JSON"),
    ],
)
def test_the_column_is_the_narrowest_that_holds_every_value_exactly(values, form):
    assert forms(*({"f": value} for value in values)) == {"f": form}


def test_a_field_that_was_never_anything_but_null_has_no_column():
    assert forms({"f": None}) == {}


def test_maps_are_json_structs_or_a_column_a_leaf():
    fields = {"a": {"b": 1, "c": {"d": "x"}}, "e": 1}
    assert forms(fields, nested=JSON) == {"a": "JSON", "e": "INT64"}
    assert forms(fields, nested=RECORD) == {"a": "STRUCT<b INT64, c STRUCT<d STRING>>", "e": "INT64"}
    assert forms(fields, nested=FLATTEN) == {"a_b": "INT64", "a_c_d": "STRING", "e": "INT64"}


@pytest.mark.parametrize("nested", [RECORD, FLATTEN])
def test_a_map_that_is_not_always_one_or_always_empty_is_json(nested):
    assert forms({"a": {"b": 1}, "c": {}}, {"a": 1}, nested=nested) == {"a": "JSON", "c": "JSON"}


def test_names_are_made_legal_and_lead_back_to_their_fields():
    columns = columns_of({"full name": 1, "2nd": 2, "Tag": 3, "tag": 4, "document_id": 5})
    assert {field_of(column): name for name, column in columns.items()} == {
        ("full name",): "full_name",
        ("2nd",): "_2nd",
        ("Tag",): "Tag",
        ("tag",): legal_name("tag", {"tag"}),
        ("document_id",): legal_name("document_id", {"document_id"}),
    }
    assert Rename("`full name`", "full_name") in renames(columns.values())
    assert Rename("Tag", "Tag") not in renames(columns.values())


def test_members_of_structs_are_renamed_within_them():
    assert renames(columns_of({"a": {"b c": {"d": 1, "e-f": 2}}}, nested=RECORD).values()) == [
        Rename("a.`b c`", "a.b_c"),
        Rename("a.`b c`.`e-f`", "a.b_c.e_f"),
    ]


def test_a_column_is_never_retyped_dropped_or_renamed():
    existing = (*FIXED, *columns_of({"age": 1, "tag": "a", "gone": True}).values())
    wanted = document_columns(shapes_of({"age": "x", "Tag": 1, "tag": 2}), JSON, FIXED, existing)
    assert wanted[: len(existing)] == existing
    assert [column.form for column in wanted[len(existing) :]] == ["INT64"]


def test_a_column_that_somebody_else_made_for_a_field_is_used():
    mine = Column("age", "FLOAT64", description="years")
    assert columns_of({"age": 1}, existing=[mine]) == {"age": mine}


def test_a_struct_gets_the_fields_it_lacks():
    before = columns_of({"a": {"b": 1}}, nested=RECORD)
    after = columns_of({"a": {"c": "x"}}, nested=RECORD, existing=tuple(before.values()))
    assert after["a"].form == "STRUCT<b INT64, c STRING>"
    assert schema_difference(before.values(), after.values()).conflicts == ()


def test_a_table_never_gets_more_columns_than_bigquery_allows():
    assert len(columns_of({f"f{n}": 1 for n in range(9_100)})) < 9_000


def test_a_map_of_more_members_than_there_is_room_for_is_json_and_leaves_the_room_to_others():
    fields = {"a": 1, "b": {f"m{n}": 1 for n in range(9_500)}, "c": "x"}
    assert forms(fields, nested=RECORD) == {"a": "INT64", "b": "JSON", "c": "STRING"}


def test_structs_that_grow_share_the_room_of_the_table():
    def members(prefix):
        return {f"{prefix}{n}": 1 for n in range(4_000)}

    before = columns_of({"a": members("m"), "b": members("m")}, nested=RECORD)
    after = columns_of({"a": members("x"), "b": members("x")}, nested=RECORD, existing=tuple(before.values()))
    assert 8_900 < sum(1 + len(column.fields) for column in after.values()) < 9_000


def test_a_field_whose_name_is_too_long_for_a_description_goes_to_the_overflow():
    long = "x" * 1_200
    assert columns_of({long: 1}) == {}
    assert row((), **{long: 1}) == ({}, {long: 1}, (long,))


def test_a_row_has_what_the_document_and_the_run_say():
    made = DocumentRows(fixed_columns(("team",)), ("team",), read_time=MOMENT, extracted_at=MOMENT)
    assert made.row(document(), {"team": "t1"}).cells == {
        "document_id": "ada",
        "document_name": NAME,
        "team": "t1",
        **dict.fromkeys(
            ("create_time", "update_time", "read_time", "extracted_at"), "2026-01-02T03:04:05.000006+00:00"
        ),
    }


def test_values_that_do_not_fit_go_to_the_overflow_under_their_field_paths():
    columns = columns_of({"age": 1, "a": {"b": 1, "c": {"d": True}}}, nested=RECORD).values()
    fields = {"age": "x", "a": {"b": 2, "c": {"d": 1}, "new": [1]}, "n e w": 3}
    cells = {"a": {"b": 2, "c": {}}}
    assert row(columns, **fields) == (
        cells,
        {"age": "x", "a.c.d": 1, "a.new": [1], "`n e w`": 3},
        ("`n e w`", "a.c.d", "a.new", "age"),
    )


def test_flattened_members_go_to_their_columns_and_an_empty_map_to_the_overflow():
    columns = columns_of({"a": {"b": 1, "c": {"d": True}}}, nested=FLATTEN).values()
    assert row(columns, a={"b": 2, "c": {"d": False}}) == ({"a_b": 2, "a_c_d": False}, {}, ())
    assert row(columns, a={"c": {}}) == ({}, {"a.c": {}}, ("a.c",))
    assert row(columns, a=7) == ({}, {"a": 7}, ("a",))


def test_a_struct_that_is_to_be_flattened_gets_members_under_their_own_names():
    before = columns_of({"a": {"b": 1, "geo": {"lon": 1.5}}}, nested=RECORD)
    seen = {"a": {"geo": {"lat": 1.5}, "pos": {"lat": 2.5}}}
    after = columns_of(seen, nested=FLATTEN, existing=tuple(before.values()))
    assert after["a"].form == "STRUCT<b INT64, geo STRUCT<lon FLOAT64, lat FLOAT64>, pos STRUCT<lat FLOAT64>>"
    assert row(after.values(), a={"lat": 9.5, "pos": {"lat": 2.5}}) == (
        {"a": {"pos": {"lat": 2.5}}},
        {"a.lat": 9.5},
        ("a.lat",),
    )


def test_a_flattened_map_goes_on_with_its_columns_when_one_document_has_something_else_there():
    before = columns_of({"a": {"b": 1}}, nested=FLATTEN)
    after = columns_of({"a": {"b": 1, "c": True}}, {"a": "x"}, nested=FLATTEN, existing=tuple(before.values()))
    assert {name: column.form for name, column in after.items()} == {"a_b": "INT64", "a_c": "BOOL", "a": "STRING"}
    assert row(after.values(), a={"b": 2, "c": False}) == ({"a_b": 2, "a_c": False}, {}, ())
    assert row(after.values(), a="y") == ({"a": "y"}, {}, ())


def test_a_flattened_map_stays_flattened_where_new_maps_become_structs():
    before = columns_of({"a": {"b": 1, "c": 1}}, nested=FLATTEN)
    after = columns_of({"a": {"b": 1}, "n": {"b": 1}}, nested=RECORD, existing=tuple(before.values()))
    assert {name: column.form for name, column in after.items()} == {
        "a_b": "INT64",
        "a_c": "INT64",
        "n": "STRUCT<b INT64>",
    }
    assert row(after.values(), a={"b": 2, "c": 3}) == ({"a_b": 2, "a_c": 3}, {}, ())


def test_a_struct_of_somebody_else_s_with_fields_of_types_that_no_value_has_fails_no_row():
    day, city = Column("day", "DATE"), Column("city", "STRING")
    columns = (Column("a", "STRUCT", fields=(day, city)), Column("b", "STRUCT", fields=(day,)))
    fields = {"a": {"city": "London", "day": "2026-01-02"}, "b": {"day": "2026-01-02"}}
    overflow = {"a.day": "2026-01-02", "b": {"day": "2026-01-02"}}
    assert row(columns, **fields) == ({"a": {"city": "London"}}, overflow, ("a.day", "b"))
    typed = DocumentRows((*FIXED, *columns), typed=True).row(document(**fields)).cells
    assert b"London" in RowMessage(writable((*FIXED, *columns))).serialised(typed)


def test_a_struct_has_no_member_that_is_a_column_of_the_table():
    struct = Column("a", "STRUCT", description="Firestore field `a`", fields=(Column("b", "INT64"),))
    leaf = Column("a_c", "INT64", description="Firestore field `a.c`")
    for columns in ((struct, leaf), (leaf, struct)):
        assert row(columns, a={"b": 2, "c": 3}) == ({"a": {"b": 2}}, {"a.c": 3}, ("a.c",))


def test_a_table_that_changes_its_mind_about_maps_keeps_filling_the_column_it_has():
    before = columns_of({"a": {"b": 1}}, nested=JSON)
    after = columns_of({"a": {"b": 1}}, nested=FLATTEN, existing=tuple(before.values()))
    assert after == before


def is_hollow(value):
    return value is None or value == [] or (isinstance(value, dict) and all(map(is_hollow, value.values())))


@pytest.mark.parametrize("nested", [JSON, RECORD, FLATTEN])
@given(records=st.lists(some_documents, min_size=1, max_size=5))
def test_nothing_overflows_in_a_table_made_for_the_documents_but_empty_and_null_parts(records, nested):
    columns = columns_of(*records, nested=nested).values()
    for fields in records:
        _, overflow, _ = row(columns, **fields)
        assert all(map(is_hollow, overflow.values()))


@given(st.lists(some_documents, max_size=6), st.randoms())
def test_shapes_merge_in_any_order(records, random):
    whole = shapes_of(*records, within_maps=True)
    parts = [shapes_of(each, within_maps=True) for each in records]
    random.shuffle(parts)
    merged: dict[str, Shape] = {}
    for part in parts:
        merge(merged, part)
    assert merged == whole


def test_shapes_tell_large_integers_and_vectors_apart():
    found = shapes_of({"n": 2**53, "m": 2**53 + 1, "v": Vector((1.0,)), "t": {"__type__x": "y"}})
    kinds = {name: shape.kinds for name, shape in found.items()}
    large = shapes.INTEGER | shapes.LARGE_INTEGER
    assert kinds == {"n": shapes.INTEGER, "m": large, "v": shapes.VECTOR, "t": shapes.MAP}


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (Column("owner", "STRING", "REQUIRED"), "column owner is REQUIRED, but a document may lack it"),
        (Column("deleted_at", "TIMESTAMP", "REQUIRED"), "column deleted_at is REQUIRED, but most rows have none"),
        (Column("document_name", "INT64"), "column document_name is INT64, wanted STRING"),
        (Column("_overflow", "STRING"), "column _overflow is STRING, wanted JSON"),
        (Column("update_time", "TIMESTAMP", "REPEATED"), "column update_time is ARRAY<TIMESTAMP>, wanted TIMESTAMP"),
        (Column("Document_Name", "STRING"), "column Document_Name must be named document_name"),
        (
            Column("city", "STRING", description="Firestore field `city`"),
            "column city is of Firestore field `city`, wanted for the path parameter {city}",
        ),
    ],
)
def test_a_table_that_cannot_hold_documents_is_refused_with_the_column(column, reason):
    assert misfits([column], fixed_columns(["city"])) == [reason]


def test_a_table_that_an_export_has_made_holds_documents_and_so_does_one_that_promises_what_every_row_has():
    made = [*columns_of({"a": 1}).values(), *fixed_columns(["city"])]
    promised = [Column("document_name", "STRING", "REQUIRED"), Column("city", "STRING", "REQUIRED")]
    assert misfits(made, fixed_columns(["city"])) == misfits(promised, fixed_columns(["city"])) == []
