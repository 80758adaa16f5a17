"""The end of an export: rows that were just streamed are waited for, but not for ever."""

from tests.support.clocks import no_waiting
from transforms.export.tables import counted
from transforms.retry import Retry


def test_rows_that_are_missing_are_waited_for_a_bounded_time():
    waits: list[float] = []
    found = counted(lambda: 9, 10, Retry(max_attempts=4, initial_s=1, clock=no_waiting(slept=waits, chance=1.0)))
    assert (found, waits) == (9, [1.0, 2.0, 4.0])


def test_rows_that_are_all_there_or_too_many_are_not_waited_for():
    waits: list[float] = []
    assert counted(lambda: 10, 10, Retry(clock=no_waiting(slept=waits))) == 10
    assert counted(lambda: 11, 10, Retry(clock=no_waiting(slept=waits))) == 11
    assert waits == []
