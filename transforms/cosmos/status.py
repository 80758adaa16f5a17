"""A request that an account has refused: status, sub-status, headers, text. Plain Python."""

from __future__ import annotations

from collections.abc import Mapping

_SUB_STATUS = "x-ms-substatus"
_SESSION_NOT_AVAILABLE = 1002
_RETRY_AFTER_MS = "x-ms-retry-after-ms"


class StatusError(Exception):
    """The account refused a request.

    Args:
      text: of the answer; may hold content.
    """

    def __init__(self, status: int, headers: Mapping[str, str], text: str):
        self.status, self.headers, self.text = status, headers, text
        super().__init__(status)

    @property
    def sub_status(self) -> int:
        """Tells refusals of one status apart; 0 for none."""
        text = str(self.headers.get(_SUB_STATUS, ""))
        return int(text) if text.isdecimal() else 0

    @property
    def is_session_behind(self) -> bool:
        """Whether the replica that was asked has not seen the session's own writes yet."""
        return self.status == 404 and self.sub_status == _SESSION_NOT_AVAILABLE

    @property
    def retry_after_s(self) -> float | None:
        """When the service asks to be asked again, in seconds.

        >>> StatusError(429, {"x-ms-retry-after-ms": "250"}, "").retry_after_s
        0.25
        """
        text = str(self.headers.get(_RETRY_AFTER_MS, ""))
        return int(text) / 1000 if text.isdecimal() else None
