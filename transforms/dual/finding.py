"""What both stores can be asked for: items whose fields equal or exceed values, in one order. Plain data.

    Search((("student_id", "==", "12345"), ("score", ">=", 0.5)), order_by="created_at", descending=True, limit=20)

What the two would answer differently is refused: values of several types in one field are compared by neither alike.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from transforms.cosmos.items import accessor
from transforms.errors import UsageError
from transforms.migrate.converted import MAX_INTEGER
from transforms.migrate.documents import OWN_FIELDS, SYSTEM_FIELDS

_OPERATORS = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
MAX_LIMIT = 10_000
# Fields of one store alone; a time to live is a number in Cosmos DB and a time in Firestore.
_NOT_ALIKE = SYSTEM_FIELDS | OWN_FIELDS | {"ttl"}


@dataclass(frozen=True)
class Search:
    """A query.

    Attributes:
      where: field, operator and value; all must hold. Fields of maps are written with dots.
      order_by: a field that all answers have; by default nothing is said about the order.
      descending: whether the greatest comes first.
      limit: maximum number of items.
    """

    where: tuple[tuple[str, str, Any], ...] = ()
    order_by: str | None = None
    descending: bool = False
    limit: int = 100

    def __post_init__(self) -> None:
        for field in (*(field for field, _, _ in self.where), *([self.order_by] if self.order_by is not None else [])):
            _check_field(field)
        for field, sign, value in self.where:
            if sign not in _OPERATORS:
                raise UsageError(f"an operator must be one of {', '.join(_OPERATORS)}, got {sign!r}")
            if not isinstance(value, (str, int, float, bool)) or (sign != "==" and isinstance(value, bool)):
                raise UsageError(f"{field} {sign} …: the value must be text or a number, or true or false with ==")
            if not _is_held_alike(value):
                raise UsageError(f"{field} {sign} …: this is not a value that both stores can hold")
        if not 1 <= self.limit <= MAX_LIMIT:
            raise UsageError(f"limit must be in [1, {MAX_LIMIT:,}], got {self.limit}")

    def sql(self) -> tuple[str, dict[str, Any]]:
        """Cosmos DB's query and its parameters, tombstones left out.

        >>> Search((("a.b", "==", 1),), limit=5).sql()
        ('SELECT TOP 5 * FROM c WHERE NOT IS_DEFINED(c["_deleted"]) AND c["a"]["b"] = @p0', {'p0': 1})
        """
        conditions, parameters = ['NOT IS_DEFINED(c["_deleted"])'], {}
        for n, (field, sign, value) in enumerate(self.where):
            conditions.append(f"{accessor(steps_of(field))} {'=' if sign == '==' else sign} @p{n}")
            parameters[f"p{n}"] = value
        order = ""
        if self.order_by:
            order = f" ORDER BY {accessor(steps_of(self.order_by))} {'DESC' if self.descending else 'ASC'}"
        return f"SELECT TOP {self.limit} * FROM c WHERE {' AND '.join(conditions)}{order}", parameters  # noqa: S608

    def of(self, items: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Those of the items that are asked for."""
        found = [item for item in items if all(_holds(item, *each) for each in self.where)]
        if self.order_by is not None:
            named = [(value, item) for item in found if (value := _value(item, self.order_by)) is not None]
            found = [item for _, item in sorted(named, key=operator.itemgetter(0), reverse=self.descending)]
        return found[: self.limit]


def steps_of(field: str) -> list[str]:
    """The names on the way to a field.

    >>> steps_of("a.b-c")
    ['a', 'b-c']
    """
    return field.split(".")


def _check_field(field: str) -> None:
    names = steps_of(field)
    if not all(names):
        raise UsageError(f"{field!r} is not a field: names are joined by dots, and none is empty")
    if names[0] in _NOT_ALIKE:
        raise UsageError(f"{field}: only one of the stores has this field, or has it in another way")


def _is_held_alike(value: str | int | float) -> bool:
    """Whether both stores can hold a value: neither can be sure to answer for others."""
    if isinstance(value, str):
        return not any("\ud800" <= each <= "\udfff" for each in value)
    return math.isfinite(value) and (isinstance(value, float) or abs(value) <= MAX_INTEGER)


def _holds(item: Mapping[str, Any], field: str, sign: str, value: Any) -> bool:
    found = _value(item, field)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    alike = (int, float) if is_number else type(value)
    if not isinstance(found, alike) or isinstance(found, bool) != isinstance(value, bool):
        return False
    return bool(_OPERATORS[sign](found, value))


def _value(item: Mapping[str, Any], field: str) -> Any:
    value: Any = item
    for name in steps_of(field):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
