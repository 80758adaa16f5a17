"""llmock, a server of models that is not ours, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from pipeline.emulators.processes import LOOPBACK, Server, serve


@contextlib.contextmanager
def llmock() -> Iterator[str]:
    """Runs it for the duration of the block; yields its address. Models echo what they are asked."""

    def command(ports, directory):
        program = [sys.executable, "-c", "from llmock.cli import app; app()"]
        return [*program, "serve", f"--host={LOOPBACK}", f"--port={ports[0]}", "--response-style=echo"]

    server = Server("llmock", 1, command, lambda ports: f"http://{LOOPBACK}:{ports[0]}/", dict(os.environ))
    with serve(server) as (port,):
        yield f"http://{LOOPBACK}:{port}"
