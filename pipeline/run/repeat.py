"""A job that runs again and again, until it fails or somebody ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pipeline.exit_codes import EXIT_DIFFERENT, EXIT_OK
from pipeline.present.terminal import Console, say
from pipeline.run.listening import signals_call

_ENDED_WELL = (EXIT_OK, EXIT_DIFFERENT)


def repeated(run: Callable[[], int], again_after_s: float | None, console: Console) -> int:
    """Runs a job once, or until a run fails or is interrupted; returns the last exit code.

    A signal between two runs ends the command with the exit code of the run before it.

    Args:
      again_after_s: pause between the end of a run and the next one; None to run once.
      console: says when the next run begins.
    """
    exit_code = run()
    while again_after_s is not None and exit_code in _ENDED_WELL:
        if _is_ended_within(again_after_s, console):
            break
        exit_code = run()
    return exit_code


def _is_ended_within(seconds: float, console: Console) -> bool:
    ended = threading.Event()
    with signals_call(lambda *_: ended.set()):
        say(console, f"again in {seconds:g} s; Ctrl-C ends it")
        return ended.wait(seconds)
