"""What the document of a job says while the job runs: sums over the ledger, for whoever listens to it. Plain Python.

    batches, provider batches ──sums──▶ live fields ──with the owner's heartbeat──▶ pipeline_jobs/{job_id}
                                                      at most once per second, exact at the end

    batches_total, batches_waiting, batches_processing, batches_completed, batches_failed, progress, profiles, records,
    tokens, updated_at

Nothing is incremented, because a request that is sent twice would count twice. With batches at a provider a batch is
one of the provider's; without, one of the job's own, whose number nobody knows before the end.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from transforms.counters import BYTES_READ, Counters
from transforms.firestore.reader import CannotAggregateError, count, sums
from transforms.ledger.document import LedgerDocument
from transforms.ledger.guarded import LostError
from transforms.ledger.provider_batches import (
    COMPLETED,
    FAILED,
    PROCESSING,
    PROVIDER_BATCHES,
    UNDECIDED,
    WAITING,
    ProviderBatches,
)
from transforms.ledger.runs import JobLedger
from transforms.ledger.totals import Totals, read_totals

LIVE_INTERVAL_S = 1.0
_TOKENS = ("input_tokens", "output_tokens")


class BatchCounts(NamedTuple):
    """How many batches are where; the total is None where nobody knows it yet."""

    total: int | None
    waiting: int
    processing: int
    completed: int
    failed: int
    input_tokens: int = 0
    output_tokens: int = 0


# Of the job with this document, these sums and this attempt.
CountsOf: TypeAlias = Callable[[LedgerDocument, Totals, int], BatchCounts]


def counts_of_batches(job: LedgerDocument, totals: Totals, attempt: int) -> BatchCounts:
    """Of the job's own batches."""
    return BatchCounts(None, 0, totals.processing, totals.batches, totals.failed)


def counts_of_provider_batches(job: LedgerDocument, totals: Totals, attempt: int) -> BatchCounts:
    """Of the batches at a provider that this attempt triggers or takes."""
    query = job.query(PROVIDER_BATCHES).where("run", "==", attempt)

    def in_states(*states: str) -> int:
        return count(job.client, query.where("state", "in", list(states)), retry=job.retry)

    try:
        # A batch goes from waiting through processing to an end. Whatever moves between two answers is counted once,
        # because the ends are asked for first and what is processed is the rest.
        failed, completed, waiting = (in_states(*states) for states in ((FAILED, UNDECIDED), (COMPLETED,), WAITING))
        processing = count(job.client, query, retry=job.retry) - failed - completed - waiting
        tokens = [int(sums(job.client, query, (name,), retry=job.retry).get(name, 0)) for name in _TOKENS]
    except CannotAggregateError:
        batches = ProviderBatches(job).of_run(attempt)
        waiting, processing, completed, failed = (
            sum(each.state in states for each in batches)
            for states in (WAITING, (PROCESSING,), (COMPLETED,), (FAILED, UNDECIDED))
        )
        tokens = [sum(getattr(each, name) or 0 for each in batches) for name in _TOKENS]
    total = waiting + processing + completed + failed
    return BatchCounts(total, waiting, processing, completed, failed, *tokens)


def live_fields(
    totals: Totals, counts: BatchCounts, bytes_total: int | None, *, is_over: bool = False
) -> dict[str, Any]:
    """What the job's document says of these sums.

    Args:
      bytes_total: of all input, where that is known.
      is_over: whether the run is complete.
    """
    counters = totals.counters
    total = counts.total if counts.total is not None or not is_over else counts.completed
    return {
        "batches_total": total,
        "batches_waiting": counts.waiting,
        "batches_processing": counts.processing,
        "batches_completed": counts.completed,
        "batches_failed": counts.failed,
        "progress": 1.0 if is_over else _share(totals, counts, bytes_total),
        "profiles": list(totals.profiles),
        "records": _records(counters, totals),
        "tokens": {"input": counts.input_tokens, "output": counts.output_tokens},
    }


def _records(counters: Counters, totals: Totals) -> dict[str, int]:
    return {each.key: totals[each.name] for each in (counters.total, *totals.shown_parts)}


def _share(totals: Totals, counts: BatchCounts, bytes_total: int | None) -> float | None:
    if counts.total is not None:
        return counts.completed / counts.total if counts.total else None
    return min(1.0, totals[BYTES_READ] / bytes_total) if bytes_total else None


class Liveness:
    """Keeps the document of a run that nobody waits for live, from a worker that completes batches.

    Args:
      job: its document.
      counters: what it counts.
      attempt: which run.
      counts_of: its batches.
      monotonic: seconds.
    """

    def __init__(
        self,
        job: LedgerDocument,
        counters: Counters,
        attempt: int,
        counts_of: CountsOf,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self._job, self._counters, self._attempt, self._counts_of = job, counters, attempt, counts_of
        self._monotonic, self._due_at = monotonic, 0.0

    def note(self) -> None:
        """Writes the sums, if it is time. Another worker that comes first is as right as this one."""
        if self._monotonic() < self._due_at:
            return
        ledger = JobLedger(self._job, self._counters)
        if ledger.adopt(self._attempt):
            totals = read_totals(self._job, self._counters)
            fields = live_fields(totals, self._counts_of(self._job, totals, self._attempt), ledger.bytes_total)
            with contextlib.suppress(LostError):
                ledger.heartbeat(fields)
        self._due_at = self._monotonic() + LIVE_INTERVAL_S
