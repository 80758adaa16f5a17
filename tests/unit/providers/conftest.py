"""What every test of a provider has: a key in the environment, and a file of requests."""

import socket

import pytest

from tests.support.provider_host import KEY


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("TEST_PROVIDER_KEY", KEY)


@pytest.fixture
def requests(tmp_path):
    path = tmp_path / "requests.jsonl"
    path.write_bytes(b'{"custom_id": "a", "n": 1}\n\n  {"custom_id": "\xc3\xa9", "n": 2}  \n{"custom_id": "c", "n": 3}')
    return path


@pytest.fixture
def unused_tcp_port_url():
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"
