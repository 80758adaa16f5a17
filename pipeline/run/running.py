"""A pipeline that runs while the main thread listens: to Ctrl-C, and to whoever wants to end it.

    1st signal    batches in flight are finished, the run is interrupted: the same command goes on later
    2nd signal    the process ends at once; what is acknowledged is written, the rest is done again later

Workers in processes of their own do not hear the first signal's request, so they are ended at once, too.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

import apache_beam as beam
import psutil
from rich.console import Console
from rich.markup import escape

from pipeline.present.summary import EXIT_INTERRUPTED
from transforms.runtime.stopping import ask_to_stop, begin_anew, is_asked_to_stop

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_KILL_INTERVAL_S = 0.02


class Running:
    """A pipeline that runs in a thread of its own, because Beam's local runner cannot be cancelled.

    Args:
      pipeline: the graph.
      stops_softly: whether the workers are threads of this process.
      console: told in one line what a signal leads to.
      command: goes on with a run that was stopped.
    """

    def __init__(self, pipeline: beam.Pipeline, stops_softly: bool, console: Console, command: str):
        self._failure: BaseException | None = None
        self._stops_softly, self._console, self._command = stops_softly, console, command
        self._not_ours = _living_children()
        self._thread = threading.Thread(target=self._run, args=(pipeline,), name="beam", daemon=True)

    def _run(self, pipeline: beam.Pipeline) -> None:
        try:
            pipeline.run().wait_until_finish()
        except BaseException as failure:
            self._failure = failure

    @contextlib.contextmanager
    def started(self) -> Iterator[None]:
        """Runs the pipeline and listens to signals until the block ends.

        Whoever leaves the block before the run has ended gives it up: no further batch is begun.
        """
        begin_anew()
        before = {number: signal.getsignal(number) for number in _SIGNALS} if _is_main_thread() else {}
        for number in before:
            signal.signal(number, self._on_signal)
        try:
            self._thread.start()
            yield
        finally:
            self._give_up()
            for number, handler in before.items():
                signal.signal(number, handler)

    def wait(self, timeout_s: float) -> bool:
        """Whether it ended within the time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def was_stopped(self) -> bool:
        """Whether a signal asked it to stop."""
        return is_asked_to_stop()

    def raise_failure(self) -> None:
        """Raises what ended the run, if it failed."""
        if self._failure:
            raise self._failure

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._stops_softly and not is_asked_to_stop():
            self._console.print("finishing the batches in flight; a second signal stops at once", highlight=False)
            ask_to_stop()
            return
        threading.excepthook = lambda _: None  # those of Beam's threads that miss their worker
        logging.disable()
        self._end_workers()
        self._console.show_cursor()  # the live bar, which hid it, is not ended
        self._console.print(f"stopped; to go on: {escape(self._command)}", highlight=False, soft_wrap=True)
        os._exit(EXIT_INTERRUPTED)  # Beam's threads would keep the process alive

    def _give_up(self) -> None:
        if self._thread.is_alive():
            ask_to_stop()
            if self._stops_softly:
                self._thread.join()
            else:
                self._end_workers()

    def _end_workers(self) -> None:
        """Kills the processes started since this run was planned, and those that they start meanwhile."""
        while workers := _living_children() - self._not_ours:
            for worker in workers:
                with contextlib.suppress(psutil.NoSuchProcess):
                    worker.kill()
            time.sleep(_KILL_INTERVAL_S)


def _living_children() -> set[psutil.Process]:
    living = set()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE:  # ended, but nobody has asked for its exit code
                living.add(child)
    return living


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
