"""The analysis: section of a spec: checked with file, line and key; only schemas that every provider enforces."""

import pickle

import pytest

from transforms.analysis.masks import masked
from transforms.errors import SpecError
from transforms.records.spec import load_spec

GOOD = """\
name: people
schema_version: 1
full_collection: people_full
flat_collection: people
key: {name: person_id, from: id}
fields:
  name: {type: string, from: name}
analysis:
  into: answer
  fields: {title: [job.title, title]}
  instructions: Say how senior.
  schema:
    type: object
    additionalProperties: false
    required: [level, tags]
    properties:
      level: {type: [string, "null"]}
      tags: {type: array, items: {type: string}}
  prices: {openai/m: {input: 0.25, output: 2}}
"""


def test_a_spec_with_it_is_the_same_spec_to_what_is_stored():
    without = load_spec(GOOD.partition("analysis:")[0], "people.yaml")
    spec = load_spec(GOOD, "people.yaml")
    assert spec.fingerprint == without.fingerprint
    assert without.analysis is None
    assert pickle.loads(pickle.dumps(spec)).analysis == spec.analysis
    assert spec.analysis.masks == ("email", "phone", "url")
    assert spec.analysis.found_in({"title": "Cook", "pay": 1}) == {"title": "Cook"}
    price = spec.analysis.prices["openai/m"]
    assert (price.input, price.cached_input, price.cache_write, price.output) == (250_000, 250_000, 250_000, 2_000_000)


@pytest.mark.parametrize(
    ("replaced", "by", "problem"),
    [
        ("into: answer", "in: answer", "analysis.in: unknown key; did you mean into?"),
        ("{title: [job.title, title]}", "{}", "analysis.fields"),
        ("title: [job.title", "title: [job..title", "analysis.fields.title[0]: 'job..title' is no path"),
        (
            "instructions: Say how senior.",
            'instructions: " "',
            "analysis.instructions: must not be blank",
        ),
        ("    type: object\n", "    type: array\n", "analysis.schema: must be of type object"),
        ("    additionalProperties: false\n", "", "analysis.schema: needs additionalProperties: false"),
        ("[level, tags]", "[level]", "analysis.schema: must require every property, 'tags' is missing"),
        ("[level, tags]", "[level, tags, x]", "analysis.schema.required: 'x' is not one of the properties"),
        (
            "items: {type: string}",
            "minItems: 1, items: {type: string}",
            "properties.tags.minItems: minItems is not enforced",
        ),
        (", items: {type: string}", "", "properties.tags: needs items"),
        ("items: {type: string}", "items: {type: array, items: {type: string}}", "tags.items: must not be arrays"),
        ('[string, "null"]', "[string, integer]", "level.type: must be one type, or one and null"),
        ('{type: [string, "null"]}', "{type: text}", "level.type: 'text' is not known"),
        ('{type: [string, "null"]}', "{pattern: a}", "level: needs a type"),
        ("openai/m:", "gpt:", "analysis.prices.gpt: 'gpt' is not a provider and a model"),
        ("input: 0.25", "input: cheap", "input: must be USD per million tokens"),
        ("input: 0.25", "input: 0.1234567", "input: must be USD per million tokens, with at most 6 decimals"),
    ],
)
def test_a_mistake_is_named_with_its_place(replaced, by, problem):
    assert replaced in GOOD
    with pytest.raises(SpecError) as refused:
        load_spec(GOOD.replace(replaced, by, 1), "people.yaml")
    assert problem in str(refused.value)
    assert str(refused.value).startswith("people.yaml:")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("ada.l+x@mail.example.co.uk!", "[email]!"),
        ("call (020) 7946-0958 or +1 212 555 0199", "call [phone] or [phone]"),
        (
            "2019 - 2023, 2019/03 - 2021/11, 10 years, 120,000 EUR",
            "2019 - 2023, 2019/03 - 2021/11, 10 years, 120,000 EUR",
        ),
        ("see www.ada.example/cv. And linkedin.com/in/ada", "see [url]. And [url]"),
        ("nothing", "nothing"),
    ],
)
def test_masks_find_what_they_say(text, seen):
    assert masked(text, ("email", "phone", "url")) == seen
    assert masked(text, ()) == text
