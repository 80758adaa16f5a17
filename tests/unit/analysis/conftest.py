"""What every test of a chat has: a key in the environment."""

import pytest

from tests.support.provider_host import KEY


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("TEST_PROVIDER_KEY", KEY)
