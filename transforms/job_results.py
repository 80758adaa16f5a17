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
from transforms.firestore.client import FirestoreClient, RpcError
from transforms.firestore.committer import AtomicGroup, Committer, Landed
from transforms.firestore.fetch import fetch_all
from transforms.firestore.packing import RequestLimits
from transforms.firestore.values import decode_fields, serialised_fields
from transforms.job_ledger import JOBS_COLLECTION, KEPT
from transforms.retry import RetryPolicy

_RESULTS_COLLECTION = "results"
_HOUSEKEEPING = frozenset({"attempt", "expire_at"})
_TIMEOUT_S = 60.0


def write_results(
    client: FirestoreClient,
    job_id: str,
    attempt: int,
    results: Mapping[str, Any],
    moment: datetime.datetime,
    retry: RetryPolicy | None = None,
) -> None:
    """Stores the results of a run, in the place of those stored before.

    Raises:
      JobError: credentials, permission or database.
      TransientError: no answer after bounded retries.
    """
    fields = serialised_fields({**results, "attempt": attempt, "expire_at": moment + KEPT})
    write = messages.update(messages.document(_name(client, job_id, attempt), fields))
    committer = Committer(client, RequestLimits(), retry or RetryPolicy())
    (outcome,) = committer.commit([AtomicGroup((write,))], guarded=False).outcomes
    if not isinstance(outcome, Landed):
        raise client.target.job_error(RpcError(outcome.code, outcome.message))


def read_results(
    client: FirestoreClient, job_id: str, attempt: int, retry: RetryPolicy | None = None
) -> dict[str, Any]:
    """The results of a run; empty if it has none. Raises as `write_results`."""
    name = _name(client, job_id, attempt)
    answers = fetch_all(client, lambda: client.batch_get([name], (), _TIMEOUT_S), retry)
    found = [decode_fields(answer.found.fields) for answer in answers if answer.HasField("found")]
    return _without_housekeeping(found[0]) if found else {}


def read_last_results(
    client: FirestoreClient, job_id: str, before: int, retry: RetryPolicy | None = None
) -> dict[str, Any]:
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


def _name(client: FirestoreClient, job_id: str, attempt: int) -> str:
    return client.target.document_name(f"{JOBS_COLLECTION}/{job_id}/{_RESULTS_COLLECTION}/{attempt}")
