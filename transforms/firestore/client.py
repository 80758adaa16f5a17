"""The one factory of Firestore clients; it alone knows about hosts, channels and routing.

    FirestoreTarget ──connect()──▶ FirestoreClient, one or two channels per process and target

`FirestoreTarget` is plain data: building it calls nothing. `FirestoreClient` sends raw protobuf messages and turns
every failure into an `RpcError` of canonical code and text; it never retries, because the caller must know how
often a request was sent.
"""

from __future__ import annotations

import datetime
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import grpc
import grpc.experimental

from transforms.breaker import CircuitBreaker
from transforms.channels import CHANNEL_OPTIONS, channel_opener
from transforms.errors import classify
from transforms.firestore import messages
from transforms.firestore.listen_call import ListenCall, ListenChannels
from transforms.firestore.target import FirestoreTarget

SERVICE = "/google.firestore.v1.Firestore/"

_CHANNEL_OPTIONS = (
    *CHANNEL_OPTIONS,
    # A stream is read in the thread that asks for it: half the CPU of handing every message over from another one.
    (grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1),
)


class RpcError(Exception):
    """A request that failed.

    Args:
      code: canonical gRPC code name, such as `UNAVAILABLE`.
      message: the service's own text.
    """

    def __init__(self, code: str, message: str):
        self.code, self.message = code, message
        super().__init__(f"{code}: {message}")

    @classmethod
    def of(cls, error: grpc.RpcError) -> RpcError:
        """From gRPC's own exception, which carries code and details as methods."""
        return cls(error.code().name, error.details() or "")


_clients: dict[FirestoreTarget, FirestoreClient] = {}
_lock = threading.Lock()


def client_of(target: FirestoreTarget) -> FirestoreClient:
    """The client of this process for a target; the same one for every caller. Calls nothing yet.

    Raises:
      JobError: there are no credentials.
    """
    with _lock:
        if target not in _clients:
            _clients[target] = FirestoreClient(target, *_channels(target))
        return _clients[target]


def _channels(target: FirestoreTarget) -> tuple[grpc.Channel, grpc.Channel, ListenChannels]:
    """To the address of the target, to that of requests in bulk, and those of streams that last for hours.

    The first two are the same channel for the same address.
    """
    opened = channel_opener(None if target.emulator_host else target.credentials)
    channel = opened(target.address, _CHANNEL_OPTIONS)
    batch_channel = (
        channel if target.batch_address == target.address else opened(target.batch_address, _CHANNEL_OPTIONS)
    )
    return channel, batch_channel, ListenChannels(lambda options: opened(target.address, options))


class FirestoreClient:
    """The RPCs Firebeam uses, as raw protobuf. Thread-safe.

    Args:
      channel: for RPCs that somebody may wait for, or that no other host is known to serve.
      batch_channel: for RPCs in bulk, see `BATCH_HOST`.
      listen_channels: for streams of Listen; default: `channel`.
    """

    def __init__(
        self,
        target: FirestoreTarget,
        channel: grpc.Channel,
        batch_channel: grpc.Channel,
        listen_channels: ListenChannels | None = None,
    ):
        self.target = target
        self._listen_channels = listen_channels or ListenChannels(lambda options: channel)
        self.breaker = CircuitBreaker(f"Firestore ({target.name})", target.max_outage_s)
        self._metadata = metadata_of(target)
        self._commit = channel.unary_unary(
            SERVICE + "Commit", request_serializer=None, response_deserializer=messages.CommitResponse.FromString
        )
        self._batch_write = batch_channel.unary_unary(
            SERVICE + "BatchWrite",
            request_serializer=None,
            response_deserializer=messages.BatchWriteResponse.FromString,
        )
        self._batch_get = _stream(
            batch_channel, "BatchGetDocuments", messages.BatchGetDocumentsRequest, messages.BatchGetDocumentsResponse
        )
        self._run_query = _stream(batch_channel, "RunQuery", messages.RunQueryRequest, messages.RunQueryResponse)
        self._aggregate = _stream(
            channel,
            "RunAggregationQuery",
            messages.RunAggregationQueryRequest,
            messages.RunAggregationQueryResponse,
        )
        self._partition_query = batch_channel.unary_unary(
            SERVICE + "PartitionQuery",
            request_serializer=messages.PartitionQueryRequest.SerializeToString,
            response_deserializer=messages.PartitionQueryResponse.FromString,
        )

    def commit(self, writes: Iterable[bytes], timeout_s: float) -> Call:
        """Starts a Commit of serialised `Write`s, all or nothing; its `result` is a `CommitResponse`."""
        request = messages.commit_request(self.target.name, writes)
        return Call(self._commit.future(request, timeout=timeout_s, metadata=self._metadata), self.breaker)

    def commit_now(self, writes: Iterable[bytes], timeout_s: float) -> Any:
        """As `commit`, for who waits for the answer in this thread: the `CommitResponse`. Raises as `Call.result`."""
        request = messages.commit_request(self.target.name, writes)
        try:
            response = self._commit(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise _noted(error, self.breaker) from None
        self.breaker.succeeded()
        return response

    def batch_write(self, writes: Iterable[bytes], timeout_s: float) -> Call:
        """Starts a BatchWrite of serialised `Write`s, each for itself; its `result` is a `BatchWriteResponse`."""
        request = messages.commit_request(self.target.name, writes)  # both requests number their fields alike
        return Call(self._batch_write.future(request, timeout=timeout_s, metadata=self._metadata), self.breaker)

    def batch_get(
        self, names: Sequence[str], mask: Sequence[str], timeout_s: float, read_time: datetime.datetime | None = None
    ) -> Iterator[Any]:
        """Yields a `BatchGetDocumentsResponse` for every document name, in no particular order. Raises RpcError."""
        request = messages.BatchGetDocumentsRequest(
            database=self.target.name, documents=names, mask=messages.DocumentMask(field_paths=mask) if mask else None
        )
        return self._streamed(self._batch_get, _at(read_time, request), timeout_s)

    def run_query(
        self, parent: str, query: Any, timeout_s: float, read_time: datetime.datetime | None = None
    ) -> Iterator[Any]:
        """Yields the `RunQueryResponse`s of a `StructuredQuery` below `parent`. Raises RpcError."""
        request = messages.RunQueryRequest(parent=parent, structured_query=query)
        return self._streamed(self._run_query, _at(read_time, request), timeout_s)

    def aggregate(
        self, parent: str, aggregation: Any, timeout_s: float, read_time: datetime.datetime | None = None
    ) -> Iterator[Any]:
        """Yields the `RunAggregationQueryResponse`s of a `StructuredAggregationQuery`. Raises RpcError."""
        request = messages.RunAggregationQueryRequest(parent=parent, structured_aggregation_query=aggregation)
        return self._streamed(self._aggregate, _at(read_time, request), timeout_s)

    def partition_query(self, request: Any, timeout_s: float, read_time: datetime.datetime | None = None) -> Any:
        """One page: the `PartitionQueryResponse` of a `PartitionQueryRequest`. Raises RpcError."""
        request = _at(read_time, request)
        return Call(
            self._partition_query.future(request, timeout=timeout_s, metadata=self._metadata), self.breaker
        ).result()

    def listen(self, request: Any, timeout_s: float) -> ListenCall:
        """Starts a Listen stream with one `ListenRequest`; iterate it for `ListenResponse`s, which raises RpcError."""
        breaker = self.breaker

        def failure(error: grpc.RpcError, is_first: bool) -> RpcError:
            return _noted(error, breaker) if is_first else RpcError.of(error)

        return ListenCall(self._listen_channels, request, timeout_s, self._metadata, breaker.succeeded, failure)

    def _streamed(self, method: Any, request: Any, timeout_s: float) -> Iterator[Any]:
        call = method(request, timeout=timeout_s, metadata=self._metadata)
        try:
            for first in itertools.islice(call, 1):
                self.breaker.succeeded()  # it is there: a long stream need not end well to show it
                yield first
            yield from call
            self.breaker.succeeded()
        except grpc.RpcError as error:
            raise _noted(error, self.breaker) from None
        finally:
            call.cancel()  # for a reader that stops early; does nothing to a stream that has ended


class Call:
    """A request on its way."""

    def __init__(self, future: Any, breaker: CircuitBreaker):
        self._future, self._breaker = future, breaker

    def result(self) -> Any:
        """Waits for the answer. Raises RpcError; OutageError when there has been none for too long."""
        try:
            response = self._future.result()
        except grpc.RpcError as error:
            raise _noted(error, self._breaker) from None
        self._breaker.succeeded()
        return response

    def when_done(self, callback: Callable[[], None]) -> None:
        """Calls back from another thread as soon as the answer is there."""
        self._future.add_done_callback(lambda _: callback())


def _noted(error: grpc.RpcError, breaker: CircuitBreaker) -> RpcError:
    """The error, after the breaker has recorded whether the service is there. Raises OutageError."""
    failure = RpcError.of(error)
    breaker.answered(failure.code, classify(failure.code, failure.message), failure.message)
    return failure


def metadata_of(target: FirestoreTarget) -> tuple[tuple[str, str], ...]:
    """What every request carries beside its message."""
    routing = (
        ("google-cloud-resource-prefix", target.name),
        ("x-goog-request-params", f"database={target.name}&project_id={target.project}&database_id={target.database}"),
    )
    # The emulator takes this token for an administrator's, whom security rules do not bind.
    return (*routing, ("authorization", "Bearer owner")) if target.emulator_host else routing


def _at(read_time: datetime.datetime | None, request: Any) -> Any:
    if read_time is not None:
        request.read_time.FromDatetime(read_time)
    return request


def _stream(channel: grpc.Channel, method: str, request: Any, response: Any) -> Any:
    return channel.unary_stream(
        SERVICE + method, request_serializer=request.SerializeToString, response_deserializer=response.FromString
    )
