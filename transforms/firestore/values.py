"""The one codec between Python values and Firestore's: every type, nothing lost, raw protobuf all the way.

    Python                      Firestore
    None                        null
    bool                        boolean
    int, 64 bit                 integer
    float, also NaN and ±Inf    double
    aware datetime, µs          timestamp
    str                         string
    bytes                       bytes
    Reference                   reference
    GeoPoint                    geopoint
    Vector                      vector
    list, tuple                 array
    Mapping                     map

`decode(encode(v)) == v` for every value of the left column. What Firestore would refuse is a `RecordError` here, before
any request, and its message names the field: `skills[2].name: …`. Source of the limits: "Quotas and limits" in the
Firestore documentation, among them 1,500 bytes for a field name, and as many for a field path.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from transforms.errors import RecordError
from transforms.firestore import wire
from transforms.firestore.messages import Document

MAX_DEPTH = 20
MAX_FIELD_NAME_BYTES = 1_500
# Of the names from the document's field down to a value, with a dot between each two. Places in arrays do not count,
# nor do the backticks that a path may be written with. Source of the number: "Maximum size of a field path"; of how it
# is counted: the emulator, which refuses the first byte more.
MAX_FIELD_PATH_BYTES = 1_500
_PATH_TOO_LONG = "FIELD_PATH_TOO_LONG"
# A name or a path that is longer is abridged in messages.
_SHOWN_NAME, _SHOWN_STEPS = 40, 6
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)
_BASES: tuple[type[Any], ...] = (int, float, str, bytes, list)
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*\Z")


class GeoPoint(NamedTuple):
    """A point on Earth, in degrees: latitude in [-90, 90], longitude in [-180, 180]."""

    latitude: float
    longitude: float


class Reference(NamedTuple):
    """A reference to a document: its full name, `projects/P/databases/D/documents/PATH`, so the database is kept."""

    name: str

    @property
    def path(self) -> str:
        """The document's path in its database: `users/ada`."""
        return self.name.split("/documents/", 1)[1]


class Vector(NamedTuple):
    """A vector embedding: up to 2,048 doubles."""

    components: tuple[float, ...]


def encode_fields(record: Mapping[str, Any], fields: Any) -> None:
    """Writes a record into a protobuf map of fields, such as `Document().fields`.

    Raises:
      RecordError: a value or a name that Firestore cannot hold; the message begins with the field's path.
    """
    try:
        _encode_map(record, fields, 0, 0)
    except _Unencodable as unfit:
        raise RecordError(unfit.code, f"{unfit.where()}: {unfit.problem}") from None


def serialised_fields(fields: Mapping[str, Any]) -> bytes:
    """A serialised `Document` that has nothing but fields, map keys sorted, so equal fields have equal bytes.

    Raises:
      RecordError: as `encode_fields`.
    """
    document = Document()
    encode_fields(fields, document.fields)
    serialised: bytes = document.SerializeToString(deterministic=True)
    return serialised


def encoded_fields(fields: Mapping[str, Any]) -> bytes:
    """As `serialised_fields`, at a third of the cost, but map keys in any order: to be sent, not to be compared."""
    try:
        return wire.serialised(fields)
    except wire.UnusualError:
        return serialised_fields(fields)


def encode(value: Any) -> Any:
    """The protobuf `Value` of one Python value. Raises RecordError."""
    out = Document()
    encode_fields({"value": value}, out.fields)
    return out.fields["value"]


def decode_fields(fields: Any) -> dict[str, Any]:
    """The Python values of a protobuf map of fields. Like Firestore's, the map has no order.

    >>> document = Document()
    >>> encode_fields({"scores": [1, 2.0, None]}, document.fields)
    >>> decode_fields(document.fields)
    {'scores': [1, 2.0, None]}
    """
    decoded: dict[str, Any] = {}
    for name, value in fields.items():  # text and integers are spelt out: a call per leaf is a tenth of the cost
        kind = value.WhichOneof("value_type")
        if kind == "string_value":
            decoded[name] = value.string_value
        elif kind == "integer_value":
            decoded[name] = value.integer_value
        else:
            decoded[name] = _DECODERS[kind](value)
    return decoded


def decode(value: Any) -> Any:
    """The Python value of a protobuf `Value`."""
    return _DECODERS[value.WhichOneof("value_type")](value)


def timestamp(seconds: int, nanos: int) -> datetime.datetime:
    """A protobuf timestamp as an aware datetime. Firestore keeps microseconds, so nothing is lost.

    >>> timestamp(1, 5000).isoformat()
    '1970-01-01T00:00:01.000005+00:00'
    """
    return _EPOCH + datetime.timedelta(0, seconds, nanos // 1000)  # by position: keywords take half as long again


# Encoding. The leaves are spelt out in the loops, because a call per leaf is a third of the cost.


class _Unencodable(Exception):  # noqa: N818 - never leaves this module
    """Carries the path of the offending field up the recursion, innermost step first."""

    def __init__(self, code: str, problem: str):
        self.code, self.problem, self.steps = code, problem, list[str | int]()
        super().__init__(code, problem)

    def within(self, step: str | int) -> _Unencodable:
        self.steps.append(step)
        return self

    def where(self) -> str:
        steps = [step if isinstance(step, int) else _abridged(step) for step in reversed(self.steps)]
        if len(steps) > 2 * _SHOWN_STEPS:
            steps[_SHOWN_STEPS:-_SHOWN_STEPS] = ["…"]
        return field_path(steps)


def _abridged(name: str) -> str:
    return name if len(name) <= _SHOWN_NAME else f"{name[:_SHOWN_NAME]}…"


def field_path(steps: Iterable[str | int]) -> str:
    """The readable path of a field: names joined by dots, array positions in brackets, odd names in backticks.

    >>> field_path(["skills", 2, "full name"])
    'skills[2].`full name`'
    """
    path = ""
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            name = step if _PLAIN_NAME.match(step) else "`" + step.encode(errors="backslashreplace").decode() + "`"
            path += f".{name}" if path else name
    return path


def _encode_map(source: Mapping[str, Any], fields: Any, depth: int, above: int) -> None:
    """Encodes a map whose own path takes `above` bytes, with the dot behind it."""
    for name, value in source.items():
        try:
            if type(name) is not str or not name or name[:2] == "__" or len(name) > MAX_FIELD_NAME_BYTES // 4:
                _check_field_name(name)
            path_bytes = above + (len(name) if name.isascii() else len(name.encode()))
            if path_bytes > MAX_FIELD_PATH_BYTES:
                _refuse_path(path_bytes)
            kind = type(value)
            if kind is str:
                fields[name].string_value = value
            elif kind is int:
                fields[name].integer_value = value
            elif kind is float:
                fields[name].double_value = value
            else:
                _encode_into(value, fields[name], depth, path_bytes + 1)
        except _Unencodable as unfit:
            raise unfit.within(str(name))  # noqa: B904 - the same exception on its way up
        except (ValueError, TypeError):  # from protobuf: an integer beyond 64 bit, a lone surrogate
            raise _reason(name, value).within(str(name)) from None


def _encode_into(value: Any, out: Any, depth: int, above: int) -> None:
    kind = type(value)
    if kind is str:
        out.string_value = value
    elif kind is dict:
        _encode_nested_map(value, out, depth, above)
    elif kind is list or kind is tuple:
        _encode_array(value, out, depth, above)
    elif kind is int:
        out.integer_value = value
    elif kind is float:
        out.double_value = value
    elif kind is bool:
        out.boolean_value = value
    elif value is None:
        out.null_value = 0
    elif kind is bytes:
        out.bytes_value = value
    else:
        _encode_rare(value, out, depth, above)


def _encode_nested_map(value: Mapping[str, Any], out: Any, depth: int, above: int) -> None:
    if depth >= MAX_DEPTH:
        raise _Unencodable("TOO_DEEP", f"lies deeper than the {MAX_DEPTH} levels that Firestore keeps")
    out.map_value.SetInParent()  # an empty map is not an absent one
    _encode_map(value, out.map_value.fields, depth + 1, above)


def _encode_array(value: list[Any] | tuple[Any, ...], out: Any, depth: int, above: int) -> None:
    if depth >= MAX_DEPTH:
        raise _Unencodable("TOO_DEEP", f"lies deeper than the {MAX_DEPTH} levels that Firestore keeps")
    out.array_value.SetInParent()
    add = out.array_value.values.add
    for position, item in enumerate(value):
        kind = type(item)
        try:
            if kind is str:
                add().string_value = item
            else:
                _encode_item(item, kind, add(), depth + 1, above)
        except _Unencodable as unfit:
            raise unfit.within(position)  # noqa: B904
        except (ValueError, TypeError):
            raise _reason("", item).within(position) from None


def _encode_item(item: Any, kind: type, out: Any, depth: int, above: int) -> None:
    if kind is list or kind is tuple:
        raise _Unencodable("NESTED_ARRAY", "an array directly inside an array; wrap it in a map")
    _encode_into(item, out, depth, above)


def _encode_rare(value: Any, out: Any, depth: int, above: int) -> None:
    if isinstance(value, datetime.datetime):
        _encode_timestamp(value, out)
    elif isinstance(value, GeoPoint):
        if not (-90 <= value.latitude <= 90 and -180 <= value.longitude <= 180):  # false for NaN as well
            raise _Unencodable("GEOPOINT_OUT_OF_RANGE", "latitude must be in [-90, 90], longitude in [-180, 180]")
        out.geo_point_value.SetInParent()
        out.geo_point_value.latitude, out.geo_point_value.longitude = value
    elif isinstance(value, Reference):
        out.reference_value = value.name
    elif isinstance(value, Vector):
        fields = out.map_value.fields
        fields["__type__"].string_value = "__vector__"
        array = fields["value"].array_value
        array.SetInParent()
        for component in value.components:
            array.values.add().double_value = component
    elif isinstance(value, Mapping):
        _encode_nested_map(value, out, depth, above)
    elif base := next((base for base in _BASES if isinstance(value, base)), None):  # a subclass, such as an IntEnum
        _encode_into(base(value), out, depth, above)
    else:
        raise _Unencodable("UNSUPPORTED_TYPE", f"Firestore has no type for Python's {type(value).__name__}")


def _encode_timestamp(value: datetime.datetime, out: Any) -> None:
    if value.tzinfo is None:
        raise _Unencodable("NAIVE_TIMESTAMP", "a timestamp without time zone; give it one, such as UTC")
    microseconds = (value - _EPOCH) // _MICROSECOND
    out.timestamp_value.SetInParent()
    out.timestamp_value.seconds, remainder = divmod(microseconds, 1_000_000)
    out.timestamp_value.nanos = remainder * 1000


def _check_field_name(name: Any) -> None:
    if not isinstance(name, str):
        raise _Unencodable("INVALID_FIELD_NAME", f"a field name must be text, not {type(name).__name__}")
    if not name:
        raise _Unencodable("INVALID_FIELD_NAME", "a field name must not be empty")
    if len(name) >= 4 and name.startswith("__") and name.endswith("__"):
        raise _Unencodable("INVALID_FIELD_NAME", "field names of the form __name__ are reserved by Firestore")
    if len(name.encode(errors="surrogatepass")) > MAX_FIELD_NAME_BYTES:
        raise _Unencodable("INVALID_FIELD_NAME", f"a field name must not exceed {MAX_FIELD_NAME_BYTES} bytes")


def check_path_length(names: Sequence[str]) -> None:
    """Raises RecordError if the path of these names is longer than Firestore takes."""
    n_bytes = sum(len(name.encode(errors="surrogatepass")) for name in names) + len(names) - 1
    if n_bytes > MAX_FIELD_PATH_BYTES:
        raise RecordError(_PATH_TOO_LONG, f"{_abridged(names[0])}: {_path_too_long(n_bytes)}")


def _refuse_path(n_bytes: int) -> NoReturn:
    raise _Unencodable(_PATH_TOO_LONG, _path_too_long(n_bytes))


def _path_too_long(n_bytes: int) -> str:
    return (
        f"the path of the field takes {n_bytes:,} bytes, Firestore takes at most {MAX_FIELD_PATH_BYTES:,}; shorten the "
        "names that lead to it, or keep them as values"
    )


def _reason(name: str, value: Any) -> _Unencodable:
    """Why protobuf refused a leaf."""
    if any("\ud800" <= character <= "\udfff" for character in name):
        return _Unencodable("INVALID_FIELD_NAME", "a field name with a lone surrogate, which is not valid Unicode")
    if isinstance(value, int):
        return _Unencodable("INTEGER_OUT_OF_RANGE", "an integer beyond 64 bit; store it as text or as a double")
    if isinstance(value, (str, Reference)):
        return _Unencodable("INVALID_TEXT", "text with a lone surrogate, which is not valid Unicode")
    return _Unencodable("INVALID_VALUE", f"Firestore cannot hold this {type(value).__name__}")


# Decoding.


def _decode_array(value: Any) -> list[Any]:
    items = []
    for item in value.array_value.values:
        kind = item.WhichOneof("value_type")
        items.append(item.string_value if kind == "string_value" else _DECODERS[kind](item))
    return items


def _decode_map(value: Any) -> Any:
    fields = value.map_value.fields
    if "__type__" in fields and fields["__type__"].string_value == "__vector__":
        return Vector(tuple(component.double_value for component in fields["value"].array_value.values))
    return decode_fields(fields)


_DECODERS: dict[str | None, Any] = {
    "string_value": lambda v: v.string_value,
    "integer_value": lambda v: v.integer_value,
    "double_value": lambda v: v.double_value,
    "boolean_value": lambda v: v.boolean_value,
    "null_value": lambda v: None,
    "bytes_value": lambda v: v.bytes_value,
    "timestamp_value": lambda v: timestamp(v.timestamp_value.seconds, v.timestamp_value.nanos),
    "reference_value": lambda v: Reference(v.reference_value),
    "geo_point_value": lambda v: GeoPoint(v.geo_point_value.latitude, v.geo_point_value.longitude),
    "array_value": _decode_array,
    "map_value": _decode_map,
}
