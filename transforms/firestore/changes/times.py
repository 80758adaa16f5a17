"""Read times and versions as whole microseconds since 1970, which is all that Firestore keeps."""

from __future__ import annotations

import datetime
from typing import Any

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)


def micros_of(message: Any) -> int:
    """Of a protobuf `Timestamp`."""
    return int(message.seconds) * 1_000_000 + int(message.nanos) // 1000


def micros(time: datetime.datetime) -> int:
    """Of an aware datetime.

    >>> micros(from_micros(1_700_000_000_123_456))
    1700000000123456
    """
    return (time - _EPOCH) // _MICROSECOND


def from_micros(time_us: int) -> datetime.datetime:
    """The aware datetime, in UTC."""
    return _EPOCH + datetime.timedelta(microseconds=time_us)
