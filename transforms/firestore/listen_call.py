"""One Listen stream as an iterator, and the connections such streams share.

A stream lasts for most of an hour and is read in the thread that iterates it; any other thread may cancel it. A
connection carries a bounded number of streams (gRPC's "Performance Best Practices") and is kept alive although only the
server talks: without data from the client, keepalive would stop after two pings.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc

from transforms.channels import CHANNEL_OPTIONS
from transforms.firestore import messages

MAX_STREAMS_PER_CHANNEL = 100
_METHOD = "/google.firestore.v1.Firestore/Listen"
_OPTIONS = (
    *CHANNEL_OPTIONS,
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.http2.max_pings_without_data", 0),
)


class ListenChannels:
    """Channels, each with at most so many streams. Thread-safe.

    Args:
      open_channel: makes a channel with these options.
    """

    def __init__(self, open_channel: Callable[[Sequence[tuple[str, int]]], grpc.Channel]):
        self._open_channel = open_channel
        self._lock = threading.Lock()
        self._streams: dict[Any, int] = {}

    def acquire(self) -> Any:
        """A channel with room for one more stream."""
        with self._lock:
            channel = next((each for each, n in self._streams.items() if n < MAX_STREAMS_PER_CHANNEL), None)
            if channel is None:
                channel = self._open_channel(_OPTIONS)
            self._streams[channel] = self._streams.get(channel, 0) + 1
            return channel

    def release(self, channel: Any) -> None:
        """One of its streams has ended."""
        with self._lock:
            self._streams[channel] -= 1


class ListenCall(Iterator[Any]):
    """Yields `ListenResponse`s until the server ends the stream.

    Args:
      channels: where the stream takes its place.
      request: the `ListenRequest` with the target.
      timeout_s: after so long it ends with DEADLINE_EXCEEDED.
      metadata: of the request.
      on_message: called at the first message.
      failure: what to raise for gRPC's error; also called with whether the stream had no message before, because only
        such a failure says something about the service.
    """

    def __init__(
        self,
        channels: ListenChannels,
        request: Any,
        timeout_s: float,
        metadata: Sequence[tuple[str, str]],
        on_message: Callable[[], None],
        failure: Callable[[grpc.RpcError, bool], Exception],
    ):
        self._on_message, self._failure = on_message, failure
        self._ended = threading.Event()
        self._has_message = False
        channel = channels.acquire()
        method = channel.stream_stream(
            _METHOD,
            request_serializer=messages.ListenRequest.SerializeToString,
            response_deserializer=messages.ListenResponse.FromString,
        )
        self._call = method(self._requests(request), timeout=timeout_s, metadata=metadata)

        def ended() -> None:
            self._ended.set()
            channels.release(channel)

        if not self._call.add_callback(ended):
            ended()

    def cancel(self) -> None:
        """Ends the stream; iterating it raises RpcError with CANCELLED, unless it has ended."""
        self._call.cancel()

    def __next__(self) -> Any:
        try:
            message = next(self._call)
        except grpc.RpcError as error:
            raise self._failure(error, not self._has_message) from None
        if not self._has_message:
            self._has_message = True
            self._on_message()
        return message

    def _requests(self, request: Any) -> Iterator[Any]:
        yield request
        self._ended.wait()  # a stream of requests that ends would end the other one
