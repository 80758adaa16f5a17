"""Connects to the server of a database, which may be away for a while. Plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from transforms.errors import FirebeamError
from transforms.retry import Retry

C = TypeVar("C")
E = TypeVar("E", bound=Exception)


def connected(
    connect: Callable[[], C],
    retry: Retry,
    outage_s: float,
    *,
    catch: type[E],
    meaning: Callable[[E], FirebeamError],
) -> C:
    """A new connection.

    Args:
      connect: once; may be called again.
      outage_s: how long the server may be away, whatever attempts that takes.
      catch: what a connection that fails raises.
      meaning: of such a failure.

    Raises:
      JobError, TransientError: as `meaning` says.
    """
    now = retry.clock.monotonic
    given_up_at = now() + outage_s
    return retry.call(
        connect,
        catch=catch,
        meaning=lambda error, made: meaning(error),
        is_outage=lambda: now() < given_up_at,
    )
