"""The codec between Python's values and Firestore's."""

import datetime
import math

import pytest
from hypothesis import given

from tests.support.any_documents import records, same, values
from transforms.errors import RecordError
from transforms.firestore.messages import Document
from transforms.firestore.tagged_json import from_tagged_json, to_tagged_json
from transforms.firestore.values import (
    GeoPoint,
    decode,
    decode_fields,
    encode,
    encode_fields,
    encoded_fields,
    serialised_fields,
)

UTC = datetime.timezone.utc


@given(values)
def test_what_is_encoded_decodes_to_the_same_value_of_the_same_type(value):
    assert same(decode(encode(value)), value)


@given(records)
def test_a_record_survives_the_wire(record):
    document = Document.FromString(serialised_fields(record))
    assert same(decode_fields(document.fields), record)


@given(records)
def test_the_order_of_keys_does_not_change_the_serialised_form(record):
    backwards = dict(reversed(record.items()))
    assert serialised_fields(backwards) == serialised_fields(record)


def test_the_serialised_form_is_the_one_that_stored_hashes_were_made_of():
    record = {"b": 1, "a": {"y": [1.0, None, True], "x": "é"}, "c": b"\x00"}
    assert serialised_fields(record).hex() == (
        "122f0a0161122a32280a0a0a017812058a0102c3a90a1a0a017912154a130a0919000000000000f03f0a0258000a0208"
        "0112070a01621202100112090a0163120492010100"
    )


@given(values)
def test_tagged_json_restores_every_value(value):
    assert same(from_tagged_json(to_tagged_json(value)), value)


@pytest.mark.parametrize(
    "value",
    [{"$bytes": "aGk="}, {"$map": {"$map": 1}}, {"$double": 1.5}, {"$timestamp": None}, {"$other": 1}],
)
def test_a_map_that_looks_like_a_tag_stays_a_map(value):
    assert from_tagged_json(to_tagged_json(value)) == value


@pytest.mark.parametrize(
    ("record", "code", "message"),
    [
        ({"n": 2**63}, "INTEGER_OUT_OF_RANGE", "n: an integer beyond 64 bit; store it as text or as a double"),
        ({"a": {"b": [{"c": -(2**63) - 1}]}}, "INTEGER_OUT_OF_RANGE", "a.b[0].c: an integer beyond 64 bit"),
        ({"a": [1, [2]]}, "NESTED_ARRAY", "a[1]: an array directly inside an array; wrap it in a map"),
        ({"a": "\ud800"}, "INVALID_TEXT", "a: text with a lone surrogate, which is not valid Unicode"),
        ({"a": ["\ud800"]}, "INVALID_TEXT", "a[0]: text with a lone surrogate"),
        ({"a\ud800": 1}, "INVALID_FIELD_NAME", "`a\\ud800`: a field name with a lone surrogate"),
        ({"a": {"": 1}}, "INVALID_FIELD_NAME", "a.``: a field name must not be empty"),
        ({"a": {"__x__": 1}}, "INVALID_FIELD_NAME", "a.__x__: field names of the form __name__ are reserved"),
        ({"a": {1: 1}}, "INVALID_FIELD_NAME", "a.`1`: a field name must be text, not int"),
        ({"é" * 751: 1}, "INVALID_FIELD_NAME", "a field name must not exceed 1500 bytes"),
        ({"a": datetime.datetime(2026, 1, 1)}, "NAIVE_TIMESTAMP", "a: a timestamp without time zone"),
        ({"a": GeoPoint(math.nan, 0.0)}, "GEOPOINT_OUT_OF_RANGE", "a: latitude must be in [-90, 90]"),
        ({"a": {1, 2}}, "UNSUPPORTED_TYPE", "a: Firestore has no type for Python's set"),
    ],
)
def test_what_firestore_cannot_hold_is_refused_with_the_path_of_the_field(record, code, message):
    with pytest.raises(RecordError) as refused:
        encode_fields(record, Document().fields)
    assert refused.value.code == code
    assert message in refused.value.message


def at(*names):
    """A record with one value, which these names lead to; an array is between those behind a list."""
    value = 1
    for name in reversed(names):
        value = {name[0]: [value]} if isinstance(name, list) else {name: value}
    return value


# As the emulator counts: bytes of UTF-8, with the dots between; no backticks, no places in arrays.
LONGEST = [
    at("a" * 1500),
    at("a" * 749, "b" * 750),
    at("a", "b" * 1498),
    at("a" * 500, "b" * 499, "c" * 499),
    at("é" * 374, "b" * 751),
    at("-" * 749, "`" * 750),
    at(["a" * 749], "b" * 750),
    at(["a" * 700], ["b" * 399], "c" * 399),
    {"a" * 749: {"b" * 750: {}}, "c": {"d": [{}]}},
    at(*["k" * 70] * 20, "k" * 80),
]


@pytest.mark.parametrize("encoding", [serialised_fields, encoded_fields])
@pytest.mark.parametrize("record", LONGEST, ids=range(len(LONGEST)))
def test_a_path_of_1_500_bytes_is_kept_and_one_byte_more_is_refused_before_it_is_sent(record, encoding):
    assert decode_fields(Document.FromString(encoding(record)).fields) == record
    ((name, value), *_) = record.items()
    with pytest.raises(RecordError) as refused:
        encoding({"x" + name: value})
    if isinstance(value, dict | list):
        assert refused.value.code == "FIELD_PATH_TOO_LONG"
        assert "the path of the field takes 1,501 bytes, Firestore takes at most 1,500" in refused.value.message
    else:
        assert refused.value.code == "INVALID_FIELD_NAME"
    assert len(refused.value.message) < 900  # names are abridged


def nested(levels):
    value = 1
    for _ in range(levels):
        value = {"k": value}
    return {"a": value}


def test_twenty_levels_are_kept():
    assert decode_fields(Document.FromString(serialised_fields(nested(20))).fields) == nested(20)


def test_twenty_one_levels_are_refused():
    with pytest.raises(RecordError, match="lies deeper than the 20 levels that Firestore keeps"):
        serialised_fields(nested(21))


@pytest.mark.parametrize("name", ["__x", "x__", "__", "___", "é" * 750, "a.b", "a b", "`"])
def test_odd_but_legal_field_names_are_kept(name):
    assert decode_fields(Document.FromString(serialised_fields({name: 1})).fields) == {name: 1}


def test_subclasses_of_plain_types_are_encoded_as_their_base():
    class Name(str):
        __slots__ = ()

    assert decode(encode(Name("ada"))) == "ada"
