"""How requests to Cosmos DB leave a computer."""

import pytest
from azure.core.pipeline.transport import HttpRequest

from transforms.cosmos.status import StatusError
from transforms.cosmos.transport import OneAttemptTransport
from transforms.testing.cosmos import ScriptedCosmos

UNSIGNED = 401


def status_of(transport, url="http://account.example/"):
    with pytest.raises(StatusError) as refused:
        transport.send(HttpRequest("GET", url), connection_timeout=5, read_timeout=5)
    return refused.value.status


def test_the_proxy_of_the_environment_is_used_and_looked_up_once(cosmos: ScriptedCosmos, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", cosmos.endpoint)  # whoever it is asked for, it answers
    monkeypatch.setenv("NO_PROXY", "")
    with OneAttemptTransport() as transport:
        assert status_of(transport) == UNSIGNED
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        assert status_of(transport) == UNSIGNED


def test_an_address_that_needs_no_proxy_is_asked_itself(cosmos: ScriptedCosmos, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with OneAttemptTransport() as transport:
        assert status_of(transport, cosmos.endpoint) == UNSIGNED
