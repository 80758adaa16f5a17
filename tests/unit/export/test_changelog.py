"""Rows that readers of Firebase's extension understand."""

import datetime
import json
import math

import pytest

from transforms.export.changelog import CHANGELOG_COLUMNS, ChangelogRows, event_id
from transforms.firestore import messages
from transforms.firestore.documents import Document
from transforms.firestore.values import GeoPoint, Reference, Vector, encode_fields

NAME = "projects/p/databases/d/documents/users/ada"
CREATED = datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)
BEFORE_1970 = datetime.datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=datetime.timezone.utc)
CHANGED = CREATED + datetime.timedelta(hours=1)


def document(fields=None, update_time=CHANGED):
    message = messages.Document(name=NAME)
    encode_fields(fields or {}, message.fields)
    message.create_time.FromDatetime(CREATED)
    message.update_time.FromDatetime(update_time)
    return Document(message)


def data(**fields):
    return json.loads(ChangelogRows(True).row(document(fields)).cells["data"])


@pytest.mark.parametrize(
    ("value", "as_json"),
    [
        (CREATED, {"_seconds": 1767323045, "_nanoseconds": 6000}),
        (
            datetime.datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=datetime.timezone.utc),
            {"_seconds": -1, "_nanoseconds": 1000},
        ),
        (GeoPoint(1.5, -2.5), {"_latitude": 1.5, "_longitude": -2.5}),
        (Reference(NAME), "users/ada"),
        (b"\x00\xff", "AP8="),
        (Vector((0.5, 1.0)), [0.5, 1.0]),
        (math.nan, "NaN"),
        ([{"at": CREATED}], [{"at": {"_seconds": 1767323045, "_nanoseconds": 6000}}]),
        (2**62, 2**62),
        (None, None),
    ],
)
def test_values_have_the_extension_s_json_and_none_is_lost(value, as_json):
    assert data(f=value, other=math.inf) == {"f": as_json, "other": "Infinity"}
    assert data(f=value) == {"f": as_json}


def test_rows_have_no_other_columns_than_the_table():
    cells = ChangelogRows(True).row(document(), {"user": "ada"}).cells
    assert cells.keys() <= {column.name for column in CHANGELOG_COLUMNS}
    assert json.loads(cells["path_params"]) == {"user": "ada"}


@pytest.mark.parametrize(
    ("imported", "update_time", "operation"),
    [(True, CHANGED, "IMPORT"), (False, CHANGED, "UPDATE"), (False, CREATED, "CREATE")],
)
def test_the_operation_tells_imports_creations_and_updates_apart(imported, update_time, operation):
    assert ChangelogRows(imported).row(document(update_time=update_time)).cells["operation"] == operation


def test_one_state_of_a_document_is_one_event():
    ids = {
        ChangelogRows(imported, typed=typed).row(document()).cells["event_id"]
        for imported in (0, 1)
        for typed in (0, 1)
    }
    assert ids == {event_id(NAME, CHANGED)}
    assert event_id(NAME, CREATED) not in ids
    assert event_id("other", CHANGED) not in ids
