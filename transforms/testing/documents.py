"""Every version of every document, in memory.

    commit(writes) ──all or none──▶ a version per document, at one time later than every time seen before
    read(name, at), all(at)         the documents as they were at a time, as in a read at a `read_time`
    changed(after, to)              the names of the documents with a version in between

Times are microseconds since 1970, Firestore's own precision. A document that is stored is never changed, only replaced,
so that readers need no copy. Thread-safe.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from transforms.firestore.client import RpcError
from transforms.testing.writes import apply, written_name

_SECOND_US = 1_000_000
_MINUTE_US = 60 * _SECOND_US


class Retention(NamedTuple):
    """How old a read time may be.

    Attributes:
      exact_s: up to this age, every microsecond can be read.
      minutes_s: up to this age, whole minutes can be read; 0 for a database without point-in-time recovery.
      forgets: versions that no read time reaches any more are dropped.
    """

    exact_s: float
    minutes_s: float
    forgets: bool

    def check(self, at_us: int, now_us: int) -> None:
        """Raises RpcError if documents cannot be read as of `at_us`.

        Source of the code: googleapis/java-firestore, pull request 670; of what becomes of a time that is not a whole
        minute: "Point-in-time recovery overview" in the Firestore documentation.
        """
        if at_us > now_us:
            raise RpcError("INVALID_ARGUMENT", "read_time cannot be in the future")
        is_kept = at_us >= self._oldest_us(now_us) and at_us % _MINUTE_US == 0
        if at_us < now_us - self.exact_s * _SECOND_US and not is_kept:
            raise RpcError("FAILED_PRECONDITION", "The requested snapshot version is too old.")

    def unreachable_us(self, now_us: int) -> int:
        """Versions that were replaced at this time or before may be dropped; 0 for none."""
        return self._oldest_us(now_us) if self.forgets else 0

    def _oldest_us(self, now_us: int) -> int:
        return now_us - int(max(self.exact_s, self.minutes_s) * _SECOND_US)


class Documents:
    """The documents of every database of a server.

    Args:
      now: seconds since 1970.
      retention: how old a read time may be.

    Attributes:
      lock: held by whoever must not see a commit between two reads.
      forgotten_us: a document that was deleted at this time or before may have left no trace; 0 for none.
      on_commit: called after each commit, with the lock held.
      needed_us: returns the time from which on versions must not be forgotten, however old they are.
    """

    def __init__(self, now: Callable[[], float], retention: Retention):
        self.lock = threading.RLock()
        self.forgotten_us = 0
        self.on_commit: Callable[[], None] = lambda: None
        self.needed_us: Callable[[], float] = lambda: math.inf
        self._now, self._retention, self._time_us = now, retention, 0
        self._versions: dict[str, list[tuple[int, Any | None]]] = {}
        self._changes: list[tuple[int, list[str]]] = []  # time and names of each commit, in order

    def read_time_us(self) -> int:
        """The present, in which no document will change any more."""
        with self.lock:
            self._time_us = max(int(self._now() * _SECOND_US), self._time_us)
            return self._time_us

    def check_read_time(self, at_us: int) -> None:
        """Raises RpcError if documents cannot be read as of this time."""
        self._retention.check(at_us, self.read_time_us())

    def read(self, name: str, at_us: int | None = None) -> Any | None:
        """The protobuf `Document` of a full name, now or as it was; None if there is none."""
        for time_us, document in reversed(self._versions.get(name, ())):
            if at_us is None or time_us <= at_us:
                return document
        return None

    def former(self, name: str, at_us: int) -> Any | None:
        """The document before the version of a time; None if there was none, or it has been forgotten."""
        older = [document for time_us, document in self._versions.get(name, ()) if time_us <= at_us]
        return older[-2] if len(older) > 1 else None

    def all(self, at_us: int | None = None) -> list[Any]:
        """The protobuf `Document`s there are, or were, in no order."""
        with self.lock:
            found = (self.read(name, at_us) for name in self._versions)
            return [document for document in found if document is not None]

    def changed(self, after_us: int, to_us: int) -> set[str]:
        """At least the full names of the documents with a version after one time and up to another."""
        with self.lock:
            if after_us < self.forgotten_us:
                return set(self._versions)
            first, end = (bisect_right(self._changes, each, key=lambda change: change[0]) for each in (after_us, to_us))
            return {name for _, names in self._changes[first:end] for name in names}

    def unchanged_until_us(self, after_us: int) -> int:
        """The last time up to which no commit came after another time."""
        with self.lock:
            later = bisect_right(self._changes, after_us, key=lambda change: change[0])
            return self._changes[later][0] - 1 if later < len(self._changes) else self.read_time_us()

    def commit(self, writes: Iterable[Any], *, time_us: int | None = None) -> tuple[int, list[Any]]:
        """Applies protobuf `Write`s, all or none; each sees what those before it did.

        Returns:
          The time of the commit and the `WriteResult` of each write.

        Raises:
          RpcError: one of them cannot be applied.
        """
        with self.lock:
            self._time_us = max(int(self._now() * _SECOND_US), self._time_us + 1) if time_us is None else time_us
            staged: dict[str, Any | None] = {}
            results = []
            for write in writes:
                name = written_name(write)
                stored = staged[name] if name in staged else self.read(name)
                staged[name], result = apply(write, stored, self._time_us)
                results.append(result)
            changed = [name for name, document in staged.items() if document is not self.read(name)]
            for name in changed:
                self._versions.setdefault(name, []).append((self._time_us, staged[name]))
            self._changes.append((self._time_us, changed))
            self._forget(min(self._retention.unreachable_us(self._time_us), self.needed_us()))
            self.on_commit()
            return self._time_us, results

    def _forget(self, horizon_us: float) -> None:
        """Drops what was replaced or deleted at a time or before: each commit is looked at once, when it is as old."""
        n_old = bisect_right(self._changes, horizon_us, key=lambda change: change[0])
        for _, names in self._changes[:n_old]:
            for name in names:
                versions = self._versions.get(name, [])
                while len(versions) > 1 and versions[1][0] <= horizon_us:
                    del versions[0]
                if versions and versions[0][1] is None:
                    del versions[0]
                if not versions:
                    self._versions.pop(name, None)
        if n_old:
            del self._changes[:n_old]
            self.forgotten_us = int(horizon_us)
