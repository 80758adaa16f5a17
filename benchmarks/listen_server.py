"""A scripted Firestore in a process of its own, so that a listener's CPU is the listener's alone.

    case ──▶ a line of JSON: write ──▶ python -m benchmarks.listen_server ──▶ commits, each published at once
         ◀── its address; a line when the writes are done ──┘

Each document says when it was written, by the machine's monotonic clock, which both processes read.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from types import TracebackType

from benchmarks.measure import ROOT, CaseError
from benchmarks.workload import watched
from transforms.firestore.target import FirestoreTarget
from transforms.testing import PROJECT, ScriptedFirestore

SPEED_UP = 60  # of the simulated clock: an hour passes in a minute
_TEXTS = tuple(chr(ord("a") + k) * 120 for k in range(26))
_CLOSE_TIMEOUT_S = 30.0


def simulated_now() -> float:
    """Seconds since 1970 by a clock that is as fast in every process; it is far ahead."""
    return time.time() * SPEED_UP


def simulated_monotonic() -> float:
    """Seconds that never go back, by the same clock."""
    return time.monotonic() * SPEED_UP


@dataclass(frozen=True)
class Stored:
    """What a server holds when it starts, and how it behaves.

    Attributes:
      documents: in each collection.
      collections: how many.
      heartbeat_s: between two heartbeats of a stream.
      max_age_s: of a stream, which then ends with OK.
      simulated: its clock is `simulated_now`.
    """

    documents: int
    collections: int = 1
    heartbeat_s: float = 30.0
    max_age_s: float | None = None
    simulated: bool = False

    @property
    def names(self) -> list[str]:
        """Of the collections."""
        return [f"watched-{k}" for k in range(self.collections)]


@dataclass(frozen=True)
class Writes:
    """What a server is to write: documents in turn, over all collections.

    Attributes:
      first: number of the first one.
      count: how many documents.
      per_commit: how many at once.
      interval_s: between the beginnings of two commits.
    """

    first: int
    count: int
    per_commit: int = 1
    interval_s: float = 0.0


@dataclass
class ListenServer:
    """A context manager: the process runs inside of it.

    Attributes:
      stored: what it holds.
      target: where it is.
    """

    stored: Stored
    target: FirestoreTarget = field(init=False)

    def __enter__(self) -> ListenServer:
        command = [sys.executable, "-m", "benchmarks.listen_server", json.dumps(asdict(self.stored))]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.target = FirestoreTarget(PROJECT, emulator_host=self._line(), max_outage_s=60.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def write(self, writes: Writes) -> None:
        """Has it begin; `finish` waits for the end."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(writes)) + "\n")
        self._process.stdin.flush()

    def finish(self) -> None:
        """Waits until what it was told last is written."""
        self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise CaseError("the scripted server has ended")
        return line.strip()


def main(arguments: Sequence[str]) -> None:
    """Serves until its input ends."""
    stored = Stored(**json.loads(arguments[0]))
    documents = {_path(stored, n): _fields(-1 - n) for n in range(stored.documents * stored.collections)}
    server = ScriptedFirestore(documents, now=simulated_now if stored.simulated else time.time)
    server.listen.heartbeat_s, server.listen.max_age_s = stored.heartbeat_s, stored.max_age_s
    with server:
        _say(server.target.emulator_host or "")
        for line in sys.stdin:
            _write(server, stored, Writes(**json.loads(line)))
            _say("done")


def _write(server: ScriptedFirestore, stored: Stored, writes: Writes) -> None:
    began_at = time.monotonic()
    numbers = iter(range(writes.first, writes.first + writes.count))
    for commit in itertools.count():
        part = list(itertools.islice(numbers, writes.per_commit))
        if not part:
            return
        time.sleep(max(0.0, began_at + commit * writes.interval_s - time.monotonic()))
        server.put({_path(stored, n): _fields(n) for n in part})


def _path(stored: Stored, n: int) -> str:
    """Of the document that is written as number `n`: collections in turn, ids as long as those Firestore makes."""
    collection, number = n % stored.collections, n // stored.collections % stored.documents
    return f"{stored.names[collection]}/{number * 0x9E3779B1 % 2**32:020d}"


def _fields(n: int) -> dict[str, object]:
    return watched(_TEXTS[n % len(_TEXTS)], n, time.monotonic_ns())


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
