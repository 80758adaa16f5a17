"""The names that a listened query has, with their versions: at most so many in a process, in memory only.

A cache tells an added document from a modified one, says which version a deleted one had, and finds deletes that the
service does not report. It may be lost at any time: Firestore itself remembers what was there at a position.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable


class NamePool:
    """The caches that share one bound: each may keep what the others leave. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._caches: weakref.WeakSet[NameCache] = weakref.WeakSet()

    def add(self, cache: NameCache) -> None:
        """One more, as long as somebody has it."""
        with self._lock:
            self._caches.add(cache)

    def n_others(self, cache: NameCache) -> int:
        """How many names all caches but one keep."""
        with self._lock:
            return sum(len(each.versions or ()) for each in self._caches if each is not cache)


PROCESS_NAMES = NamePool()


class NameCache:
    """Update times by path, as long as there are not too many.

    Args:
      max_names: if all caches of the pool had more, nothing is remembered.
      pool: which it shares the bound with; default: one of its own.

    Attributes:
      versions: update times in microseconds by path; None where they are not known.
    """

    def __init__(self, max_names: int, pool: NamePool | None = None):
        self.max_names, self._pool = max_names, pool or NamePool()
        self.versions: dict[str, int] | None = None
        self._pool.add(self)

    @property
    def room(self) -> int:
        """How many names it may keep now."""
        return max(0, self.max_names - self._pool.n_others(self))

    def replace(self, versions: Iterable[tuple[str, int]] | None) -> None:
        """These are all the names now; None where they are not known."""
        self.versions = None if versions is None else dict(versions)
        self._bound()

    def change(self, changed: Iterable[tuple[str, int]], removed: Iterable[str]) -> int | None:
        """Documents got new versions, and others were removed. Returns how many there are; None if not known."""
        if self.versions is None:
            return None
        self.versions.update(changed)
        for path in removed:
            self.versions.pop(path, None)
        n_names = len(self.versions)
        self._bound()
        return n_names

    def _bound(self) -> None:
        if self.versions is not None and len(self.versions) > self.room:
            self.versions = None
