"""What a provider's headers say may still be asked.

x-ratelimit-limit-tokens: 30000          anthropic-ratelimit-tokens-limit: 80000
x-ratelimit-remaining-tokens: 28500      anthropic-ratelimit-tokens-remaining: 79000
x-ratelimit-reset-tokens: 6m0.5s         anthropic-ratelimit-tokens-reset: 2026-01-01T00:00:07Z
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import NamedTuple

from transforms.providers.chat import ANY_PART

_UNITS_S = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")


class LevelHeaders(NamedTuple):
    """The names of the headers that say how one limit is."""

    limit: str
    remaining: str
    reset: str

    @classmethod
    def of(cls, pattern: str) -> LevelHeaders:
        """
        >>> LevelHeaders.of("x-ratelimit-*-tokens").remaining
        'x-ratelimit-remaining-tokens'
        """
        return cls(*(pattern.replace(ANY_PART, part) for part in cls._fields))


class Level(NamedTuple):
    """How one limit is. What is not said, or makes no sense, is None.

    Attributes:
      limit: how much there is when nothing is used.
      remaining: how much is left.
      reset_s: seconds until nothing is used any more, if nothing more is asked.
    """

    limit: float | None
    remaining: float | None
    reset_s: float | None


def level_in(headers: Mapping[str, str], names: LevelHeaders, now: float) -> Level:
    """What an answer's headers say of one limit.

    Args:
      now: seconds since the epoch.
    """
    return Level(_number(headers.get(names.limit)), _number(headers.get(names.remaining)), _until(headers, names, now))


def seconds_in(text: str) -> float | None:
    """A duration as Go and Google write it, or plain seconds.

    >>> seconds_in("6m0.5s"), seconds_in("20ms"), seconds_in("7"), seconds_in("soon")
    (360.5, 0.02, 7.0, None)
    """
    if _DURATION.fullmatch(text):
        return sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(text))
    return _number(text)


def _until(headers: Mapping[str, str], names: LevelHeaders, now: float) -> float | None:
    text = headers.get(names.reset)
    if text is None:
        return None
    seconds = seconds_in(text)
    if seconds is not None:
        return seconds
    try:
        at = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        return max(0.0, at.timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
