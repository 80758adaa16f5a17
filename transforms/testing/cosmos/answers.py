"""What the server answers: a status, headers and bytes; and how it refuses. Plain Python."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SUB_STATUS = "x-ms-substatus"
RETRY_AFTER_MS = "x-ms-retry-after-ms"
CHARGE = "x-ms-request-charge"
CONTINUATION = "x-ms-continuation"

# Sub-status codes: azure.cosmos.http_constants.SubStatusCodes.
KEY_MISMATCH = 1001
NEEDS_QUERY_PLAN = 1004
OTHER_CONTAINER = 1024
RANGE_GONE = 1002
OWNER_MISSING = 1003
THROTTLED = 3200

_CODES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Gone",
    412: "PreconditionFailed",
    413: "RequestEntityTooLarge",
    424: "FailedDependency",
    429: "TooManyRequests",
    449: "RetryWith",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}


@dataclass(frozen=True)
class Answer:
    """An answer to a request.

    Attributes:
      charge: in request units.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    charge: float = 1.0


class RefusedError(Exception):
    """The service refuses the request."""

    def __init__(self, status: int, message: str, sub_status: int = 0, retry_after_ms: int | None = None):
        self.status, self.message, self.sub_status, self.retry_after_ms = status, message, sub_status, retry_after_ms
        super().__init__(message)

    def answer(self) -> Answer:
        """As the service says it."""
        headers = {SUB_STATUS: str(self.sub_status)}
        if self.retry_after_ms is not None:
            headers[RETRY_AFTER_MS] = str(self.retry_after_ms)
        return Answer(
            self.status, encoded({"code": _CODES.get(self.status, "Error"), "message": self.message}), headers
        )


def encoded(value: Any) -> bytes:
    """JSON without spaces, in UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace")
