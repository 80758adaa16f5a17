"""The batch that is being written while the next one is made ready: a record with an id of that batch is compared with
what the batch leaves. Plain Python.

    batch 1   CompareVersions ─▶ … ─▶ UpsertPairs ──begin(act, ids)──▶ Commits ───────▶ done
    batch 2                           CompareVersions ──wait_for(ids)── one is the same ─▶ reads what is stored

The fused steps of a bundle run in one thread and know each other by it. Who else writes the same documents, in other
threads or elsewhere, is found by the preconditions of the writes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import Future, wait
from typing import Any

from transforms.firestore.target import FirestoreTarget
from transforms.upsert.layout import Layout


class BatchInFlight:
    """The batch, if there is one, that a thread has begun to write to one destination."""

    def __init__(self) -> None:
        self._act: Future[Any] | None = None
        self._ids: frozenset[str] = frozenset()

    def begin(self, act: Future[Any], ids: frozenset[str]) -> None:
        """A batch with records of these ids is written until `act` is done, however it ends."""
        self._act, self._ids = act, ids

    def end(self) -> None:
        """There is none any more."""
        self._act, self._ids = None, frozenset()

    def wait_for(self, ids: Iterable[str]) -> None:
        """Waits until it is written, if it has a record of one of these ids."""
        if self._act is not None and not self._ids.isdisjoint(ids):
            wait([self._act])


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.by_destination: dict[tuple[FirestoreTarget, tuple[str, ...]], BatchInFlight] = {}


_of_thread = _OfThread()


def in_flight_to(layout: Layout) -> BatchInFlight:
    """What the calling thread writes to the collections of a layout; the same object for all its steps."""
    return _of_thread.by_destination.setdefault((layout.target, layout.prefixes), BatchInFlight())
