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

from transforms.firestore import field_paths
from transforms.records.analysis import read_analysis
from transforms.records.cleaners import CLEANER_RULES_VERSION, FieldType
from transforms.records.fields import Field
from transforms.records.keys import id_problem
from transforms.records.layout import read_bigquery, read_indexes
from transforms.records.model import Key, RecordSpec
from transforms.records.paths import Path
from transforms.records.read_checks import read_equals, read_ordered
from transforms.records.read_fields import field_name, one_line, read_field, read_path
from transforms.records.skill_tables import read_skill_table
from transforms.records.skills import SkillTable
from transforms.records.yaml_nodes import YamlNode, did_you_mean, parse_yaml

_TOP_KEYS = (
    "name", "description", "schema_version", "key", "full_collection", "flat_collection", "collection", "fields",
    "indexes", "bigquery", "unwrap", "ordered", "equals", "skill_aliases", "skill_alias_files", "analysis", "label",
    "owner",
)  # fmt: skip
_REQUIRED_TOP_KEYS = ("name", "schema_version", "key", "fields")
_PAIR = ("full_collection", "flat_collection")
_KEY_KEYS = ("name", "from", "template", "description")
# Of the ledger, which knows no other documents there, and of `firebeam doctor`, which deletes its own.
OWN_COLLECTIONS = frozenset(
    {"pipeline_jobs", "pipeline_streams", "pipeline_migrations", "pipeline_analyses", "pipeline_doctor"}
)
_TEMPLATE_PART = re.compile(r"\{([^{}]*)\}")

# What no stored value depends on is no part of the fingerprint: changing it must not rewrite every document.
# An answer is a part of its record, and with it of what is stored; what was asked is named by the run that asks.
_NOT_FINGERPRINTED = frozenset(
    {"description", "indexes", "bigquery", "skill_aliases", "skill_alias_files", "analysis", "label", "owner"}
)


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
    field_nodes = top["fields"].items()
    in_key = frozenset(_template_parts(top["key"]))
    fields = {name: read_field(name, node, table, is_in_key=name in in_key) for name, node in field_nodes.items()}
    key = _read_key(top["key"], fields)
    id_field = Field(key.name, FieldType.STRING, one_line(top["key"].items(), "description"), required=True)
    everything = {key.name: id_field, **fields}
    full_collection, flat_collection = _collections(root, top)
    return RecordSpec(
        name=_word(top["name"]),
        schema_version=top["schema_version"].integer(1, 1_000_000),
        fingerprint=_fingerprint(root, fields.values(), table),
        key=key,
        full_collection=full_collection,
        flat_collection=flat_collection,
        fields=tuple(everything.values()),
        description=one_line(top, "description"),
        bigquery=read_bigquery(top.get("bigquery"), everything),
        indexes=read_indexes(top.get("indexes"), everything, None if flat_collection else _stored_as(fields, key)),
        derived=_derivation_order(everything, field_nodes),
        unwrap=_read_unwrap(top["unwrap"]) if "unwrap" in top else (),
        ordered=read_ordered(top.get("ordered"), everything),
        equals=read_equals(top.get("equals"), table),
        analysis=read_analysis(top["analysis"]) if "analysis" in top else None,
        label=_word(top["label"]) if "label" in top else "",
        owner=_owner(top["owner"], everything) if "owner" in top else "",
    )


def _template_parts(key: YamlNode) -> list[str]:
    template = key.mapping(_KEY_KEYS, ["name"]).get("template")
    return _TEMPLATE_PART.findall(template.text()) if template is not None else []


def _read_key(node: YamlNode, fields: Mapping[str, Field]) -> Key:
    found = node.mapping(_KEY_KEYS, ["name"])
    name = field_name(found["name"], found["name"].text())
    if name in fields:
        found["name"].fail(f"{name} is also declared under fields; the key makes that field, remove the other")
    if ("from" in found) == ("template" in found):
        node.fail("needs either from (where the id is found) or template (how it is made of fields)")
    if "from" in found:
        paths = tuple(read_path(entry) for entry in found["from"].one_or_more())
        return Key(name, paths)
    template = found["template"].text()
    names = _template_parts(node)
    if not names or "{" in _TEMPLATE_PART.sub("", template) or "}" in _TEMPLATE_PART.sub("", template):
        found["template"].fail("must hold field names in braces, such as {symbol}_{open_time}")
    for part in names:
        if part not in fields or not fields[part].sources:
            with_sources = [name for name, field in fields.items() if field.sources]
            found["template"].fail(f"{part!r} is no field with sources; {did_you_mean(part, with_sources)}")
        if fields[part].type not in (FieldType.STRING, FieldType.INTEGER, FieldType.TIMESTAMP):
            found["template"].fail(f"{part} is a {fields[part].type.value}; use string, integer or timestamp fields")
    return Key(name, (), template, tuple(fields[part] for part in dict.fromkeys(names)))


def _read_unwrap(node: YamlNode) -> tuple[Path, ...]:
    paths: list[Path] = []
    for entry in node.one_or_more():
        path = read_path(entry)
        if not isinstance(path, Path):
            entry.fail("must name a map: names with dots between")
        paths.append(path)
    return tuple(paths)


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


def _collections(root: YamlNode, top: Mapping[str, YamlNode]) -> tuple[str, str | None]:
    """Where whole records and their flat forms go."""
    if "collection" in top:
        for name in _PAIR:
            if name in top:
                top[name].fail("does not go with collection, which holds one document per record; remove one of them")
        return _collection(top["collection"]), None
    for name in _PAIR:
        if name not in top:
            root.fail(f"{name!r} is missing here; add it, or collection for one document per record")
    for name in ("label", "owner"):
        if name in top:
            top[name].fail("is for records of one document, whose spec has a collection; remove it")
    full_collection, flat_collection = (_collection(top[name]) for name in _PAIR)
    if flat_collection == full_collection:
        top["flat_collection"].fail(f"must differ from full_collection, both are {flat_collection!r}")
    return full_collection, flat_collection


def _stored_as(fields: Mapping[str, Field], key: Key) -> dict[str, str]:
    """By name of a field, its path in the record as it came, where the first place it is looked for is a path."""
    first = {name: field.sources[0].paths for name, field in fields.items() if field.sources}
    return {
        name: field_paths.render(paths[0].steps)
        for name, paths in {**first, key.name: key.paths[:1]}.items()
        if len(paths) == 1 and isinstance(paths[0], Path) and not paths[0].is_of_origin
    }


def _owner(node: YamlNode, fields: Mapping[str, Field]) -> str:
    name = node.text()
    if name not in fields:
        node.fail(f"{name!r} is no field; {did_you_mean(name, fields)}")
    return name


def _collection(node: YamlNode) -> str:
    name = node.text()
    if name in OWN_COLLECTIONS:
        node.fail(f"{name!r} is a collection that Firebeam keeps for itself; choose another")
    if (problem := id_problem(name)) is not None:
        node.fail(f"a collection id {problem}")
    return name


def _word(node: YamlNode) -> str:
    name = node.text()
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", name):
        node.fail("must consist of letters, digits, _ and -, at most 100")
    return name
