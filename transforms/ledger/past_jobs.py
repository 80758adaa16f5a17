"""What the ledger remembers of jobs that ran before. Plain Python, read-only.

stored_job(client, "ingest-1f…")["parameters"]      the flags it ran with
input_ids(client, "ingest-1f…")                     fingerprints of the sources it read
finish_times(client)                                when each job finished last
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from transforms.batch import input_id_of
from transforms.firestore import messages
from transforms.firestore.client import FirestoreClient
from transforms.firestore.fetch import fetch_all
from transforms.firestore.values import decode_fields
from transforms.ledger.document import LedgerDocument
from transforms.ledger.job_ledger import BATCHES_COLLECTION, JOBS_COLLECTION
from transforms.retry import Retry

_TIMEOUT_S = 60.0


def stored_job(client: FirestoreClient, job_id: str, retry: Retry | None = None) -> dict[str, Any] | None:
    """The job's document; None if the ledger does not know it, or no longer.

    Raises (as all functions here): JobError for credentials, permission or database; TransientError.
    """
    stored = LedgerDocument(client, f"{JOBS_COLLECTION}/{job_id}", retry).read()
    return stored.fields if stored else None


def input_ids(client: FirestoreClient, job_id: str, retry: Retry | None = None) -> frozenset[str]:
    """The fingerprints of the sources the job read in its last run, with which its batch ids begin."""
    parent = client.target.document_name(f"{JOBS_COLLECTION}/{job_id}")
    return frozenset(
        input_id_of(_id(document)) for document in _select(client, parent, BATCHES_COLLECTION, "__name__", retry)
    )


def finish_times(client: FirestoreClient, retry: Retry | None = None) -> dict[str, datetime.datetime]:
    """When each job of the ledger finished its last run, by id; jobs that have not are left out."""
    times = {}
    for document in _select(client, f"{client.target.name}/documents", JOBS_COLLECTION, "finished_at", retry):
        if (finished_at := decode_fields(document.fields).get("finished_at")) is not None:
            times[_id(document)] = finished_at
    return times


def _select(client: FirestoreClient, parent: str, collection: str, field: str, retry: Retry | None) -> Iterator[Any]:
    query = messages.StructuredQuery()
    query.from_.add(collection_id=collection)
    query.select.fields.add(field_path=field)
    answers = fetch_all(client, lambda: client.run_query(parent, query, _TIMEOUT_S), retry)
    return (answer.document for answer in answers if answer.HasField("document"))


def _id(document: Any) -> str:
    return str(document.name.rpartition("/")[2])
