"""Starts a server on free loopback ports, waits until it answers, ends it.

    serve ──▶ guard (own session) ──▶ server (own process group)      log and data: one temporary directory

Nothing outlives the process that called `serve`: leaving the `with` block, an exception, a signal and `kill -9` all
end the server and remove its directory (see `guard.py`). A Ctrl-C in the terminal reaches neither guard nor server, so
the server still answers while its caller cleans up.

    with serve(server) as (port,):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/")
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pipeline.emulators import EmulatorStartError

LOOPBACK = "127.0.0.1"
TCP = "tcp://"
START_ATTEMPTS = 5
LOG_TAIL_LINES = 15

_GUARD = Path(__file__).with_name("guard.py")
_READY_POLL_S = 0.05
# The guard gives the server 3 s before it kills it.
_STOP_TIMEOUT_S = 10.0
# Below the ranges from which Linux (32768–60999) and macOS (49152–65535) number outgoing connections, so that between
# choosing a port and the server's bind only another server could take it.
_PORT_RANGE = range(20_000, 32_000)
_PORT_TAKEN = ("address already in use", "failed to bind", "address in use")


@dataclass(frozen=True)
class Server:
    """A server that can be started.

    Attributes:
      name: what messages call it, such as `the Firestore emulator`.
      port_count: how many ports it needs.
      command: argv for the given ports and the directory that is the server's own.
      ready_url: answers any HTTP status as soon as the server is ready; of `tcp://` it is enough to be connected to.
      environ: the server's whole environment.
      start_timeout_s: how long it may take until `ready_url` answers.
    """

    name: str
    port_count: int
    command: Callable[[Sequence[int], Path], Sequence[str]]
    ready_url: Callable[[Sequence[int]], str]
    environ: Mapping[str, str]
    start_timeout_s: float = 60.0


@contextlib.contextmanager
def serve(server: Server) -> Iterator[tuple[int, ...]]:
    """Runs `server` for the duration of the `with` block and yields its ports.

    Raises:
      EmulatorStartError: it ended or stayed silent; the message shows the end of its log.
    """
    with contextlib.ExitStack() as running:
        yield _start(server, running)


def free_ports(count: int) -> tuple[int, ...]:
    """Different ports of the loopback interface that nobody listens on."""
    ports: list[int] = []
    for port in random.sample(_PORT_RANGE, len(_PORT_RANGE)):
        if len(ports) == count:
            break
        with socket.socket() as probe, contextlib.suppress(OSError):
            # Without it a port whose last connection closed within the past minute would look taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            ports.append(port)
    return tuple(ports)


class _Running(NamedTuple):
    guard: subprocess.Popen[bytes]
    log: BinaryIO


def _start(server: Server, running: contextlib.ExitStack) -> tuple[int, ...]:
    for _ in range(START_ATTEMPTS):
        with contextlib.ExitStack() as attempt:
            ports = free_ports(server.port_count)
            process = attempt.enter_context(_guarded(server, ports))
            problem = _wait_until_ready(server, ports, process)
            if problem is None:
                running.enter_context(attempt.pop_all())
                return ports
            log = process.log.read().decode(errors="replace")
        if not any(phrase in log.lower() for phrase in _PORT_TAKEN):
            break
    tail = "\n".join("  " + line for line in log.splitlines()[-LOG_TAIL_LINES:])
    raise EmulatorStartError(f"{server.name} {problem}; the end of its log:\n{tail or '  (it logged nothing)'}")


@contextlib.contextmanager
def _guarded(server: Server, ports: Sequence[int]) -> Iterator[_Running]:
    # The guard removes the directory, also after our own sudden end.
    directory = Path(tempfile.mkdtemp(prefix="firebeam-emulator-"))
    guarded = [str(os.getpid()), str(directory), *server.command(ports, directory)]
    with (directory / "log.txt").open("wb") as log_to_write, (directory / "log.txt").open("rb") as log:
        guard = subprocess.Popen(  # noqa: S603  # the commands are this package's own
            [sys.executable, "-I", "-S", str(_GUARD), *guarded],
            stdin=subprocess.PIPE,
            stdout=log_to_write,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env=dict(server.environ),
            start_new_session=True,
        )
        try:
            yield _Running(guard, log)
        finally:
            # A word, not only the end of the pipe: a forked copy of this process may hold the pipe open.
            with contextlib.suppress(BrokenPipeError):
                guard.communicate(b"end", timeout=_STOP_TIMEOUT_S)


def _wait_until_ready(server: Server, ports: Sequence[int], process: _Running) -> str | None:
    """None once the server answers; else what is wrong with it."""
    url = server.ready_url(ports)
    give_up = time.monotonic() + server.start_timeout_s
    while time.monotonic() < give_up:
        answered = _answers(url)
        if process.guard.poll() is not None:
            return f"ended with exit code {process.guard.returncode} before it was ready"
        if answered:
            return None
        time.sleep(_READY_POLL_S)
    return f"did not answer at {url} within {server.start_timeout_s:g} s"


def _answers(url: str) -> bool:
    if url.startswith(TCP):
        host, _, port = url.removeprefix(TCP).rpartition(":")
        try:
            with socket.create_connection((host, int(port)), timeout=5):
                return True
        except OSError:
            return False
    # Proxies that the environment names are not for the loopback interface.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
