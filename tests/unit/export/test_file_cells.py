"""Values of files in their columns, or beside them: none is changed on its way."""

import json

import pytest

from transforms.batch import Batch
from transforms.bigquery.cells import MISFIT
from transforms.bigquery.schema import Column
from transforms.export.files.cells import in_overflow, value_converter
from transforms.export.files.rows import rows_of_batch


def nested(levels):
    value = "x"
    for _ in range(levels):
        value = [value]
    return value


UNFIT = [nested(300), {"a": "\ud800"}, {"\ud800": 1}, [2**64], {"a": [-(2**63) - 1]}]


@pytest.mark.parametrize("value", UNFIT, ids=["deep", "surrogate", "name", "integer", "negative"])
@pytest.mark.parametrize("typed", [True, False])
def test_json_that_would_not_be_the_same_is_kept_beside_as_text(value, typed):
    assert value_converter(Column("c", "JSON"), of_csv=False, typed=typed)(value) is MISFIT
    assert json.loads(in_overflow(value)) == value


@pytest.mark.parametrize("value", [nested(200), {"a": 2**63}, {"a": b"\xff", "b": None}, {1: 2}, "x", 1.5])
def test_other_json_stays_in_its_column(value):
    assert value_converter(Column("c", "JSON"), of_csv=False, typed=False)(value) is not MISFIT
    assert in_overflow(value) == value


def test_a_file_of_nothing_that_can_be_read_needs_no_column_of_the_key():
    assert rows_of_batch(Batch("b", "a.csv", 0, ()), (), ("id",)).entries == ()
