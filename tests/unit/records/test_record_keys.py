"""Which ids a record may have, and where they come from."""

import datetime
import decimal
import math

import pytest

from transforms.errors import RecordError
from transforms.records.spec import load_spec

SPEC = load_spec(
    """
name: people
schema_version: 1
full_collection: people_full
flat_collection: people
key: {name: person_id, from: [id, "refs[0].id"]}
fields: {note: {type: string, from: note}}
""",
    "people.yaml",
)
CANDLES = load_spec(
    """
name: candles
schema_version: 1
full_collection: candles_raw
flat_collection: candles
key: {name: candle_id, template: "{symbol}_{time}_{n}"}
fields:
  symbol: {type: string, cleaner: symbol, from: s}
  time: {type: timestamp, from: t}
  n: {type: integer, from: n}
""",
    "candles.yaml",
)


@pytest.mark.parametrize(
    ("value", "fallback", "expected"),
    [
        ({"id": "ada"}, None, "ada"),
        ({"id": "  ada\n"}, None, "ada"),
        ({"id": 42}, None, "42"),
        ({"id": -7}, None, "-7"),
        ({"id": 10**30}, None, "1" + "0" * 30),
        ({"id": "", "refs": [{"id": "b"}]}, None, "b"),
        ({"id": 4.2, "refs": [{"id": 5}]}, None, "5"),
        ({"id": None}, "custom-1", "custom-1"),
        ({"id": ""}, " custom-1 ", "custom-1"),
        ({"id": "NA"}, "custom-1", "NA"),
        ({"id": "null"}, None, "null"),
        ({"id": "unknown"}, None, "unknown"),
        ({"id": "-"}, None, "-"),
        ({}, "None", "None"),
        ({"id": "ada"}, "custom-1", "ada"),
        ({"id": "é" * 750}, None, "é" * 750),
        ({"id": "佐藤"}, None, "佐藤"),
        ({"id": "__x"}, None, "__x"),
        ({"id": "a__"}, None, "a__"),
        ({"id": "..."}, None, "..."),
    ],
)
def test_key_is_the_first_id_of_its_sources_else_the_fallback(value, fallback, expected):
    assert SPEC.key_of(value, fallback) == expected


@pytest.mark.parametrize(
    ("bad", "found"),
    [
        (None, ""),
        ("", " (id holds blank text)"),
        ("   ", " (id holds blank text)"),
        (True, " (id holds true or false)"),
        (4.2, " (id holds a number with a decimal point)"),
        (4.0, " (id holds a number with a decimal point)"),
        (math.nan, " (id holds a number with a decimal point)"),
        (decimal.Decimal("1.0"), " (id holds a number with a decimal point)"),
        (b"p1", " (id holds bytes)"),
        (datetime.datetime(2025, 10, 5), " (id holds a point in time)"),
        ([], " (id holds a list)"),
        ({"a": 1}, " (id holds a map)"),
    ],
)
def test_what_is_no_id_is_missing_and_the_message_says_what_it_is(bad, found):
    with pytest.raises(RecordError) as caught:
        SPEC.key_of({"id": bad}, None)
    assert caught.value.code == "MISSING_ID"
    assert caught.value.message == (
        f"person_id is missing: id, refs[0].id must hold text or a whole number{found}, and no id came with the record"
    )


def test_nothing_in_a_template_is_a_placeholder_nor_in_the_fields_it_names():
    record = {"s": "na", "t": "2025-10-05", "n": 0}
    key = CANDLES.key_of(record, None)
    assert key == "NA_20251005T000000Z_0"
    assert CANDLES.flatten(record, key)["symbol"] == "NA"


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("a/b", 'must not contain "/"'),
        (".", 'must not be "." or ".."'),
        (" .. ", 'must not be "." or ".."'),
        ("__id__", "must not have the form __…__, which Firestore keeps for itself"),
        ("____", "must not have the form __…__, which Firestore keeps for itself"),
        ("__a\nb__", "must not have the form __…__, which Firestore keeps for itself"),
        ("a" * 1501, "must not exceed 1,500 bytes of UTF-8, got 1,501"),
        ("é" * 751, "must not exceed 1,500 bytes of UTF-8, got 1,502"),
        (10**6000, "must not exceed 1,500 bytes of UTF-8, got 1,501"),
        ("a\ud800", "must be valid Unicode, without lone surrogates"),
    ],
    ids=range(10),
)
def test_an_id_that_firestore_refuses_is_invalid(bad, problem):
    with pytest.raises(RecordError) as caught:
        SPEC.key_of({"id": bad}, "a-good-one")
    assert (caught.value.code, caught.value.message) == ("INVALID_ID", f"person_id {problem}")


def test_a_bad_fallback_id_is_invalid_too():
    with pytest.raises(RecordError, match=r'^INVALID_ID: person_id must not contain "/"$'):
        SPEC.key_of({}, "a/b")


def test_a_template_is_filled_with_clean_fields():
    record = {"s": "btc/usdt", "t": "2025-10-05T12:00:00+02:00", "n": "3"}
    assert CANDLES.key_of(record, None) == "BTC-USDT_20251005T100000Z_3"


def test_a_template_keeps_fractions_of_a_second_apart():
    assert CANDLES.key_of({"s": "a", "t": "2025-10-05T12:00:00.5Z", "n": 0}, None) == "A_20251005T120000.500000Z_0"


def test_a_template_with_a_part_missing_needs_the_fallback():
    assert CANDLES.key_of({"s": "a"}, "given") == "given"
    with pytest.raises(RecordError, match=r"^MISSING_ID: candle_id is missing: \{symbol\}_\{time\}_\{n\} must hold"):
        CANDLES.key_of({"s": "a"}, None)
