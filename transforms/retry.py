"""How often and how long to wait before a request is sent again: bounded, exponential, full jitter.

Pure arithmetic: whoever retries owns the clock, the sleep and the randomness.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    """Full-jitter exponential back-off ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

    Attributes:
      max_attempts: how often a request is sent at the most, the first time included; in [1, 100].
      initial_s: upper bound of the first wait, in seconds.
      max_s: upper bound of every wait, in seconds.

    With the defaults a request is given up after at most 0.5 + 1 + 2 + 4 + 8 + 16 + 30 s of waiting, half of that on
    average.
    """

    max_attempts: int = 8
    initial_s: float = 0.5
    max_s: float = 30.0

    def __post_init__(self) -> None:
        if not 1 <= self.max_attempts <= 100:
            raise ValueError(f"max_attempts must be in [1, 100], got {self.max_attempts}")
        if not 0 <= self.initial_s <= self.max_s:
            raise ValueError(f"initial_s must be in [0, max_s={self.max_s}], got {self.initial_s}")

    def delay_s(self, attempt: int, random: Callable[[], float]) -> float:
        """Seconds to wait after the failed attempt number `attempt`, counted from 1; `random` returns [0, 1).

        >>> RetryPolicy(initial_s=0.5, max_s=30).delay_s(3, lambda: 0.5)
        1.0
        """
        # The exponent is bounded so that a large attempt number cannot overflow a float.
        return random() * min(self.max_s, self.initial_s * 2.0 ** min(attempt - 1, 64))
