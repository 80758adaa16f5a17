"""The status page's server in this process, on a free port, for a database that a test has."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.serve.app import Pages
from pipeline.serve.server import serving_aside, topics_of
from transforms.firestore.target import FirestoreTarget
from transforms.retry import Retry


class Answer(NamedTuple):
    """What a request got."""

    status: int
    headers: http.client.HTTPMessage
    text: str


@contextlib.contextmanager
def page_server(
    target: FirestoreTarget,
    *,
    host: str = "127.0.0.1",
    token: str = "",
    refresh_s: float = 0.2,
    show_ids: bool = False,
    retry: Retry | None = None,
    port: int = 0,
) -> Iterator[int]:
    """Serves until the block ends; gives the port."""

    def make() -> Pages:
        return Pages(topics_of(target.connect(), refresh_s, show_ids=show_ids, retry=retry), host, token)

    with serving_aside(make, port) as found:
        yield found


def asked(port: int, path: str, method: str = "GET", host: str | None = None, **headers: str) -> Answer:
    """Sends one request; underscores in names of headers are hyphens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", f"127.0.0.1:{port}" if host is None else host)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    try:
        return Answer(answer.status, answer.headers, answer.read().decode("utf-8", "replace"))
    finally:
        connection.close()
