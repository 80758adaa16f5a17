"""An account of Cosmos DB whose one container has as many items as one likes, made while they are read.

`python -m benchmarks.generated_account ITEMS` prints its endpoint. It has the code of the scripted account but for the
log of its partitions: that one keeps each item, and a million take more memory than there is. Items have 0.6 KB.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from transforms.testing.cosmos.account import Account, Request
from transforms.testing.cosmos.answers import CHARGE, RefusedError
from transforms.testing.cosmos.container import CREATE, Change, Partition
from transforms.testing.cosmos.process import KEY
from transforms.testing.cosmos.script import Script
from transforms.testing.own_process import running_module

DATABASE, CONTAINER = "school", "generated"

_TS = 1_767_225_600
_ANSWER = "The student reads the question, draws the figure, and finds the angle. "
_NAME = "@"  # of an item, wherever it stands
_TEXT = json.dumps(
    {
        "id": "a-@",
        "student_id": "s-@",
        "problem_id": "p-7",
        "subject": "geometry",
        "score": 17,
        "is_correct": True,
        "answer": _ANSWER * 2,
        "tags": ["angles", "triangles"],
        "evaluation": {"feedback": _ANSWER, "confidence": 0.75},
        "timestamp": "2026-01-01T00:00:00Z",
        "_rid": "r@",
        "_self": "dbs/x/colls/y/docs/r@/",
        "_etag": "e@",
        "_attachments": "attachments/",
        "_ts": _TS,
    }
)


@dataclass
class _Generated(Partition):
    """A partition of `lsn` items."""

    def behind(self, lsn: int) -> Iterator[Change]:
        for number in range(lsn + 1, self.lsn + 1):
            name = f"{self.id}-{number:08}"
            text = _TEXT.replace(_NAME, name).encode()
            yield Change(number, (f'["s-{name}"]', f"a-{name}"), self.low, CREATE, {}, text, _TS)


def account_of(items: int) -> Account:
    """An account with the container."""
    account = Account(Script, time.time)
    database = {"id": DATABASE}
    container = {"id": CONTAINER, "partitionKey": {"paths": ["/student_id"], "kind": "Hash", "version": 2}}
    for path, body in ((["dbs"], database), (["dbs", DATABASE, "colls"], container)):
        account.answer(Request("POST", path, {}, json.dumps(body).encode()), "")
    made = account.container(DATABASE, CONTAINER)
    n = len(made.partitions)
    made.partitions = [
        _Generated(each.id, each.low, each.high, lsn=items // n + (place < items % n))
        for place, each in enumerate(made.partitions)
    ]
    return account


@contextmanager
def generated_account(items: int) -> Iterator[dict[str, str]]:
    """Runs the account in a process of its own; yields the variables that name it."""
    with running_module("benchmarks.generated_account", str(items)) as endpoint:
        yield {"COSMOS_ENDPOINT": endpoint, "COSMOS_KEY": KEY}


def _server(account: Account) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            path = [unquote(each) for each in self.path.partition("?")[0].strip("/").split("/") if each]
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            url = f"http://127.0.0.1:{self.server.server_address[1]}/"
            try:
                answered = account.answer(Request(self.command, path, headers, body), url)
            except RefusedError as refused:
                answered = refused.answer()
            self.send_response(answered.status)
            sent = {**answered.headers, CHARGE: str(answered.charge), "Content-Type": "application/json"}
            for name, value in {**sent, "Content-Length": str(len(answered.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answered.body)

        do_GET = do_POST = answer  # noqa: N815  # as http.server calls them

        def log_message(self, *_: Any) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def main() -> None:
    """Serves until standard input has something, or ends."""
    server = _server(account_of(int(sys.argv[1])))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"http://127.0.0.1:{server.server_address[1]}/\n")
    sys.stdout.flush()
    sys.stdin.read(1)
    server.shutdown()


if __name__ == "__main__":
    main()
