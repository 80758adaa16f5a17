"""A pipeline in a thread: what ends it, what it leaves behind, and how it hears of Ctrl-C."""

import io
import os
import signal
import subprocess
import sys
import threading

import pytest
from rich.console import Console

from pipeline.run.local import Running
from tests.stand_ins import comes_true
from transforms.runtime.stopping import is_asked_to_stop


class Pipeline:
    """Runs until it is released, or until it is asked to stop."""

    def __init__(self, failure=None, hears=True):
        self.released = threading.Event()
        self.failure, self.hears = failure, hears
        self.ended_by = None

    def run(self):
        return self

    def wait_until_finish(self):
        comes_true(lambda: self.released.is_set() or (self.hears and is_asked_to_stop()), within_s=120)
        self.ended_by = "release" if self.released.is_set() else "request"
        if self.failure:
            raise self.failure


def running(pipeline, stops_softly=True):
    out = io.StringIO()
    return Running(pipeline, stops_softly, Console(file=out, width=200), "firebeam ingest --input=[a]"), out


def test_a_run_that_ends_by_itself_was_not_stopped_and_has_no_failure():
    pipeline = Pipeline()
    of, _ = running(pipeline)
    with of.started():
        assert not of.wait(0)
        pipeline.released.set()
        assert of.wait(60)
    of.raise_failure()
    assert (of.was_stopped, pipeline.ended_by) == (False, "release")


def test_what_ended_the_run_is_raised_to_whoever_asks():
    pipeline = Pipeline(RuntimeError("no table"))
    pipeline.released.set()
    of, _ = running(pipeline)
    with of.started():
        assert of.wait(60)
    with pytest.raises(RuntimeError, match="no table"):
        of.raise_failure()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_the_readers_to_stop_and_says_so(number):
    pipeline = Pipeline()
    of, out = running(pipeline)
    with of.started():
        os.kill(os.getpid(), number)
        assert of.wait(60)
    assert (of.was_stopped, pipeline.ended_by) == (True, "request")
    assert out.getvalue() == "finishing the batches in flight; a second signal stops at once\n"


def test_signals_are_handled_as_before_when_the_run_is_over():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    pipeline = Pipeline()
    pipeline.released.set()
    of, _ = running(pipeline)
    with of.started():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_run_that_was_stopped_says_nothing_to_the_next_one():
    stopped, _ = running(Pipeline())
    with stopped.started():
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped.wait(60)
    pipeline = Pipeline()
    of, _ = running(pipeline)
    with of.started():
        pipeline.released.set()
        assert of.wait(60)
    assert pipeline.ended_by == "release"
    assert not of.was_stopped


def test_whoever_stops_waiting_gives_the_run_up_and_it_begins_no_further_batch():
    pipeline = Pipeline()
    of, _ = running(pipeline)
    with pytest.raises(LookupError), of.started():
        raise LookupError("the job was taken")
    assert of.wait(0)
    assert pipeline.ended_by == "request"


SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_run_that_is_given_up_ends_its_workers_and_no_other_process():
    pipeline = Pipeline(hears=False)
    with subprocess.Popen(SLEEPS) as bystander:
        of, _ = running(pipeline, stops_softly=False)
        with subprocess.Popen(SLEEPS) as worker:
            with pytest.raises(LookupError), of.started():
                raise LookupError("the job was taken")
            assert worker.wait(30) == -signal.SIGKILL
            assert of.was_stopped
        assert bystander.poll() is None
        bystander.kill()
    pipeline.released.set()
    assert of.wait(60)


def test_outside_of_the_main_thread_a_run_works_without_signals():
    pipeline = Pipeline()
    pipeline.released.set()
    ended = []

    def run():
        of, _ = running(pipeline)
        with of.started():
            ended.append(of.wait(60))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(120)
    assert ended == [True]
