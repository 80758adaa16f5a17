"""A time that only the test moves."""

from __future__ import annotations

STARTED_AT = 1_700_000_000.0


class Clock:
    """Stands still until it is set; `seconds` are those since STARTED_AT."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return STARTED_AT + self.seconds
