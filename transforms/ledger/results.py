"""What a run found out at its end, beside the counts of its batches. Plain Python, for whoever has a client.

    pipeline_jobs/{job_id}/results/{attempt}
        whatever the job's last step says: rows on both sides, where the next run begins, …, attempt, expire_at

It has a document of its own because the job's document belongs to the launcher, while the last step runs on a worker.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from transforms.firestore import messages
from transforms.firestore.client import FirestoreClient
from transforms.firestore.fetch import fetch_all
from transforms.firestore.values import decode_fields
from transforms.ledger.document import LedgerDocument
from transforms.ledger.job_ledger import JOBS_COLLECTION, KEPT
from transforms.retry import Retry

_RESULTS_COLLECTION = "results"
_HOUSEKEEPING = frozenset({"attempt", "expire_at"})
_TIMEOUT_S = 60.0


def write_results(
    client: FirestoreClient,
    job_id: str,
    attempt: int,
    results: Mapping[str, Any],
    moment: datetime.datetime,
    retry: Retry | None = None,
) -> None:
    """Stores the results of a run, in the place of those stored before.

    Raises:
      JobError: credentials, permission or database.
      TransientError: no answer after bounded retries.
    """
    _document(client, job_id, attempt, retry).write({**results, "attempt": attempt, "expire_at": moment + KEPT})


def read_results(client: FirestoreClient, job_id: str, attempt: int, retry: Retry | None = None) -> dict[str, Any]:
    """The results of a run; empty if it has none. Raises as `write_results`."""
    stored = _document(client, job_id, attempt, retry).read()
    return _without_housekeeping(stored.fields) if stored else {}


def read_last_results(client: FirestoreClient, job_id: str, before: int, retry: Retry | None = None) -> dict[str, Any]:
    """The results of the last run before an attempt that has any. Raises as `write_results`."""
    query = messages.StructuredQuery()
    query.from_.add(collection_id=_RESULTS_COLLECTION)
    condition = query.where.field_filter
    condition.field.field_path, condition.op = "attempt", condition.Operator.LESS_THAN
    condition.value.integer_value = before
    query.order_by.add(direction="DESCENDING").field.field_path = "attempt"
    query.limit.value = 1
    parent = client.target.document_name(f"{JOBS_COLLECTION}/{job_id}")
    answers = fetch_all(client, lambda: client.run_query(parent, query, _TIMEOUT_S), retry)
    found = [decode_fields(answer.document.fields) for answer in answers if answer.HasField("document")]
    return _without_housekeeping(found[0]) if found else {}


def _without_housekeeping(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in _HOUSEKEEPING}


def _document(client: FirestoreClient, job_id: str, attempt: int, retry: Retry | None) -> LedgerDocument:
    return LedgerDocument(client, f"{JOBS_COLLECTION}/{job_id}/{_RESULTS_COLLECTION}/{attempt}", retry)
