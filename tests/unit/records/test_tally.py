"""What no cleaner can place is counted per field, and never mistaken for nothing, nor nothing for it."""

import math

import pytest

from tests.unit.records.test_spec_flatten import spec_of
from transforms.batch import FieldCount
from transforms.errors import RecordError
from transforms.records.spec import FieldTally

FIELDS = """
price: {type: number, from: [price, cost]}
born: {type: timestamp, from: born}
level: {type: string, cleaner: level, from: [level, title]}
tags: {type: strings, from: tags}
share: {type: number, cleaner: rating, from: [{path: share, scale: 5}]}
role: {type: string, from: [{path: jobs, entry: "{company} : {title}", take: title}]}
years: {type: integer, from: [{path: y, missing: [0, none yet]}], min: 1, on_fail: absent}
code: {type: string, from: [{path: code, match: '^x-(.*)$'}]}
"""


def uncleaned(record):
    tally = FieldTally()
    spec_of(FIELDS).flatten(record, "k", tally)
    return tally.uncleaned


@pytest.mark.parametrize(
    "record",
    [
        {"price": "9,99 EUR"}, {"price": "ask us"}, {"price": True}, {"price": ["1"]}, {"price": "n/a", "cost": "much"},
        {"born": "31st of May"}, {"born": "2025-02-30"}, {"born": False}, {"born": 42},
        {"level": "Academic"}, {"level": 3.5}, {"level": "", "title": "Gardening"},
        {"tags": [[1]]}, {"tags": {"a": 1}}, {"tags": 1.5},
        {"share": "most of it"}, {"jobs": "Head of Data since 2021"}, {"jobs": 7}, {"y": "two"}, {"y": 2.5},
    ],
)  # fmt: skip
def test_a_value_that_no_cleaner_can_place_is_counted_for_its_field(record):
    names = {"price": "price", "born": "born", "level": "level", "tags": "tags", "share": "share", "jobs": "role"}
    assert uncleaned(record) == [names.get(next(iter(record)), "years")]


@pytest.mark.parametrize(
    "record",
    [
        {}, {"price": None}, {"price": ""}, {"price": "  "}, {"price": "N/A"}, {"price": "-"}, {"price": math.nan},
        {"price": []}, {"price": {}}, {"price": ["", None, "unknown"]}, {"price": {"a": None}},
        {"price": "much", "cost": 3}, {"level": "Academic", "title": "Senior Lecturer"}, {"tags": ["a", 1.5]},
        {"share": ""}, {"jobs": ""}, {"jobs": "- 2021 -\\nVela : "}, {"y": 0}, {"y": "None yet"}, {"y": -3},
        {"code": "y-1"},
    ],
)  # fmt: skip
def test_nothing_and_what_the_spec_rules_out_are_not_uncleaned(record):
    assert uncleaned(record) == []


def test_counts_are_per_field_and_leave_out_records_that_failed():
    spec, tally = (
        spec_of("price: {type: number, from: price}\nn: {type: integer, required: true, from: n}"),
        FieldTally(),
    )
    for record in ({"price": "9,99", "n": 1}, {"price": 2, "n": 2}, {"n": 3}):
        spec.flatten(record, "k", tally)
    with pytest.raises(RecordError):
        spec.flatten({"price": "9,99"}, "k", tally)
    assert tally.records == 3
    assert tally.counts() == {"thing_id": FieldCount(3), "n": FieldCount(3), "price": FieldCount(1, 1)}


def test_a_required_field_that_holds_what_cannot_be_placed_fails_the_record():
    with pytest.raises(RecordError, match=r"^MISSING_FIELD: n is required, but the record has no usable value"):
        spec_of("n: {type: integer, required: true, from: n}").flatten({"n": "many"}, "k", FieldTally())
