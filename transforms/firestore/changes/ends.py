"""What follows from the end of a Listen stream.

A stream that a server keeps for hours ends in many ways that mean nothing: about hourly with OK, INTERNAL or ABORTED,
and with UNAUTHENTICATED when a token ran out. Few ends say that it is no use to begin again.
"""

from __future__ import annotations

import enum


class End(enum.Enum):
    """What to do now."""

    RECONNECT = "begin again at the position, after a wait"
    COMPARE = "the position cannot be followed: compare it with a newer state"
    FAIL = "it would end alike again: somebody must correct something first"


# RESOURCE_EXHAUSTED: we are slow to read, and the server has too much to keep for us.
_TRANSIENT = frozenset(
    {
        "OK",
        "ABORTED",
        "INTERNAL",
        "UNAVAILABLE",
        "UNKNOWN",
        "CANCELLED",
        "DEADLINE_EXCEEDED",
        "RESOURCE_EXHAUSTED",
    }
)
# Of a position: its token or its read time.
_OF_A_POSITION = ("token", "read_time", "read time", "too old", "timestamp")


def end_of_call(code: str, message: str, *, was_current: bool) -> End:
    """How to take the status of the RPC.

    Args:
      code: canonical gRPC code name.
      message: the service's own text.
      was_current: whether this stream has caught up before, in this process.

    >>> end_of_call("UNAUTHENTICATED", "", was_current=True).name
    'RECONNECT'
    >>> end_of_call("UNAUTHENTICATED", "", was_current=False).name
    'FAIL'
    """
    if code in _TRANSIENT or (was_current and code == "UNAUTHENTICATED"):
        return End.RECONNECT
    if code in ("INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE") and _is_about_the_position(message):
        return End.COMPARE
    return End.FAIL


def end_of_target(code: str, message: str, *, was_current: bool, n_removed: int) -> End:
    """How to take it that the server removed the target.

    Args:
      code, message: of the cause.
      was_current: whether the target had caught up.
      n_removed: how many times in a row it was removed before it had caught up, this time included.

    >>> end_of_target("DEADLINE_EXCEEDED", "", was_current=False, n_removed=1).name  # it will never catch up
    'COMPARE'
    """
    end = end_of_call(code, message, was_current=was_current)
    too_slow = code == "DEADLINE_EXCEEDED" or (n_removed > 1 and code != "RESOURCE_EXHAUSTED")
    if end is End.RECONNECT and not was_current and too_slow:
        return End.COMPARE
    return end


def _is_about_the_position(message: str) -> bool:
    text = message.lower()
    return "index" not in text and any(word in text for word in _OF_A_POSITION)
