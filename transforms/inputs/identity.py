"""What tells one input from another, as text that is digested. Plain Python.

    query ──of_query──▶ Named ──text_of──▶ "Query(collection='users', …)" ──▶ digest: batch ids, job ids, fingerprints

These digests outlive the process: a run that is resumed finds its job and its completed batches by them. So the text
names every field itself, whatever the classes are called. A field that a class gets later is named only where it is not
at its default, so that everything known until then keeps its digest.

>>> text_of(Named("Order", {"field": "age", "descending": False}))
"Order(field='age', descending=False)"
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from transforms.firestore.query import AnyOf, Condition, Query
from transforms.firestore.values import GeoPoint, Reference, Vector

Plain: TypeAlias = (
    "bool | int | float | str | bytes | datetime.datetime | Named | Sequence[Plain] | Mapping[str, Plain] | None"
)

_BUILT_IN = frozenset({type(None), bool, int, float, str, bytes, datetime.datetime})


@dataclass(frozen=True, slots=True)
class Named:
    """Something of several named parts.

    Attributes:
      kind: what it is; stays when its class is renamed.
      fields: in the order in which they are written.
    """

    kind: str
    fields: Mapping[str, Plain]


def text_of(value: Plain) -> str:
    """The text of a value in Python's notation, made of its built-in parts alone.

    >>> text_of((1, 1.0, ["a"], {"b": None})), text_of(("one",))
    ("(1, 1.0, ['a'], {'b': None})", "('one',)")

    Raises:
      TypeError: it has a part that is not built in, whose own text would change with its class.
    """
    if type(value) is Named:
        return f"{value.kind}({', '.join(f'{name}={text_of(part)}' for name, part in value.fields.items())})"
    if type(value) is tuple:
        return f"({', '.join(map(text_of, value))}{',' if len(value) == 1 else ''})"
    if type(value) is list:
        return f"[{', '.join(map(text_of, value))}]"
    if type(value) is dict:
        return f"{{{', '.join(f'{name!r}: {text_of(part)}' for name, part in value.items())}}}"
    if type(value) in _BUILT_IN:
        return repr(value)
    raise TypeError(f"an identity is made of built-in values, got {type(value).__name__}; name its fields")


def of_query(query: Query) -> Named:
    """Everything that decides which documents a query finds, in which order, and with which fields."""
    return Named(
        "Query",
        {
            "collection": query.collection,
            "all_descendants": query.all_descendants,
            "parent": query.parent,
            "filters": tuple(map(_of_filter, query.filters)),
            "orders": tuple(
                Named("Order", {"field": order.field, "descending": order.descending}) for order in query.orders
            ),
            "max_documents": query.max_documents,
            "selected": query.selected,
        },
    )


def _of_filter(item: Condition | AnyOf) -> Named:
    if isinstance(item, AnyOf):
        return Named("AnyOf", {"conditions": tuple(map(_of_filter, item.conditions))})
    return Named("Condition", {"field": item.field, "operator": item.operator, "value": _of_value(item.value)})


def _of_value(value: Any) -> Any:
    """A value of Firestore's, with the types that are the codec's own spelt out."""
    if isinstance(value, GeoPoint):
        return Named("GeoPoint", {"latitude": value.latitude, "longitude": value.longitude})
    if isinstance(value, Reference):
        return Named("Reference", {"name": value.name})
    if isinstance(value, Vector):
        return Named("Vector", {"components": value.components})
    if isinstance(value, dict):
        return {name: _of_value(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_of_value, value))
    return value
