"""Runs an S3 server of PyPI's moto on a free loopback port, for the tests and the benchmarks."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from pipeline.emulators.processes import LOOPBACK, Server, serve

_SERVER = Server(
    "moto",
    1,
    lambda ports, folder: [sys.executable, "-m", "moto.server", "--host", LOOPBACK, "--port", str(ports[0])],
    lambda ports: f"http://{LOOPBACK}:{ports[0]}/moto-api/",
    {"PATH": os.environ.get("PATH", "")},
)


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """A server in a process of its own, until the block ends; gives its URL. Raises EmulatorStartError."""
    with serve(_SERVER) as (port,):
        yield f"http://{LOOPBACK}:{port}"
