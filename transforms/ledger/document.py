"""One document of the ledger, and those below it. Plain Python, for every holder of a client.

    job = LedgerDocument(client, "pipeline_jobs/ingest-1", retry)
    job.read()                                            # None if there is none
    results = job.below("results", 3)
    results.write({"rows": 7})                            # replaces whatever is there
    results.write({"rows": 7}, messages.IF_ABSENT)        # or Conflicted
    job.documents(job.query("batches").where("state", "==", "completed"))

Which collection a ledger is kept in is its path's matter: what is built on a document works below any.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from transforms.firestore import messages
from transforms.firestore.client import FirestoreClient, RpcError
from transforms.firestore.committer import AtomicGroup, Committer, Conflicted, Landed
from transforms.firestore.documents import Document
from transforms.firestore.query import Query
from transforms.firestore.reader import read, read_paths
from transforms.firestore.values import serialised_fields
from transforms.retry import Retry

# How long the ledger is kept, for a time-to-live policy on expire_at.
KEPT = datetime.timedelta(days=90)


class LedgerDocument:
    """A document at a path.

    Args:
      client: of the database that keeps the ledger.
      path: of the document.
      retry: of every request; its clock says when things happen.

    Raises (every method): JobError for credentials, permission or database; TransientError after bounded retries.
    """

    def __init__(self, client: FirestoreClient, path: str, retry: Retry | None = None):
        self.client, self.path, self.retry = client, path, retry or Retry()

    @property
    def id(self) -> str:
        """The last segment of the path."""
        return self.path.rpartition("/")[2]

    @property
    def name(self) -> str:
        """The full name."""
        return self.client.target.document_name(self.path)

    def now(self) -> datetime.datetime:
        """The time, by the clock of `retry`."""
        return datetime.datetime.fromtimestamp(self.retry.clock.now(), datetime.timezone.utc)

    def below(self, collection: str, document_id: object) -> LedgerDocument:
        """A document in a collection below this one."""
        return LedgerDocument(self.client, f"{self.path}/{collection}/{document_id}", self.retry)

    def query(self, collection: str) -> Query:
        """A collection below this document."""
        return Query(f"{self.path}/{collection}")

    def documents(self, query: Query) -> list[Document]:
        """What a query finds."""
        return list(read(self.client, query, retry=self.retry))

    def read(self) -> Document | None:
        """The document; None if there is none."""
        (document,) = read_paths(self.client, [self.path], retry=self.retry)
        return document if document.exists else None

    def write(
        self, fields: Mapping[str, Any], condition: bytes = b"", *, keeps_others: bool = False
    ) -> Landed | Conflicted:
        """Replaces the document.

        Args:
          condition: of `messages.py`; if it does not hold, nothing is written.
          keeps_others: whether fields that are not given stay as they are.
        """
        write = messages.update(messages.document(self.name, serialised_fields(fields)))
        mask = messages.update_mask(fields) if keeps_others else b""
        group = AtomicGroup((write + mask + condition,))
        (outcome,) = Committer(self.client, retry=self.retry).commit([group], guarded=bool(condition)).outcomes
        if isinstance(outcome, Landed | Conflicted):
            return outcome
        raise self.client.target.job_error(RpcError(outcome.code, outcome.message))
