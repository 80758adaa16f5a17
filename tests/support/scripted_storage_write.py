"""A Storage Write API that says what a test wants it to say: a real gRPC server on a loopback port, with a script.

What its script lets pass it does as BigQuery does: rows of a request are written together or not at all, offsets are
checked, ended streams take nothing more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, NamedTuple

import grpc
from google.cloud.bigquery_storage_v1 import types
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.rpc import status_pb2

from transforms.bigquery.storage_messages import (
    AppendRowsRequest,
    AppendRowsResponse,
    CreateWriteStreamRequest,
    FinalizeWriteStreamRequest,
    FinalizeWriteStreamResponse,
    WriteStream,
)
from transforms.bigquery.storage_target import StorageTarget
from transforms.bigquery.target import BigQueryTarget


class Cut(NamedTuple):
    """A script's step: the connection ends.

    Attributes:
      written: whether the request's rows are kept all the same.
      storage_code: of the StorageError in the details.
    """

    code: str
    message: str = "the connection is closed"
    written: bool = False
    storage_code: int = 0


class Appended(NamedTuple):
    """A request as it came: values of column `id` of its rows, and the connection's number."""

    stream: str
    offset: int | None
    ids: list[str]
    connection: int


Step = Cut | Any | Callable[[Appended], Any]


def refusal(code: str, message: str, storage_code: int = 0) -> Any:
    """A step: the request is refused as a whole, with a StorageError's code in the details if one is given."""
    return AppendRowsResponse(error=status(code, message, storage_code))


def row_errors(*errors: tuple[int, str]) -> Any:
    """A step: the rows at these places are blamed."""
    response = refusal("INVALID_ARGUMENT", "Errors found while processing rows")
    for index, message in errors:
        response.row_errors.add(index=index, code=types.RowError.RowErrorCode.FIELDS_ERROR, message=message)
    return response


def status(code: str, message: str, storage_code: int = 0) -> Any:
    told = status_pb2.Status(code=grpc.StatusCode[code].value[0], message=message)
    if storage_code:
        told.details.add().Pack(types.StorageError.pb()(code=storage_code, error_message=message))
    return told


class ScriptedStorageWrite:
    """Answers AppendRows in the order of its script, and as BigQuery does when the script is at its end.

    Attributes:
      script: steps yet to be taken, one a request: a response, a Cut, None for what BigQuery does, or a function from
        what was appended to one of these.
      unary: refusals yet to be given to CreateWriteStream and FinalizeWriteStream: code and message.
      judge: blames rows, by their `id`; asked before anything is written.
      appended: all requests so far.
      streams: ids by stream, in the order of their offsets.
      metadata: of all calls so far.
      ends_after_answer: every connection is closed when it has had one answer.
      hold: while it is cleared, requests are not answered.
    """

    def __init__(self) -> None:
        self.script: list[Step] = []
        self.unary: list[tuple[str, str]] = []
        self.judge: Callable[[str], str | None] = lambda _: None
        self.appended: list[Appended] = []
        self.streams: dict[str, list[str]] = {}
        self.ended: set[str] = set()
        self.metadata: list[dict[str, str]] = []
        self.connections = 0
        self.ends_after_answer = False
        self.hold = threading.Event()
        self.hold.set()
        self._lock = threading.Lock()

    def __enter__(self) -> ScriptedStorageWrite:
        self._server = grpc.server(
            ThreadPoolExecutor(max_workers=16), options=[("grpc.max_receive_message_length", -1)]
        )
        handlers = {
            "AppendRows": grpc.stream_stream_rpc_method_handler(
                self._append_rows, AppendRowsRequest.FromString, AppendRowsResponse.SerializeToString
            ),
            "CreateWriteStream": grpc.unary_unary_rpc_method_handler(
                self._create, CreateWriteStreamRequest.FromString, WriteStream.SerializeToString
            ),
            "FinalizeWriteStream": grpc.unary_unary_rpc_method_handler(
                self._finalize, FinalizeWriteStreamRequest.FromString, FinalizeWriteStreamResponse.SerializeToString
            ),
        }
        service = "google.cloud.bigquery.storage.v1.BigQueryWrite"
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        host = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()
        self.target = StorageTarget(BigQueryTarget("demo-script", "people", "candidates", "http://127.0.0.1:1"), host)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stop(grace=None).wait()

    @property
    def rows(self) -> list[str]:
        """The `id`s of all rows of the table."""
        return [row for rows in self.streams.values() for row in rows]

    @property
    def sent(self) -> list[list[str]]:
        """The `id`s of each request."""
        return [appended.ids for appended in self.appended]

    def _append_rows(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        with self._lock:
            self.connections += 1
            connection = self.connections
            self.metadata.append(dict(context.invocation_metadata()))
        stream, row_class = "", None
        for request in requests:
            stream = request.write_stream or stream
            schema = request.proto_rows.writer_schema.proto_descriptor
            row_class = _message_class(schema) if schema.name else row_class
            assert row_class is not None, "the first request of a connection brings the schema"
            ids = [row_class.FromString(row).id for row in request.proto_rows.rows.serialized_rows]
            offset = request.offset.value if request.HasField("offset") else None
            with self._lock:
                answer = self._answer(Appended(stream, offset, ids, connection))
            self.hold.wait()
            if isinstance(answer, Cut):
                details = status(answer.code, answer.message, answer.storage_code)
                context.set_trailing_metadata((("grpc-status-details-bin", details.SerializeToString()),))
                context.abort(grpc.StatusCode[answer.code], answer.message)
            ends = self.ends_after_answer
            yield answer
            if ends:
                return

    def _answer(self, appended: Appended) -> Any:
        self.appended.append(appended)
        step = self.script.pop(0) if self.script else None
        if callable(step):
            step = step(appended)
        if step is None or (isinstance(step, Cut) and step.written):
            answer = self._write(appended)
            return step or answer
        return step

    def _write(self, appended: Appended) -> Any:
        rows = self.streams.setdefault(appended.stream, [])
        if appended.stream in self.ended:
            code = types.StorageError.StorageErrorCode.STREAM_FINALIZED
            return refusal("INVALID_ARGUMENT", "Stream has been finalized and cannot be appended", code)
        if appended.offset is not None and appended.offset < len(rows):
            code = types.StorageError.StorageErrorCode.OFFSET_ALREADY_EXISTS
            return refusal("ALREADY_EXISTS", f"The offset is within stream, expected offset {len(rows)}", code)
        if appended.offset is not None and appended.offset > len(rows):
            code = types.StorageError.StorageErrorCode.OFFSET_OUT_OF_RANGE
            return refusal("OUT_OF_RANGE", f"The offset is beyond stream, expected offset {len(rows)}", code)
        blamed = [(index, message) for index, id_ in enumerate(appended.ids) if (message := self.judge(id_))]
        if blamed:
            return row_errors(*blamed)
        rows += appended.ids
        response = AppendRowsResponse()
        response.append_result.SetInParent()
        return response

    def _create(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._unary(context)
        assert request.write_stream.type_ == types.WriteStream.Type.COMMITTED
        with self._lock:
            name = f"{request.parent}/streams/s{len(self.streams) + 1}"
            self.streams[name] = []
        return WriteStream(name=name)

    def _finalize(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._unary(context)
        if request.name not in self.streams:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Requested entity was not found. Entity: {request.name}")
        with self._lock:
            self.ended.add(request.name)
            return FinalizeWriteStreamResponse(row_count=len(self.streams[request.name]))

    def _unary(self, context: grpc.ServicerContext) -> None:
        self.metadata.append(dict(context.invocation_metadata()))
        if self.unary:
            code, message = self.unary.pop(0)
            context.abort(grpc.StatusCode[code], message)


def _message_class(descriptor: Any) -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="sent.proto", package="sent", message_type=[descriptor])
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"sent.{descriptor.name}"))
