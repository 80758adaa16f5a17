"""A job that repeats: until a run fails, is interrupted, or somebody ends it between two runs."""

import os
import signal

import pytest

from pipeline.exit_codes import EXIT_DIFFERENT, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK
from pipeline.present.terminal import Console
from pipeline.run.repeat import repeated

AT_ONCE = 0.001


class Runs:
    """Runs that end with these exit codes, one after the other."""

    def __init__(self, *exit_codes: int):
        self.left = list(exit_codes)

    def __call__(self) -> int:
        return self.left.pop(0)


@pytest.mark.parametrize("last", [EXIT_FAILED, EXIT_INTERRUPTED])
def test_a_run_that_fails_or_is_interrupted_is_the_last_one(last):
    runs = Runs(EXIT_OK, EXIT_DIFFERENT, EXIT_OK, last, EXIT_OK)
    assert repeated(runs, AT_ONCE, Console(quiet=True)) == last
    assert runs.left == [EXIT_OK]


def test_without_an_interval_there_is_one_run():
    runs = Runs(EXIT_OK, EXIT_FAILED)
    assert repeated(runs, None, Console(quiet=True)) == EXIT_OK
    assert runs.left == [EXIT_FAILED]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_between_two_runs_ends_it_with_what_the_last_one_found(number):
    class SignalsWhenItSaysSomething(Console):
        def print(self, *_: object, **__: object) -> None:
            os.kill(os.getpid(), number)

    runs = Runs(EXIT_DIFFERENT, EXIT_OK)
    assert repeated(runs, 60, SignalsWhenItSaysSomething()) == EXIT_DIFFERENT
    assert runs.left == [EXIT_OK]
