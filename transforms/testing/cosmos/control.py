"""What a test asks the server beside the account's API, and the form of the answers. Plain Python."""

from __future__ import annotations

from typing import NamedTuple

LOST_STATUS = -1  # of a request whose connection was ended


class CosmosRequest(NamedTuple):
    """A request that was answered, or lost.

    Attributes:
      operation: one of script.OPERATIONS.
      path: without a slash in front.
      charge: in request units.
      priority: as the request says; None for none.
    """

    operation: str
    path: str
    status: int
    charge: float
    priority: str | None
