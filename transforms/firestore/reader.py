"""Reads documents, and resumes where a stream was cut: none twice, none missing. Plain Python, no Beam.

    RunQuery ──▶ document, document, … ──cut──┐ transient: wait, bounded while nothing arrives
        ▲                                     │
        └── behind the last document, with ◀──┘
            the limit that remains

Firestore ends every stream after 60 s, and connections break. The order of a query is spelt out down to the document's
name, so the last document says exactly where to resume; a stream that was cut before its first document is requested
again. Only with a `read_time` do all its parts see one state of the database.

    for document in read(target.connect(), Query("users").where("age", ">=", 21)):
        print(document.path, document.fields["name"])
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

from transforms.errors import JobError, Kind, TransientError, classify
from transforms.firestore import messages
from transforms.firestore.client import FirestoreClient, RpcError
from transforms.firestore.documents import Document
from transforms.firestore.fetch import fetch_all
from transforms.firestore.query import Query
from transforms.firestore.query_messages import (
    added_fields,
    parent_name,
    remove_field,
    start_after,
    structured_query,
)
from transforms.firestore.ranges import EVERY_NAME, NameRange
from transforms.firestore.values import decode
from transforms.retry import Attempts, Retry

# The service cuts a stream after 60 s. A reader that is slow to take documents keeps it open for longer.
STREAM_TIMEOUT_S = 300.0
REQUEST_TIMEOUT_S = 60.0
MAX_PATHS_PER_REQUEST = 100
# Source: "Aggregation queries" in the Firestore documentation.
MAX_AGGREGATIONS = 5


def read(
    client: FirestoreClient,
    query: Query,
    span: NameRange = EVERY_NAME,
    read_time: datetime.datetime | None = None,
    retry: Retry | None = None,
    *,
    on_resume: Callable[[], None] = lambda: None,
) -> Generator[Document, None, None]:
    """Yields the documents of a query in its order, each once.

    Args:
      client: of the database.
      query: what to read.
      span: only documents whose names lie in it; needs a query in name order.
      read_time: the state of the database to read; default: the newest.
      retry: how often without any progress, and how long between.
      on_resume: called when a stream was cut and is resumed.

    Raises:
      TransientError: nothing came in `retry.max_attempts` attempts, although other requests succeed.
      OutageError: no request has succeeded for the target's `max_outage_s`.
      JobError: credentials, permission, database; or what is wrong with the query and how to correct it.
    """
    retry = retry or Retry()
    request = structured_query(query, client.target, span)
    parent, order, added = parent_name(query, client.target), query.full_order, added_fields(query)
    remaining, attempts = query.max_documents, retry.attempts()
    while remaining != 0:
        if remaining is not None:
            request.limit.value = remaining
        last: Any = None
        try:
            for answer in client.run_query(parent, request, STREAM_TIMEOUT_S, read_time):
                if not answer.HasField("document"):
                    continue  # progress only
                last = answer.document
                if remaining is not None:
                    remaining -= 1
                yield Document(_projected(last, added) if added else last)
        except RpcError as error:
            if remaining == 0:
                return  # only the end of the stream was lost
            if last is not None:
                attempts = retry.attempts()
                start_after(request, order, last)
            _wait(client, error, attempts)
            on_resume()
        else:
            return


def read_paths(
    client: FirestoreClient,
    paths: Iterable[str],
    read_time: datetime.datetime | None = None,
    retry: Retry | None = None,
    *,
    on_resume: Callable[[], None] = lambda: None,
) -> Generator[Document, None, None]:
    """Yields one `Document` for every different path, in no particular order; `exists` says whether there is one.

    Arguments and errors as in `read`; up to 100 paths are asked for in one request.
    """
    retry = retry or Retry()
    names = list(dict.fromkeys(client.target.document_name(path) for path in paths))
    for first in range(0, len(names), MAX_PATHS_PER_REQUEST):
        missing = dict.fromkeys(names[first : first + MAX_PATHS_PER_REQUEST])
        attempts = retry.attempts()
        while missing:
            try:
                for answer in client.batch_get(tuple(missing), (), REQUEST_TIMEOUT_S, read_time):
                    document = _answered(answer)
                    if document is not None and document.name in missing:
                        del missing[document.name]
                        attempts = retry.attempts()
                        yield document
                error = RpcError("UNAVAILABLE", f"the stream ended with {len(missing)} documents unanswered")
            except RpcError as cut:
                error = cut
            if missing:
                _wait(client, error, attempts)
                on_resume()


class CannotAggregateError(JobError):
    """The database has no index for this aggregation, or does not know aggregations."""


def count(
    client: FirestoreClient,
    query: Query,
    read_time: datetime.datetime | None = None,
    retry: Retry | None = None,
) -> int:
    """How many documents a query has, without reading them: RunAggregationQuery, billed per 1,000 index entries.

    Raises:
      CannotAggregateError: read the documents and count them.
      TransientError, JobError: as `read`.
    """
    aggregation = messages.StructuredAggregationQuery.Aggregation(alias="documents")
    aggregation.count.SetInParent()
    return int(_aggregated(client, query, [aggregation], read_time, retry)["documents"])


def sums(
    client: FirestoreClient,
    query: Query,
    fields: Sequence[str],
    read_time: datetime.datetime | None = None,
    retry: Retry | None = None,
) -> dict[str, int | float]:
    """The sum of each of these fields over the documents of a query; documents without the field add nothing.

    Several fields are summed over the documents that have all of them. Arguments and errors as in `count`.
    """
    found: dict[str, int | float] = {}
    for first in range(0, len(fields), MAX_AGGREGATIONS):
        named = {f"sum_{number}": field for number, field in enumerate(fields[first : first + MAX_AGGREGATIONS])}
        aggregations = [
            messages.StructuredAggregationQuery.Aggregation(alias=alias, sum={"field": {"field_path": field}})
            for alias, field in named.items()
        ]
        values = _aggregated(client, query, aggregations, read_time, retry)
        found |= {field: values[alias] for alias, field in named.items()}
    return found


def _aggregated(
    client: FirestoreClient,
    query: Query,
    aggregations: Sequence[Any],
    read_time: datetime.datetime | None,
    retry: Retry | None,
) -> dict[str, Any]:
    request = messages.StructuredAggregationQuery(aggregations=aggregations)
    request.structured_query.CopyFrom(structured_query(query, client.target, EVERY_NAME))
    request.structured_query.ClearField("select")
    if not query.orders:
        request.structured_query.ClearField("order_by")  # which decides nothing here, and may need an index
    if query.max_documents is not None:
        request.structured_query.limit.value = query.max_documents
    parent = parent_name(query, client.target)

    def explain(error: RpcError) -> JobError:
        failure = read_error(client, error)
        is_impossible = error.code in ("FAILED_PRECONDITION", "UNIMPLEMENTED")
        return CannotAggregateError(str(failure)) if is_impossible else failure

    answers = fetch_all(
        client, lambda: client.aggregate(parent, request, REQUEST_TIMEOUT_S, read_time), retry, explain=explain
    )
    results = (answer.result.aggregate_fields for answer in answers if answer.HasField("result"))
    return {alias: decode(value) for result in results for alias, value in result.items()}


def read_error(client: FirestoreClient, error: RpcError) -> JobError:
    """The error of a read that fails again at every retry, with what to do about it."""
    text = error.message.lower()
    if "index" in text and error.code == "FAILED_PRECONDITION":
        return JobError(
            f"the query needs an index that {client.target.name} does not have. Create it with the link below, wait "
            f"until it is built, and start again. {error.message}"
        )
    if error.code in ("FAILED_PRECONDITION", "INVALID_ARGUMENT", "OUT_OF_RANGE") and (
        "read_time" in text or "read time" in text or "too old" in text
    ):
        return JobError(
            f"{client.target.name} cannot be read as it was at the given read_time: {error}. Without point-in-time "
            "recovery Firestore keeps old versions for one hour, with it for seven days, then readable at whole "
            f"minutes. Enable it (gcloud firestore databases update --database='{client.target.database}' "
            "--enable-pitr) and pass a whole minute as read_time, or read with read_time=LATEST."
        )
    if classify(error.code, error.message) is Kind.JOB:
        return client.target.job_error(error)
    return JobError(f"Firestore refused the read with {error}. Correct the query; a retry would meet the same answer.")


def _wait(client: FirestoreClient, error: RpcError, attempts: Attempts) -> None:
    """Waits before the next attempt. Raises if there must not be one."""
    if classify(error.code, error.message) is not Kind.TRANSIENT:
        raise read_error(client, error) from None
    if not attempts.again(client.breaker.is_down):
        raise TransientError(
            f"Firestore sent no document in {attempts.made} attempts; the last answer was {error}"
        ) from None


def _projected(message: Any, added: tuple[str, ...]) -> Any:
    projected = messages.Document()
    projected.CopyFrom(message)
    for field in added:
        remove_field(projected, field)
    return projected


def _answered(answer: Any) -> Document | None:
    kind = answer.WhichOneof("result")
    if kind == "found":
        return Document(answer.found)
    return Document(messages.Document(name=answer.missing)) if kind == "missing" else None
