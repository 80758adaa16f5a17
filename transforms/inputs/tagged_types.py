"""Firestore's types in JSON, as Firebeam itself and other tools export them. Plain Python.

| type      | Firebeam            | Admin SDK, as JSON                     | as a `__datatype__`                    |
|-----------|---------------------|----------------------------------------|----------------------------------------|
| timestamp | `{"$timestamp": …}` | `{"_seconds": 1, "_nanoseconds": 0}`   | `timestamp`, with a value as on the left |
| geopoint  | `{"$geopoint": …}`  | `{"_latitude": 52.5, "_longitude": 1}` | `geopoint`, likewise                   |
| reference | `{"$reference": …}` | `{"_path": {"segments": ["a", "b"]}}`  | `documentReference`: the path, `a/b`   |
| bytes     | `{"$bytes": …}`     | `{"type": "Buffer", "data": [1, 2]}`   |                                        |
| others    | see `tagged_json`   |                                        |                                        |

`__datatype__` is how node-firestore-import-export writes: `{"__datatype__": "timestamp", "value": {…}}`.
Seconds and nanoseconds may stand without their underscores, as client SDKs have them. A map is a tag only if it has
exactly these members; one that is a tag with a wrong value makes its record a dead letter.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from transforms.errors import RecordError
from transforms.firestore.tagged_json import from_tagged_json
from transforms.firestore.values import GeoPoint, Reference

_DATATYPE = frozenset({"__datatype__", "value"})
_TIMES = (("_seconds", "_nanoseconds"), ("seconds", "nanoseconds"))
_PLACE = frozenset({"_latitude", "_longitude"})
_REFERENCE = frozenset({"_firestore", "_path", "_converter"})
_BUFFER = frozenset({"type", "data"})
_OWN_MAP = "$map"
_OWN = frozenset({"$double", "$timestamp", "$bytes", "$reference", "$geopoint", "$vector"})
_EPOCH = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)


def typed(value: Any, path: str, documents: str) -> Any:
    """A value with the types that its tags name.

    Args:
      path: where it stands, for messages.
      documents: what the name of a document begins with whose path alone is known: `projects/…/documents`.

    >>> typed({"at": {"_seconds": 1, "_nanoseconds": 0}}, "x", "")["at"].isoformat()
    '1970-01-01T00:00:01+00:00'

    Raises:
      RecordError: INVALID_TAG.
    """
    if isinstance(value, list):
        return [typed(item, f"{path}[{at}]", documents) for at, item in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    if (meant := _meaning(value, documents)) is not None:
        try:
            return meant()
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise RecordError("INVALID_TAG", f"{path} is tagged as a value of Firestore's, but is none") from error
    members = value[_OWN_MAP] if len(value) == 1 and isinstance(value.get(_OWN_MAP), Mapping) else value
    return {name: typed(member, f"{path}.{name}", documents) for name, member in members.items()}


def _meaning(value: Mapping[str, Any], documents: str) -> Callable[[], Any] | None:
    """What makes the value that a tag stands for; None for what is not a tag."""
    names = value.keys()
    if len(names) == 1 and not _OWN.isdisjoint(names):
        return lambda: from_tagged_json(dict(value))
    if names == _DATATYPE:
        return lambda: _of_datatype(value["__datatype__"], value["value"], documents)
    for seconds, nanoseconds in _TIMES:
        if names == {seconds, nanoseconds}:
            return lambda: _time(value[seconds], value[nanoseconds])
    if names == _PLACE:
        return lambda: _place(value["_latitude"], value["_longitude"])
    if "_path" in names and names <= _REFERENCE:
        return lambda: _reference("/".join(value["_path"]["segments"]), documents)
    if names == _BUFFER and value["type"] == "Buffer":
        return lambda: bytes(value["data"])
    return None


def _of_datatype(kind: Any, value: Any, documents: str) -> Any:
    if kind == "timestamp":
        return _time(value["_seconds"], value["_nanoseconds"])
    if kind == "geopoint":
        return _place(value["_latitude"], value["_longitude"])
    if kind == "documentReference":
        return _reference(value, documents)
    raise ValueError(kind)


def _time(seconds: Any, nanoseconds: Any) -> datetime.datetime:
    if any(isinstance(part, bool) or not isinstance(part, int) for part in (seconds, nanoseconds)):
        raise TypeError
    return _EPOCH + datetime.timedelta(seconds=seconds, microseconds=nanoseconds // 1000)


def _place(latitude: Any, longitude: Any) -> GeoPoint:
    if any(isinstance(part, bool) or not isinstance(part, (int, float)) for part in (latitude, longitude)):
        raise TypeError
    return GeoPoint(float(latitude), float(longitude))


def _reference(path: str, documents: str) -> Reference:
    """A document by its path, or by its full name."""
    segments = path.split("/")
    if path.startswith("projects/"):
        return Reference(path)
    if not all(segments) or len(segments) % 2:
        raise ValueError
    return Reference(f"{documents}/{path}")
