"""The `analysis:` section of a record spec: what of a record a model is sent, what it is asked, how it answers. Pure.

    analysis:
      into: model_analysis
      fields:
        role: [current_position.title, current_role]
        skills: skills[].name
      mask: [email, phone, url]
      instructions: Say how senior the person is.
      schema:
        type: object
        additionalProperties: false
        required: [level]
        properties:
          level: {type: string, enum: [junior, senior]}
      max_output_tokens: 500
      prices:
        openai/gpt-5-mini: {input: 0.25, cached_input: 0.025, output: 2}      # USD per million tokens

Nothing but the fields leaves the machine. The schema is of the subset that all providers enforce by themselves: every
property required, no further ones, no bounds of numbers or lengths.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from transforms.records.paths import AnyPath
from transforms.records.read_fields import field_name, read_path
from transforms.records.yaml_nodes import YamlNode

EMAIL, PHONE, URL = "email", "phone", "url"
MASKS = (EMAIL, PHONE, URL)

# Prices are exact to this part of a dollar per token: 6 decimals of a price per million.
PICO = 1_000_000_000_000
_KEYS = ("into", "fields", "mask", "instructions", "schema", "max_output_tokens", "prices")
_REQUIRED = ("into", "fields", "instructions", "schema")
_PRICE_KEYS = ("input", "cached_input", "cache_write", "output")
_PRICE = re.compile(r"\d{1,6}(?:\.\d{1,6})?")
_MODEL = re.compile(r"[\w-]+/\S+")
_MAX_OUTPUT_TOKENS = 1_000_000
_MAX_INSTRUCTIONS = 200_000
_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_REMARKS = ("title", "description")
_OF_OBJECT = ("properties", "required", "additionalProperties")


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, in 10⁻¹² USD per token: whole numbers, so that sums are exact.

    Attributes:
      input, output: of what is sent and answered.
      cached_input: of what the provider had in its prompt cache.
      cache_write: of what it put there, for which some charge more.
    """

    input: int
    cached_input: int
    cache_write: int
    output: int

    def of(self, input_tokens: int, cached_tokens: int, written_tokens: int, output_tokens: int) -> int:
        """The cost of a call; cached and written tokens are among the input's."""
        plain = input_tokens - cached_tokens - written_tokens
        of_cache = cached_tokens * self.cached_input + written_tokens * self.cache_write
        return plain * self.input + of_cache + output_tokens * self.output


@dataclass(frozen=True)
class Analysis:
    """What a model is asked about each record.

    Attributes:
      into: field of the record that the answer becomes.
      fields: what is sent, by name; of several paths the first that leads somewhere.
      masks: what is masked in all texts.
      instructions: what the model is told.
      schema: of the answer, JSON.
      max_output_tokens: of an answer.
      prices: by provider and model.
    """

    into: str
    fields: tuple[tuple[str, tuple[AnyPath, ...]], ...]
    masks: tuple[str, ...]
    instructions: str
    schema: str
    max_output_tokens: int = 1_024
    prices: Mapping[str, Price] = field(default_factory=dict)

    def found_in(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """What a record has of the fields, by name; unmasked.

        >>> from transforms.records.paths import compile_path
        >>> analysis = Analysis("a", (("role", (compile_path("title"), compile_path("job.title"))),), (), "", "{}")
        >>> analysis.found_in({"job": {"title": "Cook"}}), analysis.found_in({})
        ({'role': 'Cook'}, {})
        """
        found = {
            name: next(filter(_is_there, (path.read(record) for path in paths)), None) for name, paths in self.fields
        }
        return {name: value for name, value in found.items() if value is not None}


def _is_there(value: Any) -> bool:
    return value is not None and value not in ("", [], {})


def read_analysis(node: YamlNode) -> Analysis:
    """The section. Raises SpecError with line and key."""
    found = node.mapping(_KEYS, _REQUIRED)
    fields = {
        name: tuple(read_path(entry) for entry in each.one_or_more()) for name, each in found["fields"].items().items()
    }
    if not fields:
        found["fields"].fail("names nothing to send")
    instructions = found["instructions"].text().strip()
    if len(instructions) > _MAX_INSTRUCTIONS:
        found["instructions"].fail(f"must have at most {_MAX_INSTRUCTIONS:,} characters")
    _check_schema(found["schema"], is_top=True)
    return Analysis(
        into=field_name(found["into"], found["into"].text()),
        fields=tuple(fields.items()),
        masks=tuple(entry.choice(MASKS) for entry in found["mask"].entries()) if "mask" in found else MASKS,
        instructions=instructions,
        schema=json.dumps(found["schema"].plain(), ensure_ascii=False, separators=(",", ":")),
        max_output_tokens=(
            found["max_output_tokens"].integer(1, _MAX_OUTPUT_TOKENS) if "max_output_tokens" in found else 1_024
        ),
        prices=_prices(found["prices"]) if "prices" in found else {},
    )


def _prices(node: YamlNode) -> dict[str, Price]:
    prices = {}
    for model, each in node.items().items():
        if not _MODEL.fullmatch(model):
            each.fail(f"{model!r} is not a provider and a model, such as openai/gpt-5-mini")
        found = each.mapping(_PRICE_KEYS, ("input", "output"))
        amounts = {name: _pico(amount) for name, amount in found.items()}
        of_input = amounts["input"]
        cached, written = (amounts.get(name, of_input) for name in ("cached_input", "cache_write"))
        prices[model] = Price(of_input, cached, written, amounts["output"])
    return prices


def _pico(node: YamlNode) -> int:
    """A price per million tokens as 10⁻¹² USD per token."""
    text = str(node.plain())
    if not _PRICE.fullmatch(text):
        node.fail("must be USD per million tokens, with at most 6 decimals, such as 0.25")
    return int(Decimal(text) * PICO / 1_000_000)


def _check_schema(node: YamlNode, *, is_top: bool = False) -> None:
    """Raises SpecError about what not every provider enforces, at its place."""
    items = node.items()
    if "anyOf" in items:
        _check_keys(items, ("anyOf", *_REMARKS))
        for entry in items["anyOf"].entries():
            _check_schema(entry)
        return
    if "enum" in items or "const" in items:
        _check_keys(items, ("enum", "const", "type", *_REMARKS))
        if not is_top:
            return
    kinds = _kinds(node, items)
    if is_top and kinds != ["object"]:
        node.fail("must be of type object, because the answer is stored as a map")
    allowed = [*_REMARKS, "type"]
    allowed += _OF_OBJECT if "object" in kinds else ()
    allowed += ("items",) if "array" in kinds else ()
    _check_keys(items, allowed)
    if "object" in kinds:
        _check_object(node, items)
    if "array" in kinds:
        if "items" not in items:
            node.fail("needs items: what the entries of the array are")
        if "type" in (entries := items["items"].items()) and "array" in _kinds(items["items"], entries):
            items["items"].fail("must not be arrays, because Firestore stores no array in an array; put them into maps")
        _check_schema(items["items"])


def _kinds(node: YamlNode, items: Mapping[str, YamlNode]) -> list[str]:
    if "type" not in items:
        node.fail(f"needs a type: {', '.join(_TYPES)}; or anyOf, or enum")
    kinds = [entry.choice(_TYPES) for entry in items["type"].one_or_more()]
    if len([kind for kind in kinds if kind != "null"]) > 1:
        items["type"].fail("must be one type, or one and null; for others write anyOf")
    return kinds


def _check_object(node: YamlNode, items: Mapping[str, YamlNode]) -> None:
    if "properties" not in items:
        node.fail("needs properties")
    properties = items["properties"].items()
    if "additionalProperties" not in items or items["additionalProperties"].plain() is not False:
        node.fail("needs additionalProperties: false, which every provider wants")
    required = [entry.text() for entry in items["required"].entries()] if "required" in items else []
    if missing := [name for name in properties if name not in required]:
        node.fail(
            f"must require every property, {missing[0]!r} is missing; one that may be missing has a type and null"
        )
    if unknown := [name for name in required if name not in properties]:
        items["required"].fail(f"{unknown[0]!r} is not one of the properties")
    for each in properties.values():
        _check_schema(each)


def _check_keys(items: Mapping[str, YamlNode], allowed: Any) -> None:
    for name, node in items.items():
        if name not in allowed:
            node.fail(f"{name} is not enforced by every provider; leave it out and say it in a description")
