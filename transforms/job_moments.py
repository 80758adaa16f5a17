"""When a run of a job began, by Firestore's own clock. Plain Python, for whoever has a client.

    pipeline_jobs/{job_id}/moments/{attempt}
        attempt, expire_at; its create_time is the moment

A launcher's clock may be ahead of Firestore's, which then refuses to read at a time to come, or behind, and documents
that were written just before would be missing. The document is made once and never changed, so that a run that is
resumed, by whatever computer, has the moment it began with.
"""

from __future__ import annotations

import datetime

from transforms.errors import JobError
from transforms.firestore import messages
from transforms.firestore.client import FirestoreClient, RpcError
from transforms.firestore.committer import AtomicGroup, Committer, Conflicted, Landed
from transforms.firestore.fetch import fetch_all
from transforms.firestore.packing import RequestLimits
from transforms.firestore.values import serialised_fields, timestamp
from transforms.job_ledger import JOBS_COLLECTION, KEPT
from transforms.retry import RetryPolicy

_TIMEOUT_S = 60.0


def moment_of_run(
    client: FirestoreClient, job_id: str, attempt: int, started_at: datetime.datetime, retry: RetryPolicy
) -> datetime.datetime:
    """The moment that a run reads at; the same one each time it is asked for.

    Args:
      started_at: by the launcher's clock, from which the document's expiry is reckoned.

    Raises:
      JobError: credentials, permission or database.
      TransientError: no answer after bounded retries.
    """
    name = client.target.document_name(f"{JOBS_COLLECTION}/{job_id}/moments/{attempt}")
    fields = serialised_fields({"attempt": attempt, "expire_at": started_at + KEPT})
    write = messages.update(messages.document(name, fields)) + messages.IF_ABSENT
    (outcome,) = Committer(client, RequestLimits(), retry).commit([AtomicGroup((write,))], guarded=True).outcomes
    if not isinstance(outcome, Landed | Conflicted):
        raise client.target.job_error(RpcError(outcome.code, outcome.message))
    for answer in fetch_all(client, lambda: client.batch_get([name], (), _TIMEOUT_S), retry):
        if answer.HasField("found"):
            return timestamp(answer.found.create_time.seconds, answer.found.create_time.nanos)
    raise JobError(f"Firestore has not kept {name}: somebody has removed it; start again")
