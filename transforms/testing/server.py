"""A Firestore in memory for tests: a real gRPC server on a loopback port, with a script for each RPC.

    client ──gRPC──▶ ScriptedFirestore ──▶ script ──▶ Service ──▶ Documents, every version of them
                         └ received: every request

Guarantee: without a script it answers as the service does, as far as docs/testing.md says; with one it does exactly
what the script says, the same in every run. Times come from `now`, so a test may hold the clock.

    with ScriptedFirestore({"users/ada": {"name": "Ada"}}) as server:
        server.script("Commit", [status("ABORTED"), None, applied_then("UNAVAILABLE")])
        …                                                        # the code under test, with server.target
        assert server.documents["users/ada"].fields == {"name": "Ada"}
        assert len(server.requests("Commit")) == 4

It needs neither Java nor a network, starts in milliseconds, and several may run at once. An RPC that it does not know
fails with UNIMPLEMENTED.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, NamedTuple

import grpc

from transforms.errors import RecordError
from transforms.firestore import messages
from transforms.firestore.client import RpcError
from transforms.firestore.documents import Document
from transforms.firestore.target import MAX_REQUEST_BYTES, FirestoreTarget
from transforms.firestore.values import encode, encode_fields, timestamp
from transforms.testing.documents import Documents, Retention
from transforms.testing.listen import Listen
from transforms.testing.order import name_key
from transforms.testing.script import Effect, Script, Scripts
from transforms.testing.service import Rpc, Service

PROJECT = "demo-scripted"

# Points for scripts about each write of a BatchWrite, and about each target of a stream; all other points are RPCs.
_WRITE = "Write"
_LISTEN, _ADD_TARGET = "Listen", "AddTarget"
_MAX_REQUESTS = 256  # at once; a Listen stream is one as long as it lasts
_SEEDED_BEFORE_S = 3600
_RECOVERY_S = 7 * 24 * 3600.0
_UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


class Received(NamedTuple):
    """A request: the name of its RPC, its protobuf message, its metadata."""

    rpc: str
    request: Any
    metadata: Mapping[str, str]


class ScriptedFirestore:
    """A context manager: the server runs inside of it.

    Args:
      documents: fields by path; they were written an hour ago.
      scripts: by RPC, as `script` takes them.
      project: of `target`; the server holds documents of any project and database.
      max_outage_s: of `target`; see FirestoreTarget.
      max_request_bytes: larger requests are refused; default: the service's limit.
      documents_per_partition: PartitionQuery makes no smaller parts; the service's is 128.
      retention_s: how old a read time may be.
      point_in_time_recovery: whole minutes can be read for seven days.
      forget_versions: what no read time reaches any more is dropped, so that memory stays flat.
      now: seconds since 1970. No two commits have the same time, whatever it says.

    Attributes:
      target: where it is, for every transform and client of the connector; names hold before the server runs.
      listen: the streams of Listen, and what they are to do.
      received: every request, in the order they came.
    """

    def __init__(
        self,
        documents: Mapping[str, Mapping[str, Any]] | None = None,
        scripts: Mapping[str, Script] | None = None,
        *,
        project: str = PROJECT,
        max_outage_s: float = 1.0,
        max_request_bytes: int = MAX_REQUEST_BYTES,
        documents_per_partition: int = 128,
        retention_s: float = 3600.0,
        point_in_time_recovery: bool = False,
        forget_versions: bool = False,
        now: Callable[[], float] = time.time,
    ):
        self.target = FirestoreTarget(project, emulator_host="127.0.0.1:1", max_outage_s=max_outage_s)
        self.received: list[Received] = []
        self._max_request_bytes = max_request_bytes
        minutes_s = _RECOVERY_S if point_in_time_recovery else 0.0
        self._stored = Documents(now, Retention(retention_s, minutes_s, forget_versions))
        self._service = Service(self._stored, documents_per_partition, self._affect_write)
        self._scripts = Scripts((*self._service.rpcs, _LISTEN, _WRITE, _ADD_TARGET))
        self.listen = Listen(self._stored, now, self.target.document_name, self._affect_target)
        for rpc, script in (scripts or {}).items():
            self.script(rpc, script)
        seeds = [self._set(path, fields) for path, fields in (documents or {}).items()]
        self._stored.commit(seeds, time_us=int((now() - _SEEDED_BEFORE_S) * 1e6))

    def __enter__(self) -> ScriptedFirestore:
        self._server = grpc.server(ThreadPoolExecutor(max_workers=_MAX_REQUESTS), options=_UNLIMITED)
        handlers = {name: self._handler(name, rpc) for name, rpc in self._service.rpcs.items()}
        handlers[_LISTEN] = self._listen_handler()
        generic = grpc.method_handlers_generic_handler("google.firestore.v1.Firestore", handlers)
        self._server.add_generic_rpc_handlers((generic,))
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self.target = FirestoreTarget(
            self.target.project, emulator_host=f"127.0.0.1:{port}", max_outage_s=self.target.max_outage_s
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stop(grace=None).wait()
        self.listen.stop()

    def script(self, rpc: str, script: Script) -> None:
        """Says what happens to the requests of an RPC from now on.

        Args:
          rpc: such as `Commit`; `Write` for each write of a BatchWrite alone, whose ordinals are counted per document.
          script: effects for the next requests, None where nothing is to happen; or a function of the request and its
            ordinal, from 0, that returns an effect or None, or raises RpcError to refuse the request.
        """
        self._scripts.set(rpc, script)

    def requests(self, *rpcs: str) -> list[Any]:
        """The protobuf requests of these RPCs, in the order they came; of all without any name."""
        return [each.request for each in self.received if not rpcs or each.rpc in rpcs]

    def reset(self) -> None:
        """Forgets scripts and requests; documents stay."""
        self._scripts.clear()
        self.received.clear()

    @property
    def documents(self) -> dict[str, Document]:
        """The documents of the target's database, by path, in Firestore's order."""
        return self._at(None)

    def documents_at(self, read_time: datetime.datetime) -> dict[str, Document]:
        """The same as they were at a time, whether or not a client could still read it."""
        return self._at(encode(read_time).timestamp_value.ToMicroseconds())

    @property
    def applied(self) -> list[str]:
        """The path of every write of a client that was applied, in order, also if it changed nothing."""
        return [name.split("/documents/", 1)[1] for name in self._service.applied]

    def put(self, documents: Mapping[str, Mapping[str, Any]]) -> datetime.datetime:
        """Sets documents of the target's database at once, as another client would: fields by path.

        Returns:
          The time of the commit.
        """
        return self.commit([self._set(path, fields) for path, fields in documents.items()])

    def delete(self, *paths: str) -> datetime.datetime:
        """Deletes documents of the target's database at once, as another client would. Returns the time."""
        return self.commit([messages.Write(delete=self.target.document_name(path)) for path in paths])

    def commit(self, writes: list[Any]) -> datetime.datetime:
        """Applies protobuf `Write`s, all or none, as another client would. Returns the time. Raises RpcError."""
        time_us, _ = self._stored.commit(writes)
        return timestamp(0, time_us * 1_000)

    def _at(self, at_us: int | None) -> dict[str, Document]:
        prefix = self.target.document_name("")
        found = [Document(each) for each in self._stored.all(at_us) if each.name.startswith(prefix)]
        return {each.path: each for each in sorted(found, key=lambda each: name_key(each.path))}

    def _set(self, path: str, fields: Mapping[str, Any]) -> Any:
        write = messages.Write()
        write.update.name = self.target.document_name(path)
        encode_fields(fields, write.update.fields)
        return write

    def _handler(self, name: str, rpc: Rpc) -> grpc.RpcMethodHandler:
        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            self._receive(name, request, context)
            with _status_in(context):
                effect = self._scripts.effect(name, request)
                self._check_size(request)
                yield from _affected(effect, rpc.answer(request))

        def single(request: Any, context: grpc.ServicerContext) -> Any:
            return list(stream(request, context))[-1]

        make = grpc.unary_stream_rpc_method_handler if rpc.streams else grpc.unary_unary_rpc_method_handler
        return make(stream if rpc.streams else single, rpc.request.FromString, rpc.response.SerializeToString)

    def _listen_handler(self) -> grpc.RpcMethodHandler:
        def stream(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            received = (self._receive(_LISTEN, request, context) for request in requests)
            for first in itertools.islice(received, 1):
                with _status_in(context):
                    effect = self._scripts.effect(_LISTEN, first)
                    yield from _affected(effect, self.listen.serve(itertools.chain([first], received), context))

        return grpc.stream_stream_rpc_method_handler(
            stream, messages.ListenRequest.FromString, messages.ListenResponse.SerializeToString
        )

    def _receive(self, name: str, request: Any, context: grpc.ServicerContext) -> Any:
        self.received.append(Received(name, request, dict(context.invocation_metadata())))
        return request

    def _check_size(self, request: Any) -> None:
        if (n_bytes := request.ByteSize()) > self._max_request_bytes:
            raise RpcError(
                "RESOURCE_EXHAUSTED", f"gRPC message exceeds maximum size {self._max_request_bytes}: {n_bytes}"
            )

    def _affect_write(self, write: Any, name: str, own: Iterator[Any]) -> Iterator[Any]:
        return _affected(self._scripts.effect(_WRITE, write, name), own)

    def _affect_target(self, target: Any, own: Iterator[Any]) -> Iterator[Any]:
        return _affected(self._scripts.effect(_ADD_TARGET, target), own)


@contextlib.contextmanager
def _status_in(context: grpc.ServicerContext) -> Iterator[None]:
    """Ends an RPC with the status of the error inside; OK ends a stream early and well."""
    try:
        yield
    except RpcError as error:
        if error.code != "OK":
            context.abort(grpc.StatusCode[error.code], error.message)
    except RecordError as error:  # a field path that is none
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)


def _affected(effect: Effect | None, own: Iterator[Any]) -> Iterator[Any]:
    return own if effect is None else effect(own)
