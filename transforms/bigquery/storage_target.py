"""The one factory of Storage Write API clients; it alone knows about hosts, credentials, routing and the wire. No Beam.

`StorageTarget` is plain data, pickled with the job. `StorageClient` sends raw protobuf messages and turns every failure
into a `Refusal`; it never tries again.

    client ── append_rows(stream, descriptor) ──▶ AppendRows ── send ─▶ gRPC ─▶ BigQuery
                                                       ▲                            │
                                                       └── receive ◀── own thread ◀─┘
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.api_core.gapic_v1 import routing_header

from transforms.bigquery.failures import Failure
from transforms.bigquery.methods import TYPED_METHODS
from transforms.bigquery.storage_failures import Meaning, Refusal, refusal_of_call
from transforms.bigquery.storage_messages import (
    AppendRowsRequest,
    AppendRowsResponse,
    CreateWriteStreamRequest,
    FinalizeWriteStreamRequest,
    FinalizeWriteStreamResponse,
    WriteStream,
)
from transforms.bigquery.target import BigQueryTarget
from transforms.breaker import CircuitBreaker, breaker_of
from transforms.channels import CHANNEL_OPTIONS, channel_opener
from transforms.errors import Kind, UsageError
from transforms.services import BIGQUERY_EMULATOR, BIGQUERY_GRPC_EMULATOR, Services

# https://cloud.google.com/bigquery/quotas#write-api-limits: 10 MB per request.
_MAX_REQUEST_BYTES = 9 * 2**20
# What a gRPC server takes unless configured otherwise is 4 MiB.
_MAX_EMULATOR_REQUEST_BYTES = 4 * 2**20 - 2**16

_HOST = "bigquerystorage.googleapis.com:443"
_SERVICE = "/google.cloud.bigquery.storage.v1.BigQueryWrite/"
_TRACE_ID = "firebeam"


@dataclass(frozen=True, slots=True)
class StorageTarget:
    """A table, and where rows are appended to it. Picklable: workers lack the launcher's environment.

    Attributes:
      grpc_host: `host:port` of an emulator's Storage Write API; None for Google Cloud.
    """

    table: BigQueryTarget
    grpc_host: str | None = None

    @classmethod
    def of(cls, table: BigQueryTarget, services: Services) -> StorageTarget:
        """The target of a table.

        Raises:
          UsageError: only one of the emulator's two addresses is known, so that rows would miss their table.

        >>> StorageTarget.of(BigQueryTarget("demo-x", "d", "t", "http://127.0.0.1:9050"), Services())
        Traceback (most recent call last):
        transforms.errors.UsageError: BIGQUERY_EMULATOR_HOST is set, BIGQUERY_EMULATOR_GRPC_HOST is not: set both or neither, or use another method than STORAGE_WRITE
        """  # noqa: E501  # the message is one line
        host = services.bigquery_grpc_emulator
        if bool(host) != bool(table.emulator):
            present, missing = (BIGQUERY_EMULATOR, BIGQUERY_GRPC_EMULATOR)[:: -1 if host else 1]
            raise UsageError(
                f"{present} is set, {missing} is not: set both or neither, or use another method than STORAGE_WRITE"
            )
        return cls(table, host)

    @classmethod
    def host_for(cls, method: str, table: BigQueryTarget, services: Services) -> str | None:
        """The `grpc_host` of rows that get into a table by a method; None where that is another API. Raises as `of`."""
        return cls.of(table, services).grpc_host if method in TYPED_METHODS else None

    @property
    def name(self) -> str:
        """The table's resource name."""
        return f"projects/{self.table.project}/datasets/{self.table.dataset}/tables/{self.table.table}"

    @property
    def default_stream(self) -> str:
        """The stream that every table has."""
        return f"{self.name}/streams/_default"

    @property
    def max_request_bytes(self) -> int:
        """The largest request to send."""
        return _MAX_EMULATOR_REQUEST_BYTES if self.grpc_host else _MAX_REQUEST_BYTES

    @property
    def breaker(self) -> CircuitBreaker:
        """Tells an outage from failed requests, for all of this process together."""
        where = ", ".join(filter(None, (self.table.project, self.grpc_host)))
        return breaker_of(f"BigQuery Storage Write API ({where})", self.table.max_outage_s)

    def connect(self) -> StorageClient:
        """A new client; calls nothing yet but, outside of an emulator, looks for credentials.

        Raises:
          JobError: there are no credentials.
        """
        opened = channel_opener(None if self.grpc_host else self.table.google_credentials)
        return StorageClient(self, opened(self.grpc_host or _HOST, CHANNEL_OPTIONS))


class StorageClient:
    """The RPCs that appending takes. Thread-safe."""

    def __init__(self, target: StorageTarget, channel: grpc.Channel):
        self._target, self._channel = target, channel
        self._append_rows = channel.stream_stream(
            _SERVICE + "AppendRows", request_serializer=None, response_deserializer=AppendRowsResponse.FromString
        )
        self._create_write_stream = channel.unary_unary(
            _SERVICE + "CreateWriteStream",
            request_serializer=CreateWriteStreamRequest.SerializeToString,
            response_deserializer=WriteStream.FromString,
        )
        self._finalize_write_stream = channel.unary_unary(
            _SERVICE + "FinalizeWriteStream",
            request_serializer=FinalizeWriteStreamRequest.SerializeToString,
            response_deserializer=FinalizeWriteStreamResponse.FromString,
        )

    def create_stream(self, timeout_s: float) -> str:
        """The name of a new stream whose rows are visible as soon as they are acknowledged. Raises Refusal."""
        request = CreateWriteStreamRequest(parent=self._target.name)
        request.write_stream.type_ = WriteStream.COMMITTED
        name: str = self._unary(self._create_write_stream, request, "parent", self._target.name, timeout_s).name
        return name

    def finalize_stream(self, name: str, timeout_s: float) -> int:
        """Ends a stream permanently; how many rows it has. Raises Refusal."""
        request = FinalizeWriteStreamRequest(name=name)
        count: int = self._unary(self._finalize_write_stream, request, "name", name, timeout_s).row_count
        return count

    def append_rows(self, stream: str, descriptor: Any) -> AppendRows:
        """Opens a connection that appends to one stream."""
        return AppendRows(self._append_rows, stream, descriptor)

    def close(self) -> None:
        """Ends all connections."""
        self._channel.close()

    def _unary(self, call: Callable[..., Any], request: Any, parameter: str, name: str, timeout_s: float) -> Any:
        try:
            return call(request, timeout=timeout_s, metadata=[_routing(parameter, name)])
        except grpc.RpcError as error:
            raise refusal_of_call(error) from None


class AppendRows:
    """One AppendRows call: requests go out and answers come back in the same order, several on their way at once.

    For one thread. A thread of its own reads the answers, because gRPC has no way to wait for one with a timeout.
    """

    def __init__(self, append_rows: Callable[..., Any], stream: str, descriptor: Any):
        self._stream, self._descriptor = stream, descriptor
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._said_schema = False
        # No deadline: it would be one of the whole connection, which lives as long as its writer.
        self._call = append_rows(self._outgoing(), metadata=[_routing("write_stream", stream)])
        threading.Thread(target=self._read, name="AppendRows", daemon=True).start()

    def send(self, rows: Sequence[bytes], offset: int | None) -> None:
        """Sends serialised rows; `offset` is where the first one must stand in the stream."""
        request = AppendRowsRequest()
        request.proto_rows.rows.serialized_rows.extend(rows)
        if offset is not None:
            request.offset.value = offset
        if not self._said_schema:
            request.write_stream = self._stream
            request.trace_id = _TRACE_ID
            request.proto_rows.writer_schema.proto_descriptor.CopyFrom(self._descriptor)
            self._said_schema = True
        self._requests.put(request.SerializeToString())

    def receive(self, timeout_s: float) -> Any:
        """The answer to the earliest request that has none yet.

        Raises:
          Refusal: the connection has ended, or no answer came in time; it is of no use any more.
        """
        try:
            answer = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            raise Refusal(
                Failure(0, "DEADLINE_EXCEEDED", f"no answer within {timeout_s:g} s", Kind.TRANSIENT), Meaning.LATER
            ) from None
        if isinstance(answer, Refusal):
            raise answer
        return answer

    def close(self) -> None:
        """Ends the connection; requests without an answer may or may not have been done."""
        self._requests.put(None)
        self._call.cancel()

    @property
    def ended(self) -> bool:
        """Whether the service has closed it, as it does after some minutes of silence."""
        return not self._call.is_active()

    def _outgoing(self) -> Iterator[bytes]:
        while (request := self._requests.get()) is not None:
            yield request

    def _read(self) -> None:
        try:
            for answer in self._call:
                self._answers.put(answer)
        except grpc.RpcError as error:
            self._answers.put(refusal_of_call(error))
        else:
            closed = Failure(0, "UNAVAILABLE", "BigQuery closed the connection", Kind.TRANSIENT)
            self._answers.put(Refusal(closed, Meaning.LATER))
        self._requests.put(None)  # lets gRPC's own thread end


def _routing(parameter: str, name: str) -> tuple[str, str]:
    """The header that brings a request to the region of its table."""
    header: tuple[str, str] = routing_header.to_grpc_metadata(((parameter, name),))
    return header
