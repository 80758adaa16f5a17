"""A Firestore that says what a test wants it to say: a real gRPC server on a loopback port, with a script.

It keeps the documents it acknowledged, so that a test can compare them with what the client believes.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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
    """Answers Commit and BatchWrite, and RunQuery and BatchGetDocuments from the documents that were written.

    Args:
      on_commit: called with each CommitRequest and how many came before it; raises Refusal or lets it pass.
      on_commit_applied: the same, called after the writes were applied: raising here loses the acknowledgement.
      on_read: called with each request to read and how many came before it; raises Refusal or lets it pass.
      on_batch_write, on_batch_write_applied: as for commits.
      on_write: called with each write of a BatchWrite and how often its document came before; Refusal is its status.
      keeps_times: Commits check preconditions, all of a Commit before any is applied, and documents have times. Update
        masks are not looked at.
    """

    def __init__(
        self,
        on_commit: Script | None = None,
        on_commit_applied: Script | None = None,
        on_read: Script | None = None,
        on_batch_write: Script | None = None,
        on_batch_write_applied: Script | None = None,
        on_write: Script | None = None,
        *,
        keeps_times: bool = False,
    ):
        self._on_commit, self._on_commit_applied, self._on_read = on_commit, on_commit_applied, on_read
        self._on_batch_write, self._on_batch_write_applied = on_batch_write, on_batch_write_applied
        self._on_write, self._keeps_times = on_write, keeps_times
        self.commits: list[Any] = []
        self.batch_writes: list[Any] = []
        self.applied: list[str] = []
        self.reads: list[Any] = []
        self.metadata: list[dict[str, str]] = []
        self.documents: dict[str, Any] = {}
        self._seen: Counter[str] = Counter()
        self._n_applied = 0
        self._lock = threading.Lock()

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
                "BatchWrite": grpc.unary_unary_rpc_method_handler(
                    self._batch_write,
                    request_deserializer=messages.BatchWriteRequest.FromString,
                    response_serializer=messages.BatchWriteResponse.SerializeToString,
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
        self.target = FirestoreTarget(PROJECT, emulator_host=f"127.0.0.1:{port}", max_outage_s=1.0)
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
            with self._lock:
                self.apply(request.writes)
            if self._on_commit_applied:
                self._on_commit_applied(request, earlier)
        except Refusal as refusal:
            context.abort(grpc.StatusCode[refusal.code], refusal.message)
        response = messages.CommitResponse()
        response.commit_time.seconds = 1_700_000_000 + earlier
        for _ in request.writes:
            response.write_results.add()
        return response

    def apply(self, writes: Sequence[Any]) -> None:
        """Applies the writes of a Commit, all or, raising Refusal, none. A test may be a second writer with it."""
        if self._keeps_times:
            for write in writes:
                _check_precondition(write.current_document, self.documents.get(written_name(write)))
        self._n_applied += 1
        for write in writes:
            if write.delete:
                self.documents.pop(write.delete, None)
            elif self._keeps_times:
                self.documents[write.update.name] = self._stamped(write.update)
            else:
                self.documents[write.update.name] = write.update

    def _stamped(self, document: Any) -> Any:
        stored = messages.Document()
        stored.CopyFrom(document)
        stored.update_time.seconds = 1_700_000_000 + self._n_applied
        before = self.documents.get(document.name)
        stored.create_time.CopyFrom(before.create_time if before else stored.update_time)
        return stored

    def _batch_write(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Each write for itself; two of one document are refused, as in production."""
        with self._lock:
            earlier = len(self.batch_writes)
            self.batch_writes.append(request)
        names = [written_name(write) for write in request.writes]
        response = messages.BatchWriteResponse()
        try:
            _check_distinct(names)
            if self._on_batch_write:
                self._on_batch_write(request, earlier)
            for name, write in zip(names, request.writes, strict=True):
                with self._lock:
                    self._write(name, write, response)
            if self._on_batch_write_applied:
                self._on_batch_write_applied(request, earlier)
        except Refusal as refusal:
            context.abort(grpc.StatusCode[refusal.code], refusal.message)
        return response

    def _write(self, name: str, write: Any, response: Any) -> None:
        """Applies one write of a BatchWrite, or adds why not; `exists` is the only precondition that is looked at."""
        result, status = response.write_results.add(), response.status.add()
        before, self._seen[name] = self._seen[name], self._seen[name] + 1
        try:
            if self._on_write:
                self._on_write(write, before)
            _check_exists(write.current_document, name, name in self.documents)
        except Refusal as refusal:
            status.code, status.message = grpc.StatusCode[refusal.code].value[0], refusal.message
            return
        self.applied.append(name)
        if write.delete:
            self.documents.pop(name, None)
            return
        stored = messages.Document()
        stored.CopyFrom(write.update)
        stored.update_time.seconds = stored.create_time.seconds = 1_700_000_000 + len(self.applied)
        result.update_time.CopyFrom(stored.update_time)
        self.documents[name] = stored

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


def written_name(write: Any) -> str:
    """Full name of the document that a protobuf `Write` writes."""
    name: str = write.delete or write.update.name
    return name


def _check_distinct(names: list[str]) -> None:
    if len(set(names)) < len(names):
        raise Refusal("INVALID_ARGUMENT", "the same document cannot be written more than once in a single request")


def _check_exists(precondition: Any, name: str, exists: bool) -> None:
    if precondition.WhichOneof("condition_type") != "exists" or precondition.exists == exists:
        return
    if exists:
        raise Refusal("ALREADY_EXISTS", f"Document already exists: {name}")
    raise Refusal("NOT_FOUND", f"No document to update: {name}")


def _check_precondition(precondition: Any, stored: Any | None) -> None:
    """As Firestore does, which does not say which document it is about."""
    kind = precondition.WhichOneof("condition_type")
    if kind == "exists" and precondition.exists is False and stored is not None:
        raise Refusal("ALREADY_EXISTS", "the document already exists")
    if kind is None or (kind == "exists" and not precondition.exists):
        return
    if stored is None:
        raise Refusal("NOT_FOUND", "no document to update")
    if kind == "update_time" and precondition.update_time != stored.update_time:
        raise Refusal("FAILED_PRECONDITION", "the stored version does not match the required base version")
