"""Where in a record a value is found. A path is compiled once, when its spec is loaded.

    current_position.title              maps within maps
    recent_companies[0]                 one entry of a list, counted from 0
    technical_skills[].skill            the same of every entry: a list
    jmespath: skills[?level=='expert']  whatever JMESPath can say (https://jmespath.org)
    $id, $path.instrument               of the place the record was read from; see origins.py

Guarantee: reading never raises. A path that leads nowhere, to null or to an empty list reads as None.

    >>> compile_path("skills[].name").read({"skills": [{"name": "Go"}, {}, {"name": "SQL"}]})
    ['Go', 'SQL']
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult

from transforms.records.origins import ID, PATH

_PREFIX = "jmespath:"
_SEGMENT = re.compile(r"(?P<name>[^.\[\]\s][^.\[\]]*)(?P<brackets>(?:\[\d*\])*)")
_BRACKET = re.compile(r"\[(\d*)\]")
_EACH = -1  # the step of `[]`


@dataclass(frozen=True, slots=True)
class Path:
    """Names only: the fast and common case."""

    text: str
    steps: tuple[str, ...]

    @property
    def is_of_origin(self) -> bool:
        """Whether it leads not into the record, but to the place that it was read from."""
        return self.steps[0] in (ID, PATH)

    def read(self, record: Mapping[str, Any]) -> Any:
        """The value the path leads to, or None."""
        value: Any = record
        for step in self.steps:
            if not isinstance(value, dict):
                return None
            value = value.get(step)
        return value


@dataclass(frozen=True, slots=True)
class ListPath:
    """Names, and positions in lists; `[]` collects from every entry."""

    text: str
    steps: tuple[str | int, ...]

    def read(self, record: Mapping[str, Any]) -> Any:
        """The value the path leads to, or None; a list without nulls after `[]`."""
        return _walk(record, self.steps)


@dataclass(frozen=True, slots=True)
class ExpressionPath:
    """A JMESPath expression."""

    text: str
    expression: ParsedResult = field(compare=False, repr=False)

    def read(self, record: Mapping[str, Any]) -> Any:
        """What the expression yields; None also where its functions do not accept what they find."""
        try:
            found = self.expression.search(record)
        except (JMESPathError, ValueError, TypeError, ArithmeticError, AttributeError, RecursionError):
            return None  # such as length() of a number; jmespath lets some of Python's own errors through
        return None if found == [] else found


AnyPath = Path | ListPath | ExpressionPath


def compile_path(text: str) -> AnyPath:
    """Compiles a path.

    Raises:
      ValueError: it is none; the message says what would be.

    >>> compile_path("a..b")
    Traceback (most recent call last):
    ValueError: 'a..b' is no path; write names with dots between, such as current_position.title or skills[].name
    """
    text = text.strip()
    if text.startswith(_PREFIX):
        return compile_expression(text.removeprefix(_PREFIX))
    steps: list[str | int] = []
    for segment in text.split("."):
        match = _SEGMENT.fullmatch(segment)
        if not match:
            raise ValueError(
                f"{text!r} is no path; write names with dots between, such as current_position.title or skills[].name"
            )
        steps.append(match["name"].rstrip())
        steps += [int(index) if index else _EACH for index in _BRACKET.findall(match["brackets"])]
    names = tuple(step for step in steps if isinstance(step, str))
    if steps[0] in (ID, PATH) and (len(names) < len(steps) or len(steps) != (1 if steps[0] == ID else 2)):
        raise ValueError(f"{text!r} is not of the place a record was read from; write $id, or $path.instrument")
    return Path(text, names) if len(names) == len(steps) else ListPath(text, tuple(steps))


def compile_expression(text: str) -> ExpressionPath:
    """Compiles a JMESPath expression.

    Raises:
      ValueError: it is none; the message shows where it stops being one.
    """
    text = text.strip()
    try:
        return ExpressionPath(f"{_PREFIX} {text}", jmespath.compile(text))
    except JMESPathError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{text!r} is no JMESPath expression: {reason}; see https://jmespath.org") from None


def _walk(value: Any, steps: tuple[str | int, ...]) -> Any:
    for done, step in enumerate(steps, 1):
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        elif not isinstance(value, list):
            return None
        elif step == _EACH:
            return _collect(value, steps[done:])
        else:
            value = value[step] if step < len(value) else None
    return value


def _collect(entries: list[Any], steps: tuple[str | int, ...]) -> list[Any] | None:
    """What `steps` find in every entry; lists that a further `[]` makes are joined.

    >>> _collect([{"tags": ["a", "b"]}, {"tags": ["c"]}], ("tags", -1))
    ['a', 'b', 'c']
    """
    joins = _EACH in steps
    found: list[Any] = []
    for entry in entries:
        value = _walk(entry, steps)
        if value is not None:
            found += value if joins else (value,)
    return found or None
