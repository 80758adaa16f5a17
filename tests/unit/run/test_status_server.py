"""The web server of a listening process, asked by an ordinary client."""

import http.client
import json
import socket
import urllib.request

import pytest

from pipeline.run.status_server import StatusPages, status_server, url_of
from tests.support.saved_streams import AT, saved_stream
from transforms import retry
from transforms.errors import TransientError, UsageError
from transforms.listen.health import HealthLimits


class Ledger:
    """Streams, or what reading them raises; counts how often they are read."""

    def __init__(self, *streams):
        self.streams, self.error, self.n_read, self.seconds = streams, None, 0, 0.0
        clock = retry.Clock(now=lambda: AT.timestamp() + self.seconds, monotonic=lambda: self.seconds)
        self.pages = StatusPages(self.read, HealthLimits(), clock)

    def read(self):
        self.n_read += 1
        if self.error:
            raise self.error
        return self.streams


def asked(pages, path, method="GET"):
    with status_server(pages, "127.0.0.1", 0) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read().decode()


@pytest.mark.parametrize(
    ("states", "code", "overall"),
    [
        (["live"], 200, "healthy"),
        (["live", "failed"], 200, "partial"),
        (["failed"], 503, "unhealthy"),
        ([], 503, "unhealthy"),
    ],
)
def test_health_is_a_status_code_and_says_which_streams(states, code, overall):
    ledger = Ledger(*(saved_stream(f"s{n}", state) for n, state in enumerate(states)))
    status, content_type, body = asked(ledger.pages, "/health")
    assert (status, content_type) == (code, "application/json")
    shown = json.loads(body)
    assert shown["overall_status"] == overall
    assert shown["total_streams"] == len(states)
    assert list(shown["stream_health"]) == [f"s{n}" for n in range(len(states))]


def test_metrics_are_for_prometheus_also_when_streams_are_not_healthy():
    status, content_type, body = asked(Ledger(saved_stream(state="failed")).pages, "/metrics?x=1")
    assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert 'firebeam_health{overall_status="unhealthy"} 1\n' in body


def test_other_paths_are_not_there_and_other_methods_not_allowed():
    ledger = Ledger(saved_stream())
    assert asked(ledger.pages, "/secrets") == (404, "text/plain; charset=utf-8", "There are /health and /metrics.\n")
    assert asked(ledger.pages, "/health", "POST")[0] == 501
    assert asked(ledger.pages, "/health", "HEAD")[::2] == (200, "")


def test_the_ledger_is_not_read_for_every_request():
    ledger = Ledger(saved_stream())
    for _ in range(3):
        ledger.pages.answer("/health")
    assert ledger.n_read == 1
    ledger.seconds = 5.0
    ledger.pages.answer("/metrics")
    assert ledger.n_read == 2


def test_ages_grow_between_two_readings():
    ledger = Ledger(saved_stream())
    ledger.pages.answer("/health")
    ledger.seconds = 4.0
    _, _, body = ledger.pages.answer("/health")
    assert json.loads(body)["stream_health"]["users"]["heartbeat_age_s"] == 5.0


@pytest.mark.parametrize("path", ["/health", "/metrics"])
def test_a_ledger_that_cannot_be_read_is_not_healthy(path):
    ledger = Ledger()
    ledger.error = TransientError("UNAVAILABLE: not now")
    code, _, body = ledger.pages.answer(path)
    assert code == 503
    assert json.loads(body) == {
        "overall_status": "unhealthy",
        "reason": "the ledger cannot be read: UNAVAILABLE: not now",
    }
    ledger.error, ledger.streams = None, (saved_stream(),)
    assert ledger.pages.answer(path)[0] == 200


def test_a_taken_port_is_refused_before_anything_starts():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError) as refused, status_server(Ledger().pages, "127.0.0.1", port):
            pass
    assert str(refused.value) == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; pass another --port, or --port=0 for any"
    )


def test_the_port_is_free_again_afterwards():
    with status_server(Ledger().pages, "127.0.0.1", 0) as port:
        pass
    with status_server(Ledger().pages, "127.0.0.1", port) as again:
        assert again == port


@pytest.fixture(scope="module")
def has_ipv6():
    """Whether this computer has it at all."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.parametrize(
    ("host", "addresses"), [("localhost", ["127.0.0.1"]), ("::1", ["::1"]), ("::", ["::1", "127.0.0.1"])]
)
def test_a_host_may_be_a_name_or_an_address_of_ipv6(host, addresses, has_ipv6):
    if ":" in host and not has_ipv6:
        pytest.skip("no IPv6 here")
    with status_server(Ledger(saved_stream()).pages, host, 0) as port:
        for address in addresses:
            with urllib.request.urlopen(f"{url_of(address, port)}/health") as answer:
                assert answer.status == 200
