"""The write protocol on 20,000 random schedules."""

import pytest

from tests.support.schedules import run

pytestmark = pytest.mark.soak

SEEDS, PART = 20_000, 1_000


@pytest.mark.parametrize("first", range(0, SEEDS, PART))
def test_both_stores_end_equal_and_no_acknowledged_write_is_lost(first):
    assert {seed: wrong for seed in range(first, first + PART) if (wrong := run(seed)[1])} == {}
