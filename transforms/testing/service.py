"""What each RPC answers while no script says otherwise: a generator of messages for a request. No gRPC, no scripts.

A write is applied, and documents are read, when the first message is asked for. An RPC is a row in `rpcs`; Listen
streams both ways and has a module of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import grpc
from google.protobuf import empty_pb2

from transforms.firestore import messages
from transforms.firestore.client import RpcError
from transforms.firestore.limits import MAX_WRITES_PER_COMMIT
from transforms.testing import queries
from transforms.testing.documents import Documents
from transforms.testing.transactions import Transactions
from transforms.testing.writes import written_name

# Called with a write of a BatchWrite, the name of its document, and what applies it and yields its result.
AffectWrite: TypeAlias = Callable[[Any, str, Iterator[Any]], Iterator[Any]]


class Rpc(NamedTuple):
    """An RPC: the protobuf classes of request and response, what answers it, whether it answers with a stream."""

    request: Any
    response: Any
    answer: Callable[[Any], Iterator[Any]]
    streams: bool = False


class Service:
    """Firestore's RPCs on documents in memory.

    Args:
      stored: the documents.
      documents_per_partition: PartitionQuery makes no smaller parts.
      affect_write: may change what becomes of a write of a BatchWrite.

    Attributes:
      rpcs: by name.
      applied: full name of the document of every write that was applied, in order, also if it changed nothing.
    """

    def __init__(self, stored: Documents, documents_per_partition: int, affect_write: AffectWrite):
        self._stored, self._documents_per_partition, self._affect_write = stored, documents_per_partition, affect_write
        self._transactions = Transactions(stored)
        self.applied: list[str] = []
        m = messages
        self.rpcs = {
            "Commit": Rpc(m.CommitRequest, m.CommitResponse, self._commit),
            "BatchWrite": Rpc(m.BatchWriteRequest, m.BatchWriteResponse, self._batch_write),
            "BatchGetDocuments": Rpc(
                m.BatchGetDocumentsRequest, m.BatchGetDocumentsResponse, self._batch_get, streams=True
            ),
            "RunQuery": Rpc(m.RunQueryRequest, m.RunQueryResponse, self._run_query, streams=True),
            "RunAggregationQuery": Rpc(
                m.RunAggregationQueryRequest, m.RunAggregationQueryResponse, self._aggregate, streams=True
            ),
            "PartitionQuery": Rpc(m.PartitionQueryRequest, m.PartitionQueryResponse, self._partition),
            "BeginTransaction": Rpc(m.BeginTransactionRequest, m.BeginTransactionResponse, self._begin),
            "Rollback": Rpc(m.RollbackRequest, empty_pb2.Empty, self._rollback),
        }

    def _commit(self, request: Any) -> Iterator[Any]:
        _check_writes(request)
        with self._stored.lock:
            if request.transaction:
                self._transactions.check(request.transaction, len(request.writes))
            time_us, results = self._commit_and_log(request.writes)
            if request.transaction:
                self._transactions.end(request.transaction)
        response = messages.CommitResponse(write_results=results)
        response.commit_time.FromMicroseconds(time_us)
        yield response

    def _batch_write(self, request: Any) -> Iterator[Any]:
        """Each write for itself; two of one document are refused."""
        _check_writes(request)
        names = [written_name(write) for write in request.writes]
        if len(set(names)) < len(names):
            raise RpcError("INVALID_ARGUMENT", "the same document cannot be written more than once in a single request")
        response = messages.BatchWriteResponse()
        for name, write in zip(names, request.writes, strict=True):
            result, status = response.write_results.add(), response.status.add()
            try:
                result.CopyFrom(list(self._affect_write(write, name, self._write(write)))[-1])
            except RpcError as error:
                status.code, status.message = grpc.StatusCode[error.code].value[0], error.message
        yield response

    def _write(self, write: Any) -> Iterator[Any]:
        yield from self._commit_and_log([write])[1]

    def _commit_and_log(self, writes: Sequence[Any]) -> tuple[int, list[Any]]:
        committed = self._stored.commit(writes)
        self.applied += map(written_name, writes)
        return committed

    def _batch_get(self, request: Any) -> Iterator[Any]:
        """Answers come in no order; here in the reverse one, so that no client relies on it."""
        names = request.documents[::-1]
        found, at_us, begun = self._read(request, lambda at_us: [self._stored.read(name, at_us) for name in names])
        if begun:
            yield messages.BatchGetDocumentsResponse(transaction=begun)
        for name, document in zip(names, found, strict=True):
            response = messages.BatchGetDocumentsResponse()
            response.read_time.FromMicroseconds(at_us)
            if document is None:
                response.missing = name
            elif request.HasField("mask"):
                response.found.CopyFrom(queries.projected(document, request.mask.field_paths))
            else:
                response.found.CopyFrom(document)
            yield response

    def _run_query(self, request: Any) -> Iterator[Any]:
        query = request.structured_query
        found, at_us, begun = self._read(request, lambda at_us: self._result(request.parent, query, at_us))
        response = messages.RunQueryResponse(transaction=begun)  # progress, as the service sends before it finds any
        response.read_time.FromMicroseconds(at_us)
        yield response
        for document in found:
            response = messages.RunQueryResponse(read_time=response.read_time)
            fields = [each.field_path for each in query.select.fields]
            response.document.CopyFrom(queries.projected(document, fields) if query.HasField("select") else document)
            yield response

    def _aggregate(self, request: Any) -> Iterator[Any]:
        query = request.structured_aggregation_query
        found, at_us, begun = self._read(
            request, lambda at_us: self._result(request.parent, query.structured_query, at_us)
        )
        response = messages.RunAggregationQueryResponse(transaction=begun)
        response.read_time.FromMicroseconds(at_us)
        for alias, value in queries.aggregated(found, query.aggregations):
            response.result.aggregate_fields[alias].CopyFrom(value)
        yield response

    def _partition(self, request: Any) -> Iterator[Any]:
        stored = self._stored.all(self._transactions.read_time_us(request))
        cursors = queries.partition_cursors(stored, request, self._documents_per_partition)
        start = int(request.page_token or 0)
        end = start + (request.page_size or len(cursors))
        response = messages.PartitionQueryResponse(next_page_token=str(end) if end < len(cursors) else "")
        for name in cursors[start:end]:
            response.partitions.add().values.add(reference_value=name)
        yield response

    def _begin(self, request: Any) -> Iterator[Any]:
        with self._stored.lock:
            yield messages.BeginTransactionResponse(transaction=self._transactions.begin(request.options))

    def _rollback(self, request: Any) -> Iterator[Any]:
        with self._stored.lock:
            self._transactions.end(request.transaction)
        yield empty_pb2.Empty()

    def _read(self, request: Any, look: Callable[[int], list[Any]]) -> tuple[list[Any], int, bytes]:
        with self._stored.lock:
            return self._transactions.read(request, look)

    def _result(self, parent: str, query: Any, at_us: int) -> list[Any]:
        return queries.run(self._stored.all(at_us), parent, query)


def _check_writes(request: Any) -> None:
    if len(request.writes) > MAX_WRITES_PER_COMMIT:
        raise RpcError("INVALID_ARGUMENT", f"maximum {MAX_WRITES_PER_COMMIT} writes allowed per request")
