"""Firestore's order of values and of names, spelled out as keys that Python sorts.

    null < booleans < NaN < numbers < timestamps < strings < bytes < references < geopoints < arrays < vectors < maps

It shares no code with the order that the connector assumes, so that one can be tested against the other. Source: "Value
type ordering" in the Firestore documentation; numeric ids are those that Datastore once gave.
"""

from __future__ import annotations

import re
from typing import Any

_NUMERIC_ID = re.compile(r"__id(-?\d+)__")


def order_key(value: Any) -> tuple[Any, ...]:
    """Sorts protobuf `Value`s as Firestore does. Keys are equal if Firestore takes the values for equal: 1 and 1.0."""
    kind = value.WhichOneof("value_type")
    held: Any = getattr(value, kind) if kind else None
    if kind in ("integer_value", "double_value"):
        return (2,) if held != held else (3, held)
    if kind == "timestamp_value":
        return (4, held.seconds, held.nanos)
    if kind == "reference_value":
        return (7, name_key(held))
    if kind == "geo_point_value":
        return (8, held.latitude, held.longitude)
    if kind == "array_value":
        return (9, tuple(map(order_key, held.values)))
    if kind == "map_value":
        return _map_key(held.fields)
    if kind == "string_value":
        return (5, held.encode())
    return {"boolean_value": (1, held), "bytes_value": (6, held)}.get(kind, (0,))


def name_key(path: str) -> tuple[Any, ...]:
    """Sorts names of documents: segment by segment, numeric ids before all others, those by their UTF-8 bytes.

    >>> sorted(["a/b", "a/__id10__", "a", "a/__id9__", "a/B"], key=name_key)
    ['a', 'a/__id9__', 'a/__id10__', 'a/B', 'a/b']
    """
    segments: list[tuple[int, int, bytes]] = []
    for segment in path.split("/"):
        number = _NUMERIC_ID.fullmatch(segment)
        segments.append((0, int(number[1]), b"") if number else (1, 0, segment.encode()))
    return tuple(segments)


def _map_key(fields: Any) -> tuple[Any, ...]:
    if "__type__" in fields and fields["__type__"].string_value == "__vector__":
        elements = fields["value"].array_value.values
        return (10, len(elements), tuple(map(order_key, elements)))
    return (11, tuple((name.encode(), order_key(fields[name])) for name in sorted(fields, key=str.encode)))
