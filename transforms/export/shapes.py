"""What kinds of values the documents of a collection have, field by field: what the columns of a table are made of.

    documents ──observe──▶ shapes of a range ──merge──▶ shapes of all ranges

Shapes are read off the protobuf message; no value is decoded. Merging is associative and commutative, so ranges may be
looked at anywhere and in any order. Plain Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Kinds of values, to be combined with |. Plain integers: an enum.IntFlag costs ten times as much.
NULL, BOOLEAN, INTEGER, DOUBLE, TIMESTAMP, STRING, BYTES, REFERENCE, GEOPOINT, VECTOR, MAP, ARRAY = (
    1 << n for n in range(12)
)
LARGE_INTEGER = 1 << 12  # beside INTEGER: one that a double does not hold exactly

_MAX_EXACT = 2**53
_KINDS = {
    "null_value": NULL,
    "boolean_value": BOOLEAN,
    "integer_value": INTEGER,
    "double_value": DOUBLE,
    "timestamp_value": TIMESTAMP,
    "string_value": STRING,
    "bytes_value": BYTES,
    "reference_value": REFERENCE,
    "geo_point_value": GEOPOINT,
    "map_value": MAP,
    "array_value": ARRAY,
}


@dataclass(slots=True)
class Shape:
    """What one field has held so far.

    Attributes:
      kinds: of its values.
      items: kinds of the items of its arrays.
      members: shapes of the members of its maps, where they were asked for.
    """

    kinds: int = 0
    items: int = 0
    members: dict[str, Shape] = field(default_factory=dict)

    def merge(self, other: Shape) -> None:
        """Adds what another shape of the same field has seen."""
        self.kinds |= other.kinds
        self.items |= other.items
        merge(self.members, other.members)


def observe(fields: Any, shapes: dict[str, Shape], *, within_maps: bool) -> None:
    """Adds the fields of one document.

    Args:
      fields: protobuf map of `Value`s.
      shapes: by field name; changed in place.
      within_maps: whether the members of maps are wanted, too.
    """
    for name, value in fields.items():
        shape = shapes.get(name)
        if shape is None:
            shape = shapes[name] = Shape()
        kind = _kind(value)
        shape.kinds |= kind
        if kind == ARRAY:
            for item in value.array_value.values:
                shape.items |= _kind(item)
        elif kind == MAP and within_maps:
            observe(value.map_value.fields, shape.members, within_maps=True)


def merge(shapes: dict[str, Shape], others: Mapping[str, Shape]) -> None:
    """Adds other shapes to these, field by field."""
    for name, other in others.items():
        shape = shapes.get(name)
        if shape is None:
            shape = shapes[name] = Shape()
        shape.merge(other)


def _kind(value: Any) -> int:
    kind = _KINDS[value.WhichOneof("value_type")]
    if kind == INTEGER:
        return kind if -_MAX_EXACT <= value.integer_value <= _MAX_EXACT else kind | LARGE_INTEGER
    if kind == MAP and "__type__" in value.map_value.fields:
        return VECTOR if value.map_value.fields["__type__"].string_value == "__vector__" else MAP
    return kind
