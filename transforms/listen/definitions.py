"""Many streams in one file: collections with variables in their paths, filters, priorities. Pure; no IO.

    description: Candles of currency pairs.
    spec: candles                                 # default of --spec
    max_changes_per_min: 1000                     # default of --max_changes_per_min
    variables:
      instruments: [EUR_USD, GBP_USD]             # --stream_var=instruments=EUR_USD,USD_JPY takes their place
      granularities:                              # nothing here: must be set
    streams:
      - id: candles-{instrument}-{granularity}
        for_each: {instrument: instruments, granularity: granularities}
        path: candles/{instrument}/{granularity}
        where: [complete == true]
        fields: [o, h, l, c, ts]
        priority: {by: granularity, values: {H1: high, H4: medium}, otherwise: low}
        parameters: {feed: practice}

An entry under `streams:` is one stream for each combination of its variables. What stands for a variable is also a
parameter of the stream, as `$path.NAME` of a record spec and as a column of the table.

Guarantee: streams that load can be listened to; everything else is an error of one line with the fix.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from transforms.errors import UsageError
from transforms.firestore.conditions import parse_condition
from transforms.firestore.query import Query, check_collection_path
from transforms.listen.priorities import PRIORITIES
from transforms.records.keys import id_problem
from transforms.records.yaml_nodes import YamlNode, did_you_mean, parse_yaml

MAX_STREAMS = 1_000
_MAX_ID_CHARS = 300
_TOP_KEYS = ("description", "spec", "max_changes_per_min", "variables", "streams")
_STREAM_KEYS = ("id", "for_each", "path", "where", "fields", "priority", "parameters")
_PRIORITY_KEYS = ("by", "values", "otherwise")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_FLAG = "--stream_var"
_KIND = "streams file"
T = TypeVar("T")


@dataclass(frozen=True)
class StreamDefinition:
    """One stream.

    Attributes:
      stream_id: unique in its file.
      query: what is listened to.
      parameters: what stood for its variables, and what its file says beside them; columns of a table.
      priority: one of PRIORITIES; None for a stream without a rate of its own.
    """

    stream_id: str
    query: Query
    parameters: Mapping[str, str]
    priority: str | None = None


@dataclass(frozen=True)
class StreamsFile:
    """What a streams file says.

    Attributes:
      streams: in the order of the file; of one entry the last variable changes fastest.
      spec: name or path of the record spec; None: it names none.
      max_changes_per_min: of all streams together; None: it names none.
    """

    streams: tuple[StreamDefinition, ...]
    spec: str | None = None
    max_changes_per_min: int | None = None
    description: str = ""


class _Entry(NamedTuple):
    """An entry under `streams:`, and what its variables stand for."""

    nodes: Mapping[str, YamlNode]
    values: Mapping[str, tuple[str, ...]]


def load_streams(text: str, file: str, variables: Mapping[str, Sequence[str]] | None = None) -> StreamsFile:
    """Reads a streams file.

    Args:
      text: YAML.
      file: its path, for messages.
      variables: values that take the place of the file's own; see `parse_variables`.

    Raises:
      SpecError: it cannot be used; says where and why.
      UsageError: a variable that it does not have, or one that must be set.
    """
    root = parse_yaml(text, file, _KIND)
    top = root.mapping(_TOP_KEYS, ["streams"])
    values = _values(top.get("variables"), file, variables or {})
    found: dict[str, tuple[StreamDefinition, YamlNode]] = {}
    for node in top["streams"].one_or_more():
        for definition in _definitions(_entry(node, values)):
            if definition.stream_id in found:
                _fail_repeated(definition.stream_id, node, found[definition.stream_id][1])
            found[definition.stream_id] = definition, node
            if len(found) > MAX_STREAMS:
                node.fail(f"makes more than {MAX_STREAMS:,} streams with those before; divide them among several jobs")
    limit = top.get("max_changes_per_min")
    return StreamsFile(
        tuple(definition for definition, _ in found.values()),
        top["spec"].text() if "spec" in top else None,
        limit.integer(1, 1_000_000) if limit is not None else None,
        " ".join(top["description"].text().split()) if "description" in top else "",
    )


def parse_variables(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Values of variables, as they are given on a command line.

    >>> parse_variables(["instruments=EUR_USD,GBP_USD", "granularities=H1"])
    {'instruments': ('EUR_USD', 'GBP_USD'), 'granularities': ('H1',)}

    Raises:
      UsageError: it names nothing, no value, or a variable twice.
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, equals, listed = text.partition("=")
        values = tuple(value.strip() for value in listed.split(","))
        if not (name.strip() and equals and all(values)):
            raise UsageError(f"{_FLAG} must be like instruments=EUR_USD,GBP_USD, got {text!r}")
        if name.strip() in found:
            raise UsageError(f"{_FLAG} sets {name.strip()} twice; separate its values with commas")
        found[name.strip()] = values
    return found


def _values(node: YamlNode | None, file: str, given: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The values of every variable; those that are given instead of the file's own."""
    own = node.items() if node is not None else {}
    for name in given:
        if name not in own:
            known = did_you_mean(name, own) if own else "it has none"
            raise UsageError(f"{_FLAG}={name}: {file} has no variable of that name; {known}")
    found: dict[str, tuple[str, ...]] = {}
    for name, child in own.items():
        if name in given:
            found[name] = tuple(dict.fromkeys(given[name]))
            for value in found[name]:
                if (problem := id_problem(value)) is not None:
                    raise UsageError(f"{_FLAG}={name}: {value!r} {problem}")
        elif child.plain() is None:
            raise UsageError(f"{file} leaves the variable {name} to be set: pass {_FLAG}={name}=VALUE,VALUE")
        else:
            found[name] = tuple(dict.fromkeys(_value(entry) for entry in child.one_or_more()))
    return found


def _value(node: YamlNode) -> str:
    if (problem := id_problem(node.text())) is not None:
        node.fail(problem)
    return node.text()


def _entry(node: YamlNode, values: Mapping[str, tuple[str, ...]]) -> _Entry:
    nodes = node.mapping(_STREAM_KEYS, ["path"])
    chosen: dict[str, tuple[str, ...]] = {}
    for name, child in nodes["for_each"].items().items() if "for_each" in nodes else ():
        _check_name(child, name)
        variable = child.text()
        if variable not in values:
            known = did_you_mean(variable, values) if values else "the file has no variables"
            child.fail(f"{variable!r} is not a variable; {known}")
        chosen[name] = values[variable]
    path = nodes["path"]
    for name in _PLACEHOLDER.findall(path.text()):
        if name not in chosen:
            known = f"; {did_you_mean(name, chosen)}" if chosen else ""
            path.fail(f"{{{name}}} is not set; add {name} to for_each{known}")
    _refused_at(path, check_collection_path, path.text())
    return _Entry(nodes, chosen)


def _definitions(entry: _Entry) -> list[StreamDefinition]:
    nodes = entry.nodes
    combinations = itertools.product(*entry.values.values())
    return [_definition(nodes, dict(zip(entry.values, values, strict=True))) for values in combinations]


def _definition(nodes: Mapping[str, YamlNode], variables: Mapping[str, str]) -> StreamDefinition:
    path = _filled(nodes["path"], variables)
    stream_id = _filled(nodes["id"], variables) if "id" in nodes else path
    if len(stream_id) > _MAX_ID_CHARS:
        nodes.get("id", nodes["path"]).fail(f"a stream's id has at most {_MAX_ID_CHARS} characters, got {stream_id!r}")
    parameters = dict(variables)
    for name, child in nodes["parameters"].items().items() if "parameters" in nodes else ():
        _check_name(child, name)
        if name in parameters:
            child.fail(f"{name} is also in for_each; choose another name")
        parameters[name] = _filled(child, variables)
    priority = _priority(nodes["priority"], variables) if "priority" in nodes else None
    return StreamDefinition(stream_id, _query(path, nodes, variables), parameters, priority)


def _query(path: str, nodes: Mapping[str, YamlNode], variables: Mapping[str, str]) -> Query:
    query = _refused_at(nodes["path"], Query, path)
    for node in nodes["where"].one_or_more() if "where" in nodes else ():
        condition = _refused_at(node, parse_condition, _filled(node, variables))
        query = _refused_at(node, query.where, condition.field, condition.operator, condition.value)
    if "fields" not in nodes:
        return query
    return _refused_at(nodes["fields"], query.select, *[entry.text() for entry in nodes["fields"].one_or_more()])


def _priority(node: YamlNode, variables: Mapping[str, str]) -> str:
    """A priority, or that which belongs to the value of a variable."""
    if not node.is_mapping:
        return _checked_priority(node)
    found = node.mapping(_PRIORITY_KEYS, _PRIORITY_KEYS)
    if not variables:
        found["by"].fail("names a variable of for_each, and there is none; write one priority")
    by = found["by"].choice(tuple(variables))
    priorities = {value: _checked_priority(child) for value, child in found["values"].items().items()}
    return priorities.get(variables[by], _checked_priority(found["otherwise"]))


def _checked_priority(node: YamlNode) -> str:
    priority = node.text()
    if priority not in PRIORITIES:
        node.fail(f"unknown priority {priority!r}; use one of {', '.join(PRIORITIES)}")
    return priority


def _refused_at(node: YamlNode, make: Callable[..., T], *arguments: Any) -> T:
    """What is made of a node's content, or the SpecError that says where the content is that it is not made of."""
    try:
        return make(*arguments)
    except UsageError as error:
        node.fail(str(error))


def _filled(node: YamlNode, variables: Mapping[str, str]) -> str:
    """A text with the values of its variables; braces that name none, as those of a map in a condition, stay."""
    return _PLACEHOLDER.sub(lambda found: variables.get(found[1], found[0]), node.text())


def _check_name(node: YamlNode, name: str) -> None:
    if not _NAME.fullmatch(name):
        node.fail(f"{name!r} is not a name; use letters, digits and _, not starting with a digit, at most 100")


def _fail_repeated(stream_id: str, node: YamlNode, first: YamlNode) -> None:
    if node is first:
        node.fail(f"makes two streams with the id {stream_id!r}; put every variable of for_each into id, in braces")
    node.fail(f"makes a second stream with the id {stream_id!r}, after line {first.line}; give each an id of its own")
