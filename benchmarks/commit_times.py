"""Takes the time of every Commit that this process sends; the job does not know that it is watched."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import wraps

from transforms.firestore.client import Call, FirestoreClient

_LEDGER = b"/documents/pipeline_jobs/"

# Seconds from sending to answer; of the first answer the time, since the epoch, and the CPU seconds of this process.
COMMIT_S: list[float] = []
FIRST_ANSWER: list[float] = []
FIRST_CPU_S: list[float] = []


def watch_commits() -> None:
    """From now on; the ledger's Commits are left out."""
    send = FirestoreClient.commit

    @wraps(send)
    def commit(self: FirestoreClient, writes: Iterable[bytes], timeout_s: float) -> Call:
        held = list(writes)
        sent = time.perf_counter()
        call = send(self, held, timeout_s)
        if _LEDGER not in held[0]:
            call.when_done(lambda: _answered(sent))
        return call

    FirestoreClient.commit = commit  # type: ignore[method-assign]


def _answered(sent: float) -> None:
    COMMIT_S.append(time.perf_counter() - sent)
    if not FIRST_ANSWER:
        FIRST_ANSWER.append(time.time())
        FIRST_CPU_S.append(time.process_time())
