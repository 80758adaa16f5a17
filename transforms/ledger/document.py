"""One document of the ledger, read and replaced as a whole. Plain Python, for whoever has a client.

document = LedgerDocument(client, "pipeline_jobs/ingest-1/results/3", retry)
stored = document.read()                              # None if there is none
document.write({"rows": 7})                           # in the place of whatever is there
document.write({"rows": 7}, messages.IF_ABSENT)       # or Conflicted
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, NamedTuple

from transforms.firestore import messages
from transforms.firestore.client import FirestoreClient, RpcError
from transforms.firestore.committer import AtomicGroup, Committer, Conflicted, Landed
from transforms.firestore.fetch import fetch_all
from transforms.firestore.packing import RequestLimits
from transforms.firestore.values import decode_fields, serialised_fields, timestamp
from transforms.retry import Retry

_TIMEOUT_S = 60.0


class Stored(NamedTuple):
    """What a document holds, and since when."""

    fields: dict[str, Any]
    create_time: datetime.datetime
    update_time: datetime.datetime


class LedgerDocument:
    """A document at a path.

    Raises (every method): JobError for credentials, permission or database; TransientError after bounded retries.
    """

    def __init__(self, client: FirestoreClient, path: str, retry: Retry | None = None):
        self.name = client.target.document_name(path)
        self._client, self._retry = client, retry or Retry()

    def read(self) -> Stored | None:
        """The document; None if there is none."""
        answers = fetch_all(self._client, lambda: self._client.batch_get([self.name], (), _TIMEOUT_S), self._retry)
        for answer in answers:
            if answer.HasField("found"):
                found = answer.found
                created, updated = (timestamp(at.seconds, at.nanos) for at in (found.create_time, found.update_time))
                return Stored(decode_fields(found.fields), created, updated)
        return None

    def write(self, fields: Mapping[str, Any], condition: bytes = b"") -> Landed | Conflicted:
        """Replaces the document; with a condition of `messages.py` only if that holds."""
        write = messages.update(messages.document(self.name, serialised_fields(fields))) + condition
        committer = Committer(self._client, RequestLimits(), self._retry)
        (outcome,) = committer.commit([AtomicGroup((write,))], guarded=bool(condition)).outcomes
        if isinstance(outcome, Landed | Conflicted):
            return outcome
        raise self._client.target.job_error(RpcError(outcome.code, outcome.message))
