"""A local run that is asked to stop: batches in flight are finished, no further one is begun.

The flag is this process's own, so it reaches readers whose workers are threads of the launcher, and no others.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

_asked = threading.Event()


def ask_to_stop() -> None:
    """Readers of this process begin no further batch."""
    _asked.set()


def forget_request() -> None:
    """Forgets an earlier request; called when a run begins."""
    _asked.clear()


def is_asked_to_stop() -> bool:
    """Whether to begin no further batch."""
    return _asked.is_set()


@dataclass(frozen=True)
class PassedOver:
    """Says of a batch id whether the batch need not be read: it is complete, or the run is asked to stop."""

    completed: frozenset[str] = frozenset()

    def __call__(self, batch_id: str) -> bool:
        return batch_id in self.completed or is_asked_to_stop()
