"""What the sections of a description are read with: texts with `{names}`, requests, and places in answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from transforms.providers.description import Call
from transforms.providers.templates import names_in
from transforms.records.paths import AnyPath, compile_expression, compile_path
from transforms.records.yaml_nodes import YamlNode, did_you_mean

_CALL = re.compile(r"(GET|POST|PUT|DELETE) (/\S*)")
_NAMES = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


class Reader:
    """Reads texts with `{names}`, and knows which there may be."""

    def __init__(self, variables: Mapping[str, str | None]):
        self._variables = tuple(variables)

    def call(self, node: YamlNode, *own: str) -> Call:
        """A method and a path, in which names are among the variables and a request's `own`."""
        found = _CALL.fullmatch(self.text(node, *own))
        if found is None:
            node.fail("must be a method and a path, such as GET /batches/{id}")
        return Call(found[1], found[2])

    def text(self, node: YamlNode, *own: str) -> str:
        """A text, the same."""
        self._check(node, node.text(), own)
        return node.text()

    def plain(self, node: YamlNode, *own: str) -> Any:
        """Plain JSON, the same."""
        self._check(node, node.plain(), own)
        return node.plain()

    def check_variable(self, node: YamlNode, name: str) -> None:
        """Fails unless the description has this variable."""
        if name not in self._variables:
            node.fail(f"{name!r} is not a variable; {did_you_mean(name, self._variables) or 'there are none'}")

    def _check(self, node: YamlNode, value: Any, own: tuple[str, ...]) -> None:
        known = [*own, *self._variables]
        for name in names_in(value):
            if name not in known:
                node.fail(f"{{{name}}} is not known here; {did_you_mean(name, known) if known else 'nothing is'}")


def optional(found: Mapping[str, YamlNode], name: str) -> AnyPath | None:
    """Where something is, if the section says so."""
    return expression(found[name]) if name in found else None


def expression(node: YamlNode) -> AnyPath:
    """Where something is. Raises SpecError."""
    return _checked(node, compile_path if _NAMES.fullmatch(node.text()) else compile_expression)


def _checked(node: YamlNode, make: Callable[[str], AnyPath]) -> AnyPath:
    try:
        return make(node.text())
    except ValueError as error:
        node.fail(str(error))
