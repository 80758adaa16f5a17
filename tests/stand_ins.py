"""A small real server in place of an emulator, and how to watch it come and go."""

import contextlib
import os
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from pipeline.emulators.processes import LOOPBACK, Server

# Answers every request with its process id.
ANSWERS_WITH_ITS_PID = """
import http.server, os, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def a_server(
    program: str = ANSWERS_WITH_ITS_PID,
    *arguments: str,
    start_timeout_s: float = 20.0,
    directories: list[Path] | None = None,
) -> Server:
    """A server that runs `program` with its port as first argument; its directory is added to `directories`."""

    def command(ports: tuple[int, ...], directory: Path) -> list[str]:
        if directories is not None:
            directories.append(directory)
        return [sys.executable, "-c", program, str(ports[0]), *arguments]

    return Server(
        "the stand-in", 1, command, lambda ports: f"http://{LOOPBACK}:{ports[0]}/", dict(os.environ), start_timeout_s
    )


def pid_of(port: int) -> int:
    """The process id of the stand-in that listens on `port`."""
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/", timeout=30) as answer:
        return int(answer.read())


def answers(port: int) -> bool:
    """True while somebody listens on `port`."""
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), 30):
        return True
    return False


def comes_true(condition: Callable[[], bool], within_s: float = 60.0) -> bool:
    """True as soon as `condition` is; False when it is not in time."""
    give_up, pause = time.monotonic() + within_s, threading.Event()
    while not condition():
        if time.monotonic() > give_up:
            return False
        pause.wait(0.02)
    return True
