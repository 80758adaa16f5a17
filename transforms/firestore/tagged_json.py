"""Firestore's values as JSON from which they can be restored exactly.

value                       tagged JSON
NaN, ±Inf                   {"$double": "NaN"}
timestamp                   {"$timestamp": "2026-01-01T00:00:00.000001Z"}
bytes                       {"$bytes": "…base64…"}
reference                   {"$reference": "projects/p/databases/d/documents/users/ada"}
geopoint                    {"$geopoint": [52.5, 13.4]}
vector                      {"$vector": [0.1, 0.2]}
a map that looks like one   {"$map": {"$bytes": …}}
of the above
everything else             as JSON has it; a double keeps its point, 1.0, so it is not an integer
"""

from __future__ import annotations

import base64
import datetime
import math
from collections.abc import Mapping
from typing import Any

from transforms.firestore.values import GeoPoint, Reference, Vector

_TAGS = frozenset({"$double", "$timestamp", "$bytes", "$reference", "$geopoint", "$vector", "$map"})


def to_tagged_json(value: Any) -> Any:
    """A JSON-ready form of any Firestore value from which `from_tagged_json` restores it exactly.

    >>> to_tagged_json({"at": GeoPoint(1.0, 2.0), "n": float("nan")})
    {'at': {'$geopoint': [1.0, 2.0]}, 'n': {'$double': 'NaN'}}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$double": _name_of_double(value)}
    if isinstance(value, Mapping):
        members = {name: to_tagged_json(member) for name, member in value.items()}
        return {"$map": members} if len(members) == 1 and not _TAGS.isdisjoint(members) else members
    if isinstance(value, datetime.datetime):
        return {"$timestamp": iso(value)}
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, Reference):
        return {"$reference": value.name}
    if isinstance(value, GeoPoint):
        return {"$geopoint": list(value)}
    if isinstance(value, Vector):
        return {"$vector": [to_tagged_json(component) for component in value.components]}
    if isinstance(value, (list, tuple)):
        return [to_tagged_json(item) for item in value]
    return value


def from_tagged_json(value: Any) -> Any:
    """The value that `to_tagged_json` was given.

    >>> from_tagged_json({"$map": {"$bytes": 1}})
    {'$bytes': 1}
    """
    if isinstance(value, list):
        return [from_tagged_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (tag, content), *_ = value.items()
        if tag == "$map":
            return {name: from_tagged_json(member) for name, member in content.items()}
        if tag in _TAGS:
            return _UNTAG[tag](content)
    return {name: from_tagged_json(member) for name, member in value.items()}


_UNTAG: dict[str, Any] = {
    "$double": float,
    "$timestamp": lambda text: datetime.datetime.fromisoformat(text.removesuffix("Z") + "+00:00"),
    "$bytes": base64.b64decode,
    "$reference": Reference,
    "$geopoint": lambda pair: GeoPoint(*pair),
    "$vector": lambda items: Vector(tuple(from_tagged_json(item) for item in items)),
}


def iso(value: datetime.datetime) -> str:
    """A timestamp as ISO 8601 text in UTC with all its microseconds: 2026-01-01T00:00:00.000000Z."""
    utc = value.astimezone(datetime.timezone.utc)
    return utc.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _name_of_double(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
