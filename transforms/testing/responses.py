"""The messages of Listen, each by one function. Source: `ListenResponse` in the Firestore RPC reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

from transforms.firestore import messages
from transforms.firestore.client import RpcError

NO_CHANGE = messages.TargetChange.NO_CHANGE
ADD = messages.TargetChange.ADD
REMOVE = messages.TargetChange.REMOVE
CURRENT = messages.TargetChange.CURRENT
RESET = messages.TargetChange.RESET


def target_change(
    kind: int, ids: Sequence[int] = (), *, cause: RpcError | None = None, token: bytes = b"", read_time_us: int = 0
) -> Any:
    """What becomes of targets; of all of them without ids."""
    response = messages.ListenResponse()
    change = response.target_change
    change.target_change_type, change.resume_token = kind, token
    change.target_ids.extend(ids)
    if cause is not None:
        change.cause.code, change.cause.message = grpc.StatusCode[cause.code].value[0], cause.message
    if read_time_us:
        change.read_time.FromMicroseconds(read_time_us)
    return response


def document_change(document: Any, ids: Sequence[int], removed_ids: Sequence[int] = ()) -> Any:
    """A document as it is, the targets that it matches, and those that it does not match any more."""
    return messages.ListenResponse(
        document_change={"document": document, "target_ids": ids, "removed_target_ids": removed_ids}
    )


def document_delete(name: str, removed_ids: Sequence[int], read_time_us: int) -> Any:
    """There is no document of this name any more."""
    response = messages.ListenResponse(document_delete={"document": name, "removed_target_ids": removed_ids})
    response.document_delete.read_time.FromMicroseconds(read_time_us)
    return response


def document_remove(name: str, removed_ids: Sequence[int], read_time_us: int) -> Any:
    """The document does not match these targets any more."""
    response = messages.ListenResponse(document_remove={"document": name, "removed_target_ids": removed_ids})
    response.document_remove.read_time.FromMicroseconds(read_time_us)
    return response


def existence_filter(target_id: int, count: int) -> Any:
    """How many documents match a target, for a client that may have missed some of them leave."""
    return messages.ListenResponse(filter={"target_id": target_id, "count": count})
