"""A store in memory, with the versions of the one it stands for: for tests of applications, and of the protocol.

    store = MemoryStore("cosmos")
    store.answer(key, Write("cosmos", draft, None))      # Written(Version(…))
    store.is_down = True                                 # from now on every request fails

Cosmos DB's versions are whole seconds with a tag, Firestore's are microseconds, as those of the services.
"""

from __future__ import annotations

import copy
import datetime
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import replace
from operator import itemgetter

from transforms.dual.counting import Hours
from transforms.dual.finding import Search
from transforms.dual.stored import (
    COSMOS,
    STORES,
    Answer,
    Conflict,
    Content,
    Failed,
    Found,
    Read,
    Remove,
    Request,
    Stored,
    Version,
    Write,
    Written,
)
from transforms.errors import TransientError
from transforms.migrate.phases import State
from transforms.retry import SYSTEM_CLOCK

_SECOND = 1_000_000


class MemoryStore:
    """Documents by key. Thread-safe.

    Args:
      stands_for: `cosmos` or `firestore`.
      now: seconds since the epoch.

    Attributes:
      is_down: whether every request fails.
      n_requests: how many there were.
    """

    def __init__(self, stands_for: str, now: Callable[[], float] = SYSTEM_CLOCK.now):
        if stands_for not in STORES:
            raise ValueError(f"a store stands for one of {', '.join(STORES)}, got {stands_for!r}")
        self.stands_for, self._now = stands_for, now
        self.is_down = False
        self.n_requests = 0
        self._documents: dict[Hashable, Stored] = {}
        self._order: dict[Hashable, int] = {}
        self._n_writes = 0
        self._last_time = 0
        self._lock = threading.RLock()

    def answer(self, key: Hashable, request: Request, timeout_s: float | None = None) -> Answer:
        """Does what a request of the protocol asks. It takes no time."""
        with self._lock:
            self.n_requests += 1
            if self.is_down:
                return Failed("the store is down")
            found = self._documents.get(key)
            if isinstance(request, Read):
                return Found(None if found is None else _copied(found))
            if isinstance(request, Remove):
                return self._removed(key, found, request)
            if request.is_guarded and _version(found) != _version(request.over):
                return Conflict()
            return Written(self._written(key, request))

    def query(self, search: Search, timeout_s: float | None = None) -> list[Content]:
        """The items that are asked for. Raises TransientError while the store is down."""
        with self._lock:
            self.n_requests += 1
            if self.is_down:
                raise TransientError("the store is down")
            contents = [stored.content for _, stored in self.documents() if stored.content is not None]
        return list(search.of(contents))

    def documents(self) -> Iterator[tuple[Hashable, Stored]]:
        """All documents and tombstones with their keys, the one that was written last at the end."""
        with self._lock:
            keys = sorted(self._documents, key=self._order.__getitem__)
            return iter([(key, _copied(self._documents[key])) for key in keys])

    def changed_since(self, position: int) -> Iterator[tuple[int, Hashable, Stored]]:
        """A change feed: the newest version of each document written since a position, with its own position."""
        with self._lock:
            found = sorted(((at, key) for key, at in self._order.items() if at > position), key=itemgetter(0))
            return iter([(at, key, _copied(self._documents[key])) for at, key in found])

    def _removed(self, key: Hashable, found: Stored | None, request: Remove) -> Answer:
        if found is None or found.version != request.found.version or not found.is_tombstone:
            return Conflict()
        del self._documents[key], self._order[key]
        return Written(None)

    def _written(self, key: Hashable, request: Write) -> Version:
        draft, version = request.draft, self._next_version()
        self._order[key] = self._n_writes
        content = copy.deepcopy(draft.content)
        self._documents[key] = Stored(content, version, draft.stamp, draft.copied, draft.is_pending)
        return version

    def _next_version(self) -> Version:
        now = int(self._now() * _SECOND)
        self._n_writes += 1
        if self.stands_for == COSMOS:
            # A tag says nothing about order.
            return Version(now // _SECOND * _SECOND, f"{self._n_writes * 2_654_435_761 % 2**32:08x}")
        self._last_time = max(now, self._last_time + 1)
        return Version(self._last_time)


def _copied(stored: Stored) -> Stored:
    """Whoever changes the content of an answer does not change the store's."""
    return replace(stored, content=copy.deepcopy(stored.content))


def _version(stored: Stored | None) -> Version | None:
    return None if stored is None else stored.version


class MemoryMigration:
    """A migration in memory.

    Args:
      state: which phase it is in; a test sets another one.

    Attributes:
      is_down: whether nobody answers.
      saved: what instances have counted, by instance: phase, counts, hours.
    """

    def __init__(self, state: State, now: Callable[[], float] = SYSTEM_CLOCK.now):
        self.state, self._now = state, now
        self.is_down = False
        self.saved: dict[str, tuple[str, dict[str, int], Hours]] = {}

    def read(self, timeout_s: float) -> tuple[State, datetime.datetime]:
        """As `watch.Migration`."""
        if self.is_down:
            raise TransientError("the database is down")
        return self.state, datetime.datetime.fromtimestamp(self._now(), datetime.timezone.utc)

    def save(self, instance: str, phase: str, counts: Mapping[str, int], hours: Hours) -> None:
        """As `watch.Migration`."""
        self.saved[instance] = (phase, dict(counts), hours)
