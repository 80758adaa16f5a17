"""An export of `--source` in a process of its own, killed at a moment that its requests to the ledger give."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.support.export import ExportDesk
from tests.support.faulty_firestore import FaultyFirestore
from tests.support.interrupted import ROOT, Moment


def kill_export(desk: ExportDesk, source: str, ordinal: int, *flags: str) -> None:
    """Exports a source until `kill -9`, before the request of this ordinal.

    The same flags, passed to `desk.export` with the source, are the same command.
    """
    killed = []

    def kill() -> None:
        killed.append(os.killpg(process.pid, signal.SIGKILL))

    command = [
        f"--source={source}",
        f"--project={desk.database.project}",
        f"--bigquery_table={desk.bigquery.project}:local.{desk.table}",
        f"--dead_letters={desk.folder / 'dead_letters'}",
        *flags,
    ]
    with FaultyFirestore(desk.emulator_host, refuse=Moment(ordinal, kill)) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "export", *command],
            cwd=ROOT,
            env={**os.environ, "FIRESTORE_EMULATOR_HOST": server.host},
            start_new_session=True,
        )
        assert process.wait(timeout=120) == -signal.SIGKILL
    assert killed
