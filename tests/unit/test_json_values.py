"""JSON text into values, exactly: no name is lost, no number rounded."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.errors import RecordError
from transforms.json_values import parse_json, parse_unambiguous

TEXTS = st.text() | st.sampled_from([":", '":', '" :', "\\u003a", "a: b"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, st.booleans(), st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: "), (",", " :")]))
def test_what_has_no_name_twice_is_parsed_alike(value, ascii_only, separators):
    text = json.dumps(value, ensure_ascii=ascii_only, separators=separators)
    assert repr(parse_unambiguous(text)) == repr(json.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        '{"a" : 1, "a":1}',
        '[{"b": {"a": ":", "a"\n: ":"}}]',
        '{"a": "x\\u003ay", "a": 1}',
        '{"a": "\\u003A", "a": "\\u003A"}',
        '{"a": 1, "\\u0061": 2}',
        '{"a": {"b": 1}, "a": {"b": 1}}',
        '{"n": 123456789012345678901, "a": NaN, "a": "\\ud800"}',
    ],
)
def test_a_name_that_an_object_has_twice_is_refused(text):
    with pytest.raises(
        RecordError, match=r"^REPEATED_NAME: an object has the same name twice; which of the two values "
    ):
        parse_unambiguous(text)


@pytest.mark.parametrize(
    "text", ['{"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]}', '{"a": "\\u003a\\u003a"}', '{"a:": ":"}']
)
def test_the_same_name_in_two_objects_is_two_names(text):
    assert parse_unambiguous(text) == json.loads(text)


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" * 400 + ".5", "1e309", "2e308"])
@pytest.mark.parametrize("beside", ["", ', "b": NaN', ', "b": 12345678901234567890'])
def test_a_number_beyond_every_double_is_refused_and_not_made_infinity(number, beside):
    with pytest.raises(RecordError, match=r"^NUMBER_OUT_OF_RANGE: a number in the record is larger than any double"):
        parse_json(f'{{"a": {number}{beside}}}'.encode())


def test_the_largest_and_the_smallest_doubles_are_numbers():
    assert parse_json(b"[1.7976931348623157e308, 5e-324, 1e-400]") == [1.7976931348623157e308, 5e-324, 0.0]
