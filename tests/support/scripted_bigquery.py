"""A scripted BigQuery: a loopback HTTP server that gives the answers that a test wrote down."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from transforms.bigquery.target import BigQueryTarget

Answer = tuple[int, Any]


class ScriptedBigQuery:
    """Answers requests in the order of its script, then accepts every row.

    Attributes:
      script: answers yet to be given: a status and a body, or a function from the request's body to one.
      requests: bodies of the requests so far; None of a GET or DELETE, bytes of an upload.
      sizes: lengths of the bodies in bytes.
      paths: method and path of the requests so far.
    """

    def __init__(self, target: BigQueryTarget):
        self.target = target
        self.script: list[Answer | Callable[[Any], Answer]] = []
        self.requests: list[Any] = []
        self.sizes: list[int] = []
        self.paths: list[str] = []

    def sent_ids(self) -> list[list[str]]:
        """The insert ids of each request."""
        return [[row["insertId"] for row in body["rows"]] for body in self.requests]

    def answer(self, body: Any) -> Answer:
        self.requests.append(body)
        step = self.script.pop(0) if self.script else (200, {})
        return step(body) if callable(step) else step


def error(status: int, reason: str, message: str) -> Answer:
    """A whole-request failure as BigQuery words it."""
    return status, {"error": {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}}


def row_errors(*entries: tuple[int, str, str, str]) -> Answer:
    """insertErrors of (index, reason, location, message)."""
    return 200, {
        "insertErrors": [
            {"index": index, "errors": [{"reason": reason, "location": location, "message": message}]}
            for index, reason, location, message in entries
        ]
    }


@contextmanager
def scripted_bigquery() -> Iterator[ScriptedBigQuery]:
    """Runs the server while the block does."""

    class _RequestHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            scripted.sizes.append(size)
            content, is_json = self.rfile.read(size), "json" in self.headers["Content-Type"]
            self._answer(json.loads(content) if is_json else content)

        def do_GET(self) -> None:
            self._answer(None)

        def do_PATCH(self) -> None:
            self.do_POST()

        def do_DELETE(self) -> None:
            self._answer(None)

        def _answer(self, body: Any) -> None:
            scripted.paths.append(f"{self.command} {self.path.partition('?')[0]}")
            status, answer = scripted.answer(body)
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if isinstance(answer, bytes) else "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as the base class names it
            """Keeps the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), _RequestHandler)
    scripted = ScriptedBigQuery(
        BigQueryTarget("demo-script", "people", "candidates", f"http://127.0.0.1:{server.server_address[1]}")
    )
    # The default poll of half a second would be waited for at every shutdown.
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield scripted
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
