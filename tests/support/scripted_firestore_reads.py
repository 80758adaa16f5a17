"""A Firestore of its own for tests of reading: a real gRPC server that answers queries and breaks streams as told.

It orders documents by a plain comparison of its own, so that it is an oracle for the order that the reader assumes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import grpc

from tests.support.scripted_firestore import PROJECT, Refusal
from transforms.firestore import messages
from transforms.firestore.client import FirestoreTarget
from transforms.firestore.values import encode_fields

# What the server calls now: 2023-11-14T22:13:20Z.
NOW_S = 1_700_000_000


class ScriptedReads:
    """Answers RunQuery, BatchGetDocuments, RunAggregationQuery and PartitionQuery.

    Attributes:
      documents: protobuf documents by path.
      cuts: for each stream still to be opened, after how many answers it breaks; None or no entry for never.
      cut_code: status of a broken stream.
      pages: of PartitionQuery, lists of document paths; None for a database that does not know it.
      on_read: called with each request; raises Refusal or lets it pass.
      requests: every request, in order.
    """

    def __init__(self, documents: dict[str, dict[str, Any]] | None = None):
        self.target = FirestoreTarget(PROJECT, emulator_host="127.0.0.1:1")  # its names hold before there is a port
        self.documents: dict[str, Any] = {}
        for path, fields in (documents or {}).items():
            self.put(path, fields)
        self.cuts: list[int | None] = []
        self.cut_code = "UNAVAILABLE"
        self.pages: list[list[str]] | None = None
        self.on_read: Callable[[Any], None] = lambda request: None
        self.requests: list[Any] = []

    def put(self, path: str, fields: dict[str, Any]) -> None:
        """Adds a document."""
        document = messages.Document(name=self.target.document_name(path))
        document.create_time.seconds, document.update_time.seconds = NOW_S - 2, NOW_S - 1
        encode_fields(fields, document.fields)
        self.documents[path] = document

    def asked(self, kind: Any) -> list[Any]:
        """The requests of one kind, in order."""
        return [request for request in self.requests if isinstance(request, kind)]

    def __enter__(self) -> ScriptedReads:
        self._server = grpc.server(ThreadPoolExecutor(max_workers=8))
        streams = {
            "RunQuery": (self._run_query, messages.RunQueryRequest, messages.RunQueryResponse),
            "BatchGetDocuments": (
                self._batch_get,
                messages.BatchGetDocumentsRequest,
                messages.BatchGetDocumentsResponse,
            ),
            "RunAggregationQuery": (
                self._aggregate,
                messages.RunAggregationQueryRequest,
                messages.RunAggregationQueryResponse,
            ),
        }
        handlers = {
            name: grpc.unary_stream_rpc_method_handler(
                functools.partial(self._streamed, answer),
                request_deserializer=request.FromString,
                response_serializer=response.SerializeToString,
            )
            for name, (answer, request, response) in streams.items()
        }
        handlers["PartitionQuery"] = grpc.unary_unary_rpc_method_handler(
            self._partition_query,
            request_deserializer=messages.PartitionQueryRequest.FromString,
            response_serializer=messages.PartitionQueryResponse.SerializeToString,
        )
        generic = grpc.method_handlers_generic_handler("google.firestore.v1.Firestore", handlers)
        self._server.add_generic_rpc_handlers((generic,))
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self.target = FirestoreTarget(PROJECT, emulator_host=f"127.0.0.1:{port}", max_outage_s=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stop(grace=None).wait()

    def _streamed(
        self, answer: Callable[[Any], Iterator[Any]], request: Any, context: grpc.ServicerContext
    ) -> Iterator[Any]:
        self.requests.append(request)
        cut = self.cuts.pop(0) if self.cuts else None
        try:
            self.on_read(request)
            for n, message in enumerate(answer(request)):
                if n == cut:
                    break
                yield message
        except Refusal as refusal:
            context.abort(grpc.StatusCode[refusal.code], refusal.message)
        if cut is not None:
            context.abort(grpc.StatusCode[self.cut_code], "the stream was cut")

    def _run_query(self, request: Any) -> Iterator[Any]:
        query = request.structured_query
        progress = messages.RunQueryResponse()  # as the service sends while it has found nothing yet
        progress.read_time.seconds = NOW_S
        yield progress
        for document in self._result(request.parent, query):
            response = messages.RunQueryResponse()
            response.read_time.seconds = NOW_S
            response.document.CopyFrom(document)
            if query.HasField("select"):
                keep = {field.field_path for field in query.select.fields}
                for name in set(document.fields) - keep:
                    del response.document.fields[name]
            yield response

    def _aggregate(self, request: Any) -> Iterator[Any]:
        aggregation = request.structured_aggregation_query
        response = messages.RunAggregationQueryResponse()
        found = len(self._result(request.parent, aggregation.structured_query))
        response.result.aggregate_fields[aggregation.aggregations[0].alias].integer_value = found
        yield response

    def _batch_get(self, request: Any) -> Iterator[Any]:
        for name in reversed(request.documents):
            response = messages.BatchGetDocumentsResponse()
            response.read_time.seconds = NOW_S
            document = self.documents.get(name.split("/documents/", 1)[1])
            if document is None:
                response.missing = name
            else:
                response.found.CopyFrom(document)
            yield response

    def _partition_query(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.requests.append(request)
        try:
            self.on_read(request)
        except Refusal as refusal:
            context.abort(grpc.StatusCode[refusal.code], refusal.message)
        if self.pages is None:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "PartitionQuery is not supported")
        page = int(request.page_token or 0)
        response = messages.PartitionQueryResponse()
        for path in self.pages[page] if self.pages else ():
            response.partitions.add().values.add(reference_value=self.target.document_name(path))
        if page + 1 < len(self.pages or ()):
            response.next_page_token = str(page + 1)
        return response

    def _result(self, parent: str, query: Any) -> list[Any]:
        (selector,) = query.from_
        below = parent.split("/documents", 1)[1].lstrip("/")
        inside = [
            self.documents[path]
            for path in self.documents
            if _is_selected(path, below, selector.collection_id, selector.all_descendants)
        ]
        directions = [(order.field.field_path, order.direction == 2) for order in query.order_by]
        ordered = [document for document in inside if all(_has(document, field) for field, _ in directions)]
        for field, descending in reversed(directions):
            ordered.sort(key=lambda document: _key(_value(document, field)), reverse=descending)
        if query.HasField("start_at"):
            ordered = [each for each in ordered if _is_behind(each, query.start_at, directions)]
        if query.HasField("end_at"):
            ordered = [each for each in ordered if not _is_behind(each, query.end_at, directions)]
        return ordered[: query.limit.value] if query.HasField("limit") else ordered


def _is_selected(path: str, below: str, collection_id: str, all_descendants: bool) -> bool:
    collection = path.rpartition("/")[0]
    if not all_descendants:
        return collection == "/".join(filter(None, (below, collection_id)))
    return collection.rpartition("/")[2] == collection_id and (not below or path.startswith(f"{below}/"))


def _is_behind(document: Any, cursor: Any, directions: Sequence[tuple[str, bool]]) -> bool:
    """Whether a document comes behind a cursor; one at the cursor does if the cursor is before it."""
    for (field, descending), value in zip(directions, cursor.values, strict=False):
        mine, its = _key(_value(document, field)), _key(value)
        if mine != its:
            return bool((mine > its) != descending)
    return bool(cursor.before)


def _has(document: Any, field: str) -> bool:
    return field == "__name__" or field in document.fields


def _value(document: Any, field: str) -> Any:
    return messages.Value(reference_value=document.name) if field == "__name__" else document.fields[field]


def _key(value: Any) -> tuple[Any, ...]:
    kind = value.WhichOneof("value_type")
    if kind == "reference_value":
        return oracle_key(value.reference_value)
    return kind, getattr(value, kind)


def oracle_key(path: str) -> tuple[Any, ...]:
    """Firestore's order of names, spelt out: numbers before bytes, shorter before longer."""
    segments: list[tuple[int, int, bytes]] = []
    for segment in path.split("/"):
        number = re.fullmatch(r"__id(-?\d+)__", segment)
        segments.append((0, int(number[1]), b"") if number else (1, 0, segment.encode()))
    return tuple(segments)
