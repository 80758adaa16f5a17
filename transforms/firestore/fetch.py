"""Reads an answer of bounded size as a whole: what fits in memory, such as a batch's documents or a job's ledger."""

from __future__ import annotations

import random as _random
import time
from collections.abc import Callable, Iterator
from typing import Any

from transforms.errors import JobError, Kind, TransientError, classify
from transforms.firestore.client import FirestoreClient, RpcError
from transforms.retry import RetryPolicy


def fetch_all(
    client: FirestoreClient,
    open_stream: Callable[[], Iterator[Any]],
    retry: RetryPolicy | None = None,
    *,
    explain: Callable[[RpcError], JobError] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    random: Callable[[], float] = _random.random,
) -> list[Any]:
    """All messages of a stream. One that breaks is read again from its beginning, so nothing comes twice.

    Args:
      client: of the database that is read; names it in errors.
      open_stream: sends the request; called once an attempt.
      retry: how often, how long between.
      explain: makes the error of a request that no retry can mend; the target's own when absent.

    Raises:
      TransientError: the last attempt allowed failed as well, although others succeed.
      OutageError: nothing has succeeded for the target's `max_outage_s`.
      JobError: credentials, permission, database, or a request that is wrong in itself.
    """
    retry = retry or RetryPolicy()
    attempt = 0
    while True:
        attempt += 1
        try:
            return list(open_stream())
        except RpcError as error:
            if classify(error.code, error.message) is not Kind.TRANSIENT:
                raise (explain or client.target.job_error)(error) from None
            # During an outage the client itself says when to stop.
            if attempt >= retry.max_attempts and not client.breaker.is_open:
                raise TransientError(
                    f"Firestore did not answer in {attempt} attempts; the last answer was {error}"
                ) from None
        sleep(retry.delay_s(attempt, random))
