"""Cleaners that make points in time and booleans: `timestamp`, `boolean`. Pure, total, idempotent.

>>> timestamp("2025-10-05T12:40:38.399122"), boolean("yes")
(datetime.datetime(2025, 10, 5, 12, 40, 38, 399122, tzinfo=datetime.timezone.utc), True)
"""

from __future__ import annotations

import datetime
import re
from decimal import Decimal
from typing import Any

from transforms.records.numerics import finite, number
from transforms.records.settings import AUTO

# Written out, since datetime.fromisoformat accepts different texts in Python 3.10 and 3.11.
_TIME = r"(?:,?[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s?(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?)?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})([-/.])(\d\d)\2(\d\d){_TIME}", re.IGNORECASE | re.ASCII)
_YEAR_LAST = re.compile(rf"(\d\d?)([-/.])(\d\d?)\2(\d{{4}}){_TIME}", re.IGNORECASE | re.ASCII)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
# By size: seconds of 1973 to 2286, milliseconds of April 1970 to 2286, and so on. Smaller ones can be anything.
_SIZES = ((1e8, 1e10, "s"), (1e10, 1e13, "ms"), (1e13, 1e16, "us"), (1e16, 1e19, "ns"))

_TRUE = frozenset({"true", "yes", "y", "t", "on", "1", "sim", "ja", "si", "sí"})
_FALSE = frozenset({"false", "no", "n", "f", "off", "0", "não", "nao", "nein"})


def timestamp(
    value: Any, unit: str = AUTO, date_order: str | None = None, *, is_sure: bool = True
) -> datetime.datetime | None:
    """A point in time, in UTC, to the microsecond; finer fractions are cut off.

    Text of ISO 8601 ("2025-10-05", "2025/10/05", "2025-10-05T12:40:38Z", with offset; without one it is UTC), Unix time
    as a number or its digits, dates and datetimes.

    Args:
      unit: of Unix times; AUTO tells it from the size of this value alone.
      date_order: "dmy" or "mdy": also accepts 05/10/2025, 5.10.2025 and 05-10-2025.
      is_sure: False if `unit` is that of most values of a batch: one whose size says otherwise cannot be placed.
    """
    if isinstance(value, datetime.datetime):
        return _in_utc(value)
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day, tzinfo=datetime.timezone.utc)
    if isinstance(value, str):
        text = value.strip()
        if match := _YEAR_FIRST.fullmatch(text):
            year, _, month, day, *time = match.groups()
            return _of_parts(year, month, day, *time)
        if date_order and (match := _YEAR_LAST.fullmatch(text)):
            first, _, second, year, *time = match.groups()
            day, month = (first, second) if date_order == "dmy" else (second, first)
            return _of_parts(year, month, day, *time)
    approximate = number(value)
    if approximate is None:
        return None
    by_size = _unit_of(approximate)
    if unit == AUTO:
        unit = by_size or ""
    elif not is_sure and by_size != unit and (by_size or unit != "s" or not approximate):
        return None
    return _of_unix(value, unit) if unit else None


def unit_by_size(value: Any) -> str | None:
    """What the size of a value says about its unit; None: nothing, or it is no Unix time.

    >>> [unit_by_size(value) for value in (1759665600, "63072000000", 1759665600 * 10**6, 42, "2025-10-05")]
    ['s', 'ms', 'us', None, None]
    """
    approximate = number(value)
    return None if approximate is None else _unit_of(approximate)


def boolean(value: Any) -> bool | None:
    """True or False: booleans, 1 and 0, "true", "yes", "on", "no", …

    >>> boolean("No"), boolean(1), boolean("perhaps"), boolean(2)
    (False, True, None, None)
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        text = value.strip().casefold() if len(value) <= 32 else ""
        return True if text in _TRUE else False if text in _FALSE else None
    return bool(value) if finite(value) in (0.0, 1.0) else None


def _unit_of(approximate: float) -> str | None:
    size = abs(approximate)
    return next((unit for low, high, unit in _SIZES if low <= size < high), None)


def _of_parts(
    year: str,
    month: str,
    day: str,
    hour: str | None,
    minute: str | None,
    second: str | None,
    digits: str | None,
    zone: str | None,
) -> datetime.datetime | None:
    microsecond = int((digits or "0").ljust(6, "0")[:6])
    try:
        local = datetime.datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), microsecond
        )
        return _in_utc(local.replace(tzinfo=_zone(zone or "Z")))
    except ValueError:  # the 31st of February, an offset of 99 hours
        return None


def _zone(text: str) -> datetime.timezone:
    if text[0] not in "+-":
        return datetime.timezone.utc
    minutes = int(text[1:3]) * 60 + int(text[3:].lstrip(":") or 0)
    return datetime.timezone(datetime.timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _in_utc(moment: datetime.datetime) -> datetime.datetime | None:
    try:
        aware = moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)
        return aware.astimezone(datetime.timezone.utc)
    except (OverflowError, ValueError):  # before year 1 or after year 9999 once in UTC
        return None


def _of_unix(exact: Any, unit: str) -> datetime.datetime | None:
    microseconds = Decimal(str(exact).strip().replace(",", "")) * 10**6 / _PER_SECOND[unit]
    try:
        return _EPOCH + datetime.timedelta(microseconds=int(microseconds))
    except OverflowError:  # before year 1 or after year 9999
        return None
