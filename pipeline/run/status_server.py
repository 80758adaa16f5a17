"""A web server inside a listening process: how its streams are, for probes and for Prometheus.

    GET /health     JSON; 200 while streams are healthy or partial, 503 else
    GET /metrics    Prometheus' text format

It answers from what the ledger knows, which it reads at most every few seconds, however often it is asked. A ledger
that cannot be read is unhealthy. It serves numbers and ids, no documents, and changes nothing.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pipeline.present.prometheus import CONTENT_TYPE, metrics
from transforms.errors import FirebeamError, UsageError
from transforms.ledger.streams import SavedStream
from transforms.listen.health import Health, HealthLimits, Status, health_of
from transforms.retry import SYSTEM_CLOCK, Clock

_LOG = logging.getLogger(__name__)

_READ_AGAIN_S = 5.0
_REQUEST_TIMEOUT_S = 10.0

_OK, _NOT_FOUND, _UNAVAILABLE = 200, 404, 503
_JSON, _TEXT = "application/json", "text/plain; charset=utf-8"

# Status, content type, body.
Answer = tuple[int, str, str]


class StatusPages:
    """What the server answers. Thread-safe.

    Args:
      streams: reads the streams of the job.
      limits: when a stream is not healthy.
      clock: injected by tests.
    """

    def __init__(self, streams: Callable[[], Sequence[SavedStream]], limits: HealthLimits, clock: Clock = SYSTEM_CLOCK):
        self._streams, self._limits, self._clock = streams, limits, clock
        self._lock = threading.Lock()
        self._found: Sequence[SavedStream] = ()
        self._read_at: float | None = None

    def answer(self, path: str) -> Answer:
        """What a GET of a path gets."""
        page = {"/health": self._health, "/metrics": self._metrics}.get(path.partition("?")[0])
        if page is None:
            return _NOT_FOUND, _TEXT, "There are /health and /metrics.\n"
        try:
            return page(self._now())
        except FirebeamError as error:
            _LOG.warning("the status of the streams cannot be read: %s", error)
            unknown = {"overall_status": Status.UNHEALTHY.value, "reason": f"the ledger cannot be read: {error}"}
            return _UNAVAILABLE, _JSON, f"{json.dumps(unknown)}\n"

    def _health(self, health: Health) -> Answer:
        code = _UNAVAILABLE if health.overall is Status.UNHEALTHY else _OK
        return code, _JSON, f"{json.dumps(health.as_dict(), indent=2)}\n"

    def _metrics(self, health: Health) -> Answer:
        return _OK, CONTENT_TYPE, metrics(health)

    def _now(self) -> Health:
        with self._lock:
            now_s = self._clock.monotonic()
            if self._read_at is None or now_s - self._read_at >= _READ_AGAIN_S:
                self._found = self._streams()
                self._read_at = now_s
            at = datetime.datetime.fromtimestamp(self._clock.now(), datetime.timezone.utc)
            return health_of(self._found, at, self._limits)


@contextlib.contextmanager
def status_server(pages: StatusPages, host: str, port: int) -> Iterator[int]:
    """Answers until the block ends; gives the port, which is free to choose where 0 is asked for.

    A host that has addresses of IPv4 and IPv6, such as localhost, is listened on by IPv4; `::` is all of both.

    Raises:
      UsageError: the port is taken, or the host is not this computer's.
    """
    try:
        server = _Server(host, port, _handler_of(pages))
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; pass another --port, or --port=0 for any"
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="status server", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False  # a slow client does not keep the process

    def __init__(self, host: str, port: int, handler: type[BaseHTTPRequestHandler]):
        self.address_family = _family_of(host, port)
        super().__init__((host, port), handler)

    def server_bind(self) -> None:
        """An address of IPv6 that is all addresses is those of IPv4 as well."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def _family_of(host: str, port: int) -> socket.AddressFamily:
    families = [family for family, *_ in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    return socket.AF_INET if socket.AF_INET in families else families[0]


def url_of(host: str, port: int) -> str:
    """The address of a server.

    >>> url_of("127.0.0.1", 8080), url_of("::1", 8080)
    ('http://127.0.0.1:8080', 'http://[::1]:8080')
    """
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _handler_of(pages: StatusPages) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One request."""

        server_version, sys_version = "firebeam", ""
        timeout = _REQUEST_TIMEOUT_S

        def do_GET(self) -> None:
            """Answers with a body."""
            self._answer(has_body=True)

        def do_HEAD(self) -> None:
            """Answers without one."""
            self._answer(has_body=False)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Every probe would be a line."""
            _LOG.debug(format, *args)

        def _answer(self, *, has_body: bool) -> None:
            code, content_type, text = pages.answer(self.path)
            body = text.encode()
            self.send_response(code)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if has_body:
                self.wfile.write(body)

    return Handler
