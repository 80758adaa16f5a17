"""A record spec read from YAML. Pure: files are read by whoever calls. The shipped specs show all of the language.

    name: people
    schema_version: 1
    full_collection: people_full
    flat_collection: people
    key: {name: person_id, from: [id, person.id]}
    fields:
      age: {type: integer, from: [age, person.age], min: 0, max: 150}

Guarantee: a spec that loads can be used; everything else is a SpecError with file, line, key and what would be right.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from transforms.records.cleaners import CLEANER_RULES_VERSION, Cleaner, FieldType, cleaners_of
from transforms.records.derive import Band, Derivation, Join, Keywords, parse_bands
from transforms.records.keys import id_problem
from transforms.records.layout import read_bigquery, read_indexes
from transforms.records.model import Field, Key, RecordSpec, Source
from transforms.records.paths import AnyPath, compile_expression, compile_path
from transforms.records.skill_tables import read_skill_table
from transforms.records.skills import SkillTable
from transforms.records.texts import MAX_KEYWORDS
from transforms.records.yaml_nodes import YamlNode, did_you_mean, parse_yaml

_TOP_KEYS = (
    "name", "description", "schema_version", "key", "full_collection", "flat_collection", "fields", "indexes",
    "bigquery", "skill_aliases", "skill_alias_files",
)  # fmt: skip
_REQUIRED_TOP_KEYS = ("name", "schema_version", "key", "full_collection", "flat_collection", "fields")
_KEY_KEYS = ("name", "from", "template", "description")
_FIELD_KEYS = ("type", "description", "from", "cleaner", "derive", "required", "min", "max", "enum", "on_fail")
_SOURCE_KEYS = ("path", "jmespath", "paths", "cleaner", "match", "missing", "scale")
_DERIVE_KEYS = {
    "band": ("function", "of", "bands"),
    "keywords": ("function", "of", "limit"),
    "join": ("function", "of", "separator"),
}
_TYPES = tuple(kind.value for kind in FieldType)
_NUMERIC = (FieldType.INTEGER, FieldType.NUMBER)
_TEXTUAL = (FieldType.STRING, FieldType.STRINGS)
_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
_OWN_NAMES = ("_meta", "_overflow", "profile", "update_time")  # of documents and rows, beside the fields
_TEMPLATE_PART = re.compile(r"\{([^{}]*)\}")

# What no stored value depends on is no part of the fingerprint: changing it must not rewrite every document.
_NOT_FINGERPRINTED = frozenset({"description", "indexes", "bigquery", "skill_aliases", "skill_alias_files"})


def load_spec(text: str, file: str, read_file: Callable[[str], str] | None = None) -> RecordSpec:
    """Reads a record spec.

    Args:
      text: YAML.
      file: its path, for messages.
      read_file: gives the text of a file named under `skill_alias_files`.

    Raises:
      SpecError: it cannot be used; says where and why.
    """
    root = parse_yaml(text, file)
    top = root.mapping(_TOP_KEYS, _REQUIRED_TOP_KEYS)
    table = read_skill_table(top, read_file)
    cleaners = cleaners_of(table)
    field_nodes = top["fields"].items()
    fields = {name: _read_field(name, node, cleaners) for name, node in field_nodes.items()}
    key = _read_key(top["key"], fields)
    id_field = Field(key.name, FieldType.STRING, _text(top["key"].items(), "description"), required=True)
    everything = {key.name: id_field, **fields}
    flat_collection, full_collection = (_collection(top[name]) for name in ("flat_collection", "full_collection"))
    if flat_collection == full_collection:
        top["flat_collection"].fail(f"must differ from full_collection, both are {flat_collection!r}")
    return RecordSpec(
        name=_word(top["name"]),
        schema_version=top["schema_version"].integer(1, 1_000_000),
        fingerprint=_fingerprint(root, fields.values(), table),
        key=key,
        full_collection=full_collection,
        flat_collection=flat_collection,
        fields=tuple(everything.values()),
        description=_text(top, "description"),
        bigquery=read_bigquery(top.get("bigquery"), everything),
        indexes=read_indexes(top.get("indexes"), everything),
        derived=_derivation_order(everything, field_nodes),
    )


def _read_key(node: YamlNode, fields: Mapping[str, Field]) -> Key:
    found = node.mapping(_KEY_KEYS, ["name"])
    name = _field_name(found["name"], found["name"].text())
    if name in fields:
        found["name"].fail(f"{name} is also declared under fields; the key makes that field, remove the other")
    if ("from" in found) == ("template" in found):
        node.fail("needs either from (where the id is found) or template (how it is made of fields)")
    if "from" in found:
        paths = tuple(_compiled(entry) for entry in _entries(found["from"]))
        return Key(name, paths)
    template = found["template"].text()
    names = _TEMPLATE_PART.findall(template)
    if not names or "{" in _TEMPLATE_PART.sub("", template) or "}" in _TEMPLATE_PART.sub("", template):
        found["template"].fail("must hold field names in braces, such as {symbol}_{open_time}")
    for part in names:
        if part not in fields or not fields[part].sources:
            with_sources = [name for name, field in fields.items() if field.sources]
            found["template"].fail(f"{part!r} is no field with sources; {did_you_mean(part, with_sources)}")
        if fields[part].type not in (FieldType.STRING, FieldType.INTEGER, FieldType.TIMESTAMP):
            found["template"].fail(f"{part} is a {fields[part].type.value}; use string, integer or timestamp fields")
    return Key(name, (), template, tuple(fields[part] for part in dict.fromkeys(names)))


def _read_field(name: str, node: YamlNode, cleaners: Mapping[str, Cleaner]) -> Field:
    found = node.mapping(_FIELD_KEYS, ["type"])
    kind = FieldType(found["type"].choice(_TYPES))
    field = Field(
        name=_field_name(node, name),
        type=kind,
        description=_text(found, "description"),
        required="required" in found and found["required"].boolean(),
        sources=_read_sources(found, kind, cleaners),
        derive=_read_derivation(found["derive"], kind) if "derive" in found else None,
        minimum=found["min"].number() if "min" in found else None,
        maximum=found["max"].number() if "max" in found else None,
        enum=tuple(entry.text() for entry in found["enum"].entries()) if "enum" in found else (),
        absent_on_fail="on_fail" in found and found["on_fail"].choice(("dead_letter", "absent")) == "absent",
    )
    if bool(field.sources) == (field.derive is not None):
        node.fail("needs either from (where the value is found) or derive (what it is made of)")
    if field.derive is not None and "cleaner" in found:
        found["cleaner"].fail("has nothing to clean in a derived field; remove it")
    for bound in ("min", "max"):
        if bound in found and kind not in _NUMERIC:
            found[bound].fail(f"is for integer and number fields; {name} is a {kind.value}")
    if field.minimum is not None and field.maximum is not None and field.minimum > field.maximum:
        found["min"].fail(f"must not exceed max, {field.minimum:g} > {field.maximum:g}")
    if "enum" in found and (kind not in _TEXTUAL or not field.enum):
        found["enum"].fail("must list at least one text, and is for string and strings fields")
    if "on_fail" in found and not ({"min", "max", "enum"} & found.keys()):
        found["on_fail"].fail("says what follows from min, max or enum; add one of them or remove it")
    return field


def _read_sources(
    found: Mapping[str, YamlNode], kind: FieldType, cleaners: Mapping[str, Cleaner]
) -> tuple[Source, ...]:
    if "from" not in found:
        return ()
    usual = _cleaner(found["cleaner"], kind, cleaners) if "cleaner" in found else cleaners[kind.value]
    return tuple(_read_source(node, kind, usual, cleaners) for node in _entries(found["from"]))


def _read_source(node: YamlNode, kind: FieldType, usual: Cleaner, cleaners: Mapping[str, Cleaner]) -> Source:
    if not node.is_mapping:
        paths = [_compiled(entry) for entry in _entries(node)]
        return Source(tuple(paths), usual.clean, usual.name)
    found = node.mapping(_SOURCE_KEYS)
    places = [name for name in ("path", "jmespath", "paths") if name in found]
    if len(places) != 1:
        node.fail("needs exactly one of path, paths and jmespath")
    if "paths" in found:
        paths = [_compiled(entry) for entry in _entries(found["paths"])]
    elif "path" in found:
        paths = [_compiled(found["path"])]
    else:
        paths = [_checked(found["jmespath"], compile_expression)]
    cleaner = _cleaner(found["cleaner"], kind, cleaners) if "cleaner" in found else usual
    return Source(
        tuple(paths),
        cleaner.clean,
        cleaner.name,
        match=_pattern(found["match"]) if "match" in found else None,
        missing=frozenset(_stand_in(entry) for entry in _entries(found["missing"]))
        if "missing" in found
        else frozenset(),
        scale=found["scale"].number() if "scale" in found else None,
    )


def _read_derivation(node: YamlNode, kind: FieldType) -> Derivation:
    function = node.items().get("function")
    if function is None:
        node.fail(f"'function' is missing here; known: {', '.join(_DERIVE_KEYS)}")
    name = function.choice(tuple(_DERIVE_KEYS))
    found = node.mapping(_DERIVE_KEYS[name], ["of"])
    of = tuple(entry.text() for entry in _entries(found["of"]))
    derivation: Derivation
    if name == "band":
        if len(of) != 1:
            found["of"].fail(f"band is made of exactly one field, got {len(of)}")
        if "bands" not in found:
            node.fail("'bands' is missing here; add it, such as [0-2, 3-5, 6+]")
        derivation = Band(of, _checked_bands(found["bands"]))
    elif name == "keywords":
        derivation = Keywords(of, found["limit"].integer(1, 1_000) if "limit" in found else MAX_KEYWORDS)
    else:
        derivation = Join(of, str(found["separator"].plain()) if "separator" in found else " ")
    if kind is not derivation.makes:
        node.fail(f"{name} makes a {derivation.makes.value}, but type says {kind.value}")
    return derivation


def _derivation_order(fields: Mapping[str, Field], nodes: Mapping[str, YamlNode]) -> tuple[Field, ...]:
    """Derived fields, each after those it is made of."""
    done: dict[str, Field] = {}

    def visit(name: str, above: tuple[str, ...]) -> None:
        derive = fields[name].derive
        if derive is None or name in done:
            return
        node = nodes[name].items()["derive"].items()["of"]
        for part in derive.of:
            if part not in fields:
                node.fail(f"{part!r} is no field; {did_you_mean(part, [other for other in fields if other != name])}")
            if part in (*above, name):
                node.fail(f"fields are made of each other in a circle: {' → '.join((*above, name, part))}")
            if fields[part].type not in derive.accepts:
                accepted = " or ".join(sorted(kind.value for kind in derive.accepts))
                node.fail(f"{derive.function} takes {accepted} fields; {part} is a {fields[part].type.value}")
            visit(part, (*above, name))
        done[name] = fields[name]

    for name in nodes:
        visit(name, ())
    return tuple(done.values())


def _fingerprint(root: YamlNode, fields: Iterable[Field], table: SkillTable) -> str:
    def without_remarks(value: Any, depth: int = 0) -> Any:
        if isinstance(value, dict):
            # Top level, fields.name and key carry remarks; below `fields` itself such a name is a field of the user's.
            return {
                name: without_remarks(member, depth + 1)
                for name, member in value.items()
                if name not in _NOT_FINGERPRINTED or (depth == 1 and value is content.get("fields"))
            }
        return [without_remarks(member, depth + 1) for member in value] if isinstance(value, list) else value

    content = root.plain()
    uses_skills = any(source.cleaner == "skills" for field in fields for source in field.sources)
    canonical = json.dumps(
        {
            "spec": without_remarks(content),
            "skill_aliases": dict(table.canonical) if uses_skills else {},
            "rules": CLEANER_RULES_VERSION,
        },
        sort_keys=True,
        ensure_ascii=True,
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def _entries(node: YamlNode) -> list[YamlNode]:
    """The entries of a list that must have some; a single value stands for a list of one."""
    if not node.is_list:
        return [node]
    entries = node.entries()
    if not entries:
        node.fail("must not be empty")
    return entries


def _compiled(node: YamlNode) -> AnyPath:
    if node.is_mapping:
        return _checked(node.mapping(("jmespath",), ["jmespath"])["jmespath"], compile_expression)
    return _checked(node, compile_path)


def _checked(node: YamlNode, compile_text: Callable[[str], AnyPath]) -> AnyPath:
    try:
        return compile_text(node.text())
    except ValueError as error:
        node.fail(str(error))


def _checked_bands(node: YamlNode) -> tuple[tuple[str, int, float], ...]:
    # A band of one number, such as 7, is a number for YAML.
    labels = [str(entry.plain()) for entry in _entries(node)]
    try:
        return parse_bands(labels)
    except ValueError as error:
        node.fail(str(error))


def _cleaner(node: YamlNode, kind: FieldType, cleaners: Mapping[str, Cleaner]) -> Cleaner:
    name = node.text()
    if name not in cleaners:
        node.fail(f"no cleaner is called {name!r}; {did_you_mean(name, cleaners)}")
    if cleaners[name].type is not kind:
        fitting = ", ".join(other.name for other in cleaners.values() if other.type is kind)
        node.fail(f"{name} makes a {cleaners[name].type.value}, but type says {kind.value}; for that use {fitting}")
    return cleaners[name]


def _pattern(node: YamlNode) -> re.Pattern[str]:
    try:
        pattern = re.compile(node.text())
    except re.error as error:
        node.fail(f"is no regular expression: {error}")
    if pattern.groups < 1:
        node.fail("must put what to keep in parentheses, such as '^- .* : (.+)$'")
    return pattern


def _stand_in(node: YamlNode) -> str | float:
    value = node.plain()
    if isinstance(value, str):
        return value.strip().casefold()
    if isinstance(value, bool) or not isinstance(value, int | float):
        node.fail("must be a text or a number that stands for nothing")
    return value


def _field_name(node: YamlNode, name: str) -> str:
    if not _FIELD_NAME.fullmatch(name):
        node.fail(f"{name!r} is no field name; use letters, digits and _, not starting with a digit, at most 300")
    if (
        name.lower() in _OWN_NAMES
        or (name.startswith("__") and name.endswith("__"))
        or name.lower().startswith("_meta_")
    ):
        node.fail(f"{name!r} is a name that Firebeam or Firestore keeps for itself; choose another")
    return name


def _collection(node: YamlNode) -> str:
    name = node.text()
    if (problem := id_problem(name)) is not None:
        node.fail(f"a collection id {problem}")
    return name


def _word(node: YamlNode) -> str:
    name = node.text()
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", name):
        node.fail("must consist of letters, digits, _ and -, at most 100")
    return name


def _text(found: Mapping[str, YamlNode], name: str) -> str:
    return " ".join(found[name].text().split()) if name in found else ""
