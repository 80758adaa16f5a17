"""What a run found out at its end, beside the counts of its batches. Plain Python, for every holder of a client.

    pipeline_jobs/{job_id}/results/{attempt}
        whatever the job's last step says: rows on both sides, where the next run begins, …, attempt, expire_at

It has a document of its own because the job's document belongs to the launcher, while the last step runs on a worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transforms.ledger.document import KEPT, LedgerDocument

_RESULTS = "results"
_HOUSEKEEPING = frozenset({"attempt", "expire_at"})


def write_results(job: LedgerDocument, attempt: int, results: Mapping[str, Any]) -> None:
    """Stores the results of a run; replaces those stored before.

    Raises (as all functions here): JobError for credentials, permission or database; TransientError.
    """
    job.below(_RESULTS, attempt).write({**results, "attempt": attempt, "expire_at": job.now() + KEPT})


def read_results(job: LedgerDocument, attempt: int) -> dict[str, Any]:
    """The results of a run; empty if it has none."""
    found = job.below(_RESULTS, attempt).read()
    return _without_housekeeping(found.fields) if found else {}


def read_last_results(job: LedgerDocument, before: int) -> dict[str, Any]:
    """The results of the last run before an attempt that has any."""
    earlier = job.query(_RESULTS).where("attempt", "<", before)
    found = job.documents(earlier.order_by("attempt", descending=True).limit(1))
    return _without_housekeeping(found[0].fields) if found else {}


def _without_housekeeping(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in _HOUSEKEEPING}
