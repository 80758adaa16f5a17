"""One act at a time, one behind: nothing is lost, nothing comes twice, and what fails is told."""

import threading

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from apache_beam.utils.windowed_value import WindowedValue

from transforms.runtime.background import Background


def element(value, timestamp=0):
    return WindowedValue(value, timestamp, ())


def values(done):
    return [each.value for each in done]


def wait_and_begin(background, value):
    done = background.wait()
    background.begin(element(value))
    return values(done)


def test_an_element_comes_out_when_the_next_one_goes_in_and_the_last_at_the_end():
    background = Background(lambda value: value * 10)
    assert [wait_and_begin(background, n) for n in (1, 2, 3)] == [[], [10], [20]]
    assert values(background.wait()) == [30]
    assert background.wait() == []
    background.close()


def test_the_caller_goes_on_while_the_act_is_not_done_yet():
    may_end = threading.Event()
    background = Background(lambda value: may_end.wait(60) and value)
    assert not background.begin(element(1)).done()
    may_end.set()
    assert values(background.wait()) == [1]
    background.close()


def test_what_an_act_raises_comes_out_in_its_turn_and_only_once():
    background = Background(lambda value: 1 // value)
    background.begin(element(0))
    with pytest.raises(ZeroDivisionError):
        background.wait()
    assert background.wait() == []
    background.close()


def test_a_bundle_that_failed_leaves_nothing_to_the_next_one():
    acted = []
    background = Background(acted.append)
    background.begin(element(1))
    background.forget()
    assert acted == [1]
    assert background.wait() == []
    background.close()


class _TimesTenFn(beam.DoFn):
    def setup(self):
        self._background = Background(lambda value: value * 10)

    def start_bundle(self):
        self._background.forget()

    def process(self, element, windowed=beam.DoFn.WindowedValueParam):
        done = self._background.wait()
        self._background.begin(windowed)
        yield from done

    def finish_bundle(self):
        yield from self._background.wait()

    def teardown(self):
        self._background.close()


def test_every_element_keeps_its_window_on_a_runner():
    with beam.Pipeline() as pipeline:
        sums = (
            pipeline
            | beam.Create(range(20))
            | beam.Map(lambda n: TimestampedValue(n, n))
            | beam.WindowInto(FixedWindows(10))
            | beam.ParDo(_TimesTenFn())
            | beam.CombineGlobally(sum).without_defaults()
        )
        assert_that(sums, equal_to([450, 1450]))
