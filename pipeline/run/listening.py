"""The main thread listens to signals, while what takes long is done in another one."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def signals_call(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Hands the signals that end a process to `handler` until the block ends; only in the main thread."""
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, handler) for number in _SIGNALS} if is_main else {}
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)


class Work:
    """What a thread of its own does, once it is started.

    Attributes:
      failure: what ended it, if it failed.
    """

    def __init__(self, work: Callable[[], object], name: str):
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._do, args=(work,), name=name, daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether it ended within the time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def is_going_on(self) -> bool:
        """Whether it has begun and not ended."""
        return self._thread.is_alive()

    def _do(self, work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as failure:  # for the main thread, which asks when it is over
            self.failure = failure
