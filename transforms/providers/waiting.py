"""When to poll, for how long, and how much at once. No clock of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# A tenth of a batch's own time: nobody waits for longer than that, and long batches need few requests.
_SHARE_OF_AGE = 0.1
# As many waits without a further refusal, and one more is tried: a few refusals within minutes, and nothing is sent.
_REFUSALS_HOLD = 5


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


class AtOnce:
    """How many batches may be at the provider: fewer once it has refused one, later slowly more again.

    Args:
      max_running: more are never allowed.
      wait_s: none is created for so long after a refusal; and then one more at once for each such time.
    """

    def __init__(self, max_running: int, wait_s: float):
        self._max, self._wait_s = max_running, wait_s
        self._allowed = max_running
        self._not_before = self._more_at = 0.0

    def refused(self, n_running: int, now: float) -> None:
        """The provider has enough, with so many of them running.

        Args:
          now: seconds, of any clock.
        """
        self._allowed = max(1, min(self._allowed, n_running))
        self._not_before, self._more_at = now + self._wait_s, now + _REFUSALS_HOLD * self._wait_s

    def is_room(self, n_at_provider: int, now: float) -> bool:
        """Whether one more may be created now.

        >>> at_once = AtOnce(max_running=50, wait_s=60)
        >>> at_once.refused(n_running=3, now=0)
        >>> [at_once.is_room(n, now) for n, now in [(0, 59), (2, 60), (3, 299), (3, 300), (4, 359), (4, 360)]]
        [False, True, False, True, False, True]
        """
        if self._allowed < self._max and now >= self._more_at:
            self._allowed, self._more_at = self._allowed + 1, now + self._wait_s
        return n_at_provider < self._allowed and now >= self._not_before
