"""The RPCs of a document or a query in an event loop, as raw protobuf; see `client.py` for jobs.

A channel belongs to the event loop in which it was opened: one client per loop. Nothing is sent twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import grpc
import grpc.aio

from transforms.channels import CHANNEL_OPTIONS
from transforms.errors import JobError
from transforms.firestore import messages
from transforms.firestore.client import SERVICE, RpcError, metadata_of
from transforms.firestore.target import FirestoreTarget
from transforms.services import SIGN_IN


class AsyncFirestoreClient:
    """Reads, queries and commits. Opens its channel when it is made, in a running loop.

    Args:
      target: the database.

    Raises:
      JobError: there are no credentials.
    """

    def __init__(self, target: FirestoreTarget):
        self.target = target
        self._metadata = metadata_of(target)
        self._channel = _opened(target)
        self._commit = self._channel.unary_unary(
            SERVICE + "Commit", request_serializer=None, response_deserializer=messages.CommitResponse.FromString
        )
        self._batch_get = self._channel.unary_stream(
            SERVICE + "BatchGetDocuments",
            request_serializer=messages.BatchGetDocumentsRequest.SerializeToString,
            response_deserializer=messages.BatchGetDocumentsResponse.FromString,
        )
        self._run_query = self._channel.unary_stream(
            SERVICE + "RunQuery",
            request_serializer=messages.RunQueryRequest.SerializeToString,
            response_deserializer=messages.RunQueryResponse.FromString,
        )

    async def commit(self, writes: Iterable[bytes], timeout_s: float) -> Any:
        """The `CommitResponse` of serialised `Write`s, all or nothing. Raises RpcError."""
        request = messages.commit_request(self.target.name, writes)
        try:
            return await self._commit(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise _rpc_error(error) from None

    async def batch_get(self, names: Sequence[str], mask: Sequence[str], timeout_s: float) -> list[Any]:
        """A `BatchGetDocumentsResponse` for every document name. Raises RpcError."""
        request = messages.BatchGetDocumentsRequest(
            database=self.target.name, documents=names, mask=messages.DocumentMask(field_paths=mask) if mask else None
        )
        return await self._all(self._batch_get(request, timeout=timeout_s, metadata=self._metadata))

    async def run_query(self, parent: str, query: Any, timeout_s: float) -> list[Any]:
        """The `RunQueryResponse`s of a `StructuredQuery` below `parent`. Raises RpcError."""
        request = messages.RunQueryRequest(parent=parent, structured_query=query)
        return await self._all(self._run_query(request, timeout=timeout_s, metadata=self._metadata))

    async def close(self) -> None:
        """Closes the channel."""
        await self._channel.close()

    async def _all(self, call: Any) -> list[Any]:
        try:
            return [answer async for answer in call]
        except grpc.aio.AioRpcError as error:
            raise _rpc_error(error) from None


def _rpc_error(error: grpc.aio.AioRpcError) -> RpcError:
    return RpcError(error.code().name, error.details() or "")


def _opened(target: FirestoreTarget) -> grpc.aio.Channel:
    if target.emulator_host:
        return grpc.aio.insecure_channel(target.address, options=CHANNEL_OPTIONS)
    import google.auth.exceptions
    import google.auth.transport.grpc
    import google.auth.transport.requests

    try:
        account = target.credentials()
    except google.auth.exceptions.DefaultCredentialsError as error:
        raise JobError(f"{error} {SIGN_IN}") from None
    plugin = google.auth.transport.grpc.AuthMetadataPlugin(account, google.auth.transport.requests.Request())
    credentials = grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(), grpc.metadata_call_credentials(plugin)
    )
    return grpc.aio.secure_channel(target.address, credentials, options=CHANNEL_OPTIONS)
