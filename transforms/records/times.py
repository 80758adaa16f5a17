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

# Written out, since datetime.fromisoformat accepts different texts in Python 3.10 and 3.11.
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s?(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?)?",
    re.IGNORECASE | re.ASCII,
)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)

# Units of a Unix time by size: seconds from 1973 to 5138, then the same range in ms, µs and ns.
_UNIX_RANGES = ((1e8, 1e11, 1), (1e11, 1e14, 10**3), (1e14, 1e17, 10**6), (1e17, 1e20, 10**9))

_TRUE = frozenset({"true", "yes", "y", "t", "on", "1", "sim", "ja", "si", "sí"})
_FALSE = frozenset({"false", "no", "n", "f", "off", "0", "não", "nao", "nein"})


def timestamp(value: Any) -> datetime.datetime | None:
    """A point in time, in UTC, to the microsecond.

    ISO 8601 text ("2025-10-05", "2025-10-05T12:40:38Z", with offset; without one it is UTC), Unix time as a number or
    its digits (seconds, ms, µs or ns, told apart by size), dates and datetimes. Finer fractions are cut off.
    """
    if isinstance(value, datetime.datetime):
        return _in_utc(value)
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day, tzinfo=datetime.timezone.utc)
    if isinstance(value, str):
        text = value.strip()
        if match := _ISO.fullmatch(text):
            return _of_parts(match)
        return _of_unix(number(text), text)
    return _of_unix(finite(value), value)


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


def _of_parts(match: re.Match[str]) -> datetime.datetime | None:
    year, month, day, hour, minute, second, digits, zone = match.groups()
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


def _of_unix(approximate: float | None, exact: Any) -> datetime.datetime | None:
    if approximate is None:
        return None
    for low, high, per_second in _UNIX_RANGES:
        if low <= abs(approximate) < high:
            microseconds = Decimal(str(exact).replace(",", "")) * 10**6 / per_second
            try:
                return _EPOCH + datetime.timedelta(microseconds=int(microseconds))
            except OverflowError:  # before year 1
                return None
    return None
