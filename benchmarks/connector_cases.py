"""The connector on 1.8 KB documents: WriteToFirestore and ReadFromFirestore beside a bare loop and the client library.

    write_to_firestore    Beam, WriteToFirestore            read_from_firestore   Beam, every document decoded
    write_nothing         the same graph without the write  read_reader           the reader alone
    write_bare_loop       raw protobuf, BatchWrite          read_stream           stream() and to_dict()
    write_bulk_writer     the client library's BulkWriter

`write_nothing` is what Beam itself costs: the connector's own CPU is the difference.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from google.cloud import firestore

from benchmarks.measure import CaseError, Meter, Sample
from benchmarks.peers import BATCH_WRITE_REQUEST, RawFirestore, encode_map, unthrottled
from benchmarks.workload import document
from pipeline.locations import firestore_target
from transforms.firestore.names import DEFAULT_DATABASE
from transforms.firestore.operations import Set
from transforms.firestore.query import Query
from transforms.firestore.read import ReadFromFirestore
from transforms.firestore.reader import read
from transforms.firestore.write import WriteToFirestore
from transforms.services import Services

COLLECTION = "documents"
_BATCH = 500
# Documents are taken in turn from so many, so that making them costs nothing.
_POOL = [document(n) for n in range(_BATCH)]
_SEEN: Counter[str] = Counter()


def write_to_firestore(documents: int, project: str) -> Sample:
    """Beam's Create, then WriteToFirestore."""
    with Meter(documents) as meter, beam.Pipeline(runner=FnApiRunner()) as pipeline:
        result = _sets(pipeline, documents) | "Write" >> WriteToFirestore(project=project)
        _ = result.written | "CountWritten" >> beam.Map(_see, "written")
        _ = result.dead_letters | "CountDeadLetters" >> beam.Map(_see, "dead_letters")
    return _checked(meter, documents, _SEEN["written"])


def write_nothing(documents: int, project: str) -> Sample:
    """The graph of `write_to_firestore` with a step in the place of the write that sends nothing."""
    with Meter(documents) as meter, beam.Pipeline(runner=FnApiRunner()) as pipeline:
        passed = _sets(pipeline, documents) | "Pass" >> beam.ParDo(_PassFn())
        _ = passed | "CountWritten" >> beam.Map(_see, "written")
    return _checked(meter, documents, _SEEN["written"])


class _PassFn(beam.DoFn):
    def process(self, element: Any, windowed: Any = beam.DoFn.WindowedValueParam) -> Iterator[Any]:
        yield windowed.with_value(element.path)


def write_bare_loop(documents: int, project: str, *, in_flight: int = 3) -> Sample:
    """Raw protobuf, 500 documents a BatchWrite, a few at once."""
    client = RawFirestore(project)

    def send(first: int) -> int:
        request = BATCH_WRITE_REQUEST(database=client.database)
        for n in range(first, min(first + _BATCH, documents)):
            update = request.writes.add().update
            update.name = f"{client.root}/{COLLECTION}/{_id(n)}"
            encode_map(_POOL[n % _BATCH], update.fields)
        return client.batch_write(request)

    with Meter(documents) as meter, ThreadPoolExecutor(in_flight) as senders:
        written = sum(senders.map(send, range(0, documents, _BATCH)))
    return _checked(meter, documents, written)


def write_bulk_writer(documents: int, project: str) -> Sample:
    """The client library's BulkWriter, not throttled, without Beam."""
    collection = (client := firestore.Client(project=project)).collection(COLLECTION)
    with Meter(documents) as meter:
        writer = unthrottled(client)
        for n in range(documents):
            writer.set(collection.document(_id(n)), _POOL[n % _BATCH])
        writer.close()
    return meter.sample()


def read_from_firestore(documents: int, project: str) -> Sample:
    """Beam: ReadFromFirestore, every document decoded."""
    with Meter(documents) as meter, beam.Pipeline(runner=FnApiRunner()) as pipeline:
        read_documents = pipeline | "Read" >> ReadFromFirestore(COLLECTION, project=project)
        _ = read_documents | "Decode" >> beam.Map(_decode)
    return _checked(meter, documents, _SEEN["decoded"])


def read_reader(documents: int, project: str) -> Sample:
    """The reader that the transforms and the jobs share, every document decoded."""
    client = firestore_target(project, DEFAULT_DATABASE, Services.of()).connect()
    with Meter(documents) as meter:
        for found in read(client, Query(COLLECTION)):
            _decode(found)
    return _checked(meter, documents, _SEEN["decoded"])


def read_stream(documents: int, project: str) -> Sample:
    """The client library: stream() and to_dict()."""
    client, decoded = firestore.Client(project=project), 0
    with Meter(documents) as meter:
        for snapshot in client.collection(COLLECTION).stream():
            decoded += bool(snapshot.to_dict())
    return _checked(meter, documents, decoded)


def _sets(pipeline: beam.Pipeline, documents: int) -> Any:
    blocks = pipeline | "Blocks" >> beam.Create(range(0, documents, _BATCH), reshuffle=False)
    return blocks | "Sets" >> beam.FlatMap(_block, documents)


def _block(first: int, documents: int) -> Iterator[Set]:
    for n in range(first, min(first + _BATCH, documents)):
        yield Set(f"{COLLECTION}/{_id(n)}", _POOL[n % _BATCH])


def _see(element: Any, what: str) -> None:
    _SEEN[what] += 1


def _decode(found: Any) -> None:
    _SEEN["decoded"] += bool(found.fields)


def _id(n: int) -> str:
    """Spread over the key space, so that no range of names is hot.

    >>> _id(1)
    '9e3779b1'
    """
    return f"{n * 0x9E3779B1 % 2**32:08x}"


def _checked(meter: Meter, expected: int, found: int) -> Sample:
    if found != expected:
        raise CaseError(f"{found} of {expected} documents came through; dead letters: {_SEEN['dead_letters']}")
    return meter.sample()
