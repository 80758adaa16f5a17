"""How urgent a stream is: its changes per minute, and its share where not all can go at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from transforms.errors import UsageError

CRITICAL, HIGH, MEDIUM, LOW = "critical", "high", "medium", "low"
PRIORITIES = (CRITICAL, HIGH, MEDIUM, LOW)
DEFAULT_RATES: Mapping[str, int] = MappingProxyType({CRITICAL: 500, HIGH: 200, MEDIUM: 100, LOW: 50})

_MAX_RATE = 1_000_000


def parse_rates(texts: Sequence[str]) -> dict[str, int]:
    """Changes per minute by priority, as `--rates` has them; those that are not named keep their default.

    Raises:
      UsageError: an unknown priority, one named twice, or a rate that is not in [1, 1,000,000].

    >>> parse_rates(["critical=900", "low=10"])
    {'critical': 900, 'high': 200, 'medium': 100, 'low': 10}
    """
    found: dict[str, int] = {}
    for text in texts:
        priority, equals, rate = (part.strip() for part in text.partition("="))
        if not equals:
            raise UsageError(f"--rates must be like critical=500,low=50, got {text!r}")
        check_priority(priority, "--rates")
        if priority in found:
            raise UsageError(f"--rates has two rates for {priority}; give one")
        if not (rate.isascii() and rate.isdigit() and 1 <= int(rate) <= _MAX_RATE):
            raise UsageError(f"--rates: {priority} must be a whole number in [1, {_MAX_RATE:,}], got {rate!r}")
        found[priority] = int(rate)
    return {**DEFAULT_RATES, **found}


def check_priority(priority: str, where: str) -> None:
    """Raises UsageError unless there is such a priority; `where` says who named it."""
    if priority not in PRIORITIES:
        raise UsageError(f"{where}: unknown priority {priority!r}; use one of {', '.join(PRIORITIES)}")
