"""A spec that cannot be used says so: file, line, key and what would be right."""

import pytest

from pipeline.commands.firestore_probes import PROBE_COLLECTION
from transforms.errors import SpecError
from transforms.ledger.jobs import JOBS
from transforms.records.load import OWN_COLLECTIONS
from transforms.records.spec import load_spec

GOOD = """\
name: people
schema_version: 1
full_collection: people_full
flat_collection: people
key: {name: person_id, from: [id]}
fields:
  age: {type: integer, from: age}
  tags: {type: strings, from: tags}
  extra: {type: json, from: extra}
  score: {type: number, from: score}
"""


def problem_of(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        load_spec(text, "people.yaml")
    return str(caught.value)


def test_the_example_loads():
    assert [field.name for field in load_spec(GOOD, "people.yaml").fields] == [
        "person_id",
        "age",
        "tags",
        "extra",
        "score",
    ]


@pytest.mark.parametrize(
    ("replaced", "by", "message"),
    [
        ("type: integer", "type: int", "7:fields.age.type: 'int' is not known; did you mean integer? Known: "
         "string, integer, "
         "number, bool, timestamp, strings, json"),
        ("from: age", "from: age, cleaner: raiting", "7:fields.age.cleaner: no cleaner is called 'raiting'; did "
         "you mean "
         "rating? Known: string, symbol, organisation, level, integer, number, years, year_span, rating, fraction, "
         "bool, timestamp, strings, skills, keywords, json"),
        ("from: age", "from: age, cleaner: rating",
         "7:fields.age.cleaner: rating makes a number, but type says integer; for that use integer"),
        ("  tags:", "  age:", "8:fields.age: appears twice, first in line 7; remove one"),
        ("name: people", "name: people\nname: other", "2:name: appears twice, first in line 1; remove one"),
        ("name: people", "nam: people", "1:nam: unknown key; did you mean name? Known: name, description, "
         "schema_version, "
         "key, full_collection, flat_collection, collection, fields, indexes, bigquery, unwrap, ordered, equals, "
         "skill_aliases, skill_alias_files, analysis, label, owner"),
        ("name: people", "name: people\nunwrap: ['a[]']", "2:unwrap[0]: must name a map: names with dots between"),
        ("schema_version: 1\n", "", "1: 'schema_version' is missing here; add it"),
        ("flat_collection: people\n", "", "1: 'flat_collection' is missing here; add it, or collection for one "
         "document per record"),
        ("flat_collection: people", "collection: people", "3:full_collection: does not go with collection, which "
         "holds one document per record; remove one of them"),
        ("name: people", "name: people\nlabel: person", "2:label: is for records of one document, whose spec has a "
         "collection; remove it"),
        ("schema_version: 1", "schema_version: one", "2:schema_version: must be a whole number, got text"),
        ("schema_version: 1", "schema_version: 0", "2:schema_version: must be in [1, 1000000], got 0"),
        ("name: people", "name: 2025", "1:name: must be text, got a whole number; put it in quotes"),
        ("name: people", "name: a b", "1:name: must consist of letters, digits, _ and -, at most 100"),
        ("flat_collection: people", "flat_collection: people_full",
         "4:flat_collection: must differ from full_collection, both are 'people_full'"),
        ("flat_collection: people", "flat_collection: a/b", '4:flat_collection: a collection id must not contain "/"'),
        ("{name: person_id, from: [id]}", "{name: age, from: [id]}",
         "5:key.name: age is also declared under fields; the key makes that field, remove the other"),
        ("{name: person_id, from: [id]}", "{name: person_id}",
         "5:key: needs either from (where the id is found) or template (how it is made of fields)"),
        ("from: [id]", "from: []", "5:key.from: must not be empty"),
        ("from: [id]", "template: '{ages}'", "5:key.template: 'ages' is no field with sources; did you mean "
         "age? Known: age, "
         "tags, extra, score"),
        ("from: [id]", "template: '{tags}'",
         "5:key.template: tags is a strings; use string, integer or timestamp fields"),
        ("from: [id]", "template: 'x'",
         "5:key.template: must hold field names in braces, such as {symbol}_{open_time}"),
        ("from: age}", "from: a..b}", "7:fields.age.from: 'a..b' is no path; write names with dots between, such as "
         "current_position.title or skills[].name"),
        ("from: age}", "from: 'jmespath: a[?'}", "7:fields.age.from: 'a[?' is no JMESPath expression: Invalid jmespath "
         "expression: Incomplete expression: \"a[?\" ^; see https://jmespath.org"),
        ("from: age}", "from: [{path: a, match: '('}]}",
         "7:fields.age.from[0].match: is no regular expression of RE2: missing ): (; it has neither "
         "backreferences nor look-around"),
        ("from: age}", "from: [{path: a, match: 'a'}]}",
         "7:fields.age.from[0].match: must put what to keep in parentheses, such as '^- .* : (.+)$'"),
        ("from: age", "from: age, unit: ms", "7:fields.age.unit: is for the cleaners timestamp; here it is integer"),
        ("from: age", "from: age, decimal: ','", "7:fields.age.decimal: ',' is not known; known: point, comma"),
        ("from: tags}", "from: [{path: a, date_order: dmy}]}",
         "8:fields.tags.from[0].date_order: is for the cleaners timestamp; here it is strings"),
        ("from: tags", "from: tags, placeholders: none", "8:fields.tags.placeholders: must be true or false, got text"),
        ("from: score", "from: score, cleaner: rating, decimal: comma",
         "10:fields.score.decimal: is for the cleaners integer, number, fraction; here it is rating"),
        ("type: strings, from: tags", "type: strings, derive: {function: keywords, of: [age]}, placeholders: false",
         "8:fields.tags.placeholders: has nothing to clean in a derived field; remove it"),
        ("from: tags}", "from: [{path: a, entry: '{a} : {b}'}]}",
         "8:fields.tags.from[0]: needs both entry (the form of a text's entries) and take (which part counts), or "
         "neither"),
        ("from: tags}", "from: [{path: a, entry: '{a} : {b}', take: c}]}",
         "8:fields.tags.from[0].take: 'c' is not known; known: a, b"),
        ("from: tags}", "from: [{path: a, entry: '{a}', take: a}]}",
         "8:fields.tags.from[0].entry: '{a}' is not the form of an entry; write such as '{company} : {title}'"),
        ("from: tags}", "from: [{path: a, entry: '{a} : {a}', take: a}]}",
         "8:fields.tags.from[0].entry: '{a} : {a}' names a part twice"),
        ("from: tags}", "from: [{path: a, match: '(a)', entry: '{a} : {b}', take: a}]}",
         "8:fields.tags.from[0].match: cannot stand beside entry; remove one"),
        ("from: age}", "from: [{match: '(a)'}]}", "7:fields.age.from[0]: needs exactly one of path, paths and "
         "jmespath"),
        ("from: age}", "from: [{path: a, missing: true}]}",
         "7:fields.age.from[0].missing: must be a text or a number that stands for nothing"),
        (", from: age", "", "7:fields.age: needs either from (where the value is found) or derive (what it is "
         "made of)"),
        ("from: age", "from: age, min: 9, max: 1", "7:fields.age.min: must not exceed max, 9 > 1"),
        ("from: age", "from: age, min: low", "7:fields.age.min: must be a number, got text"),
        ("from: age", "from: age, required: maybe", "7:fields.age.required: must be true or false, got text"),
        ("from: tags", "from: tags, max: 3", "8:fields.tags.max: is for integer and number fields; tags is a strings"),
        ("from: tags", "from: tags, enum: []",
         "8:fields.tags.enum: must list at least one text, and is for string and strings fields"),
        ("from: tags", "from: tags, enum: [yes]", "8:fields.tags.enum[0]: must be text, got true or false; put "
         "it in quotes"),
        ("from: age", "from: age, on_fail: absent",
         "7:fields.age.on_fail: says what follows from min, max or enum; add one of them or remove it"),
        ("from: age", "from: age, min: 0, on_fail: skip",
         "7:fields.age.on_fail: 'skip' is not known; known: dead_letter, absent"),
        ("  age:", "  2nd:", "7:fields.2nd: '2nd' is no field name; use letters, digits and _, not starting "
         "with a digit, "
         "at most 300"),
        ("  age:", "  profile:",
         "7:fields.profile: 'profile' is a name that Firebeam or Firestore keeps for itself; choose another"),
        ("  age: {type: integer, from: age}", "  age: 3", "7:fields.age: must be a map, got a whole number"),
        ("  age:", "  1:", "7:fields: a key must be text, got a whole number; put it in quotes"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_line_key_and_remedy(replaced, by, message):
    assert replaced in GOOD
    assert problem_of(GOOD.replace(replaced, by, 1)) == f"people.yaml:{message}"


@pytest.mark.parametrize(
    ("addition", "message"),
    [
        ("  b: {type: string, derive: {function: band, of: age, bands: [0-2, 2-5]}}",
         "11:fields.b.derive.bands: band '2-5' must start above 2, where the one before ends"),
        ("  b: {type: string, derive: {function: band, of: age, bands: [few]}}",
         "11:fields.b.derive.bands: 'few' is no band; write 0-2, 7 or 15+"),
        ("  b: {type: string, derive: {function: band, of: age}}",
         "11:fields.b.derive: 'bands' is missing here; add it, such as [0-2, 3-5, 6+]"),
        ("  b: {type: string, derive: {function: band, of: [age, score], bands: [0+]}}",
         "11:fields.b.derive.of: band is made of exactly one field, got 2"),
        ("  b: {type: integer, derive: {function: band, of: age, bands: [0+]}}",
         "11:fields.b.derive: band makes a string, but type says integer"),
        ("  b: {type: string, derive: {function: band, of: tags, bands: [0+]}}",
         "11:fields.b.derive.of: band takes integer or number fields; tags is a strings"),
        ("  b: {type: string, derive: {function: bend, of: age}}",
         "11:fields.b.derive.function: 'bend' is not known; did you mean band? Known: band, keywords, join"),
        ("  b: {type: string, derive: {of: age}}",
         "11:fields.b.derive: 'function' is missing here; known: band, keywords, join"),
        ("  b: {type: string, derive: {function: join, of: agee}}",
         "11:fields.b.derive.of: 'agee' is no field; did you mean age? Known: person_id, age, tags, extra, score"),
        ("  b: {type: string, derive: {function: join, of: c}}\n  c: {type: string, derive: {function: join, of: b}}",
         "12:fields.c.derive.of: fields are made of each other in a circle: b → c → b"),
        ("  b: {type: string, derive: {function: join, of: b}}",
         "11:fields.b.derive.of: fields are made of each other in a circle: b → b"),
        ("indexes: [[age]]", "11:indexes[0]: must name 2 to 100 fields, got 1; one field is indexed anyway"),
        ("indexes: [[age, agee]]",
         "11:indexes[0][1]: 'agee' is no field; did you mean age? Known: person_id, age, tags, "
         "extra, score"),
        ("indexes: [[age, score down]]",
         "11:indexes[0][1]: 'down' is no way to index score; write asc, desc or contains"),
        ("indexes: [[age, tags]]", "11:indexes[0][1]: tags is a strings field; index it with contains"),
        ("indexes: [[age contains, score]]", "11:indexes[0][0]: age is a integer field; index it with asc or desc"),
        ("indexes: [[age, extra]]",
         "11:indexes[0][1]: extra is a json field, and maps have no order; index another field"),
        ("indexes: [[age, age desc]]", "11:indexes[0]: names a field twice; remove one"),
        ("indexes: [[age, score], [age, score]]", "11:indexes[1]: is the same index as in line 11; remove one"),
        ("bigquery: {partition_by: age}",
         "11:bigquery.partition_by: age is a integer; use a timestamp field or update_time"),
        ("bigquery: {partition_by: when}",
         "11:bigquery.partition_by: 'when' is no field; known: person_id, age, tags, extra, "
         "score"),
        ("bigquery: {partition_type: WEEK}",
         "11:bigquery.partition_type: 'WEEK' is not known; known: HOUR, DAY, MONTH, YEAR"),
        ("bigquery: {cluster_by: [tags]}",
         "11:bigquery.cluster_by[0]: tags is a strings; cluster by string, integer, bool or timestamp fields"),
        ("bigquery: {cluster_by: [age, age]}", "11:bigquery.cluster_by[1]: age is named twice; remove one"),
        ("skill_aliases: {Mocha: [js]}",
         "11:skill_aliases.Mocha: 'js' already means JavaScript; it cannot mean Mocha too; remove one of them"),
        ("skill_aliases: {Mocha: js}", "11:skill_aliases.Mocha: must be a list, got text"),
        ("skill_alias_files: [a.yaml]",
         "11:skill_alias_files[0]: cannot be read from here; write the aliases under skill_aliases instead"),
    ],
)  # fmt: skip
def test_a_mistake_in_what_builds_on_fields_is_named_too(addition, message):
    assert problem_of(f"{GOOD}{addition}\n") == f"people.yaml:{message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "people.yaml: is empty; start from a shipped record spec"),
        ("# nothing\n", "people.yaml: is empty; start from a shipped record spec"),
        ("- a\n", "people.yaml:1: must be a map, got a list"),
        ("a: [1\nb: 2\n", "people.yaml:2: is not valid YAML: expected ',' or ']', but got ':'"),
        ("a: 1\n---\nb: 2\n", "people.yaml:2: is not valid YAML: but found another document"),
        ("a: \x07\n", "people.yaml:1: is not valid YAML: it holds a character that YAML forbids"),
        ("[" * 200_000, "people.yaml:1: is nested more than 32 levels deep"),
        ("a: &a 1\n" + "b: [*a, *a, *a]\n" * 400, "people.yaml:335: has more than 1,000 references"),
        ("# " + "x" * 262_144, "people.yaml: must not exceed 262,144 bytes; is it a record spec?"),
        ("a: &a [*a]\n", "people.yaml:1: stands for more than 100,000 values; does a reference contain itself?"),
    ],
    ids=[
        "empty",
        "comment",
        "list",
        "broken",
        "two documents",
        "control character",
        "deep",
        "references",
        "large",
        "recursive",
    ],
)
def test_what_is_no_spec_at_all_is_refused(text, message):
    assert problem_of(text) == message


def test_references_that_multiply_are_refused():
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert problem_of("\n".join(lines)).endswith(
        "stands for more than 100,000 values; does a reference contain itself?"
    )


def test_an_alias_file_that_cannot_be_read_is_named_where_the_spec_names_it():
    def unreadable(path: str) -> str:
        raise SpecError(path, None, "", "cannot be read")

    with pytest.raises(SpecError) as caught:
        load_spec(f"{GOOD}skill_alias_files: [more.yaml]\n", "people.yaml", unreadable)
    assert str(caught.value) == "people.yaml:11:skill_alias_files[0]: more.yaml cannot be read"


@pytest.mark.parametrize("collection", ["pipeline_jobs", "pipeline_streams", "pipeline_migrations", "pipeline_doctor"])
@pytest.mark.parametrize("key", ["full_collection: people_full", "flat_collection: people"])
def test_a_collection_of_firebeam_itself_is_refused(collection, key):
    name = key.partition(":")[0]
    line = 3 if name == "full_collection" else 4
    assert problem_of(GOOD.replace(f"{key}\n", f"{name}: {collection}\n")) == (
        f"people.yaml:{line}:{name}: {collection!r} is a collection that Firebeam keeps for itself; choose another"
    )


def test_every_collection_that_firebeam_writes_is_among_them():
    assert {JOBS, PROBE_COLLECTION} < OWN_COLLECTIONS


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1\n", 1),
        ("API_KEY=hunter2\n", 1),
        ("password: hunter2\n", 1),
        ("a: [b]\npassword: {is: hunter2}\n", 2),
        ("JavaScript: [hunter2]\nMocha: [hunter2]\n", 2),
        ("hunter2: [*hunter2]\n", 1),
        ("[hunter2\n", 2),
        ("!hunter2 a: [b]\n", 1),
    ],
)
def test_what_is_wrong_with_an_alias_file_is_said_without_a_word_of_it(text, line):
    with pytest.raises(SpecError) as caught:
        load_spec(f"{GOOD}skill_alias_files: [secret.yaml]\n", "people.yaml", lambda path: text)
    assert str(caught.value) == (
        f"secret.yaml:{line}: is no list of skills; write SKILL: [OTHER NAME, OTHER NAME], each name for one skill"
    )
