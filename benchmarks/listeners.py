"""Three ways to listen to collections, each of which hands the fields of every document to the same sink.

    firebeam       ListenToFirestore in a Beam pipeline, on the local runner
    bare           one thread and one Listen stream per collection: raw protobuf, consistent snapshots, versions by name
    on_snapshot    the client library's, one watch per collection

The bare loop is the least code that knows of each document whether it is new; it resumes nothing, misses deletes after
a cut, and has no bound.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from google.cloud import firestore

from benchmarks.listen_server import simulated_monotonic, simulated_now
from benchmarks.measure import CaseError
from transforms.firestore import messages
from transforms.firestore.changes.change_batch import ChangeBatch
from transforms.firestore.changes.options import ListenedQuery, ListenOptions
from transforms.firestore.listen import ListenToFirestore
from transforms.firestore.query import Query
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import decode_fields
from transforms.retry import SYSTEM_CLOCK, Clock
from transforms.runtime.stopping import ask_to_stop

_MAX_WAIT_S = 600.0
_SIMULATED = Clock(now=simulated_now, monotonic=simulated_monotonic)
# As with the service: the scripted server's snapshots are exact, and it sends heartbeats.
_OPTIONS = ListenOptions(silence_s=120.0, exact_snapshots=True)
_TYPE = messages.TargetChange.TargetChangeType
_NO_CHANGE, _CURRENT = _TYPE.Value("NO_CHANGE"), _TYPE.Value("CURRENT")


class Sink:
    """Where all listeners of this process lead. Thread-safe.

    Attributes:
      latency_ns: from write to sink, by the number of the write.
    """

    def __init__(self) -> None:
        self.latency_ns: dict[int, int] = {}
        self._n_first = self._wanted = 0
        self._changed = threading.Condition()

    def take(self, fields: Mapping[str, Any]) -> None:
        """A document as it is now."""
        now_ns = time.monotonic_ns()
        with self._changed:
            if fields["n"] < 0:
                self._n_first += 1
            else:
                self.latency_ns.setdefault(fields["n"], now_ns - fields["sent_ns"])
            if self._n_taken >= self._wanted:
                self._changed.notify_all()

    def wait_for(self, n_documents: int) -> None:
        """Waits until so many have been taken: documents that were there, and writes, each counted once.

        Raises:
          CaseError: they do not come.
        """
        with self._changed:
            self._wanted = n_documents
            if not self._changed.wait_for(lambda: self._n_taken >= n_documents, _MAX_WAIT_S):
                raise CaseError(f"{self._n_taken} of {n_documents} documents came within {_MAX_WAIT_S:.0f} s")

    @property
    def _n_taken(self) -> int:
        return self._n_first + len(self.latency_ns)


SINK = Sink()  # of this process; a DoFn's copies find it here


@contextlib.contextmanager
def firebeam(target: FirestoreTarget, collections: Sequence[str], *, simulated: bool = False) -> Iterator[None]:
    """`ListenToFirestore`, all collections in one group.

    Args:
      simulated: by the clock that is `SPEED_UP` times as fast.
    """
    streams = [ListenedQuery(collection, Query(collection)) for collection in collections]
    clock = _SIMULATED if simulated else SYSTEM_CLOCK

    def run() -> None:
        with beam.Pipeline(runner=FnApiRunner()) as pipeline:
            batches = pipeline | ListenToFirestore(streams, target=target, options=_OPTIONS, clock=clock)
            _ = batches | "Sink" >> beam.ParDo(_SinkFn())

    pipeline = threading.Thread(target=run, daemon=True)
    pipeline.start()
    try:
        yield
    finally:
        ask_to_stop()
        pipeline.join()


class _SinkFn(beam.DoFn):
    def process(self, element: ChangeBatch) -> None:
        for change in element.changes:
            if change.document is not None:
                SINK.take(change.document.fields)


@contextlib.contextmanager
def bare(target: FirestoreTarget, collections: Sequence[str]) -> Iterator[None]:
    """Raw protobuf, nothing else."""
    channel = grpc.insecure_channel(target.emulator_host, [("grpc.use_local_subchannel_pool", 1)])
    method = channel.stream_stream(
        "/google.firestore.v1.Firestore/Listen",
        request_serializer=messages.ListenRequest.SerializeToString,
        response_deserializer=messages.ListenResponse.FromString,
    )
    ended = threading.Event()
    metadata = (("authorization", "Bearer owner"), ("google-cloud-resource-prefix", target.name))
    calls = [method(_requests(target, collection, ended), metadata=metadata) for collection in collections]
    threads = [threading.Thread(target=_follow, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for call in calls:
            call.cancel()
        for thread in threads:
            thread.join()
        channel.close()


def _requests(target: FirestoreTarget, collection: str, ended: threading.Event) -> Iterator[Any]:
    request = messages.ListenRequest(database=target.name)
    request.add_target.target_id = 1
    request.add_target.query.parent = f"{target.name}/documents"
    request.add_target.query.structured_query.from_.add(collection_id=collection)
    yield request
    ended.wait()


def _follow(call: Any) -> None:
    versions: dict[str, int] = {}
    snapshot: list[Any] = []
    is_current = False
    with contextlib.suppress(grpc.RpcError):
        for response in call:
            if response.HasField("document_change"):
                snapshot.append(response.document_change.document)
            elif response.HasField("target_change"):
                change = response.target_change
                is_current = is_current or change.target_change_type == _CURRENT
                if is_current and change.target_change_type == _NO_CHANGE and not change.target_ids:
                    for document in snapshot:
                        versions[document.name] = document.update_time.ToMicroseconds()
                        SINK.take(decode_fields(document.fields))
                    snapshot = []


@contextlib.contextmanager
def on_snapshot(target: FirestoreTarget, collections: Sequence[str]) -> Iterator[None]:
    """The client library."""
    os.environ["FIRESTORE_EMULATOR_HOST"] = target.emulator_host or ""
    client = firestore.Client(project=target.project)

    def changed(_: Any, changes: Any, __: Any) -> None:
        for change in changes:
            SINK.take(change.document.to_dict())

    watches = [client.collection(collection).on_snapshot(changed) for collection in collections]
    try:
        yield
    finally:
        for watch in watches:
            watch.unsubscribe()


LISTENERS: Mapping[str, Callable[..., contextlib.AbstractContextManager[None]]] = {
    "firebeam": firebeam,
    "bare": bare,
    "on_snapshot": on_snapshot,
}
