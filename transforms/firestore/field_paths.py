"""Field paths as Firestore writes them: names joined by dots, odd names in backticks.

    ("address", "city")         address.city
    ("address", "full name")    address.`full name`
    ("a.b", "`")                `a.b`.`\\``

`parse(render(names)) == names` for every list of non-empty names. Source of the grammar: `DocumentMask` and
`StructuredQuery.FieldReference` in the Firestore RPC reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from transforms.errors import RecordError

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_STEP = re.compile(r"(?P<plain>[A-Za-z_][A-Za-z_0-9]*)|`(?P<quoted>(?:[^`\\]|\\.)+)`", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_TO_ESCAPE = re.compile(r"[`\\]")


def render(names: Iterable[str]) -> str:
    """The path of nested field names.

    >>> render(["address", "full name"]), render(["a.b", "`"])
    ('address.`full name`', '`a.b`.`\\\\``')
    """
    return ".".join(map(_quoted, names))


@lru_cache(maxsize=4096)
def _quoted(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else "`" + _TO_ESCAPE.sub(r"\\\g<0>", name) + "`"


@lru_cache(maxsize=4096)
def parse(path: str) -> tuple[str, ...]:
    """The field names of a path.

    >>> parse("address.`full name`")
    ('address', 'full name')

    Raises:
      RecordError: `INVALID_FIELD_PATH`.
    """
    names, position = [], 0
    while step := _STEP.match(path, position):
        names.append(step["plain"] or _ESCAPED.sub(r"\1", step["quoted"]))
        if step.end() == len(path):
            return tuple(names)
        if path[step.end()] != ".":
            break
        position = step.end() + 1
    raise RecordError(
        "INVALID_FIELD_PATH",
        f"{path!r} is not a field path: join names by dots, and put a name in backticks that is not made of letters, "
        "digits and underscores only",
    )


def lookup(fields: Mapping[str, Any], path: str) -> Any:
    """The value at a path; None where there is none.

    >>> lookup({"address": {"city": "London"}}, "address.city"), lookup({"address": 7}, "address.city")
    ('London', None)
    """
    value: Any = fields
    for name in parse(path):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def leaves(fields: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The names that lead to every value that is not a map, or is an empty one.

    >>> list(leaves({"name": "Ada", "address": {"city": "London", "lines": {}}}))
    [('name',), ('address', 'city'), ('address', 'lines')]
    """
    for name, value in fields.items():
        if isinstance(value, Mapping) and value:
            for rest in leaves(value):
                yield (name, *rest)
        else:
            yield (name,)
