"""What a demo does again and again beside everything else, such as writes of an application."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pipeline.run.listening import Work


class Repeated:
    """Acts in a thread of its own, from `start` to `end`.

    Args:
      act: once.
      pause_s: between two acts.
      name: of the thread.
    """

    def __init__(self, act: Callable[[], object], pause_s: float, name: str):
        self._act, self._pause_s = act, pause_s
        self._ended = threading.Event()
        self._work = Work(self._run, name)

    def start(self) -> None:
        """Begins."""
        self._work.start()

    def end(self) -> None:
        """Ends it, once the act under way is done."""
        self._ended.set()
        self._work.wait()

    def check(self) -> None:
        """Raises what ended it, if it failed."""
        if self._work.failure:
            raise self._work.failure

    def _run(self) -> None:
        while not self._ended.wait(self._pause_s):
            self._act()
