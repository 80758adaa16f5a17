"""The time that a run reads Firestore at, by Firestore's own clock. Plain Python, for every holder of a client.

    pipeline_jobs/{job_id}/moments/{attempt}
        attempt, expire_at; its create_time is the read time

A launcher's clock may be ahead of Firestore's, which then refuses to read at a time to come, or behind, and documents
that were written just before would be missing. The document is made once and never changed, so that a resumed run, on
whatever computer, reads the snapshot it began with.
"""

from __future__ import annotations

import datetime

from transforms.errors import JobError
from transforms.firestore import messages
from transforms.ledger.document import KEPT, LedgerDocument


def read_time_of_run(job: LedgerDocument, attempt: int, started_at: datetime.datetime) -> datetime.datetime:
    """The time that a run reads at; the same one each time it is asked for.

    Args:
      started_at: by the launcher's clock, from which the document's expiry is reckoned.

    Raises:
      JobError: credentials, permission or database.
      TransientError: no answer after bounded retries.
    """
    document = job.below("moments", attempt)
    document.write({"attempt": attempt, "expire_at": started_at + KEPT}, messages.IF_ABSENT)
    stored = document.read()
    if stored is None or stored.create_time is None:
        raise JobError(f"Firestore has not kept {document.name}: somebody has removed it; start again")
    return stored.create_time
