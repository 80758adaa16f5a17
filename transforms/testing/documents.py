"""Every version of every document, in memory.

    commit(writes) ──all or none──▶ a version per document, at one time later than every time seen before
    read(name, at), all(at)         the documents as they were at a time, as in a read at a `read_time`

Times are microseconds since 1970, Firestore's own precision. A document that is stored is never changed, only replaced,
so that readers need no copy. Thread-safe.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from transforms.testing.writes import apply, written_name


class Documents:
    """The documents of every database of a server.

    Args:
      now: seconds since 1970.

    Attributes:
      lock: held by whoever must not see a commit between two reads.
    """

    def __init__(self, now: Callable[[], float]):
        self.lock = threading.RLock()
        self._now, self._time_us = now, 0
        self._versions: dict[str, list[tuple[int, Any | None]]] = {}

    def read_time_us(self) -> int:
        """The present, in which no document will change any more."""
        with self.lock:
            self._time_us = max(int(self._now() * 1e6), self._time_us)
            return self._time_us

    def read(self, name: str, at_us: int | None = None) -> Any | None:
        """The protobuf `Document` of a full name, now or as it was; None if there is none."""
        for time_us, document in reversed(self._versions.get(name, ())):
            if at_us is None or time_us <= at_us:
                return document
        return None

    def all(self, at_us: int | None = None) -> list[Any]:
        """The protobuf `Document`s there are, or were, in no order."""
        with self.lock:
            found = (self.read(name, at_us) for name in self._versions)
            return [document for document in found if document is not None]

    def commit(self, writes: Iterable[Any], *, time_us: int | None = None) -> tuple[int, list[Any]]:
        """Applies protobuf `Write`s, all or none; each sees what those before it did.

        Returns:
          The time of the commit and the `WriteResult` of each write.

        Raises:
          RpcError: one of them cannot be applied.
        """
        with self.lock:
            self._time_us = max(int(self._now() * 1e6), self._time_us + 1) if time_us is None else time_us
            staged: dict[str, Any | None] = {}
            results = []
            for write in writes:
                name = written_name(write)
                stored = staged[name] if name in staged else self.read(name)
                staged[name], result = apply(write, stored, self._time_us)
                results.append(result)
            for name, document in staged.items():
                if document is not self.read(name):
                    self._versions.setdefault(name, []).append((self._time_us, document))
            return self._time_us, results
