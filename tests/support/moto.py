"""A real S3 server in a process of its own, of PyPI's moto."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import pytest

from pipeline.emulators.processes import LOOPBACK, Server, serve


@contextlib.contextmanager
def running_s3() -> Iterator[str]:
    """A server; gives its URL. Skips where moto is not installed."""
    pytest.importorskip("moto")
    server = Server(
        "moto",
        1,
        lambda ports, folder: [sys.executable, "-m", "moto.server", "--host", LOOPBACK, "--port", str(ports[0])],
        lambda ports: f"http://{LOOPBACK}:{ports[0]}/moto-api/",
        {"PATH": os.environ["PATH"]},
    )
    with serve(server) as (port,):
        yield f"http://{LOOPBACK}:{port}"
