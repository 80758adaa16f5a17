"""A client of the Listen RPC with nothing but gRPC and protobuf messages, for tests of the server's side.

    with ListenClient(server.target) as client:
        client.add("users")
        assert client.snapshot() == ["ADD 1", "users/ada {'n': 1} +1", "CURRENT 1", "NO_CHANGE"]

A message is shown as a text: documents by path, fields, the targets they match (+) and have left (-).
"""

from __future__ import annotations

import itertools
import queue
from collections.abc import Iterator
from typing import Any

import grpc

from transforms.firestore import messages
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import decode_fields, encode

_TIMEOUT_S = 30
_KINDS = {number: name for name, number in messages.TargetChange.TargetChangeType.items()}


class ListenClient:
    """One stream on one channel.

    Attributes:
      token, read_time: of the last consistent snapshot, as protobuf has them.
    """

    def __init__(self, target: FirestoreTarget):
        self.database = target.name
        self.token, self.read_time = b"", None
        self._channel = grpc.insecure_channel(target.emulator_host, [("grpc.use_local_subchannel_pool", 1)])
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        method = self._channel.stream_stream(
            "/google.firestore.v1.Firestore/Listen",
            request_serializer=messages.ListenRequest.SerializeToString,
            response_deserializer=messages.ListenResponse.FromString,
        )
        self.call = method(iter(self._requests.get, None), timeout=_TIMEOUT_S, metadata=_metadata(target))

    def __enter__(self) -> ListenClient:
        return self

    def __exit__(self, *error: object) -> None:
        self._requests.put(None)
        self.call.cancel()
        self._channel.close()

    def add(self, collection: str, target_id: int = 1, *, group: bool = False, parent: str = "", **more: Any) -> None:
        """Adds a target of a query; `more` is of `StructuredQuery`, or of `Target` if that has it."""
        of_target = {
            key: more.pop(key)
            for key in list(more)
            if key in messages.ListenRequest().add_target.DESCRIPTOR.fields_by_name
        }
        query = messages.StructuredQuery(from_=[{"collection_id": collection, "all_descendants": group}], **more)
        target = {"query": {"parent": f"{self.database}/documents{parent}", "structured_query": query}}
        self.send(add_target={**target, **of_target, "target_id": target_id})

    def add_documents(self, *paths: str, target_id: int = 1) -> None:
        """Adds a target of documents."""
        names = [f"{self.database}/documents/{path}" for path in paths]
        self.send(add_target={"documents": {"documents": names}, "target_id": target_id})

    def send(self, **parts: Any) -> None:
        """Sends a `ListenRequest`."""
        self._requests.put(messages.ListenRequest(database=self.database, **parts))

    def next(self) -> Any:
        """The next message. Raises grpc.RpcError, StopIteration at a good end."""
        return next(self.call)

    def read(self, n_messages: int) -> list[str]:
        """The next messages, shown."""
        return [self.shown(message) for message in itertools.islice(self.call, n_messages)]

    def snapshot(self) -> list[str]:
        """The messages up to the next consistent snapshot, shown."""
        return [self.shown(message) for message in self.to_snapshot()]

    def to_snapshot(self) -> Iterator[Any]:
        """The messages up to the next consistent snapshot."""
        for message in self.call:
            change = message.target_change
            yield message
            if message.HasField("target_change") and change.target_change_type == 0 and not change.target_ids:
                self.token, self.read_time = change.resume_token, change.read_time
                return

    def end(self) -> tuple[list[str], str]:
        """What still comes, and the status with which the stream ends."""
        shown = []
        try:
            shown.extend(self.shown(message) for message in self.call)
        except grpc.RpcError as error:
            return shown, f"{error.code().name}: {error.details()}"
        return shown, "OK"

    def shown(self, message: Any) -> str:
        """A message as a text."""
        kind = message.WhichOneof("response_type")
        held = getattr(message, kind)
        if kind == "target_change":
            cause = f" {held.cause.code} {held.cause.message}" if held.HasField("cause") else ""
            return " ".join([_KINDS[held.target_change_type], *map(str, held.target_ids)]) + cause
        if kind == "filter":
            return f"filter {held.target_id}: {held.count}"
        name = held.document.name if kind == "document_change" else held.document
        fields = f"{dict(sorted(decode_fields(held.document.fields).items()))}" if kind == "document_change" else kind
        ids = [f"+{each}" for each in held.target_ids] if kind == "document_change" else []
        return " ".join([name.split("/documents/")[1], fields, *ids, *(f"-{each}" for each in held.removed_target_ids)])


def _metadata(target: FirestoreTarget) -> tuple[tuple[str, str], ...]:
    return (("authorization", "Bearer owner"), ("google-cloud-resource-prefix", target.name))


def where(path: str, op: str, value: Any) -> dict[str, Any]:
    """A filter on a field."""
    return {"field_filter": {"field": {"field_path": path}, "op": op, "value": encode(value)}}
