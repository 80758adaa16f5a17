"""When to poll, for how long, and how much at once. Plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# A tenth of a batch's own time: nobody waits for longer than that, and long batches need few requests.
_SHARE_OF_AGE = 0.1


@dataclass(frozen=True)
class Pace:
    """How a job waits for its batches.

    Attributes:
      max_wait_s: then no batch is waited for any more; 0 takes what is ready now.
      min_interval_s, max_interval_s: between two polls.
      max_running: batches at the provider at once; None for no limit.
      retry_failed: whether what failed, expired or is missing is asked for again.
      max_tries: how often a batch is triggered at most.
      finds_by_key: whether the provider keeps the key that a batch is created with.
      listed_within_s: until then a new batch may be missing from the provider's list.
      tick_s: how often the step looks whether something has ended, or whether it is to stop.
    """

    max_wait_s: float = 86_400.0
    min_interval_s: float = 2.0
    max_interval_s: float = 60.0
    max_running: int | None = None
    retry_failed: bool = False
    max_tries: int = 3
    finds_by_key: bool = True
    listed_within_s: float = 60.0
    tick_s: float = 0.2

    def interval_s(self, ages_s: Iterable[float]) -> float:
        """Until the next poll, given the ages of the batches that run.

        >>> Pace().interval_s([7.0, 900.0]), Pace().interval_s([300.0, 900.0]), Pace().interval_s([])
        (2.0, 30.0, 2.0)
        """
        youngest_s = min(ages_s, default=0.0)
        return min(max(self.min_interval_s, youngest_s * _SHARE_OF_AGE), self.max_interval_s)
