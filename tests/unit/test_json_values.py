"""JSON text into values, exactly: no name is lost, no number rounded."""

import json
import math

import pytest
from hypothesis import given, settings
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


# JSON as it stands in a text: names in several spellings, numbers of every size, and what is JSON only to some.
SPELT = st.sampled_from(
    [
        '"a"',
        '"\\u0061"',
        '"b"',
        '":"',
        '"\\u003a"',
        '"\\u003A:"',
        '"a\\":"',
        '"\\\\u003a"',
        '"é"',
        '"\\ud800"',
        '""',
        '"\ud800"',
    ]
)
NUMBERS = st.sampled_from(
    ["0", "-0.0", "1e5", "1E-400", "1e400", "-1e309", str(2**63), str(2**64), "NaN", "Infinity", "-Infinity"]
) | st.builds(lambda n, end: "9" * n + end, st.sampled_from([18, 19, 20, 309, 4_400]), st.sampled_from(["", ".5"]))
SPACES = st.sampled_from(["", " ", "\n\t", "\r "])


def _object(members):
    return "{" + ",".join(f"{space}{name}{space}:{value}" for name, space, value in members) + "}"


JSON_TEXTS = st.recursive(
    SPELT | NUMBERS | st.sampled_from(["true", "null"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
        | st.lists(st.tuples(SPELT, SPACES, inner), max_size=4).map(_object)
    ),
    max_leaves=8,
)


def _parsed(parse, text):
    """The text of the value, which tells 1 from 1.0 and -0.0 from 0.0; None where the text is refused."""
    try:
        return repr(parse(text))
    except (RecordError, ValueError):
        return None


def _unique(members):
    if len(dict(members)) < len(members):
        raise ValueError("a name is repeated")
    return dict(members)


def _finite(digits):
    if math.isinf(float(digits)):
        raise ValueError("too large")
    return float(digits)


@settings(max_examples=300)
@given(JSON_TEXTS)
def test_every_text_is_parsed_as_by_a_parser_that_looks_at_each_name(text):
    slow = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite)
    assert _parsed(parse_unambiguous, text) == _parsed(slow.decode, text)


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
