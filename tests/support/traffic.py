"""A market of candles in which something happens all the time, beside whatever a test does to the listener."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipeline.demos.market import CandleWrite, Market
from tests.support.export import ExportDesk

SECONDS = 3_600


@dataclass
class Traffic:
    """Writes a market into the database of a desk.

    Attributes:
      written: all writes so far.
    """

    desk: ExportDesk
    market: Market
    written: list[CandleWrite] = field(default_factory=list)
    failure: Exception | None = None

    @contextmanager
    def running(self, pause_s: float = 0.25, most_at_once: int = 3) -> Iterator[None]:
        """One Commit after the other until the block ends, of one write or a few; then the market closes."""
        ended = threading.Event()
        thread = threading.Thread(target=self._run, args=(ended, pause_s, most_at_once), name="traffic")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
        if self.failure:
            raise self.failure
        self.store(self.market.close())

    def store(self, writes: Iterable[CandleWrite]) -> None:
        """Writes, the last one of a path alone."""
        found = list(writes)
        self.written += found
        self.desk.store({write.path: write.fields for write in found})

    def _run(self, ended: threading.Event, pause_s: float, most_at_once: int) -> None:
        try:
            for size in itertools.cycle(range(1, most_at_once + 1)):
                self.store(self.market.next_write() for _ in range(size))
                if ended.wait(pause_s):
                    return
        except Exception as failure:  # raised again where the test waits
            self.failure = failure
