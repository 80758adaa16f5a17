"""The row that is made of a document and the row that a table gives back are compared in one form."""

import base64
import datetime
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.any_documents import records, values
from transforms.bigquery.cells import json_text
from transforms.bigquery.schema import Column
from transforms.export.columns import document_columns, fixed_columns
from transforms.export.document_rows import DocumentRows
from transforms.export.shapes import observe
from transforms.firestore import messages
from transforms.firestore.documents import Document
from transforms.firestore.values import encode_fields
from transforms.verify.entries import content_hash
from transforms.verify.forms import FieldsForm, RecordForm, TypedForm, change_data_of, profile_of
from transforms.verify.ignored import Ignored
from transforms.verify.table_kinds import KnownTable

NOTHING = Ignored()


def document(fields):
    message = messages.Document(name="projects/p/databases/d/documents/users/ada")
    message.update_time.seconds = message.create_time.seconds = 1
    encode_fields(fields, message.fields)
    return Document(message)


def columns_of(*documents, nested="json"):
    shapes = {}
    for each in documents:
        observe(each.message.fields, shapes, within_maps=nested != "json")
    return document_columns(shapes, nested, fixed_columns())


def as_read(column, cell):
    """A cell as BigQuery's client gives it back."""
    if column.mode == "REPEATED":
        return [as_read(Column(column.name, column.type), item) for item in cell or ()]
    if cell is None:
        return None
    if column.type == "STRUCT":
        return {member.name: as_read(member, cell.get(member.name)) for member in column.fields}
    convert = {
        "INT64": int,
        "FLOAT64": float,
        "BYTES": base64.b64decode,
        "JSON": json.loads,
        "TIMESTAMP": datetime.datetime.fromisoformat,
    }
    return convert.get(column.type, lambda value: value)(cell)


def stored(columns, cells):
    return {column.name: as_read(column, cells.get(column.name)) for column in columns}


@settings(max_examples=60)
@given(st.lists(records, min_size=1, max_size=3), records, st.sampled_from(["json", "record", "flatten"]))
def test_the_stored_row_of_any_document_equals_the_document(known, fields, nested):
    columns = columns_of(*map(document, known), nested=nested)
    form, subject = TypedForm(KnownTable.of(columns), NOTHING), document(fields)
    row = stored(columns, DocumentRows(columns).row(subject).cells)
    assert content_hash("", form.of_row(row)) == content_hash("", form.of_document(subject))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("n", 8),
        ("x", 1.5),
        ("text", "other"),
        ("ok", False),
        ("at", datetime.datetime(2026, 1, 1, 0, 0, 0, 2, tzinfo=datetime.timezone.utc)),
        ("raw", b"ab"),
        ("tags", ["b", "a"]),
        ("map", {"a": [1, {"b": 3}]}),
        ("n", None),
        ("_overflow", {"n": 1}),
    ],
)
def test_every_change_of_a_stored_row_shows(column, value):
    fields = {
        "n": 7,
        "x": 1.0,
        "text": "t",
        "ok": True,
        "at": datetime.datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=datetime.timezone.utc),
        "raw": b"a",
        "tags": ["a", "b"],
        "map": {"a": [1, {"b": 2}]},
    }
    columns = columns_of(document(fields))
    form = TypedForm(KnownTable.of(columns), NOTHING)
    row = stored(columns, DocumentRows(columns).row(document(fields)).cells)
    before = content_hash("", form.of_row(row))
    assert content_hash("", form.of_row({**row, column: value})) != before
    assert content_hash("", form.of_row({**row, "extracted_at": None, "read_time": None})) == before


def test_a_json_value_has_one_type_of_number_and_a_double_no_negative_zero():
    columns = columns_of(document({"map": {"a": 1}, "x": 1.5}))
    form = TypedForm(KnownTable.of(columns), NOTHING)
    one, other = (
        form.of_document(document(fields)) for fields in ({"map": {"a": 1}, "x": 0.0}, {"map": {"a": 1.0}, "x": -0.0})
    )
    assert content_hash("", one) == content_hash("", other)
    fields = FieldsForm(NOTHING)
    one, other = (fields.of_document(document({"map": {"a": n}})) for n in (1, 1.0))
    assert content_hash("", one) != content_hash("", other)


@pytest.mark.parametrize("nested", ["json", "record", "flatten"])
@pytest.mark.parametrize("ignored", ["address.city", "address", "age"])
def test_ignored_fields_do_not_count_wherever_the_table_has_them(nested, ignored):
    fields = {"address": {"city": "London", "zip": 1}, "age": 1, "name": "Ada"}
    columns = columns_of(document(fields), nested=nested)
    other = json.loads(json.dumps(fields))
    if "." in ignored:
        other["address"]["city"] = ["no", "text"]  # in a flat table it goes to _overflow
    else:
        other[ignored] = "something else"
    strict, lenient = (
        TypedForm(KnownTable.of(columns), NOTHING),
        TypedForm(KnownTable.of(columns), Ignored.of([ignored])),
    )
    one, two = document(fields), document(other)
    assert content_hash("", strict.of_document(one)) != content_hash("", strict.of_document(two))
    assert content_hash("", lenient.of_document(one)) == content_hash("", lenient.of_document(two))


@pytest.mark.parametrize("nested", ["json", "record", "flatten"])
def test_fields_are_called_by_their_own_names_whatever_their_columns_are_called(nested):
    one, two = (document({"home address": {"post code": code, "city": "London"}}) for code in ("E1", "E2"))
    columns = columns_of(one, nested=nested)
    strict = TypedForm(KnownTable.of(columns), NOTHING)
    assert strict.of_document(one) == {"home address": {"post code": "E1", "city": "London"}}
    lenient = TypedForm(KnownTable.of(columns), Ignored.of(["`home address`.`post code`"]))
    assert lenient.of_document(one) == lenient.of_document(two) == {"home address": {"city": "London"}}


@settings(max_examples=60)
@given(records)
def test_records_as_json_are_compared_as_json(fields):
    subject = document({**fields, "_meta": {"version": 1}})
    form = RecordForm("profile", profile_of, NOTHING)
    record = {name: value for name, value in subject.fields.items() if name != "_meta"}
    row = {"profile": json.loads(json_text(record))}
    assert content_hash("", form.of_row(row)) == content_hash("", form.of_document(subject))
    form = RecordForm("data", change_data_of, NOTHING)
    assert content_hash("", form.of_row({"data": change_data_of(subject)})) == content_hash(
        "", form.of_document(subject)
    )


@pytest.mark.parametrize("data", ["{", "[]", None, "7"])
def test_what_is_no_record_equals_no_document(data):
    form = RecordForm("data", change_data_of, NOTHING)
    assert form.of_row({"data": data}) != form.of_document(document({}))


@given(st.dictionaries(st.sampled_from("abc"), values, max_size=3))
def test_nothing_is_taken_away_where_nothing_is_ignored(fields):
    assert NOTHING.stripped(fields) is fields


def test_every_column_of_a_table_of_somebody_elses_is_a_field_but_for_the_key():
    columns = [Column(name, "STRING") for name in ("uid", "document_id", "create_time", "read_time")]
    form = TypedForm(KnownTable.of(columns, "uid"), NOTHING)
    fields = {"document_id": "7", "create_time": "noon"}
    assert form.of_document(document(fields)) == fields
    assert form.of_row({"uid": None, "read_time": None, **fields}) == fields
