"""Runs one server and ends it, whatever becomes of the process that wanted it. A script of its own, never imported.

    python -I -S guard.py PARENT_PID DIRECTORY COMMAND…

    parent ──pipe (stdin)──▶ guard ──▶ server, in a process group of its own

The guard ends the server's whole process group and removes DIRECTORY when anything can be read from the pipe, when the
pipe breaks (the kernel closes it even after `kill -9`), when its parent is no longer PARENT_PID (a forked copy of
the parent may hold the pipe open for longer than the parent lives), on a signal, or when the server ends by itself.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
from types import FrameType

POLL_INTERVAL_S = 0.2
# Emulators keep nothing worth saving; a JVM and uvicorn need well below a second to leave in good order.
GRACE_S = 3.0


def main(arguments: list[str]) -> int:
    """Runs the command until it ends or is not wanted any more; returns its exit code."""
    parent_pid, directory, *command = arguments
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGHUP, _leave)
    try:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603  # ours
        try:
            while server.poll() is None and _wanted(int(parent_pid)):
                pass
        finally:
            _end(server)
        return server.returncode
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _leave(signum: int, frame: FrameType | None) -> None:
    sys.exit(128 + signum)


def _wanted(parent_pid: int) -> bool:
    readable, _, _ = select.select([sys.stdin], [], [], POLL_INTERVAL_S)
    return not readable and os.getppid() == parent_pid


def _end(server: "subprocess.Popen[bytes]") -> None:
    # macOS answers PermissionError for a group of which only a zombie is left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(server.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(GRACE_S)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
