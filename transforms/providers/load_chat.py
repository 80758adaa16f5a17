"""The `chat:` section of a description, read from YAML; see `chat.py`, and the shipped descriptions for examples."""

from __future__ import annotations

import re
from collections.abc import Mapping

from transforms.providers.chat import (
    ANY_PART,
    COUNTED,
    INSTRUCTIONS,
    MAX_OUTPUT_TOKENS,
    OWN_NAMES,
    PAYLOAD,
    SCHEMA,
    SPEAKERS,
    Chat,
    Usage,
)
from transforms.providers.reader import Reader, expression, optional
from transforms.providers.templates import names_in
from transforms.records.paths import AnyPath
from transforms.records.yaml_nodes import YamlNode

_KEYS = ("request", "body", "provider", "usage", "limits", "retry_after", "elsewhere")
_REQUIRED_KEYS = ("request", "body", "provider", "usage")
# Without them a question would not say what is wanted, of what, or at what price.
_REQUIRED_NAMES = (INSTRUCTIONS, PAYLOAD, SCHEMA, MAX_OUTPUT_TOKENS)
_LIMIT_HEADER = re.compile(r"[a-z0-9-]{0,60}\*[a-z0-9-]{0,60}")


def read_chat(node: YamlNode, reader: Reader) -> Chat:
    """Raises SpecError."""
    found = node.mapping(_KEYS, _REQUIRED_KEYS)
    call = reader.call(found["request"], *OWN_NAMES)
    if call.method != "POST":
        found["request"].fail("must be a POST")
    body = reader.plain(found["body"], *OWN_NAMES)
    if not isinstance(body, dict):
        found["body"].fail("must be a map")
    used = names_in(body)
    for name in _REQUIRED_NAMES:
        if name not in used:
            found["body"].fail(f'"{{{name}}}" is missing; say where it belongs')
    if used.index(INSTRUCTIONS) > used.index(PAYLOAD):
        found["body"].fail("{instructions} must come before {payload}: prompt caches keep what requests begin with")
    usage = found["usage"].mapping(("input", "cached", "written", "output"), ("input", "output"))
    return Chat(
        call.path,
        body,
        found["provider"].choice(SPEAKERS),
        Usage(**{name: _paths(each) for name, each in usage.items()}),
        _limits(found["limits"]) if "limits" in found else {},
        optional(found, "retry_after"),
        _elsewhere(found["elsewhere"], reader) if "elsewhere" in found else {},
    )


def _paths(node: YamlNode) -> tuple[AnyPath, ...]:
    return tuple(expression(each) for each in node.one_or_more())


def _limits(node: YamlNode) -> Mapping[str, str]:
    found = {name: each.text().lower() for name, each in node.mapping(COUNTED).items()}
    for name, header in found.items():
        if not _LIMIT_HEADER.fullmatch(header):
            node.items()[name].fail(f"must be a header's name with {ANY_PART} for limit, remaining and reset")
    return found


def _elsewhere(node: YamlNode, reader: Reader) -> Mapping[str, str]:
    for name, each in node.items().items():
        reader.check_variable(each, name)
    return {name: each.text() for name, each in node.items().items()}
