"""Two ingests of one process at once, held so that each has read before the other writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.support.disturbed_run import faulty
from tests.support.faulty_firestore import FaultyFirestore, Incoming, Schedule, never
from tests.support.ingest import Ingested, ingest
from transforms.firestore.client import RpcError
from transforms.firestore.target import FirestoreTarget

JOBS = ("left-job", "right-job")

_PATIENCE_S = 30.0


class _Meeting:
    """Holds a job's first Commit of pairs until the other job's is there, too."""

    def __init__(self) -> None:
        self._arrived = {job: threading.Event() for job in JOBS}

    def __call__(self, request: Incoming) -> RpcError | None:
        if request.rpc == "Commit" and b"/enriched_profiles/" in request.body:
            for job, arrived in self._arrived.items():
                if job.encode() in request.body:
                    arrived.set()
            for job, arrived in self._arrived.items():
                if not arrived.wait(_PATIENCE_S):
                    return RpcError("PERMISSION_DENIED", f"{job} has not come")
        return None


@contextmanager
def together(emulator: str, schedule: Schedule = never) -> Iterator[FaultyFirestore]:
    """A server over which two jobs meet."""
    with faulty(emulator, schedule, _Meeting()) as server:
        yield server


def ingest_both(folder: Path, target: FirestoreTarget, flags: Sequence[str]) -> list[Ingested]:
    """Ingests `left.jsonl` and `right.jsonl` of the folder at the same time."""

    def run(job: str) -> Ingested:
        source = folder / f"{job.partition('-')[0]}.jsonl"
        return ingest(folder / job, target, f"--input={source}", f"--job_id={job}", *flags)

    with ThreadPoolExecutor(len(JOBS)) as pool:
        return list(pool.map(run, JOBS))
