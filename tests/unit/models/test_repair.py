"""Near-JSON is the value it says, or it is refused: nothing within an intact string changes, nothing is completed."""

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transforms.errors import RecordError
from transforms.models.repair import read_value

TEXTS = st.text() | st.sampled_from(
    ["it's", 'say "hi"', "a, b}", "[x]", "// no comment", "a\nb", "\t", "\\", "\ud83d\ude00", " x ", "...", "</think>"]
)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True) | TEXTS
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=8
)
RECORDS = st.dictionaries(NAMES, VALUES, max_size=4) | st.lists(
    st.dictionaries(NAMES, VALUES, max_size=3), min_size=1, max_size=3
)


class Damage:
    """A writer of JSON that does each safe damage wherever it says yes."""

    def __init__(self, choose, ascii_only):
        self._choose, self._ascii_only = choose, ascii_only

    def write(self, value):
        if isinstance(value, dict):
            members = [
                f"{self._gap()}{self._name(name)}{self._gap()}:{self.write(member)}" for name, member in value.items()
            ]
            return "{" + self._joined(members) + "}"
        if isinstance(value, list):
            return "[" + self._joined([self._gap() + self.write(element) for element in value]) + "]"
        if isinstance(value, str):
            return self._string(value)
        if (value is None or isinstance(value, bool)) and self._choose():
            return repr(value)
        return json.dumps(value)

    def _joined(self, parts):
        end = "," + self._gap() if parts and self._choose() else self._gap()
        return ",".join(parts) + end

    def _gap(self):
        return (self._choose() and '\n/* a "comment", it\'s {one} */ // and [another\n  # and one more\n') or " "

    def _name(self, name):
        is_identifier = name.isascii() and name.isidentifier()
        return name if is_identifier and self._choose() else self._string(name)

    def _string(self, text):
        written = json.dumps(text, ensure_ascii=self._ascii_only)[1:-1]
        if self._choose():
            written = written if r"\\" in written else written.replace(r"\n", "\n")
        if self._choose():
            return "'" + written.replace("'", "\\'") + "'"
        return f'"{written}"'


@given(RECORDS, st.randoms(use_true_random=False), st.booleans())
@example({"a": "😀 it's\n"}, None, True)
def test_a_safe_damage_leaves_the_value_or_makes_it_a_dead_letter(value, random, ascii_only):
    damage = Damage((lambda: random.random() < 0.4) if random else (lambda: True), ascii_only)
    text = damage.write(value)
    reading = read_value(text)
    assert json.dumps(reading.value) == json.dumps(value)
    assert reading.end == len(text)


@given(RECORDS, st.data())
def test_whatever_is_cut_off_is_never_read(value, data):
    text = json.dumps(value)
    with pytest.raises(RecordError) as refused:
        read_value(text[: data.draw(st.integers(1, len(text) - 1))])
    assert refused.value.code in ("MODEL_ANSWER_CUT_OFF", "MODEL_ANSWER_NOT_JSON")


@given(RECORDS)
def test_what_is_json_is_read_as_it_is_and_is_not_repaired(value):
    reading = read_value(json.dumps(value) + " and more")
    assert (json.dumps(reading.value), reading.repairs) == (json.dumps(value), ())


@pytest.mark.parametrize(
    ("text", "value", "repairs"),
    [
        ('{"a": [1, 2,],}', {"a": [1, 2]}, ("trailing_commas",)),
        (
            '{"a": " x ", "b": "say \\"hi\\"", "c": "\\ud83d\\ude00",}',
            {"a": " x ", "b": 'say "hi"', "c": "😀"},
            ("trailing_commas",),
        ),
        ('{"a": 1, // one\n "b": 2 # two\n /* three */}', {"a": 1, "b": 2}, ("comments",)),
        ('{"url": "http://x/#a", "b": 1,}', {"url": "http://x/#a", "b": 1}, ("trailing_commas",)),
        ('{"a": "x\ny\tz\x07"}', {"a": "x\ny\tz\x07"}, ("control_characters",)),
        (
            "{'a': 'it\\'s \"x\"', 'b': '\\u00e9\\n'}",
            {"a": 'it\'s "x"', "b": "é\n"},
            ("escaped_apostrophes", "single_quotes"),
        ),
        ('{"a": "it\\\'s", "b": "\\\\\'"}', {"a": "it's", "b": "\\'"}, ("escaped_apostrophes",)),
        ("{a: 1, first-name: 2, $x: 3, é: 4}", {"a": 1, "first-name": 2, "$x": 3, "é": 4}, ("unquoted_keys",)),
        ('{"a": [True, False, None]}', {"a": [True, False, None]}, ("python_literals",)),
        ('{"zip": 01234, "n": [007, 00.50]}', {"zip": "01234", "n": ["007", "00.50"]}, ("leading_zeros",)),
        (
            '{"n": [-Infinity, 1E5, -0.0, 123456789012345678901],}',
            {"n": [-math.inf, 1e5, -0.0, 123456789012345678901]},
            ("trailing_commas",),
        ),
    ],
)
def test_a_repair_edits_structure_alone_and_is_named(text, value, repairs):
    reading = read_value(text)
    assert (repr(reading.value), reading.repairs) == (repr(value), repairs)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "x',
        '{"a": "x"',
        '{"a": [1, 2',
        '{"a": ',
        '{"a": 1,',
        "{'a': 'x",
        '{"a": 1 // }',
        '{"a": 1 /* }',
    ],
)
def test_what_ends_within_a_string_or_a_bracket_is_cut_off(text):
    with pytest.raises(
        RecordError, match=r"^MODEL_ANSWER_CUT_OFF: the model's answer is cut off: it ends within a string "
    ):
        read_value(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": ["x", ...]}',
        '{"a": ["x", …]}',
        '{"a": 1, ...}',
        '{"a": [1, // ... and 40 more\n 2]}',
        '{"a": [1 /* … */]}',
        '{"a": [1, # and 40 more\n]}',
        '{"a": [{"b": 1},\n  // remaining items omitted for brevity\n]}',
        '{"a": [1, /* etc. */]}',
        '{"a": 1\n # Truncated\n}',
        '{"a": [1, // and so on\n 2]}',
        '{"a": {"b": 1, // (continues like this)\n}}',
    ],
)
def test_what_is_abridged_is_not_whole(text):
    with pytest.raises(RecordError, match=r"^MODEL_ANSWER_NOT_WHOLE: "):
        read_value(text)


@pytest.mark.parametrize(
    "comment", ["// more than seven years", "# the rest is from the interview", "/* fetched */", "#", "#! x", "// #1"]
)
def test_a_comment_that_abridges_nothing_is_left_out(comment):
    text = f'{{"a": [1, {comment}\n 2]}}'
    assert read_value(text) == ({"a": [1, 2]}, len(text), ("comments",))


def test_an_ellipsis_within_a_text_is_part_of_it():
    assert read_value('{"a": ["and so on", "omitted", "etc."],}').value == {"a": ["and so on", "omitted", "etc."]}
    assert read_value('{"a": ["...", "and so on ..."],}').value == {"a": ["...", "and so on ..."]}


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "Ann", "content": {"bbb": [{"date": "d2"}}, "years": 7}',
        '{"a": [1, 2}',
        '{"a": "x" "b": 1}',
        '{"a": ["x" "y"]}',
        '{"a": "he said "no" twice"}',
        "{'name': 'O'Brien'}",
        '{"a": yes}',
        '{"a": 5 years}',
        '{"a": “x”}',
        '{"a": +1}',
        '{"a": 1.}',
        '{"a": .5}',
        '{"a": 0x1F}',
        '{"a": 1_000}',
        '{"salary": 120,000}',
        '{"a": [120,000]}',
        '{"a": 01-02-2024}',
        '{"a": 1,, "b": 2}',
        '{"a": [, 1]}',
        '{, "a": 1}',
        '{"a", "b"}',
        '{"a": "\\d"}',
        '{"a": "x\\\ny"}',
        "{1: 2}",
        '{"a": 1: 2}',
        '{"tags": [{"n": 1}, #python\n]}',
        '{"tags": [\n  #tag"\n]}',
        '{"colour": 1, #"size": 2,\n "b": 3}',
    ],
)
def test_what_could_mean_two_things_is_not_repaired(text):
    with pytest.raises(RecordError, match=r"^MODEL_ANSWER_NOT_JSON: "):
        read_value(text)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2,}', "{a: 1, 'a': 1}"])
def test_a_name_that_repeats_is_refused(text):
    with pytest.raises(RecordError, match=r"^REPEATED_NAME: "):
        read_value(text)


def test_a_value_is_read_in_a_time_that_grows_with_its_length_alone():
    for text in (
        "{" * 100_000,
        '{"a": "' + "\\'" * 100_000,
        '{"a":' * 50_000,
        "[" + "1," * 100_000,
        "{/*" + "*" * 100_000,
    ):
        with pytest.raises(RecordError):
            read_value(text)
