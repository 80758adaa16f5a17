"""A store that is made, and whose client is imported, when it is first asked: once, whichever thread comes first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from transforms.dual.async_store import AsyncStore
from transforms.dual.finding import Search
from transforms.dual.kinds import Key
from transforms.dual.store import Store
from transforms.dual.stored import Answer, Content, Request

S = TypeVar("S")


class _Made(Generic[S]):
    """
    Args:
      make: imports the client, and makes the store.
    """

    def __init__(self, make: Callable[[], S]):
        self._make = make
        self._lock = threading.Lock()
        self._made: S | None = None

    def _store(self) -> S:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made


class OnFirstUse(_Made[Store]):
    """As the store. Thread-safe."""

    def answer(self, key: Key, request: Request, timeout_s: float) -> Answer:
        """As `Store.answer`."""
        return self._store().answer(key, request, timeout_s)

    def query(self, search: Search, timeout_s: float) -> list[Content]:
        """As `Store.query`."""
        return self._store().query(search, timeout_s)


class AsyncOnFirstUse(_Made[AsyncStore]):
    """As the store, for its event loop."""

    async def answer(self, key: Key, request: Request, timeout_s: float) -> Answer:
        """As `Store.answer`."""
        return await self._store().answer(key, request, timeout_s)

    async def query(self, search: Search, timeout_s: float) -> list[Content]:
        """As `Store.query`."""
        return await self._store().query(search, timeout_s)

    async def close(self) -> None:
        """Closes the store if there is one."""
        if self._made is not None:
            await self._made.close()
