"""The processes in which Beam's local runner works, where they are not threads of this one. Beam does not end them."""

from __future__ import annotations

import contextlib
import time

import psutil

_KILL_INTERVAL_S = 0.02


class WorkerProcesses:
    """All processes that this one starts from now on."""

    def __init__(self) -> None:
        self._not_ours = _living_children()

    def end(self) -> None:
        """Kills those that were started, and those that they start meanwhile."""
        while workers := _living_children() - self._not_ours:
            for worker in workers:
                with contextlib.suppress(psutil.NoSuchProcess):
                    worker.kill()
            time.sleep(_KILL_INTERVAL_S)


def _living_children() -> set[psutil.Process]:
    living = set()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE:  # ended, but nobody has asked for its exit code
                living.add(child)
    return living
