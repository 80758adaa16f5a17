"""What a spec makes of a record: sources, adaptations, checks, derived fields, and what never happens."""

import json
import math
import pickle
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.errors import RecordError
from transforms.records.spec import FieldType, load_spec

HEAD = """\
name: things
schema_version: 3
full_collection: things_full
flat_collection: things
key: {name: thing_id, from: id}
"""


def spec_of(fields: str, more: str = ""):
    indented = "\n".join(f"  {line}" for line in fields.strip().splitlines())
    return load_spec(f"{HEAD}fields:\n{indented}\n{more}", "things.yaml")


def flat(fields: str, record: dict, more: str = "") -> dict:
    made = spec_of(fields, more).flatten(record, "k")
    assert made.pop("thing_id") == "k"
    return made


@pytest.mark.parametrize(
    ("path", "record", "expected"),
    [
        ("a", {"a": "x"}, "x"),
        ("a.b", {"a": {"b": "x"}}, "x"),
        ("a.b", {"a": [{"b": "x"}]}, None),
        ("a.b", {"a": "text"}, None),
        ("a b.c", {"a b": {"c": "x"}}, "x"),
        ('"a[0].b"', {"a": [{"b": "x"}]}, "x"),
        ('"a[1]"', {"a": ["x"]}, None),
        ('"a[0][1]"', {"a": [["x", "y"]]}, "y"),
        ("'jmespath: a[?n > `1`].b | [0]'", {"a": [{"n": 1, "b": "x"}, {"n": 2, "b": "y"}]}, "y"),
        ("{jmespath: 'length(a)'}", {"a": 7}, None),
        ("{jmespath: 'a || b'}", {"b": "x"}, "x"),
    ],
)
def test_a_path_finds_what_it_names(path, record, expected):
    assert flat(f"f: {{type: string, from: [{path}]}}", record).get("f") == expected


def test_brackets_collect_from_every_entry_of_a_list():
    record = {"jobs": [{"tags": ["a", "b"]}, {}, {"tags": ["c"]}, None, 5]}
    assert flat('f: {type: strings, from: "jobs[].tags[]"}', record) == {"f": ["a", "b", "c"]}


def test_the_first_source_that_yields_a_clean_value_wins():
    field = "f: {type: number, cleaner: years, from: [a, b, c]}"
    assert flat(field, {"a": "no idea", "b": "5-7 years", "c": 1}) == {"f": 6.0}
    assert flat(field, {"a": None, "b": math.nan, "c": "Unknown"}) == {}


def test_a_nested_list_of_sources_joins_lists():
    field = "f: {type: strings, from: [[a, b], c]}"
    assert flat(field, {"a": ["x"], "b": "y", "c": ["z"]}) == {"f": ["x", "y"]}
    assert flat(field, {"c": ["z"]}) == {"f": ["z"]}


def test_a_source_can_match_scale_replace_the_cleaner_and_name_what_is_missing():
    fields = """
company: {type: string, from: [{path: job, match: '^(.*?) : '}]}
rating: {type: number, cleaner: rating, from: [{path: score, scale: 5}]}
years: {type: number, cleaner: years, from: [{path: y, missing: [0, none yet]}, {path: dates, cleaner: year_span}]}
"""
    assert flat(fields, {"job": "Acme : Boss", "score": 0.9, "y": 0, "dates": ["2010", "2014"]}) == {
        "company": "Acme",
        "rating": 4.5,
        "years": 4.0,
    }
    assert flat(fields, {"job": 5, "score": True, "y": " None yet "}) == {}
    assert flat(fields, {"y": False}) == {}


UNWRAPPED = "unwrap: [answer, result.profile]"


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"a": {"b": "x"}}, "x"),
        ({"answer": {"a": {"b": "x"}}}, "x"),
        ({"result": {"profile": {"a": {"b": "x"}}}}, "x"),
        ({"a": {"b": "own"}, "answer": {"a": {"b": "x"}}}, "own"),
        ({"a": None, "answer": {"a": {"b": "x"}}}, "x"),
        ({"a": {}, "answer": {"a": {"b": "x"}}, "result": {"profile": {"a": {"b": "y"}}}}, "x"),
        ({"answer": [{"a": {"b": "x"}}]}, None),
        ({"answer": "text"}, None),
        ({"other": {"a": {"b": "x"}}}, None),
    ],
)
def test_what_lies_below_an_unwrapped_name_is_found_where_the_record_has_nothing_itself(record, expected):
    assert flat("f: {type: string, from: a.b}", record, UNWRAPPED).get("f") == expected


def test_an_id_is_never_found_below_an_unwrapped_name():
    spec = spec_of("f: {type: string, from: a}", "unwrap: answer")
    assert spec.key_of({"id": 1, "answer": {"id": 2}}, None) == "1"
    assert spec.key_of({"answer": {"id": 2}}, "3") == "3"


def test_records_of_more_shapes_than_anybody_counts_are_read_alike():
    names = [f"n{number}" for number in range(1_500)]
    spec = spec_of(f"f: {{type: string, from: [{', '.join(names)}]}}")
    for name in (*names, *names):
        assert spec.flatten({name: name}, "k") == {"thing_id": "k", "f": name}
    assert pickle.loads(pickle.dumps(spec)).flatten({"n7": "x"}, "k") == {"thing_id": "k", "f": "x"}
    assert len(pickle.dumps(spec)) == len(pickle.dumps(spec_of(f"f: {{type: string, from: [{', '.join(names)}]}}")))


@pytest.mark.parametrize("pattern", ["^((a+)+)+$", "(a|aa)+$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(.*a){12}"])
def test_no_text_makes_a_pattern_take_long(pattern):
    started = time.process_time()
    flat(f"f: {{type: string, from: [{{path: a, match: '{pattern}'}}]}}", {"a": "a" * 100_000 + "!"})
    assert time.process_time() - started < 5


def test_a_pattern_survives_pickling_and_text_that_no_document_can_hold():
    spec = pickle.loads(pickle.dumps(spec_of("f: {type: string, from: [{path: a, match: '^(.*?) : '}]}")))
    assert spec.flatten({"a": "Vela : Head"}, "k") == {"thing_id": "k", "f": "Vela"}
    assert spec.flatten({"a": "\ud83d : Head"}, "k") == {"thing_id": "k"}


def test_a_required_field_without_value_fails_the_record():
    with pytest.raises(RecordError) as caught:
        flat("age: {type: integer, required: true, from: [a, b.c]}", {"a": "old"})
    assert caught.value.code == "MISSING_FIELD"
    assert caught.value.message == "age is required, but the record has no usable value; looked in a, b.c"


@pytest.mark.parametrize(
    ("checks", "value", "code", "message"),
    [
        ("min: 0", -1, "OUT_OF_RANGE", "age must be at least 0"),
        ("max: 1500", 1501, "OUT_OF_RANGE", "age must be at most 1,500"),
        ("min: 0.5", 0, "OUT_OF_RANGE", "age must be at least 0.5"),
    ],
)
def test_a_value_out_of_range_fails_the_record_unless_it_may_be_absent(checks, value, code, message):
    with pytest.raises(RecordError) as caught:
        flat(f"age: {{type: integer, from: a, {checks}}}", {"a": value})
    assert (caught.value.code, caught.value.message) == (code, message)
    assert flat(f"age: {{type: integer, from: a, {checks}, on_fail: absent}}", {"a": value}) == {}


def test_bounds_are_inclusive():
    assert flat("age: {type: integer, from: a, min: 0, max: 9}", {"a": 9}) == {"age": 9}
    assert flat("age: {type: integer, from: a, min: 0, max: 9}", {"a": 0}) == {"age": 0}


def test_an_enum_ignores_case_and_stores_its_own_spelling():
    field = "state: {type: string, from: s, enum: [Open, Closed]}"
    assert flat(field, {"s": "OPEN"}) == {"state": "Open"}
    with pytest.raises(RecordError) as caught:
        flat(field, {"s": "secret"})
    assert (caught.value.code, caught.value.message) == ("NOT_IN_ENUM", "state must be one of Open, Closed")
    assert flat("t: {type: strings, from: s, enum: [A, B]}", {"s": ["b", "a"]}) == {"t": ["B", "A"]}


def test_a_required_field_whose_value_is_made_absent_is_missing():
    with pytest.raises(RecordError, match=r"^MISSING_FIELD: age is required"):
        flat("age: {type: integer, from: a, min: 0, on_fail: absent, required: true}", {"a": -1})


@pytest.mark.parametrize(
    ("years", "band"),
    [(0, "0-2"), (2, "0-2"), (2.99, "0-2"), (3, "3-5"), (5.9, "3-5"), (6, "6-9"), (9.5, "6-9"), (10, "10-14"),
     (14.99, "10-14"), (15, "15+"), (80, "15+")],
)  # fmt: skip
def test_a_band_counts_a_fraction_as_the_whole_number_below(years, band):
    fields = """
years: {type: number, from: y}
band: {type: string, derive: {function: band, of: years, bands: [0-2, 3-5, 6-9, 10-14, 15+]}}
"""
    assert flat(fields, {"y": years})["band"] == band


def test_derived_fields_may_build_on_each_other_in_any_order():
    fields = """
words: {type: strings, derive: {function: keywords, of: [full, tags], limit: 4}}
full: {type: string, derive: {function: join, of: [first, last], separator: '-'}}
first: {type: string, from: f}
last: {type: string, from: l}
tags: {type: strings, from: t}
"""
    made = flat(fields, {"f": "Ada", "t": ["Big Data", "Go", "SQL"]})
    assert made == {
        "first": "Ada",
        "tags": ["Big Data", "Go", "SQL"],
        "full": "Ada",
        "words": ["ada", "big data", "big", "data"],
    }
    assert flat(fields, {}) == {}


def test_a_spec_can_name_skills_of_its_own():
    fields = "skills: {type: strings, cleaner: skills, from: s}"
    more = "skill_aliases: {Acme Flow: [aflow, acme-flow], Kubernetes: [kubernetes cluster]}"
    assert flat(fields, {"s": ["AFLOW", "k8s", "Kubernetes Cluster"]}, more) == {"skills": ["Acme Flow", "Kubernetes"]}


ALL_TYPES = """
s: {type: string, from: [v, 'jmespath: v.a[?b == `1`] | [0]']}
y: {type: string, cleaner: symbol, from: v}
l: {type: string, cleaner: level, from: v}
i: {type: integer, from: v}
n: {type: number, from: [{path: v, scale: 2.5}, "v[].a"]}
b: {type: bool, from: v}
t: {type: timestamp, from: v}
m: {type: strings, from: [[v, "v[].a.b[]"]]}
k: {type: strings, cleaner: skills, from: [{path: v, missing: [x, 0]}]}
j: {type: json, from: v}
g: {type: string, derive: {function: band, of: n, bands: [0-2, 3+]}}
w: {type: strings, derive: {function: keywords, of: [s, m, k]}}
"""
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.text(alphabet="0-9.,% ya/+", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "skill", "\ud800"]), inner, max_size=4)
    ),
    max_leaves=10,
)
PYTHON_TYPES = {
    FieldType.STRING: "str", FieldType.INTEGER: "int", FieldType.NUMBER: "float", FieldType.BOOL: "bool",
    FieldType.TIMESTAMP: "datetime", FieldType.STRINGS: "list", FieldType.JSON: "dict",
}  # fmt: skip

EVERY_TYPE = spec_of(ALL_TYPES)


@settings(max_examples=300, deadline=None)
@given(value=anything)
def test_flattening_is_total_typed_and_the_same_every_time(value):
    spec = EVERY_TYPE
    types = {field.name: PYTHON_TYPES[field.type] for field in spec.fields}
    made = spec.flatten({"v": value}, "k")
    assert {name: type(member).__name__ for name, member in made.items()} == {name: types[name] for name in made}
    assert repr(spec.flatten({"v": value}, "k")) == repr(made)


def test_a_deeply_nested_record_is_no_problem():
    value: object = {"skill": "Go"}
    for _ in range(50_000):
        value = {"a": [value]}
    spec_of(ALL_TYPES).flatten({"v": value}, "k")


def test_flattening_leaves_the_record_as_it_was():
    record = {"v": [{"a": {"b": ["x"]}}, {"skill": "js"}]}
    before = json.dumps(record)
    spec_of(ALL_TYPES).flatten(record, "k")
    assert json.dumps(record) == before


def test_a_spec_that_several_steps_have_is_one_in_their_process():
    spec = spec_of("f: {type: string, from: f}")
    again, other = (pickle.loads(pickle.dumps(each)) for each in (spec, spec_of("g: {type: string, from: g}")))
    assert pickle.loads(pickle.dumps(again)) is pickle.loads(pickle.dumps(spec)) is again
    assert (again == spec, other == spec) == (True, False)


def test_a_pickled_spec_does_the_same():
    spec = spec_of(ALL_TYPES, "indexes: [[s, n desc]]")
    again = pickle.loads(pickle.dumps(spec))
    assert again == spec
    record = {"v": {"a": [{"b": 1}]}}
    assert again.flatten(record, "k") == spec.flatten(record, "k")
    assert again.key_of({"id": 7}, None) == "7"


FIELDS = "skills: {type: strings, cleaner: skills, from: [a, b], description: What they know}"


@pytest.mark.parametrize(
    ("fields", "more"),
    [
        (FIELDS.replace("[a, b]", "[b, a]"), ""),
        (FIELDS.replace("cleaner: skills, ", ""), ""),
        (FIELDS, "skill_aliases: {Acme Flow: [aflow]}"),
        (f"{FIELDS}\nx: {{type: string, from: x}}", ""),
    ],
    ids=["order of sources", "cleaner", "aliases", "field"],
)
def test_the_fingerprint_changes_with_what_changes_a_result(fields, more):
    assert spec_of(fields, more).fingerprint != spec_of(FIELDS).fingerprint


@pytest.mark.parametrize(
    ("fields", "more"),
    [
        (FIELDS, "# a comment"),
        (FIELDS.replace("What they know", "Skills"), ""),
        (FIELDS, "indexes: [[thing_id, skills contains]]"),
        (FIELDS, "bigquery: {cluster_by: [thing_id]}"),
        (FIELDS.replace("[a, b]", '["a", "b"]'), ""),
    ],
    ids=["comment", "description", "index", "table layout", "quotes"],
)
def test_the_fingerprint_stays_when_no_result_changes(fields, more):
    assert spec_of(fields, more).fingerprint == spec_of(FIELDS).fingerprint


def test_a_field_called_description_counts_for_the_fingerprint():
    with_it = spec_of("description: {type: string, from: a}")
    assert with_it.fingerprint != spec_of("description: {type: string, from: b}").fingerprint


def test_the_public_attributes_say_what_the_file_says():
    spec = spec_of(
        "at: {type: timestamp, from: at}", "bigquery: {partition_by: at, partition_type: MONTH, cluster_by: [thing_id]}"
    )
    assert (spec.name, spec.schema_version, spec.key.name) == ("things", 3, "thing_id")
    assert (spec.full_collection, spec.flat_collection) == ("things_full", "things")
    assert [(field.name, field.type, field.required) for field in spec.fields] == [
        ("thing_id", FieldType.STRING, True),
        ("at", FieldType.TIMESTAMP, False),
    ]
    assert (spec.bigquery.partition_by, spec.bigquery.partition_type, spec.bigquery.cluster_by) == (
        "at",
        "MONTH",
        ("thing_id",),
    )
