"""A column of CSV gets the narrowest type in which every cell keeps its value; what a type would change is text."""

import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.bigquery.cells import MISFIT
from transforms.bigquery.schema import Column
from transforms.export.files.cells import value_converter
from transforms.export.files.csv_types import ALL, TYPES, fits, narrowest


def kind(*cells):
    bits = ALL
    for cell in cells:
        bits &= fits(cell)
    return narrowest(bits)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["0", "-7", "9223372036854775807"], "INT64"),
        (["9223372036854775808"], "NUMERIC"),
        (["1" * 29, "1"], "NUMERIC"),
        (["1" * 30], "BIGNUMERIC"),
        (["1" * 39], "STRING"),
        (["1", "1.50"], "NUMERIC"),
        (["0.0000000001"], "BIGNUMERIC"),
        (["1e5", "0.1", "-0", "7"], "FLOAT64"),
        (["nan", "-inf", "2"], "FLOAT64"),
        (["1e5", "0.12345678901234567890"], "STRING"),
        (["1e999"], "STRING"),
        (["true", "FALSE"], "BOOL"),
        (["true", "1"], "STRING"),
        (["007"], "STRING"),
        (["+1"], "STRING"),
        (["1,5"], "STRING"),
        ([" 1"], "STRING"),
        (["1_000"], "STRING"),
        (["١"], "STRING"),
        (["2026-01-31", "0001-01-01"], "DATE"),
        (["2026-02-30"], "STRING"),
        (["0000-00-00"], "STRING"),
        (["2026-01-31", "2026-01-31 12:00:00"], "STRING"),
        (["2026-01-31 12:00:00", "2026-01-31T12:00:00.5"], "DATETIME"),
        (["2026-01-31T12:00:00Z", "2026-01-31 12:00:00.123456+0530", "2026-01-31T12:00:00-03"], "TIMESTAMP"),
        (["2026-01-31T12:00:00.1234567Z"], "STRING"),
        (["9999-12-31T23:59:59-01:00"], "STRING"),
        (["23:59:59.9"], "TIME"),
        (["24:00:00"], "STRING"),
        (["-"], "STRING"),
    ],
)
def test_a_column_is_of_the_narrowest_type_of_all_its_cells(cells, expected):
    assert kind(*cells) == expected


NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**20), max_value=10**20)
CELLS = st.one_of(
    st.integers().map(str),
    NUMBERS.map(lambda number: format(number, "f")),
    st.floats().map(repr),
    st.dates().map(str),
    st.datetimes().map(str),
    st.text(min_size=1),
)


def says(cell, value):
    """Whether a JSON cell says the same as the text of a cell of CSV, by the value and not by its spelling."""
    if isinstance(value, bool):
        return cell.lower() == str(value).lower()
    if isinstance(value, (int, float)) or (isinstance(value, str) and value != cell and _is_number(cell)):
        return Decimal(str(value)) == Decimal(cell) or str(value).lower()[:3] == cell.lower()[:3]
    if value == cell or value.replace("T", " ") == cell.replace("T", " "):
        return True
    return datetime.datetime.fromisoformat(value) == datetime.datetime.fromisoformat(cell)


def _is_number(cell):
    try:
        Decimal(cell)
    except ArithmeticError:
        return False
    return True


@given(CELLS)
def test_a_cell_keeps_its_value_in_every_type_that_it_fits_and_is_refused_by_all_others(cell):
    for name in TYPES:
        value = value_converter(Column("c", name), of_csv=True, typed=False)(cell)
        fits_it = bool(fits(cell) & (1 << TYPES.index(name)))
        if name == "STRING" and value is MISFIT:
            assert any("\ud800" <= char <= "\udfff" for char in cell)
        else:
            assert (value is not MISFIT) is fits_it, name
            assert value is MISFIT or says(cell, value), name
