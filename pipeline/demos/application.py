"""An application that writes student attempts by DualStore, in a thread, until the block ends."""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from pipeline.demos.repeated import Repeated
from transforms.dual.core import WriteFailedError
from transforms.dual.store import DualStore

_SHARE_OF_DELETES = 0.15


class Application:
    """Puts and deletes one attempt after the other.

    Args:
      store: that it writes.
      items: that are there already, by id.
      pause_s: between two writes.
    """

    def __init__(self, store: DualStore, items: Mapping[str, Mapping[str, Any]], pause_s: float):
        self._store = store
        self._random = random.Random(1)  # the same demo every time
        self._ids = [*items, *(f"a-new-{n}" for n in range(50))]
        # What the stores must hold: the last write of each id that was acknowledged.
        self.expected = {item_id: dict(item) for item_id, item in items.items()}
        self.n_puts = self.n_deletes = self.n_failed = 0
        self._writes = Repeated(self._write, pause_s, "application")

    def __enter__(self) -> Application:
        self._writes.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def counts(self) -> dict[str, int]:
        """What DualStore counts."""
        return self._store.counts

    def close(self) -> None:
        """Ends the writes."""
        self._writes.end()
        self._store.close()

    def check(self) -> None:
        """Raises what ended the writes, if something did."""
        self._writes.check()

    def _write(self) -> None:
        item_id = self._random.choice(self._ids)
        student = f"s-{sum(item_id.encode()) % 20}"
        try:
            if self._random.random() < _SHARE_OF_DELETES:
                self._store.delete(item_id, student_id=student)
                self.expected.pop(item_id, None)
                self.n_deletes += 1
            else:
                item = {"id": item_id, "student_id": student, "score": self._random.randint(0, 100)}
                self._store.put(item)
                self.expected[item_id] = item
                self.n_puts += 1
        except WriteFailedError:
            self.n_failed += 1
