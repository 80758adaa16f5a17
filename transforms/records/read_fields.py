"""The entries of a spec under `fields:`, read from YAML: what a field is, where it is found, what it is derived from.

    age:   {type: integer, from: [age, person.age], min: 0, max: 150}
    years: {type: number, cleaner: years, from: [{path: y, missing: [0, none yet]}, {path: dates, cleaner: year_span}]}
    role:  {type: string, from: [{path: jobs, entry: "{company} : {title}", take: title}]}
    band:  {type: string, derive: {function: band, of: age, bands: [0-17, 18+]}}

Guarantee: a field that is read can be used; everything else is a SpecError with file, line, key and advice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple, TypeVar

from transforms.records.cleaners import Cleaner, FieldType, cleaners_of
from transforms.records.derive import Band, Derivation, Join, Keywords, parse_bands
from transforms.records.fields import Field, Source
from transforms.records.histories import EntryForm
from transforms.records.paths import AnyPath, compile_expression, compile_path
from transforms.records.patterns import Pattern
from transforms.records.settings import ACCEPTED_BY, AUTO, COMMA, DATE_ORDERS, POINT, UNITS, Settings
from transforms.records.skills import SkillTable
from transforms.records.texts import MAX_KEYWORDS
from transforms.records.yaml_nodes import YamlNode, did_you_mean

_SETTINGS = tuple(ACCEPTED_BY)
_FIELD_KEYS = (
    "type", "description", "from", "cleaner", "derive", "required", "min", "max", "enum", "on_fail", *_SETTINGS,
)  # fmt: skip
_SOURCE_KEYS = ("path", "jmespath", "paths", "cleaner", "match", "entry", "take", "missing", "scale", *_SETTINGS)
_DERIVE_KEYS = {
    "band": ("function", "of", "bands"),
    "keywords": ("function", "of", "limit"),
    "join": ("function", "of", "separator"),
}
_Compiled = TypeVar("_Compiled")
TYPES = tuple(kind.value for kind in FieldType)
_NUMERIC = (FieldType.INTEGER, FieldType.NUMBER)
_TEXTUAL = (FieldType.STRING, FieldType.STRINGS)
_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
_OWN_NAMES = ("_meta", "_overflow", "profile", "update_time")  # of documents and rows, beside the fields


class _Usual(NamedTuple):
    """What a field says for all its sources."""

    cleaner: str
    settings: Settings


def read_field(name: str, node: YamlNode, skills: SkillTable, *, is_in_key: bool) -> Field:
    """One field.

    Args:
      skills: what the cleaner of that name looks up.
      is_in_key: ids are made of it, so nothing in it is a placeholder.
    """
    found = node.mapping(_FIELD_KEYS, ["type"])
    kind = FieldType(found["type"].choice(TYPES))
    field = Field(
        name=field_name(node, name),
        type=kind,
        description=one_line(found, "description"),
        required="required" in found and found["required"].boolean(),
        sources=_read_sources(found, kind, skills, Settings(placeholders=not is_in_key)),
        derive=_read_derivation(found["derive"], kind) if "derive" in found else None,
        minimum=found["min"].number() if "min" in found else None,
        maximum=found["max"].number() if "max" in found else None,
        enum=tuple(entry.text() for entry in found["enum"].entries()) if "enum" in found else (),
        absent_on_fail="on_fail" in found and found["on_fail"].choice(("dead_letter", "absent")) == "absent",
    )
    if bool(field.sources) == (field.derive is not None):
        node.fail("needs either from (where the value is found) or derive (what it is made of)")
    for name_of in ("cleaner", *_SETTINGS):
        if field.derive is not None and name_of in found:
            found[name_of].fail("has nothing to clean in a derived field; remove it")
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
    found: Mapping[str, YamlNode], kind: FieldType, skills: SkillTable, settings: Settings
) -> tuple[Source, ...]:
    if "from" not in found:
        return ()
    name = _cleaner_name(found["cleaner"], kind, cleaners_of(skills)) if "cleaner" in found else kind.value
    usual = _Usual(name, _read_settings(found, name, settings))
    return tuple(_read_source(node, kind, usual, skills) for node in found["from"].one_or_more())


def read_places(node: YamlNode, kind: FieldType, skills: SkillTable) -> tuple[Source, ...]:
    """Places in a record outside of any field; placeholders are kept, as in ids."""
    usual = _Usual(kind.value, Settings(placeholders=False))
    return tuple(_read_source(entry, kind, usual, skills) for entry in node.one_or_more())


def _read_source(node: YamlNode, kind: FieldType, usual: _Usual, skills: SkillTable) -> Source:
    found = node.mapping(_SOURCE_KEYS) if node.is_mapping else {}
    name = _cleaner_name(found["cleaner"], kind, cleaners_of(skills)) if "cleaner" in found else usual.cleaner
    settings = _read_settings(found, name, usual.settings)
    entry, take = _read_entry(node, found)
    return Source(
        _read_paths(node, found),
        cleaners_of(skills, settings)[name].clean,
        name,
        match=_checked(found["match"], Pattern) if "match" in found else None,
        entry=entry,
        take=take,
        missing=frozenset(_stand_in(entry) for entry in found["missing"].one_or_more())
        if "missing" in found
        else frozenset(),
        scale=found["scale"].number() if "scale" in found else None,
        settings=settings,
    )


def _read_paths(node: YamlNode, found: Mapping[str, YamlNode]) -> tuple[AnyPath, ...]:
    if not node.is_mapping:
        return tuple(read_path(entry) for entry in node.one_or_more())
    places = [name for name in ("path", "jmespath", "paths") if name in found]
    if len(places) != 1:
        node.fail("needs exactly one of path, paths and jmespath")
    if "paths" in found:
        return tuple(read_path(entry) for entry in found["paths"].one_or_more())
    return (read_path(found["path"]) if "path" in found else _checked(found["jmespath"], compile_expression),)


def _read_settings(found: Mapping[str, YamlNode], cleaner: str, usual: Settings) -> Settings:
    for name, cleaners in ACCEPTED_BY.items():
        if name in found and cleaner not in cleaners:
            found[name].fail(f"is for the cleaners {', '.join(cleaners)}; here it is {cleaner}")
    settings = usual
    if "unit" in found:
        settings = replace(settings, unit=found["unit"].choice((*UNITS, AUTO)))
    if "date_order" in found:
        settings = replace(settings, date_order=found["date_order"].choice(DATE_ORDERS))
    if "decimal" in found:
        settings = replace(settings, decimal=found["decimal"].choice((POINT, COMMA)))
    if "placeholders" in found:
        settings = replace(settings, placeholders=settings.placeholders and found["placeholders"].boolean())
    return settings


def _read_entry(node: YamlNode, found: Mapping[str, YamlNode]) -> tuple[EntryForm | None, str]:
    if ("entry" in found) != ("take" in found):
        node.fail("needs both entry (the form of a text's entries) and take (which part counts), or neither")
    if "entry" not in found:
        return None, ""
    if "match" in found:
        found["match"].fail("cannot stand beside entry; remove one")
    form = _checked(found["entry"], EntryForm)
    return form, found["take"].choice(form.names)


def _read_derivation(node: YamlNode, kind: FieldType) -> Derivation:
    function = node.items().get("function")
    if function is None:
        node.fail(f"'function' is missing here; known: {', '.join(_DERIVE_KEYS)}")
    name = function.choice(tuple(_DERIVE_KEYS))
    found = node.mapping(_DERIVE_KEYS[name], ["of"])
    of = tuple(entry.text() for entry in found["of"].one_or_more())
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


def _checked_bands(node: YamlNode) -> tuple[tuple[str, int, float], ...]:
    # A band of one number, such as 7, is a number for YAML.
    labels = [str(entry.plain()) for entry in node.one_or_more()]
    try:
        return parse_bands(labels)
    except ValueError as error:
        node.fail(str(error))


def _cleaner_name(node: YamlNode, kind: FieldType, cleaners: Mapping[str, Cleaner]) -> str:
    name = node.text()
    if name not in cleaners:
        node.fail(f"no cleaner is called {name!r}; {did_you_mean(name, cleaners)}")
    if cleaners[name].type is not kind:
        fitting = ", ".join(other.name for other in cleaners.values() if other.type is kind)
        node.fail(f"{name} makes a {cleaners[name].type.value}, but type says {kind.value}; for that use {fitting}")
    return name


def _stand_in(node: YamlNode) -> str | float:
    value = node.plain()
    if isinstance(value, str):
        return value.strip().casefold()
    if isinstance(value, bool) or not isinstance(value, int | float):
        node.fail("must be a text or a number that stands for nothing")
    return value


def read_path(node: YamlNode) -> AnyPath:
    """A path, written as text or as {jmespath: …}."""
    if node.is_mapping:
        return _checked(node.mapping(("jmespath",), ["jmespath"])["jmespath"], compile_expression)
    return _checked(node, compile_path)


def _checked(node: YamlNode, compile_text: Callable[[str], _Compiled]) -> _Compiled:
    try:
        return compile_text(node.text())
    except ValueError as error:
        node.fail(str(error))


def field_name(node: YamlNode, name: str) -> str:
    """A name that a flat field may have."""
    if not _FIELD_NAME.fullmatch(name):
        node.fail(f"{name!r} is no field name; use letters, digits and _, not starting with a digit, at most 300")
    if (
        name.lower() in _OWN_NAMES
        or (name.startswith("__") and name.endswith("__"))
        or name.lower().startswith("_meta_")
    ):
        node.fail(f"{name!r} is a name that Firebeam or Firestore keeps for itself; choose another")
    return name


def one_line(found: Mapping[str, YamlNode], name: str) -> str:
    """Text of several lines as one; "" without it."""
    return " ".join(found[name].text().split()) if name in found else ""
