"""Runs the listen job as a user would, in a process of its own, and reads back what it left behind."""

from __future__ import annotations

import datetime
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pipeline.__main__ import main
from tests.support.export import ExportDesk
from transforms.firestore.query import Query
from transforms.firestore.reader import read
from transforms.ledger.streams import SavedStream, read_streams

MAX_WAIT_S = 90.0


@dataclass
class ListenDesk:
    """The job, on the database and the tables of an `ExportDesk`."""

    desk: ExportDesk
    flags: tuple[str, ...] = ("--collection=users",)
    ended: list[int] = field(default_factory=list)

    def arguments(self, *flags: str) -> list[str]:
        """The command line behind `firebeam`."""
        return [
            "listen",
            f"--project={self.desk.database.project}",
            f"--bigquery_table={self.desk.bigquery.project}:local.{self.desk.table}",
            f"--dead_letters={self.desk.folder / 'dead_letters'}",
            "--job_id=listen-1",
            *self.flags,
            *flags,
        ]

    def once(self, *flags: str) -> int:
        """Runs it in this process up to now; returns its exit code."""
        return main(self.arguments("--once", *flags))

    @contextmanager
    def running(self, *flags: str, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
        """Runs it in a process of its own; it is killed if it still runs at the end of the block."""
        command = [sys.executable, "-m", "pipeline", *self.arguments(*flags)]
        process = subprocess.Popen(command, env={**os.environ, **environ})
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def end(self, process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
        """Sends a signal, and returns the exit code."""
        process.send_signal(number)
        return process.wait(MAX_WAIT_S)

    def streams(self) -> dict[str, SavedStream]:
        """What the ledger says, by stream."""
        return {stream.stream_id: stream for stream in read_streams(self.desk.database.connect(), "listen-1")}

    def database(self, query: Query = Query("users")) -> dict[str, tuple[datetime.datetime | None, Mapping[str, Any]]]:
        """Version and fields of the documents, by path."""
        return {each.path: (each.update_time, each.fields) for each in read(self.desk.database.connect(), query)}

    def latest(self, suffix: str = "_latest") -> dict[str, datetime.datetime]:
        """The versions that a view shows, by path."""
        rows = self.desk.rows(suffix)
        return {row["document_name"].partition("/documents/")[2]: row["update_time"] for row in rows}

    def is_equal(self, suffix: str = "_latest") -> bool:
        """Whether a view shows the database."""
        return self.latest(suffix) == {path: version for path, (version, _) in self.database().items()}


def wait_until(holds: Callable[[], bool], max_wait_s: float = MAX_WAIT_S) -> None:
    """Returns when something holds, and fails if it does not in time."""
    until = time.monotonic() + max_wait_s
    while not holds():
        assert time.monotonic() < until, "it does not come"
        threading.Event().wait(0.2)


class Writer:
    """Writes, changes, deletes and recreates a few documents as long as the block lasts, one commit after the other.

    Args:
      desk: whose database.
      chance: decides what is written.
      pause_s: between two commits.
    """

    def __init__(self, desk: ExportDesk, chance: random.Random, pause_s: float = 0.02):
        self._desk, self._chance, self._pause_s = desk, chance, pause_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exception: object) -> None:
        self._stopped.set()
        self._thread.join()

    def write(self, n: int = 1) -> None:
        """So many commits."""
        for _ in range(n):
            path = f"users/u{self._chance.randrange(40):02d}"
            self._desk.store({path: None if self._chance.random() < 0.35 else {"n": self._chance.randrange(1000)}})

    def _run(self) -> None:
        while not self._stopped.wait(self._pause_s):
            self.write()
