"""The two ways to send writes, for the Outbox.

Commit       every group of a request lands, or none does
BatchWrite   every write for itself, with a status of its own; it refuses two writes of one document
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import grpc

from transforms.firestore.client import Call, FirestoreClient, RpcError
from transforms.firestore.packing import AtomicGroup
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import timestamp

_CODE_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


class _ClientSender:
    """What both have in common: the client."""

    def __init__(self, client: FirestoreClient):
        self._client = client

    @property
    def target(self) -> FirestoreTarget:
        """Where it sends to."""
        return self._client.target

    @property
    def is_down(self) -> bool:
        """Whether the service answers nobody just now."""
        return self._client.breaker.is_down()


class CommitSender(_ClientSender):
    """Sends a request of groups as one Commit."""

    rpc = "Commit"

    def send(self, writes: Iterable[bytes], timeout_s: float) -> Call:
        """Starts the RPC."""
        return self._client.commit(writes, timeout_s)

    def results(self, response: Any, groups: Sequence[AtomicGroup]) -> Iterator[tuple[Any, ...] | RpcError]:
        """All of them landed; Firestore leaves a time out where the Commit's own time says it."""
        results = iter(response.write_results)
        commit_time = _time(response.commit_time)
        for group in groups:
            yield tuple(_update_time(next(results)) or commit_time for _ in group.writes)


class BatchWriteSender(_ClientSender):
    """Sends a request of groups, of one write each, as one BatchWrite."""

    rpc = "BatchWrite"

    def send(self, writes: Iterable[bytes], timeout_s: float) -> Call:
        """Starts the RPC."""
        return self._client.batch_write(writes, timeout_s)

    def results(self, response: Any, groups: Sequence[AtomicGroup]) -> Iterator[tuple[Any, ...] | RpcError]:
        """The time of each write, None after a deletion; or its own status."""
        for result, status in zip(response.write_results, response.status, strict=True):
            if status.code:
                yield RpcError(_CODE_NAMES.get(status.code, "UNKNOWN"), status.message)
            else:
                yield (_update_time(result),)


def _update_time(result: Any) -> Any:
    return _time(result.update_time) if result.HasField("update_time") else None


def _time(message: Any) -> Any:
    return timestamp(message.seconds, message.nanos)
