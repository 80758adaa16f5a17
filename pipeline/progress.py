"""Shows how far a running job is: a live line on a terminal, a plain line every few seconds elsewhere.

The numbers come from the ledger, so they are the same for a job that runs on this machine and for one that runs on
another: batches that are done, not attempts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from rich.console import Console
from rich.markup import escape

from transforms.errors import TransientError
from transforms.totals import Totals

_POLL_INTERVAL_S = 1.0
# Reading the ledger takes longer the more batches there are; it shall take at most this share of the time.
_MAX_POLL_SHARE = 0.05
_MAX_INTERVAL_S = 10.0
_PLAIN_INTERVAL_S = 10.0


class Running(Protocol):
    """Something that runs."""

    def wait(self, timeout_s: float) -> bool:
        """Whether it ended within the time."""


def show_progress(
    running: Running,
    totals: Callable[[], Totals],
    beat: Callable[[], None],
    console: Console,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Returns when `running` has ended.

    Args:
      running: what to wait for.
      totals: reads the ledger.
      beat: called about once a second; may raise to end the wait.
      console: where to show it.
      now: seconds, monotonic.
    """
    started_at = printed_at = now()
    with console.status("starting …") as live:
        interval_s = _POLL_INTERVAL_S
        while not running.wait(interval_s):
            beat()
            polled_at = now()
            try:
                line = progress_line(totals(), now() - started_at)
            except TransientError as failure:  # the run itself will tell whether this matters
                line = f"progress is not known: {escape(str(failure))}"
            interval_s = min(_MAX_INTERVAL_S, max(_POLL_INTERVAL_S, (now() - polled_at) / _MAX_POLL_SHARE))
            live.update(line)
            if not console.is_terminal and now() - printed_at >= _PLAIN_INTERVAL_S:
                console.print(line, highlight=False)
                printed_at = now()


def progress_line(totals: Totals, elapsed_s: float) -> str:
    """
    >>> progress_line(Totals(batches=2, read=1000, written=1000), 4.0)
    '2 batches, 1,000 records, 0 dead letters, 0 retries, 250 records/s'
    """
    return (
        f"{totals.batches:,} batches, {totals.read:,} records, {totals.dead_letter_count:,} dead letters, "
        f"{totals.retries:,} retries, {totals.read / max(elapsed_s, 1e-9):,.0f} records/s"
    )
