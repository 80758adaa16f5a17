"""A cursor of PyMySQL whose rows come one by one, and whose answer can be left unread. Imports PyMySQL."""

from __future__ import annotations

from typing import Protocol

from pymysql.cursors import SSCursor


class _Answer(Protocol):
    unbuffered_active: bool


class UnbufferedCursor(SSCursor):
    """As SSCursor, which would read an answer to its end before it lets go of it."""

    _result: _Answer | None

    def leave(self) -> None:
        """Leaves the rest unread. The connection is of no use for anything else after that."""
        if self._result is not None:
            self._result.unbuffered_active = False
