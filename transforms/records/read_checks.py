"""The parts of a spec that say what must hold between several values: `ordered:` and `equals:`.

    ordered:
      - [low, open, high]
      - [low, close, high]
    equals:
      - {type: timestamp, of: [ts, {path: $id, unit: s}]}

The places under `of:` are sources, as those of fields are.
"""

from __future__ import annotations

from collections.abc import Mapping

from transforms.records.checks import Equal, Ordered
from transforms.records.cleaners import FieldType
from transforms.records.fields import Field
from transforms.records.read_fields import TYPES, read_places
from transforms.records.skills import SkillTable
from transforms.records.yaml_nodes import YamlNode, did_you_mean

_NUMBERS = (FieldType.INTEGER, FieldType.NUMBER)
_NOT_COMPARED = (FieldType.STRINGS, FieldType.JSON)


def read_ordered(node: YamlNode | None, fields: Mapping[str, Field]) -> tuple[Ordered, ...]:
    """The chains under `ordered:`.

    Raises:
      SpecError: fields that have no order, or that do not exist.
    """
    return tuple(_chain(entry, fields) for entry in node.entries()) if node is not None else ()


def _chain(node: YamlNode, fields: Mapping[str, Field]) -> Ordered:
    names: list[str] = []
    for entry in node.entries():
        name = entry.text()
        if name not in fields:
            entry.fail(f"{name!r} is not a field; {did_you_mean(name, fields)}")
        kind = fields[name].type
        if kind not in (*_NUMBERS, FieldType.TIMESTAMP):
            entry.fail(f"{name} is a {kind.value}, which has no order here; use integer, number or timestamp fields")
        if name in names:
            entry.fail(f"{name} is named twice; remove one")
        if names and (kind is FieldType.TIMESTAMP) != (fields[names[0]].type is FieldType.TIMESTAMP):
            entry.fail(f"{name} is a {kind.value} and {names[0]} a {fields[names[0]].type.value}; compare one kind")
        names.append(name)
    if len(names) < 2:
        node.fail(f"must name at least two fields, the smallest first, got {len(names)}")
    return Ordered(tuple(names))


def read_equals(node: YamlNode | None, skills: SkillTable) -> tuple[Equal, ...]:
    """The comparisons under `equals:`.

    Raises:
      SpecError: nothing to compare.
    """
    return tuple(_equal(entry, skills) for entry in node.entries()) if node is not None else ()


def _equal(node: YamlNode, skills: SkillTable) -> Equal:
    found = node.mapping(("type", "of"), ("type", "of"))
    kind = FieldType(found["type"].choice(TYPES))
    if kind in _NOT_COMPARED:
        found["type"].fail(f"a {kind.value} is not compared; use string, integer, number, bool or timestamp")
    places = read_places(found["of"], kind, skills)
    if len(places) < 2:
        found["of"].fail(f"must name at least two places, got {len(places)}")
    return Equal(kind, places)
