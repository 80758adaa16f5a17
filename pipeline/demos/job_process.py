"""A job without an end in a process of its own, which can be killed and resumed; what it says goes to a log file."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from transforms.errors import JobError

_END_TIMEOUT_S = 60.0
_TAIL_LINES = 5


class JobProcess:
    """Runs until the block ends, at most one process at a time.

    Args:
      job: its name.
      flags: of the job.
      log: what the processes say is added to this file.
    """

    def __init__(self, job: str, flags: Sequence[str], log: Path):
        self._job, self._flags, self._log = job, flags, log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> JobProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def start(self, *more_flags: str) -> int:
        """Starts the command; returns its process id."""
        command = [sys.executable, "-m", "pipeline", self._job, *self._flags, *more_flags]
        with self._log.open("ab") as log:
            # A session of its own: a Ctrl-C in the terminal is for the demo, which ends it.
            self._process = subprocess.Popen(  # noqa: S603  # ours
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        return self._process.pid

    def check(self) -> None:
        """Raises JobError if it has ended by itself, with the last lines of the log."""
        if self._running.poll() is not None:
            tail = "\n  ".join(self._log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
            raise JobError(
                f"firebeam {self._job} ended with {self._running.returncode}; the end of {self._log}:\n  {tail}"
            )

    def kill(self) -> None:
        """`kill -9`: it cannot save anything."""
        self._running.kill()
        self._running.wait()

    def end(self) -> int:
        """SIGTERM, as from a scheduler; returns the exit code."""
        self._running.send_signal(signal.SIGTERM)
        return self.exit_code()

    def exit_code(self) -> int:
        """Waits until it has ended."""
        try:
            return self._running.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise JobError(f"firebeam {self._job} does not end; {self._log} has what it said") from None

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "start() comes first"
        return self._process
