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
from transforms.firestore.client import FirestoreClient
from transforms.ledger.document import LedgerDocument
from transforms.ledger.job_ledger import JOBS_COLLECTION, KEPT
from transforms.retry import Retry


def moment_of_run(
    client: FirestoreClient, job_id: str, attempt: int, started_at: datetime.datetime, retry: Retry
) -> datetime.datetime:
    """The moment that a run reads at; the same one each time it is asked for.

    Args:
      started_at: by the launcher's clock, from which the document's expiry is reckoned.

    Raises:
      JobError: credentials, permission or database.
      TransientError: no answer after bounded retries.
    """
    document = LedgerDocument(client, f"{JOBS_COLLECTION}/{job_id}/moments/{attempt}", retry)
    document.write({"attempt": attempt, "expire_at": started_at + KEPT}, messages.IF_ABSENT)
    stored = document.read()
    if stored is None:
        raise JobError(f"Firestore has not kept {document.name}: somebody has removed it; start again")
    return stored.create_time
