"""A server of `transforms.testing` in a process of its own, which ends with the block that wanted it.

running_module("transforms.testing.cosmos") ──starts──▶ python -m …  ──prints──▶ its address, on its first line
    │ pipe: when it closes, the server ends                ▲
Control(address).ask ──────────────────────────────────────┘  CONTROL/…: what only a test asks
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

UNTIL_STDIN_ENDS = "--until_stdin_ends"
CONTROL = "/_scripted"

_ROOT = Path(__file__).parents[2]
_STOP_TIMEOUT_S, _CONTROL_TIMEOUT_S = 10.0, 60.0


class Control:
    """Asks a running server what clients of the service it stands for cannot ask.

    Args:
      address: of the server; its path does not matter.
    """

    def __init__(self, address: str):
        parts = urlsplit(address)
        self._address = f"{parts.scheme}://{parts.netloc}{CONTROL}"
        # Proxies that the environment names are not for the loopback interface.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(self, method: str, what: str, body: Any = None) -> Any:
        """Sends a value as JSON, and returns the one that is answered. Raises URLError."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._address}/{what}", data, method=method)  # noqa: S310  # loopback
        request.add_header("Content-Type", "application/json")
        with self._opener.open(request, timeout=_CONTROL_TIMEOUT_S) as answered:
            return json.load(answered)


@contextlib.contextmanager
def running_module(module: str, *arguments: str) -> Iterator[str]:
    """Runs a module that ends when its standard input does; yields the address it prints.

    Raises:
      RuntimeError: it did not start.
    """
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    # A session of its own: a Ctrl-C in the terminal is for the test, which ends the server.
    process = subprocess.Popen(  # noqa: S603  # ours
        [sys.executable, "-m", module, *arguments, UNTIL_STDIN_ENDS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
    assert process.stdout is not None
    with process.stdout:
        try:
            address = process.stdout.readline().strip()
            if not address:
                raise RuntimeError(f"{' '.join((module, *arguments))} did not start; it says why on stderr")
            yield address
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    # A word, not only the end of the pipe: a forked copy of this process may hold the pipe open.
    try:
        process.communicate("end\n", timeout=_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
