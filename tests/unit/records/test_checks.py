"""What must hold between several values of a record, and what a spec may ask of the place a record was read from."""

import datetime

import pytest

from tests.unit.records.test_spec_flatten import HEAD
from transforms.batch import Batch, Record
from transforms.errors import RecordError, SpecError
from transforms.records.describe import schema_markdown
from transforms.records.spec import Origin, load_spec
from transforms.upsert.records import identify

UTC = datetime.timezone.utc
PRICES = load_spec(
    f"""{HEAD}fields:
  low: {{type: number, from: l}}
  open: {{type: integer, from: o}}
  high: {{type: number, from: h}}
  from_: {{type: timestamp, from: from}}
  to: {{type: timestamp, from: to}}
ordered: [[low, open, high], [from_, to]]
""",
    "prices.yaml",
)
TIMES = load_spec(f"{HEAD}fields: {{t: {{type: string, from: t}}}}\nequals: [{{type: timestamp, of: [ts, $id]}}]", "t")
PLACES = load_spec(
    f"""{HEAD}fields:
  pair: {{type: string, from: [pair, $path.pair]}}
  came_as: {{type: string, from: $id}}
""",
    "places.yaml",
)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"l": 1, "o": 2, "h": 3}, None),
        ({"l": 2, "o": 2, "h": 2.0}, None),
        ({"l": 1, "h": 3}, None),
        ({"o": 9}, None),
        ({"l": 3, "o": 2, "h": 4}, "low must not exceed open"),
        ({"l": 1, "o": 5, "h": 4}, "open must not exceed high"),
        ({"l": 5, "h": 4}, "low must not exceed high"),
        ({"l": 5, "o": "ask us", "h": 4}, "low must not exceed high"),
        ({"from": "2026-01-01", "to": "2026-01-02"}, None),
        ({"from": "2026-01-02", "to": "2026-01-01"}, "from_ must not exceed to"),
    ],
)
def test_fields_are_in_order(record, message):
    if message is None:
        PRICES.flatten(record, "k")
        return
    with pytest.raises(RecordError) as caught:
        PRICES.flatten(record, "k")
    assert str(caught.value) == f"OUT_OF_ORDER: {message}"


@pytest.mark.parametrize(
    ("record", "id_", "is_equal"),
    [
        ({"ts": 1759665600}, "1759665600", True),
        ({"ts": datetime.datetime(2025, 10, 5, 12, tzinfo=UTC)}, "1759665600", True),
        ({"ts": "2025-10-05T12:00:00Z"}, "1759665600000", True),
        ({"ts": 1759665600}, "1759669200", False),
        ({"ts": datetime.datetime(2025, 10, 5, 12, tzinfo=UTC)}, "1759665601", False),
        ({"ts": 1759665600}, None, True),
        ({"ts": 1759665600}, "EUR_USD_H1", True),
        ({"t": "x"}, "1759665600", True),
    ],
)
def test_places_that_hold_something_hold_the_same(record, id_, is_equal):
    whole = TIMES.with_origin(record, Origin(id_))
    if is_equal:
        TIMES.flatten(whole, "k")
        return
    with pytest.raises(RecordError) as caught:
        TIMES.flatten(whole, "k")
    assert str(caught.value) == "NOT_EQUAL: ts and $id must be the same timestamp"


@pytest.mark.parametrize(
    ("record", "origin", "expected"),
    [
        ({}, Origin("17", {"pair": "EUR_USD"}), {"pair": "EUR_USD", "came_as": "17"}),
        ({"pair": "GBP_USD"}, Origin("17", {"pair": "EUR_USD"}), {"pair": "GBP_USD", "came_as": "17"}),
        ({}, Origin(None, {"other": "x"}), {}),
        ({"$id": "its own", "$path": {"pair": "its own"}}, Origin(), {}),
    ],
)
def test_a_field_is_found_where_the_record_was_read_from(record, origin, expected):
    assert PLACES.flatten(PLACES.with_origin(record, origin), "k") == {"thing_id": "k", **expected}


def test_a_spec_that_does_not_ask_for_the_place_gets_the_record_itself():
    record = {"l": 1}
    assert PRICES.with_origin(record, Origin("17")) is record
    assert PRICES.content_of(record, Origin("17")) is record


def test_a_field_is_part_of_the_content_and_a_check_is_not():
    def hashes(spec, came_with):
        batch = Batch("a-0-0", "x", 1, (Record(0, {"id": "k", "t": "x"}, fallback_id=came_with),))
        return [entry.content_hash for entry in identify(batch, spec).entries]

    assert hashes(PLACES, "17") != hashes(PLACES, "18")
    assert hashes(TIMES, "1759665600") == hashes(TIMES, "1759665601")


def test_the_page_of_a_spec_says_what_is_checked():
    assert "- `low` ≤ `open` ≤ `high`: else `OUT_OF_ORDER`." in schema_markdown(PRICES)
    assert "- `ts` = `$id`, as timestamp, where both are there: else `NOT_EQUAL`." in schema_markdown(TIMES)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("ordered: [[low, opn]]", "12:ordered[0][1]: 'opn' is not a field; did you mean open?"),
        ("ordered: [[low]]", "12:ordered[0]: must name at least two fields, the smallest first, got 1"),
        ("ordered: [[low, low]]", "12:ordered[0][1]: low is named twice; remove one"),
        ("ordered: [[low, word]]", "12:ordered[0][1]: word is a string, which has no order here; use integer, number"),
        ("ordered: [[low, to]]", "12:ordered[0][1]: to is a timestamp and low a number; compare one kind"),
        ("ordered: low", "12:ordered: must be a list, got text"),
        ("equals: [{of: [a, b]}]", "12:equals[0]: 'type' is missing here; add it"),
        ("equals: [{type: json, of: [a, b]}]", "12:equals[0].type: a json is not compared; use string, integer"),
        ("equals: [{type: string, of: [a]}]", "12:equals[0].of: must name at least two places, got 1"),
        ("equals: [{type: time, of: [a, b]}]", "12:equals[0].type: 'time' is not known; did you mean timestamp?"),
        ("equals: [{type: string, of: [a, $path]}]", "12:equals[0].of[1]: '$path' is not of the place a record was"),
        ("equals: [{type: string, of: [a, $id.b]}]", "12:equals[0].of[1]: '$id.b' is not of the place a record was"),
    ],
)  # fmt: skip
def test_a_check_that_cannot_be_made_is_refused_with_its_line(more, message):
    fields = """fields:
  low: {type: number, from: l}
  open: {type: integer, from: o}
  high: {type: number, from: h}
  to: {type: timestamp, from: to}
  word: {type: string, from: w}
"""
    with pytest.raises(SpecError) as caught:
        load_spec(f"{HEAD}{fields}{more}", "a.yaml")
    assert str(caught.value).startswith(f"a.yaml:{message}")
