"""Rows for BigQuery from flat records, such that no value can fail a row. No Beam.

    flat values ──┬─ fits its column ──────▶ the column
                  └─ does not fit ─────────▶ _overflow: {"column": value}, named in Row.overflowed
    the record ───── as JSON text ─────────▶ profile

A row is a dict of JSON-ready values; a missing or None value is absent. A value fits when its Python type is the
column's own: 8.0 does not fit INT64, nor does 2**63, nor a naive datetime TIMESTAMP. JSON columns hold JSON text, as
insertAll wants them (`loadable` turns them into what load jobs want).

What JSON cannot say is said like this in `profile`, `_overflow` and JSON columns: NaN, ±Infinity → "NaN", "Infinity",
"-Infinity"; integers outside [-2**63, 2**64) → decimal text; bytes → base64; datetimes → ISO 8601; decimals → their
text; lone surrogates → U+FFFD; whatever is nested deeper than 200 levels → a note (Firestore allows 20, BigQuery 500).

    encoder = RowEncoder(table_columns(spec))
    cells, overflowed = encoder.row(flat, meta, update_time, record)
"""

from __future__ import annotations

import base64
import datetime
import enum
import functools
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple

import orjson

from transforms.bigquery.schema import META_PREFIX, OVERFLOW, PROFILE, UPDATE_TIME, Column

_MIN_INT64, _MAX_INT64 = -(2**63), 2**63 - 1
_MAX_UINT64 = 2**64 - 1  # the largest integer of BigQuery's JSON type, and of orjson
# Up to here every JSON reader keeps integers exactly; beyond, BigQuery asks for text.
# https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-json#limitations
_MAX_EXACT = 2**53 - 1
_MAX_DEPTH = 200  # orjson gives up at 254
_MISFIT = object()
_NEVER_NULL = frozenset({str, int, bool, type(None), datetime.datetime, datetime.date})


class Row(NamedTuple):
    """One row, ready for insertAll.

    Attributes:
      cells: JSON-ready values by column.
      overflowed: the columns whose values went to `_overflow`.
    """

    cells: dict[str, Any]
    overflowed: tuple[str, ...]


class RowEncoder:
    """Makes rows of one table; built once a worker, as it looks up every column's conversion beforehand.

    Args:
      columns: of the table; those of `_meta`, `update_time`, `profile` and `_overflow` are recognised by name.
    """

    def __init__(self, columns: Sequence[Column]):
        self._has_profile = any(column.name == PROFILE for column in columns)
        self._conversions: dict[str, Callable[[Any], Any]] = {}
        self._meta_conversions: list[tuple[str, str, Callable[[Any], Any]]] = []
        for column in columns:
            convert = _converter(column)
            if column.name.startswith(META_PREFIX):
                self._meta_conversions.append((column.name, column.name.removeprefix(META_PREFIX), convert))
            elif column.name not in (UPDATE_TIME, PROFILE, OVERFLOW):
                self._conversions[column.name] = convert

    def row(
        self,
        flat: Mapping[str, Any],
        meta: Mapping[str, Any],
        update_time: datetime.datetime | None,
        record: Any = None,
    ) -> Row:
        """The row of one record. Never raises for what a value is.

        Args:
          flat: values by column; one that has no column goes to `_overflow` too.
          meta: `_meta` of the document, by its own names (`version`, …); names without a column are left out.
          update_time: of the document.
          record: the whole record, for `profile`.
        """
        cells: dict[str, Any] = {}
        overflow: dict[str, Any] = {}
        for name, value in flat.items():
            if value is None:
                continue
            convert = self._conversions.get(name)
            cell = _MISFIT if convert is None else convert(value)
            if cell is _MISFIT:
                overflow[name] = value
            else:
                cells[name] = cell
        for name, key, convert in self._meta_conversions:
            value = meta.get(key)
            if value is None:
                continue
            cell = convert(value)
            if cell is _MISFIT:
                overflow[name] = value
            else:
                cells[name] = cell
        if update_time is not None:
            cell = _timestamp(update_time)
            if cell is _MISFIT:
                overflow[UPDATE_TIME] = update_time
            else:
                cells[UPDATE_TIME] = cell
        if record is not None and self._has_profile:
            cells[PROFILE] = json_text(record)
        if not overflow:
            return Row(cells, ())
        cells[OVERFLOW] = json_text(overflow)
        return Row(cells, tuple(map(str, overflow)))


def insert_id(*parts: str) -> str:
    """Deterministic insert id: the same row sent again within a minute or so is dropped by BigQuery.

    >>> insert_id("ada", "1f", "batch-1") == insert_id("ada", "1f", "batch-1") != insert_id("ada1", "f", "batch-1")
    True
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(b"%d:%b" % (len(encoded), encoded))
    return digest.hexdigest()


def loadable(cells: Mapping[str, Any], json_columns: Sequence[str]) -> dict[str, Any]:
    """The row as a load job wants it: there a JSON column takes a JSON value, and text would stay text.

    >>> loadable({"id": "ada", "profile": '{"skills": ["go"]}'}, ["profile", "_overflow"])
    {'id': 'ada', 'profile': {'skills': ['go']}}
    """
    return {**cells, **{name: orjson.loads(cells[name]) for name in json_columns if name in cells}}


def json_text(value: Any) -> str:
    """Any value as JSON that BigQuery takes; see the module for what stands for the unspeakable.

    >>> json_text({"a": [1, 1.0, None], "b": float("nan"), "c": 2**64, "d": b"hi"})
    '{"a":[1,1.0,null],"b":"NaN","c":"18446744073709551616","d":"aGk="}'
    """
    try:
        text = orjson.dumps(value)
        # orjson writes NaN and ±Infinity as null.
        if b"null" not in text or not _may_hide_a_number(value):
            return text.decode()
    except (TypeError, RecursionError):  # orjson.JSONEncodeError is a TypeError
        pass
    return orjson.dumps(_plain(value, _MAX_DEPTH)).decode()


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


def _plain(value: Any, levels: int) -> Any:
    """The same in terms that orjson writes without loss; total, if `str` of the value's class is.

    >>> _plain({1: float("-inf"), "x\\ud800": (True, 2**70)}, 5)
    {'1': '-Infinity', 'x\ufffd': [True, '1180591620717411303424']}
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return _plain(value.value, levels)
    if isinstance(value, str):
        return _without_lone_surrogates(value)
    if isinstance(value, int):
        return int(value) if _MIN_INT64 <= value <= _MAX_UINT64 else _digits(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _not_finite(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    if isinstance(value, (datetime.date, datetime.time)):  # a datetime is a date
        return value.isoformat()
    if levels == 0:
        return f"nested deeper than {_MAX_DEPTH} levels"
    if isinstance(value, Mapping):
        return {_plain_name(name, levels): _plain(item, levels - 1) for name, item in value.items()}
    if isinstance(value, (Sequence, Set)):
        return [_plain(item, levels - 1) for item in value]
    if callable(as_python := getattr(value, "tolist", None)):  # NumPy's arrays and scalars
        return _plain(as_python(), levels - 1)
    return _without_lone_surrogates(str(value))


def _plain_name(name: Any, levels: int) -> str:
    return str(_plain(name, levels - 1))


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
    return value if isinstance(value, str) and _is_unicode(value) else _MISFIT


def _integer(value: Any) -> Any:
    if not isinstance(value, int) or isinstance(value, bool) or not _MIN_INT64 <= value <= _MAX_INT64:
        return _MISFIT
    return int(value) if -_MAX_EXACT <= value <= _MAX_EXACT else str(int(value))


def _number(value: Any) -> Any:
    """A FLOAT64 cell; an integer fits if a double holds it exactly.

    >>> _number(3), _number(float("nan")), _number(2**53 + 1) is _MISFIT, _number(True) is _MISFIT
    (3, 'NaN', True, True)
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else _not_finite(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return _MISFIT
    return int(value) if -_MAX_EXACT <= value <= _MAX_EXACT else _large_number(value)


def _large_number(value: int) -> Any:
    try:
        number = float(value)
    except OverflowError:
        return _MISFIT
    return number if number == value else _MISFIT


def _bool(value: Any) -> Any:
    return value if isinstance(value, bool) else _MISFIT


def _timestamp(value: Any) -> Any:
    """UTC with microseconds; a naive datetime has no moment, so it does not fit.

    >>> _timestamp(datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc))
    '2026-01-02T03:04:05.000006+00:00'
    """
    return _utc_text(value) if isinstance(value, datetime.datetime) and value.tzinfo is not None else _MISFIT


@functools.lru_cache(maxsize=256)  # the documents of one Commit share their times, and formatting one takes 3 µs
def _utc_text(moment: datetime.datetime) -> Any:
    try:
        return moment.astimezone(datetime.timezone.utc).isoformat(timespec="microseconds")
    except OverflowError:  # in UTC it lies outside the years 1 to 9999
        return _MISFIT


def _strings(value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        return _MISFIT
    try:
        joined = "".join(value)
    except TypeError:  # not all of it is text
        return _MISFIT
    return list(value) if _is_unicode(joined) else _MISFIT


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "STRING": _string,
    "INT64": _integer,
    "FLOAT64": _number,
    "BOOL": _bool,
    "TIMESTAMP": _timestamp,
    "JSON": json_text,
    "ARRAY<STRING>": _strings,
}


def _converter(column: Column) -> Callable[[Any], Any]:
    try:
        return _CONVERTERS[column.form]
    except KeyError:
        raise ValueError(f"column {column.name} must be one of {', '.join(_CONVERTERS)}, got {column.form}") from None
