"""Arrow's arrays as plain Python values that say exactly the same, or a reason why there are none.

| Arrow                                    | Python                                                             |
|------------------------------------------|--------------------------------------------------------------------|
| timestamp, any unit and zone             | aware datetime in UTC, microseconds; without a zone as UTC         |
| date                                     | ISO string                                                         |
| time                                     | ISO string, with nanoseconds where it has some                     |
| decimal, any width                       | string, every digit kept                                           |
| duration                                 | seconds, as a number                                               |
| struct                                   | dict                                                               |
| map                                      | dict; its keys as strings, each of them once                       |
| list: large, fixed-size, view            | list                                                               |
| dictionary, run-end encoded              | as the values they stand for                                       |
| UUID                                     | string in lower case with hyphens                                  |
| binary, any kind                         | bytes; string, if they are to be read as text                      |
| null, boolean, numbers, text             | None, bool, int or float, str                                      |
| interval, union, keys that are no text   | none: `type_problem` says why                                      |

Exact, for tables: a timestamp without a zone is a naive datetime, one that has nanoseconds ISO text with all of them,
a duration text with all digits of its seconds, and what lies beyond the years 1 to 9999 text that says how far.

Arrow's own conversion loses values without a word: of two members or keys of one name the last wins, and nanoseconds
raise only where there are some.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_EPOCH = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EXACT_IN_DOUBLE = 2**53
_types = pa.types


class UnfitError(ValueError):
    """A value that no plain one says exactly; its text completes "the column holds …"."""


def values_of(column: pa.Array, binary_as_text: bool = False, exact: bool = False) -> list[Any]:
    """The plain values of an array.

    Args:
      column: of a type without `type_problem`.
      binary_as_text: whether binary values are UTF-8 text, as some writers of Parquet leave it open.
      exact: see the module.

    Raises:
      UnfitError: one of the values has no exact form.
      ValueError, OverflowError, pa.ArrowException: one of them is beyond what Python's type can say.
    """
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _of_extension(column, binary_as_text, exact)
    if _types.is_dictionary(kind):
        return values_of(column.dictionary_decode(), binary_as_text, exact)
    if _types.is_run_end_encoded(kind):
        return values_of(pc.run_end_decode(column), binary_as_text, exact)
    if _types.is_struct(kind):
        return _of_struct(column, binary_as_text, exact)
    if _types.is_map(kind):
        return _of_map(column, binary_as_text, exact)
    if _is_list(kind):
        return _of_list(column, binary_as_text, exact)
    if _types.is_timestamp(kind):
        if exact:
            return [None if n is None else _exact_time(n, kind) for n in column.cast(pa.int64()).to_pylist()]
        return [None if n is None else _time_at(n, kind.unit) for n in column.cast(pa.int64()).to_pylist()]
    if _types.is_duration(kind):
        if exact:
            return [None if n is None else _exact_seconds(n, kind.unit) for n in column.cast(pa.int64()).to_pylist()]
        return [None if n is None else _seconds(n, kind.unit) for n in column.cast(pa.int64()).to_pylist()]
    if _types.is_time64(kind) and kind.unit == "ns":
        return [None if n is None else _nanosecond_of_day(n) for n in column.cast(pa.int64()).to_pylist()]
    if _types.is_date(kind) and exact:
        return [None if n is None else _exact_date(n) for n in column.cast(pa.date32()).cast(pa.int32()).to_pylist()]
    if _types.is_date(kind) or _types.is_time(kind):
        return [None if value is None else value.isoformat() for value in column.to_pylist()]
    if _types.is_decimal(kind):
        return [None if value is None else format(value, "f") for value in column.to_pylist()]
    if binary_as_text and _is_binary(kind):
        return [None if value is None else _text(value) for value in column.to_pylist()]
    values: list[Any] = column.to_pylist()
    return values


def type_problem(kind: pa.DataType, binary_as_text: bool = False) -> str | None:
    """Why no values of a type have a plain form; None if they have.

    >>> type_problem(pa.map_(pa.list_(pa.int8()), pa.int8()))
    'it has a map whose keys are of type list<item: int8>'
    """
    for part in _parts(kind):
        if _types.is_interval(part) or _types.is_union(part):
            return f"it has values of type {part}"
        if _types.is_struct(part) and len({field.name for field in part}) < part.num_fields:
            return "it has a struct with two members of one name"
        if _types.is_map(part):
            key = part.key_type
            if _is_binary(key) and not binary_as_text:
                return "it has a map whose keys are binary; --binary_as_text makes text of them"
            if _types.is_nested(key) or _types.is_fixed_size_binary(key):
                return f"it has a map whose keys are of type {key}"
    return None


def _parts(kind: pa.DataType) -> Iterator[pa.DataType]:
    """The type itself and all that it is made of."""
    yield kind
    if isinstance(kind, pa.BaseExtensionType):
        yield from _parts(kind.storage_type)
    elif _types.is_dictionary(kind) or _types.is_run_end_encoded(kind):
        yield from _parts(kind.value_type)
    elif _types.is_map(kind):
        yield from itertools.chain(_parts(kind.key_type), _parts(kind.item_type))
    elif _types.is_struct(kind):
        yield from itertools.chain.from_iterable(_parts(field.type) for field in kind)
    elif _is_list(kind):
        yield from _parts(kind.value_type)


def _is_list(kind: pa.DataType) -> bool:
    return any(
        is_kind(kind)
        for is_kind in (
            _types.is_list,
            _types.is_large_list,
            _types.is_fixed_size_list,
            _types.is_list_view,
            _types.is_large_list_view,
        )
    )


def _is_binary(kind: pa.DataType) -> bool:
    """Binary of any length: of one length it is a hash or a key, never text."""
    return _types.is_binary(kind) or _types.is_large_binary(kind) or _types.is_binary_view(kind)


def _of_extension(column: pa.ExtensionArray, binary_as_text: bool, exact: bool) -> list[Any]:
    if isinstance(column.type, pa.UuidType):
        return [None if value is None else str(value) for value in column.to_pylist()]
    if isinstance(column.type, pa.Bool8Type):
        values: list[Any] = column.to_pylist()
        return values
    return values_of(column.storage, binary_as_text, exact)


def _of_struct(column: pa.StructArray, binary_as_text: bool, exact: bool) -> list[Any]:
    names = [field.name for field in column.type]
    if not names:
        return [{} if valid else None for valid in column.is_valid().to_pylist()]
    members = [values_of(member, binary_as_text, exact) for member in column.flatten()]
    rows = (dict(zip(names, row, strict=True)) for row in zip(*members, strict=True))
    return [row if valid else None for row, valid in zip(rows, column.is_valid().to_pylist(), strict=True)]


def _of_list(column: Any, binary_as_text: bool, exact: bool) -> list[Any]:
    elements = iter(values_of(column.flatten(), binary_as_text, exact))  # without those of lists that are null
    lengths = pc.list_value_length(column).to_pylist()
    return [None if n is None else list(itertools.islice(elements, n)) for n in lengths]


def _of_map(column: pa.MapArray, binary_as_text: bool, exact: bool) -> list[Any]:
    offsets = column.offsets.to_pylist()
    first, n_pairs = offsets[0], offsets[-1] - offsets[0]
    keys = [str(key) for key in values_of(column.keys.slice(first, n_pairs), binary_as_text, exact)]
    items = values_of(column.items.slice(first, n_pairs), binary_as_text, exact)
    maps = []
    for begin, end, valid in zip(offsets, offsets[1:], column.is_valid().to_pylist(), strict=False):
        inner = slice(begin - first, end - first)
        maps.append(_unique(keys[inner], items[inner]) if valid else None)
    return maps


def _unique(keys: Sequence[str], items: Sequence[Any]) -> dict[str, Any]:
    found = dict(zip(keys, items, strict=True))
    if len(found) < len(keys):
        raise UnfitError("a map that has a key twice")
    return found


def _time_at(n: int, unit: str) -> datetime.datetime:
    """
    >>> _time_at(1_500, "ms").isoformat(), _time_at(-1, "ns").isoformat()
    ('1970-01-01T00:00:01.500000+00:00', '1969-12-31T23:59:59.999999+00:00')
    """
    return _EPOCH + datetime.timedelta(microseconds=n * 10**6 // _PER_SECOND[unit])


def _exact_time(n: int, kind: pa.TimestampType) -> datetime.datetime | str:
    """
    >>> _exact_time(1, pa.timestamp("ns", "UTC")), _exact_time(1_000, pa.timestamp("ms")).isoformat()
    ('1970-01-01T00:00:00.000000001+00:00', '1970-01-01T00:00:01')
    """
    try:
        time = _time_at(n, kind.unit)
    except OverflowError:  # beyond the years that Python knows
        return f"{n} {kind.unit} since 1970-01-01"
    if kind.tz is None:
        time = time.replace(tzinfo=None)
    nanoseconds = n % 1000 if kind.unit == "ns" else 0
    if not nanoseconds:
        return time
    whole = time.replace(tzinfo=None).isoformat(timespec="microseconds")
    return f"{whole}{nanoseconds:03}{'+00:00' if kind.tz else ''}"


def _exact_date(n: int) -> str:
    """
    >>> _exact_date(-1), _exact_date(10**7)
    ('1969-12-31', '10000000 days since 1970-01-01')
    """
    try:
        return (_EPOCH + datetime.timedelta(days=n)).date().isoformat()
    except OverflowError:
        return f"{n} days since 1970-01-01"


def _exact_seconds(n: int, unit: str) -> str:
    """
    >>> _exact_seconds(90_000, "ms"), _exact_seconds(-1, "ns")
    ('90.000', '-0.000000001')
    """
    digits = len(str(_PER_SECOND[unit])) - 1
    return format(Decimal(n).scaleb(-digits), "f")


def _seconds(n: int, unit: str) -> float:
    """
    >>> _seconds(90_000, "ms"), _seconds(1, "ns")
    (90.0, 1e-09)
    """
    if abs(n) > _EXACT_IN_DOUBLE:
        raise UnfitError(f"a duration of more than 2^53 {unit}, which a number of seconds would round")
    return n / _PER_SECOND[unit]


def _nanosecond_of_day(n: int) -> str:
    """
    >>> _nanosecond_of_day(3_600_000_000_001), _nanosecond_of_day(3_600_000_001_000)
    ('01:00:00.000000001', '01:00:00.000001')
    """
    time = (_EPOCH + datetime.timedelta(microseconds=n // 1000)).time()
    return f"{time.isoformat('microseconds')}{n % 1000:03}" if n % 1000 else time.isoformat()


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise UnfitError("bytes that are not UTF-8, although they are to be read as text") from None
