"""One value as the cell of one column, such that it fits exactly or not at all. No Beam.

    value ─┬─ of the column's own type ─▶ cell
           └─ of any other ─────────────▶ MISFIT

8.0 does not fit INT64, nor does 2**63, nor a naive datetime TIMESTAMP. A cell has one of two forms:

    column       JSON cell, for insertAll and load jobs        typed cell, for the Storage Write API
    INT64        number, beyond 2**53 decimal text             int
    FLOAT64      number, "NaN", "Infinity", "-Infinity"        float
    TIMESTAMP    ISO 8601 text in UTC with microseconds        aware datetime
    BYTES        base64 text                                   bytes
    GEOGRAPHY    POINT(longitude latitude)                     the same
    JSON         JSON text                                     the same
    REPEATED     list of cells; one item that does not fit and the whole array does not

What JSON cannot say is said like this in JSON text: NaN, ±Infinity → "NaN", "Infinity", "-Infinity"; integers outside
[-2**63, 2**64) → decimal text; bytes → base64; datetimes → ISO 8601; references → their full name; geopoints →
{"latitude", "longitude"}; vectors → arrays; decimals → their text; lone surrogates → U+FFFD; whatever is nested deeper
than 200 levels → a note (Firestore allows 20, BigQuery 500).
"""

from __future__ import annotations

import base64
import datetime
import enum
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any, Final

import orjson

from transforms.bigquery.schema import Column
from transforms.firestore.values import GeoPoint, Reference, Vector

_MIN_INT64, _MAX_INT64 = -(2**63), 2**63 - 1
_MAX_UINT64 = 2**64 - 1  # the largest integer of BigQuery's JSON type, and of orjson
# Up to here every JSON reader keeps integers exactly; beyond, BigQuery asks for text.
# https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-json#limitations
MAX_EXACT = 2**53 - 1
_MAX_DEPTH = 200  # orjson gives up at 254
MISFIT: Final = object()
_NEVER_NULL = frozenset({str, int, bool, type(None), datetime.datetime, datetime.date})

Converter = Callable[[Any], Any]


def converter(column: Column, *, typed: bool = False) -> Converter:
    """What turns a value into a cell of the column, or into MISFIT.

    >>> converter(Column("tags", "STRING", "REPEATED"))(["a", 1]) is MISFIT
    True

    Raises:
      ValueError: no cell can be made for such a column.
    """
    scalars = _TYPED if typed else _JSON_READY
    convert = scalars.get(column.type)
    if convert is None:
        raise ValueError(f"column {column.name} must be one of {', '.join(scalars)}, got {column.form}")
    if column.mode != "REPEATED":
        return convert
    return _strings if column.type == "STRING" else functools.partial(_repeated, convert)


def writable(columns: Iterable[Column]) -> tuple[Column, ...]:
    """The columns of which there are cells, of a STRUCT its fields; somebody else's table may have a DATE, too.

    >>> struct = Column("s", "STRUCT", fields=(Column("day", "DATE"), Column("n", "INT64")))
    >>> [column.form for column in writable([struct, Column("t", "TIME"), Column("b", "BOOL")])]
    ['STRUCT<n INT64>', 'BOOL']
    """
    found = []
    for column in columns:
        if column.type in _TYPED:
            found.append(column)
        elif column.type == "STRUCT" and column.mode != "REPEATED" and (fields := writable(column.fields)):
            found.append(replace(column, fields=fields))
    return tuple(found)


def json_text(value: Any, of_firestore: Converter | None = None) -> str:
    """Any value as JSON that BigQuery takes; see the module for what stands for values that JSON does not have.

    Args:
      of_firestore: what stands for a datetime, bytes, `Reference`, `GeoPoint` or `Vector`, if not what the module says.

    >>> json_text({"a": [1, 1.0, None], "b": float("nan"), "c": 2**64, "d": b"hi"})
    '{"a":[1,1.0,null],"b":"NaN","c":"18446744073709551616","d":"aGk="}'
    """
    style = of_firestore or _of_firestore
    option = orjson.OPT_PASSTHROUGH_DATETIME if of_firestore else None
    try:
        text = orjson.dumps(value, default=style, option=option)
        # orjson writes NaN and ±Infinity as null.
        if b"null" not in text or not _may_hide_a_number(value):
            return text.decode()
    except (TypeError, RecursionError):  # orjson.JSONEncodeError is a TypeError
        pass
    return orjson.dumps(_plain(value, _MAX_DEPTH, style)).decode()


def _of_firestore(value: Any) -> Any:
    """What stands for a value of Firestore's own types. Raises TypeError for any other."""
    if isinstance(value, Reference):
        return value.name
    if isinstance(value, GeoPoint):
        return value._asdict()
    if isinstance(value, Vector):
        return value.components
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    raise TypeError


def _may_hide_a_number(value: Any) -> bool:
    """False when no null in orjson's text can stand for a NaN or an Infinity.

    >>> _may_hide_a_number({"a": [None, "null", 1.5]}), _may_hide_a_number({"a": [float("inf")]})
    (False, True)
    """
    containers: list[Iterable[Any]] = [[value]]
    for items in containers:  # grows while it is walked
        for item in items:
            kind = type(item)
            if kind in _NEVER_NULL:
                continue
            if kind is dict:
                containers.append(item.values())
            elif kind is list:
                containers.append(item)
            elif kind is not float or item - item != 0.0:
                return True
    return False


def _plain(value: Any, levels: int, style: Converter) -> Any:
    """The same in terms that orjson writes without loss; total, if `str` of the value's class is.

    >>> _plain({1: float("-inf"), "x\\ud800": (True, 2**70)}, 5, _of_firestore)
    {'1': '-Infinity', 'x\ufffd': [True, '1180591620717411303424']}
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return _plain(value.value, levels, style)
    if isinstance(value, str):
        return _without_lone_surrogates(value)
    if isinstance(value, int):
        return int(value) if _MIN_INT64 <= value <= _MAX_UINT64 else _digits(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _not_finite(value)
    if isinstance(value, (Reference, GeoPoint, Vector, bytes, datetime.datetime)):
        return _plain(style(value), levels, style)
    if isinstance(value, (bytearray, memoryview)):
        return base64.b64encode(value).decode()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if levels == 0:
        return f"nested deeper than {_MAX_DEPTH} levels"
    if isinstance(value, Mapping):
        return {_plain_name(name, levels, style): _plain(item, levels - 1, style) for name, item in value.items()}
    if isinstance(value, (Sequence, Set)):
        return [_plain(item, levels - 1, style) for item in value]
    if callable(as_python := getattr(value, "tolist", None)):  # NumPy's arrays and scalars
        return _plain(as_python(), levels - 1, style)
    return _without_lone_surrogates(str(value))


def _plain_name(name: Any, levels: int, style: Converter) -> str:
    return str(_plain(name, levels - 1, style))


def _without_lone_surrogates(text: str) -> str:
    """Joins surrogate pairs and replaces surrogates that have no partner.

    >>> _without_lone_surrogates("a\\ud83d\\ude00b\\udc00") == "a\\U0001f600b\\ufffd"
    True
    """
    return text if _is_unicode(text) else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _digits(value: int) -> str:
    """Decimal digits; hexadecimal ones where Python refuses decimals for their length (4,300 digits)."""
    try:
        return str(value)
    except ValueError:
        return hex(value)


def _not_finite(value: float) -> str:
    """BigQuery's word for it, in FLOAT64 columns too.

    >>> _not_finite(float("nan")), _not_finite(float("inf")), _not_finite(float("-inf"))
    ('NaN', 'Infinity', '-Infinity')
    """
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _string(value: Any) -> Any:
    if isinstance(value, str):
        return value if _is_unicode(value) else MISFIT
    return value.name if isinstance(value, Reference) else MISFIT


def _is_int64(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and _MIN_INT64 <= value <= _MAX_INT64


def _integer(value: Any) -> Any:
    return int(value) if _is_int64(value) else MISFIT


def _integer_in_json(value: Any) -> Any:
    if not _is_int64(value):
        return MISFIT
    return int(value) if -MAX_EXACT <= value <= MAX_EXACT else str(int(value))


def _number(value: Any) -> Any:
    """A FLOAT64 cell; an integer fits if a double holds it exactly.

    >>> _number(3), _number(2**53 + 1) is MISFIT, _number(True) is MISFIT
    (3.0, True, True)
    """
    if isinstance(value, float):
        return value
    if not isinstance(value, int) or isinstance(value, bool):
        return MISFIT
    try:
        number = float(value)
    except OverflowError:
        return MISFIT
    return number if number == value else MISFIT


def _number_in_json(value: Any) -> Any:
    """
    >>> _number_in_json(3), _number_in_json(float("nan")), _number_in_json("3") is MISFIT
    (3, 'NaN', True)
    """
    if isinstance(value, int) and not isinstance(value, bool) and -MAX_EXACT <= value <= MAX_EXACT:
        return int(value)
    number = _number(value)
    return number if number is MISFIT or math.isfinite(number) else _not_finite(number)


def _bool(value: Any) -> Any:
    return value if isinstance(value, bool) else MISFIT


def _timestamp(value: Any) -> Any:
    """A naive datetime names no point in time, so it does not fit."""
    return value if isinstance(value, datetime.datetime) and _utc_text_of(value) is not MISFIT else MISFIT


def _utc_text_of(value: Any) -> Any:
    """UTC with microseconds.

    >>> _utc_text_of(datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc))
    '2026-01-02T03:04:05.000006+00:00'
    """
    return _utc_text(value) if isinstance(value, datetime.datetime) and value.tzinfo is not None else MISFIT


@functools.lru_cache(maxsize=256)  # the documents of one Commit share their times, and formatting one takes 3 µs
def _utc_text(time: datetime.datetime) -> Any:
    try:
        return time.astimezone(datetime.timezone.utc).isoformat(timespec="microseconds")
    except OverflowError:  # in UTC it lies outside the years 1 to 9999
        return MISFIT


def _bytes(value: Any) -> Any:
    return value if isinstance(value, bytes) else MISFIT


def _bytes_in_json(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else MISFIT


def _geography(value: Any) -> Any:
    """Well-known text, in which longitude comes first.

    >>> _geography(GeoPoint(52.5, 13.25))
    'POINT(13.25 52.5)'
    """
    return f"POINT({value.longitude!r} {value.latitude!r})" if isinstance(value, GeoPoint) else MISFIT


def _items(value: Any) -> Any:
    """The items of an array; a geopoint and a reference are tuples, too, but no arrays."""
    if isinstance(value, list) or type(value) is tuple:
        return value
    return value.components if isinstance(value, Vector) else MISFIT


def _repeated(convert: Converter, value: Any) -> Any:
    items = _items(value)
    if items is MISFIT:
        return MISFIT
    cells = [convert(item) for item in items]
    return MISFIT if any(cell is MISFIT for cell in cells) else cells


def _strings(value: Any) -> Any:
    """As `_repeated` of text, at a fifth of the cost."""
    items = _items(value)
    if items is MISFIT:
        return MISFIT
    try:
        joined = "".join(items)
    except TypeError:  # not all of it is text
        return _repeated(_string, items)
    return list(items) if _is_unicode(joined) else MISFIT


_TYPED: dict[str, Converter] = {
    "STRING": _string,
    "INT64": _integer,
    "FLOAT64": _number,
    "BOOL": _bool,
    "TIMESTAMP": _timestamp,
    "BYTES": _bytes,
    "GEOGRAPHY": _geography,
    "JSON": json_text,
}
_JSON_READY: dict[str, Converter] = {
    **_TYPED,
    "INT64": _integer_in_json,
    "FLOAT64": _number_in_json,
    "TIMESTAMP": _utc_text_of,
    "BYTES": _bytes_in_json,
}
