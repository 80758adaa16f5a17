"""`AsyncDualStore`: as `DualStore`, in one event loop. The decisions are the same; only the waiting differs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from transforms.dual.core import Budget, Core, Phases, Settings, core_of, search_of, view_to_compare
from transforms.dual.counting import SHADOW_EQUAL, SHADOW_UNKNOWN
from transforms.dual.finding import Search
from transforms.dual.kinds import Key, Kind
from transforms.dual.log_lines import log_difference
from transforms.dual.protocol import Result, Steps
from transforms.dual.shadow import differing, verdict
from transforms.dual.store import Store, present
from transforms.dual.stored import COSMOS, FIRESTORE, Answer, Content, Failed, Found, Read, Request
from transforms.dual.watch import Guide
from transforms.errors import TransientError

T = TypeVar("T")
_MAX_COMPARISONS = 100


class AsyncStore(Protocol):
    """One of the two stores, for one kind of record, in one event loop."""

    async def answer(self, key: Key, request: Request, timeout_s: float) -> Answer:
        """As `Store.answer`."""

    async def query(self, search: Search, timeout_s: float) -> list[Content]:
        """As `Store.query`."""

    async def close(self) -> None:
        """Closes connections."""


class InEventLoop:
    """A store that answers at once, such as one in memory, for an event loop."""

    def __init__(self, store: Store):
        self._store = store

    async def answer(self, key: Key, request: Request, timeout_s: float) -> Answer:
        """As `Store.answer`."""
        return self._store.answer(key, request, timeout_s)

    async def query(self, search: Search, timeout_s: float) -> list[Content]:
        """As `Store.query`."""
        return self._store.query(search, timeout_s)

    async def close(self) -> None:
        """Does nothing."""


class AsyncDualStore:
    """As `DualStore`, for one event loop: arguments, answers and errors of each method are the same."""

    def __init__(
        self,
        kind: Kind,
        phases: Phases,
        *,
        cosmos: AsyncStore | None = None,
        firestore: AsyncStore | None = None,
        settings: Settings | None = None,
        core: Core | None = None,
    ):
        self._core = core or core_of(kind, phases, settings)
        self._stores = {COSMOS: cosmos, FIRESTORE: firestore}
        self._comparisons: set[asyncio.Task[None]] = set()

    @property
    def counts(self) -> dict[str, int]:
        """What this instance has counted, by name."""
        return self._core.counts.counts()

    async def get(self, item_id: str, **naming: Any) -> dict[str, Any] | None:
        """As `DualStore.get`."""
        key, guide = self._core.key_of(item_id, naming), await self._guide()
        reasons = {}
        for store in guide.phase.reads:
            answer = await self._ask(Read(store, needs_content=True), key, self._core.reading(store))
            if isinstance(answer, Found):
                self._core.read_from(store, guide)
                if self._core.compares(guide):
                    self._compare_later(key, guide)
                found = answer.stored
                return None if found is None or found.content is None else dict(found.content)
            reasons[store] = answer.reason if isinstance(answer, Failed) else "no answer"
        raise self._core.unanswered(reasons)

    async def put(self, item: Mapping[str, Any]) -> Result:
        """As `DualStore.put`."""
        key, content, guide = self._core.kind.key_of(item), self._core.content_of(item), await self._guide()
        steps, budget = self._core.put(content, guide)
        return self._core.ended(await self._drive(steps, key, budget), content)

    async def patch(self, item_id: str, changes: Mapping[str, Any], **naming: Any) -> Result | None:
        """As `DualStore.patch`."""
        key, changes = self._core.key_of(item_id, naming), self._core.content_of(changes)
        steps, budget = self._core.patch(key, changes, await self._guide())
        result = await self._drive(steps, key, budget)
        return None if result is None else self._core.ended(result, {**key.naming, **(result.content or {})})

    async def delete(self, item_id: str, **naming: Any) -> Result:
        """As `DualStore.delete`."""
        key, guide = self._core.key_of(item_id, naming), await self._guide()
        steps, budget = self._core.put(None, guide)
        return self._core.ended(await self._drive(steps, key, budget), key.naming, is_delete=True)

    async def query(
        self,
        *where: tuple[str, str, Any],
        order_by: str | None = None,
        descending: bool = False,
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        """As `DualStore.query`."""
        search, guide = search_of(where, order_by, descending, limit), await self._guide()
        reasons = {}
        for name in guide.phase.reads:
            if not self._core.outages[name].may_ask():
                reasons[name] = "skipped: the store has not answered for a while"
                continue
            try:
                found = await self._store(name).query(search, self._core.settings.primary_timeout_s)
            except TransientError as error:
                self._core.outages[name].answered(is_up=False)
                reasons[name] = str(error)
            else:
                self._core.read_from(name, guide)
                return [dict(item) for item in found]
        raise self._core.unanswered(reasons)

    async def close(self) -> None:
        """As `DualStore.close`."""
        await asyncio.gather(*self._comparisons)
        for store in self._stores.values():
            if store is not None:
                await store.close()
        await asyncio.to_thread(self._core.phases.close)

    async def __aenter__(self) -> AsyncDualStore:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _guide(self) -> Guide:
        # The first one may wait for the phase to be read.
        return self._core.guide() if self._core.phases.is_ready() else await asyncio.to_thread(self._core.guide)

    async def _drive(self, steps: Steps[T], key: Key, budget: Budget) -> T:
        answer: Any = None
        while True:
            try:
                request = steps.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = await self._ask(request, key, budget)

    async def _ask(self, request: Request, key: Key, budget: Budget) -> Answer:
        failed, left_s = self._core.refusal(request, budget)
        if failed is not None:
            return failed
        asked_s = self._core.clock.monotonic()
        answer = await self._store(request.store).answer(key, request, left_s)
        self._core.answered(request, answer, budget, asked_s)
        return answer

    def _store(self, name: str) -> AsyncStore:
        return present(self._stores[name], name)

    def _compare_later(self, key: Key, guide: Guide) -> None:
        if len(self._comparisons) >= _MAX_COMPARISONS:
            self._core.counts.add(SHADOW_UNKNOWN)
            return
        task = asyncio.ensure_future(self.compare(key, guide))
        self._comparisons.add(task)
        task.add_done_callback(self._comparisons.discard)

    async def compare(self, key: Key, guide: Guide) -> None:
        """As `DualStore.compare`."""
        once = await self._differing(key, guide)
        if once == []:
            self._core.counts.add(SHADOW_EQUAL)
            return
        await self._core.clock.asleep(self._core.settings.shadow_pause_s)
        counter, names = verdict(once, await self._differing(key, guide))
        self._core.counts.add(counter)
        if names:
            log_difference(self._core.kind, names)

    async def _differing(self, key: Key, guide: Guide) -> list[str] | None:
        first, second = view_to_compare(guide.view)
        return differing(
            await self._ask(Read(first, needs_content=True), key, self._core.reading(first)),
            await self._ask(Read(second, needs_content=True), key, self._core.reading(second)),
        )
