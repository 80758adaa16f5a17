"""An answer that fits a schema, made of what was asked: the same at any time, so that a test can foretell it.

    payload {"name": "Ada", "years": 12}       schema {name: string, level: junior | senior, years: integer}
                                         ──▶   {"name": "Ada", "level": "senior", "years": 12}

A property that the payload has, with a value that fits, is repeated. Everything else is chosen by the payload's hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_MAX_DEPTH = 20  # of schemas that refer to themselves
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}


def answer_to(schema: Mapping[str, Any], payload: str) -> Any:
    """What the model answers to a payload, unless a script says something else.

    >>> schema = {"type": "object", "properties": {"name": {"type": "string"}, "ok": {"type": "boolean"}}}
    >>> answer_to(schema, '{"name": "Ada"}')
    {'name': 'Ada', 'ok': True}
    """
    try:
        known = json.loads(payload)
    except ValueError:
        known = None
    return _Maker(schema, payload).value(schema, "$", known, 0)


class _Maker:
    def __init__(self, schema: Mapping[str, Any], payload: str):
        self._schema, self._payload = schema, payload

    def value(self, schema: Mapping[str, Any], path: str, known: Any, depth: int) -> Any:
        schema = self._meant(schema)
        kinds = schema.get("type")
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return known if known in schema["enum"] else self._one_of(schema["enum"], path)
        if "anyOf" in schema:
            options = [self._meant(each) for each in schema["anyOf"]]
            fitting = [each for each in options if _fits(known, each)] if known is not None else []
            return self.value((fitting or options)[0], path, known, depth)
        kinds = [kinds] if isinstance(kinds, str) else kinds or ["object" if "properties" in schema else "string"]
        kind = next((each for each in kinds if known is not None and _is_of(known, each)), kinds[0])
        if kind == "object":
            fields = known if isinstance(known, dict) else {}
            return {
                name: self.value(each, f"{path}.{name}", fields.get(name), depth + 1)
                for name, each in schema.get("properties", {}).items()
            }
        if kind == "array":
            if isinstance(known, list) and all(_fits(each, self._meant(schema.get("items", {}))) for each in known):
                return known
            n_items = 0 if depth > _MAX_DEPTH else 1 + self._number(path) % 2
            return [self.value(schema.get("items", {}), f"{path}[{n}]", None, depth + 1) for n in range(n_items)]
        if known is not None and _is_of(known, kind):
            return known
        number = self._number(path)
        return {
            "string": f"{path.rpartition('.')[2]} {number % 1_000}",
            "integer": number % 100,
            "number": number % 1_000 / 10,
            "boolean": number % 2 == 1,
        }.get(kind)

    def _meant(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a reference within the schema leads to."""
        while "$ref" in schema:
            target: Any = self._schema
            for step in schema["$ref"].removeprefix("#").strip("/").split("/"):
                target = target[step] if step else target
            schema = target
        return schema

    def _one_of(self, values: list[Any], path: str) -> Any:
        return values[self._number(path) % len(values)]

    def _number(self, path: str) -> int:
        return int.from_bytes(hashlib.sha256(f"{path}\n{self._payload}".encode("utf-8", "replace")).digest()[:6], "big")


def violating(schema: Mapping[str, Any], answer: Any) -> Any:
    """The same answer with its first property missing, as no schema that requires all of them allows.

    >>> violating({"type": "object"}, {"a": 1, "b": 2})
    {'b': 2}
    """
    return dict(list(answer.items())[1:]) if isinstance(answer, dict) and answer else None


def _fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value is of a schema's kind; what is inside of it is not looked at."""
    if "enum" in schema:
        return value in schema["enum"]
    kinds = schema.get("type")
    return any(_is_of(value, each) for each in ([kinds] if isinstance(kinds, str) else kinds or _TYPES))


def _is_of(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
