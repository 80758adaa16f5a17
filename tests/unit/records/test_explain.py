"""Which path gave each value, and what was left out."""

from tests.unit.records.test_spec_flatten import spec_of
from transforms.records.explain import Look, explain

FIELDS = """
name: {type: string, from: [name, person.name]}
years: {type: number, cleaner: years, from: [y, years]}
role: {type: string, from: [{path: jobs, entry: "{company} : {title}", take: title}]}
tags: {type: strings, from: [[a, b]]}
age: {type: integer, from: age, min: 0, on_fail: absent}
size: {type: integer, from: size, min: 0}
words: {type: strings, derive: {function: keywords, of: name}}
"""
SPEC = spec_of(FIELDS, "unwrap: answer")


def explained(record):
    return {each.field.name: each for each in explain(SPEC, record)}


def test_a_value_names_its_path_and_what_stood_there():
    found = explained({"person": {"name": " Ada "}, "y": "many", "years": "7+ years", "jobs": "- 2021 -\nVela : Head"})
    assert found["name"].looks == (Look("person.name", " Ada ", "Ada"),)
    assert found["years"].looks == (Look("y", "many", None), Look("years", "7+ years", 7.0))
    assert found["role"].looks == (Look("jobs", "- 2021 -\nVela : Head", "Head"),)
    assert [each.value for each in found.values()] == ["Ada", 7.0, "Head", None, None, None]
    assert not any(each.is_uncleaned for each in found.values())


def test_a_path_below_an_unwrapped_name_is_named_in_full():
    found = explained({"name": "", "answer": {"name": "Ada", "a": ["x"]}, "b": "y"})
    assert found["name"].looks == (Look("answer.name", "Ada", "Ada"),)
    assert found["tags"].looks == (Look("answer.a + b", ["x", "y"], ["x", "y"]),)


def test_what_cannot_be_placed_and_what_a_check_refuses_are_told_apart():
    found = explained({"y": "many", "years": "", "age": -1, "size": -1})
    assert (found["years"].is_uncleaned, found["years"].value) == (True, None)
    assert (found["age"].is_uncleaned, found["age"].problem) == (False, "age fails its check and is absent")
    assert (found["size"].value, found["size"].problem) == (None, "size must be at least 0")
