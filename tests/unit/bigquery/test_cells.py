"""Which value fits which column, and the two forms that its cell can have."""

import datetime
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.bigquery.cells import MISFIT, converter, json_text, writable
from transforms.bigquery.schema import Column
from transforms.firestore.values import GeoPoint, Reference, Vector

NAME = "projects/p/databases/d/documents/users/ada"
MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
UTC_TEXT = "2026-01-02T01:04:05.000006+00:00"


def cell(form, value, *, typed=False):
    repeated = form.startswith("ARRAY<")
    column = Column("c", form.removeprefix("ARRAY<").removesuffix(">"), "REPEATED" if repeated else "NULLABLE")
    return converter(column, typed=typed)(value)


@pytest.mark.parametrize(
    ("form", "value", "in_json", "typed"),
    [
        ("STRING", "Zoë", "Zoë", "Zoë"),
        ("STRING", Reference(NAME), NAME, NAME),
        ("INT64", 2**63 - 1, "9223372036854775807", 2**63 - 1),
        ("INT64", 7, 7, 7),
        ("FLOAT64", 1.5, 1.5, 1.5),
        ("FLOAT64", float("-inf"), "-Infinity", float("-inf")),
        ("BOOL", False, False, False),
        ("TIMESTAMP", MOMENT, UTC_TEXT, MOMENT),
        ("BYTES", b"\x00\xff", "AP8=", b"\x00\xff"),
        ("GEOGRAPHY", GeoPoint(-0.5, 179.25), "POINT(179.25 -0.5)", "POINT(179.25 -0.5)"),
        ("JSON", {"a": [None]}, '{"a":[null]}', '{"a":[null]}'),
        ("ARRAY<STRING>", ["a", Reference(NAME)], ["a", NAME], ["a", NAME]),
        ("ARRAY<INT64>", (1, 2**60), [1, "1152921504606846976"], [1, 2**60]),
        ("ARRAY<FLOAT64>", Vector((1.0, 0.5)), [1.0, 0.5], [1.0, 0.5]),
        ("ARRAY<TIMESTAMP>", [MOMENT], [UTC_TEXT], [MOMENT]),
        ("ARRAY<BYTES>", [], [], []),
    ],
)
def test_a_value_of_the_column_s_type_fits_in_both_forms(form, value, in_json, typed):
    assert cell(form, value) == in_json
    assert cell(form, value, typed=True) == typed


def test_a_number_that_is_none_stays_one_in_both_forms():
    assert cell("FLOAT64", math.nan) == "NaN"
    assert math.isnan(cell("FLOAT64", math.nan, typed=True))


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("STRING", 1),
        ("STRING", "\ud800"),
        ("STRING", GeoPoint(1, 2)),
        ("INT64", 1.0),
        ("INT64", True),
        ("INT64", 2**63),
        ("FLOAT64", 2**53 + 1),
        ("FLOAT64", 10**400),
        ("BOOL", 0),
        ("TIMESTAMP", MOMENT.replace(tzinfo=None)),
        ("TIMESTAMP", UTC_TEXT),
        ("TIMESTAMP", datetime.datetime.max.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-1)))),
        ("BYTES", "AP8="),
        ("GEOGRAPHY", (1.0, 2.0)),
        ("ARRAY<STRING>", "ada"),
        ("ARRAY<STRING>", ["a", None]),
        ("ARRAY<INT64>", [1, 1.5]),
        ("ARRAY<FLOAT64>", GeoPoint(1.0, 2.0)),
        ("ARRAY<STRING>", Reference(NAME)),
    ],
)
def test_any_other_value_does_not_fit(form, value, typed):
    assert cell(form, value, typed=typed) is MISFIT


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"r": Reference(NAME)}, f'{{"r":"{NAME}"}}'),
        ({"g": GeoPoint(1.5, 2.5)}, '{"g":{"latitude":1.5,"longitude":2.5}}'),
        ([Vector((1.0, math.nan))], '[[1.0,"NaN"]]'),
        ({"b": b"hi", "n": None}, '{"b":"aGk=","n":null}'),
    ],
)
def test_json_says_what_firestore_s_own_types_hold(value, text):
    assert json_text(value) == text


@given(st.lists(st.one_of(st.integers(), st.floats(), st.text(), st.binary(), st.none(), st.booleans())))
def test_an_array_fits_when_each_of_its_items_does(items):
    for form in ("STRING", "INT64", "FLOAT64", "BYTES", "BOOL"):
        fits = all(cell(form, item) is not MISFIT for item in items)
        assert (cell(f"ARRAY<{form}>", items) is not MISFIT) == fits


def test_columns_without_any_value_of_theirs_are_known():
    members = (Column("a", "INT64"), Column("b", "DATE"))
    (struct,) = writable([Column("s", "STRUCT", fields=members), Column("d", "NUMERIC")])
    assert struct.fields == members[:1]
    assert (
        writable([Column("s", "STRUCT", fields=members[1:]), Column("s", "STRUCT", "REPEATED", fields=members)]) == ()
    )
