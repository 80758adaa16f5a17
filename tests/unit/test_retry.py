"""Back-off arithmetic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.retry import RetryPolicy


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_never_longer_than_its_bounds(attempt, draw):
    policy = RetryPolicy(initial_s=0.5, max_s=30)
    assert 0 <= policy.delay_s(attempt, lambda: draw) <= min(30, 0.5 * 2 ** min(attempt - 1, 10))


def test_the_bound_doubles_until_it_stays():
    policy = RetryPolicy(initial_s=1, max_s=5)
    assert [policy.delay_s(attempt, lambda: 1.0) for attempt in (1, 2, 3, 4, 5)] == [1, 2, 4, 5, 5]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"max_attempts": 0}, r"max_attempts must be in \[1, 100\], got 0"),
        ({"initial_s": 2, "max_s": 1}, r"initial_s must be in \[0, max_s=1\], got 2"),
    ],
)
def test_an_endless_or_contradictory_policy_is_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        RetryPolicy(**setting)
