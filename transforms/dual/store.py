"""`DualStore`: get, put, patch, delete and query, in both stores as the phase says.

    attempts = connect(read_spec("student_attempts"), "cosmos://school/attempts", partition_key="/student_id", …)
    attempts.put({"id": "a-1", "student_id": "12345", "score": 0.8})
    attempts.get("a-1", student_id="12345")

A write goes to the primary, then to the other store, and says what became of it in each. If one is down, the other has
the write, marked pending: the repairing job carries it over. If both are down, the write fails.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from transforms.dual.core import Budget, Core, Phases, Settings, core_of, search_of, view_to_compare
from transforms.dual.counting import SHADOW_EQUAL, SHADOW_UNKNOWN
from transforms.dual.finding import Search
from transforms.dual.kinds import Key, Kind
from transforms.dual.log_lines import log_difference
from transforms.dual.protocol import Result, Steps
from transforms.dual.shadow import differing, verdict
from transforms.dual.stored import COSMOS, FIRESTORE, Answer, Content, Failed, Found, Read, Request
from transforms.dual.watch import Guide
from transforms.errors import TransientError, UsageError

T = TypeVar("T")
_MAX_WAITING_COMPARISONS = 100


class Store(Protocol):
    """One of the two stores, for one kind of record. Thread-safe."""

    def answer(self, key: Key, request: Request, timeout_s: float) -> Answer:
        """Does what a request asks, within this time; a failure is a value."""

    def query(self, search: Search, timeout_s: float) -> list[Content]:
        """Items that are asked for. Raises TransientError."""


class DualStore:
    """Records of one kind in Cosmos DB and Firestore. Thread-safe.

    Items look the same from either store: JSON's own values, `id` among them, without the fields that a store adds.
    Every method raises RecordError for an item that cannot be stored, or that has no id or partition key.

    Args:
      kind: of the records.
      phases: which phase the migration is in.
      cosmos, firestore: the stores; one that no phase writes may be None.
      settings: how long to wait, and what to compare.
    """

    def __init__(
        self,
        kind: Kind,
        phases: Phases,
        *,
        cosmos: Store | None = None,
        firestore: Store | None = None,
        settings: Settings | None = None,
        core: Core | None = None,
    ):
        self._core = core or core_of(kind, phases, settings)
        self._stores = {COSMOS: cosmos, FIRESTORE: firestore}
        self._shadows: queue.Queue[tuple[Key, Guide] | None] = queue.Queue(_MAX_WAITING_COMPARISONS)
        self._shadow_thread: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def counts(self) -> dict[str, int]:
        """What this instance has counted, by name."""
        return self._core.counts.counts()

    def get(self, item_id: str, **naming: Any) -> dict[str, Any] | None:
        """An item; None if there is none.

        Args:
          item_id: its id.
          naming: the fields of its partition key, and those of its document's id.

        Raises:
          ReadFailedError: no store that is read in this phase answers.
        """
        key, guide = self._core.key_of(item_id, naming), self._core.guide()
        reasons = {}
        for store in guide.phase.reads:
            answer = self._ask(Read(store, needs_content=True), key, self._core.reading(store))
            if isinstance(answer, Found):
                self._core.read_from(store, guide)
                if self._core.compares(guide):
                    self._compare_later(key, guide)
                found = answer.stored
                return None if found is None or found.content is None else dict(found.content)
            reasons[store] = answer.reason if isinstance(answer, Failed) else "no answer"
        raise self._core.unanswered(reasons)

    def put(self, item: Mapping[str, Any]) -> Result:
        """Stores an item, whatever is there.

        Returns:
          What became of it in each store.

        Raises:
          BothFailedError: neither store has it. WriteFailedError: as that, in a phase of one store.
        """
        key, content, guide = self._core.kind.key_of(item), self._core.content_of(item), self._core.guide()
        steps, budget = self._core.put(content, guide)
        return self._core.ended(self._drive(steps, key, budget), content)

    def patch(self, item_id: str, changes: Mapping[str, Any], **naming: Any) -> Result | None:
        """Sets fields of an item, if nobody changes it meanwhile; else it is read again.

        Args:
          changes: the fields, whole.

        Returns:
          As `put`; None if there is no such item.

        Raises:
          BothFailedError, WriteFailedError: as `put`.
        """
        key, changes, guide = (
            self._core.key_of(item_id, naming),
            self._core.content_of(changes),
            self._core.guide(),
        )
        steps, budget = self._core.patch(key, changes, guide)
        result = self._drive(steps, key, budget)
        return None if result is None else self._core.ended(result, {**key.naming, **(result.content or {})})

    def delete(self, item_id: str, **naming: Any) -> Result:
        """Deletes an item, whether there is one or not: a tombstone says so to the other store.

        Raises:
          BothFailedError, WriteFailedError: as `put`.
        """
        key, guide = self._core.key_of(item_id, naming), self._core.guide()
        steps, budget = self._core.put(None, guide)
        return self._core.ended(self._drive(steps, key, budget), key.naming, is_delete=True)

    def query(
        self,
        *where: tuple[str, str, Any],
        order_by: str | None = None,
        descending: bool = False,
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        """Items whose fields equal or exceed values, such as `("student_id", "==", "12345")`.

        Args:
          where: field, one of ==, <, <=, >, >=, and a value; all must hold.
          order_by: a field; items without it are left out.
          limit: maximum number of items, at most 10,000.

        Raises:
          ReadFailedError: as `get`. UsageError: what both stores do not answer alike.
        """
        search, guide = search_of(where, order_by, descending, limit), self._core.guide()
        reasons = {}
        for name in guide.phase.reads:
            if not self._core.outages[name].may_ask():
                reasons[name] = "skipped: the store has not answered for a while"
                continue
            try:
                found = self._store(name).query(search, self._core.settings.primary_timeout_s)
            except TransientError as error:
                self._core.outages[name].answered(is_up=False)
                reasons[name] = str(error)
            else:
                self._core.read_from(name, guide)
                return [dict(item) for item in found]
        raise self._core.unanswered(reasons)

    def close(self) -> None:
        """Ends what runs in the background, and saves what was counted."""
        if self._shadow_thread is not None:
            self._shadows.put(None)
            self._shadow_thread.join()
        self._core.phases.close()

    def __enter__(self) -> DualStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _drive(self, steps: Steps[T], key: Key, budget: Budget) -> T:
        answer: Any = None
        while True:
            try:
                request = steps.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = self._ask(request, key, budget)

    def _ask(self, request: Request, key: Key, budget: Budget) -> Answer:
        failed, left_s = self._core.refusal(request, budget)
        if failed is not None:
            return failed
        asked_s = self._core.clock.monotonic()
        answer = self._store(request.store).answer(key, request, left_s)
        self._core.answered(request, answer, budget, asked_s)
        return answer

    def _store(self, name: str) -> Store:
        return present(self._stores[name], name)

    # Comparisons, one after the other: what comes while many wait is left out.

    def _compare_later(self, key: Key, guide: Guide) -> None:
        with self._lock:
            if self._shadow_thread is None:
                self._shadow_thread = threading.Thread(target=self._compare_all, name="firebeam-shadow", daemon=True)
                self._shadow_thread.start()
        try:
            self._shadows.put_nowait((key, guide))
        except queue.Full:
            self._core.counts.add(SHADOW_UNKNOWN)

    def _compare_all(self) -> None:
        while (waiting := self._shadows.get()) is not None:
            self.compare(*waiting)

    def compare(self, key: Key, guide: Guide) -> None:
        """Compares what both stores have; counts, and logs the names of fields that differ."""
        once = self._differing(key, guide)
        if once == []:
            self._core.counts.add(SHADOW_EQUAL)
            return
        self._core.clock.sleep(self._core.settings.shadow_pause_s)
        counter, names = verdict(once, self._differing(key, guide))
        self._core.counts.add(counter)
        if names:
            log_difference(self._core.kind, names)

    def _differing(self, key: Key, guide: Guide) -> list[str] | None:
        first, second = (
            self._ask(Read(store, needs_content=True), key, self._core.reading(store))
            for store in view_to_compare(guide.view)
        )
        return differing(first, second)


def present(store: T | None, name: str) -> T:
    """The store. Raises UsageError if the phase needs one that was not given."""
    if store is None:
        raise UsageError(f"the phase reads or writes {name}, which this DualStore was not given")
    return store
