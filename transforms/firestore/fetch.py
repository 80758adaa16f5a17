"""Reads an answer of bounded size as a whole: what fits in memory, such as a batch's documents or a job's ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from transforms.errors import FirebeamError, JobError, Kind, TransientError, classify
from transforms.firestore.client import FirestoreClient, RpcError
from transforms.retry import Retry

T = TypeVar("T")


def fetch_all(
    client: FirestoreClient,
    open_stream: Callable[[], Iterator[T]],
    retry: Retry | None = None,
    *,
    explain: Callable[[RpcError], JobError] | None = None,
) -> list[T]:
    """All messages of a stream. One that breaks is read again from its beginning, so nothing comes twice.

    Args:
      client: of the database that is read; names it in errors.
      open_stream: sends the request; called once per attempt.
      retry: maximum attempts, and how long to wait between them.
      explain: makes the error of a request that fails at every retry; default: the target's own.

    Raises:
      TransientError: the last attempt allowed failed as well, although others succeed.
      OutageError: nothing has succeeded for the target's `max_outage_s`.
      JobError: credentials, permission, database, or a request that is wrong in itself.
    """

    def meaning(error: RpcError, attempts: int) -> FirebeamError:
        if classify(error.code, error.message) is not Kind.TRANSIENT:
            return (explain or client.target.job_error)(error)
        return TransientError(f"Firestore did not answer in {attempts} attempts; the last answer was {error}")

    return (retry or Retry()).call(
        lambda: list(open_stream()), catch=RpcError, meaning=meaning, is_outage=client.breaker.is_down
    )
