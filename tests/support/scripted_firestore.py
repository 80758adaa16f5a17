"""A Firestore that says what a test wants it to say: a real gRPC server on a loopback port, with a script.

It keeps the documents it acknowledged, so that a test can compare them with what the client believes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import grpc

from transforms.firestore import messages
from transforms.firestore.client import FirestoreTarget

Script = Callable[[Any, int], None]

PROJECT = "demo-scripted"


class Refusal(Exception):  # noqa: N818 - a scripted answer, not an error of the test
    """Raised by a script: the request fails with this status."""

    def __init__(self, code: str, message: str):
        self.code, self.message = code, message
        super().__init__(code, message)


class ScriptedFirestore:
    """Answers Commit, and RunQuery and BatchGetDocuments from the documents that were committed.

    Args:
      on_commit: called with each CommitRequest and how many came before it; raises Refusal or lets it pass.
      on_commit_applied: the same, called after the writes were applied: raising here loses the acknowledgement.
      on_read: called with each request to read and how many came before it; raises Refusal or lets it pass.
    """

    def __init__(
        self,
        on_commit: Script | None = None,
        on_commit_applied: Script | None = None,
        on_read: Script | None = None,
    ):
        self._on_commit, self._on_commit_applied, self._on_read = on_commit, on_commit_applied, on_read
        self.commits: list[Any] = []
        self.reads: list[Any] = []
        self.metadata: list[dict[str, str]] = []
        self.documents: dict[str, Any] = {}

    def __enter__(self) -> ScriptedFirestore:
        self._server = grpc.server(ThreadPoolExecutor(max_workers=8))
        handler = grpc.method_handlers_generic_handler(
            "google.firestore.v1.Firestore",
            {
                "Commit": grpc.unary_unary_rpc_method_handler(
                    self._commit,
                    request_deserializer=messages.CommitRequest.FromString,
                    response_serializer=messages.CommitResponse.SerializeToString,
                ),
                "RunQuery": grpc.unary_stream_rpc_method_handler(
                    self._run_query,
                    request_deserializer=messages.RunQueryRequest.FromString,
                    response_serializer=messages.RunQueryResponse.SerializeToString,
                ),
                "BatchGetDocuments": grpc.unary_stream_rpc_method_handler(
                    self._batch_get,
                    request_deserializer=messages.BatchGetDocumentsRequest.FromString,
                    response_serializer=messages.BatchGetDocumentsResponse.SerializeToString,
                ),
            },
        )
        self._server.add_generic_rpc_handlers((handler,))
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self.target = FirestoreTarget(PROJECT, emulator_host=f"127.0.0.1:{port}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stop(grace=None).wait()

    def _commit(self, request: Any, context: grpc.ServicerContext) -> Any:
        earlier = len(self.commits)
        self.commits.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        try:
            if self._on_commit:
                self._on_commit(request, earlier)
            for write in request.writes:
                if write.delete:
                    self.documents.pop(write.delete, None)
                else:
                    self.documents[write.update.name] = write.update
            if self._on_commit_applied:
                self._on_commit_applied(request, earlier)
        except Refusal as refusal:
            context.abort(grpc.StatusCode[refusal.code], refusal.message)
        response = messages.CommitResponse()
        response.commit_time.seconds = 1_700_000_000 + earlier
        for _ in request.writes:
            response.write_results.add()
        return response

    def _run_query(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        """All documents of one collection; nothing else of the query is looked at."""
        self._reading(request, context)
        collection = f"{request.parent}/{request.structured_query.from_[0].collection_id}"
        for name, document in sorted(self.documents.items()):
            if name.rpartition("/")[0] == collection:
                yield messages.RunQueryResponse(document=document)

    def _batch_get(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        self._reading(request, context)
        for name in request.documents:
            if name in self.documents:
                yield messages.BatchGetDocumentsResponse(found=self.documents[name])
            else:
                yield messages.BatchGetDocumentsResponse(missing=name)

    def _reading(self, request: Any, context: grpc.ServicerContext) -> None:
        earlier = len(self.reads)
        self.reads.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        try:
            if self._on_read:
                self._on_read(request, earlier)
        except Refusal as refusal:
            context.abort(grpc.StatusCode[refusal.code], refusal.message)
