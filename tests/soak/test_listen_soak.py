"""Twenty kills and twenty cuts of a listener while candles are written and deleted: it misses none of it."""

import pytest

from tests.support.disturbed_listener import check_cuts, check_kills

pytestmark = [pytest.mark.emulator, pytest.mark.soak]


@pytest.mark.parametrize("seed", [20, 21])
def test_a_listener_that_is_killed_ten_times_misses_nothing(desk, seed):
    check_kills(desk, seed, kills=10)


def test_a_listener_whose_connections_are_cut_twenty_times_misses_nothing(desk):
    check_cuts(desk, seed=22, cuts=20)
