"""The same pairs of documents by other means: the client library in a Beam DoFn, and a bare loop on raw protobuf.

    write_batch_job    ReadFromText ─▶ parse ─▶ DoFn with WriteBatch     no check, no account, 250 pairs a Commit
    bulk_writer_job    ReadFromText ─▶ parse ─▶ DoFn with BulkWriter     no check, no account, not throttled
    bare_loop          no Beam: parse, encode, hash, BatchGet, Commit    the least code with the same guarantees

Each derives the flat document with the same few lines here rather than with the product's record specs, and all of them
write the same number of documents of the same size.
"""

import hashlib
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import apache_beam as beam
import grpc
import orjson
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from google.cloud import firestore
from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1.bulk_writer import BulkWriterOptions

from benchmarks.measure import CaseError, Meter, Sample

_PAIRS = 250
_FULL, _FLAT = "enriched_profiles", "candidates"
_UNTHROTTLED = 1_000_000
_META = "_meta"


def flat_of(profile: dict[str, Any]) -> dict[str, Any]:
    """A flat form as large as that of the shipped spec."""
    analysis = profile.get("intelligent_analysis", {})
    skills = profile.get("primary_expertise") or profile.get("resume_analysis", {}).get("technical_skills", [])
    role, company = profile.get("current_role", "Software Engineer"), profile.get("current_company", "Fonseca")
    years = analysis.get("career_trajectory_analysis", {}).get("years_experience", 5)
    words = [word for text in (profile["name"], role, company, *skills) for word in text.lower().split()]
    return {
        "candidate_id": profile["candidate_id"],
        "name": profile["name"],
        "current_role": role,
        "current_company": company,
        "years_experience": years,
        "experience_band": "3-5" if years < 6 else "6-9",
        "seniority_level": "senior",
        "primary_skills": skills,
        "overall_rating": 4.0,
        "has_leadership": False,
        "search_keywords": list(dict.fromkeys(words)),
    }


def meta_of(content_hash: str, position: int) -> dict[str, Any]:
    """What ingest keeps about a document, without the times."""
    return {
        "schema_version": 1,
        "version": 1,
        "content_hash": content_hash,
        "source": "profiles.jsonl",
        "position": position,
        "job_id": "bench-20260101-000000-abcd",
        "batch_id": "0123456789ab-00000-00000",
    }


def write_batch_job(path: str, profiles: int, project: str) -> Sample:
    """Beam, and the client library's WriteBatch."""
    return _beam_job(path, profiles, _WriteBatchFn(project))


def bulk_writer_job(path: str, profiles: int, project: str) -> Sample:
    """Beam, and the client library's BulkWriter."""
    return _beam_job(path, profiles, _BulkWriterFn(project))


def _beam_job(path: str, profiles: int, fn: beam.DoFn) -> Sample:
    with Meter(profiles) as meter, beam.Pipeline(runner=FnApiRunner()) as pipeline:
        _ = (
            pipeline
            | "Read" >> beam.io.ReadFromText(path)
            | "Parse" >> beam.Map(orjson.loads).with_output_types(Any)
            | "Write" >> beam.ParDo(fn)
        )
    return meter.sample()


class _WriteBatchFn(beam.DoFn):
    def __init__(self, project: str):
        self._project = project

    def setup(self) -> None:
        self._client = firestore.Client(project=self._project)
        self._full, self._flat = self._client.collection(_FULL), self._client.collection(_FLAT)

    def start_bundle(self) -> None:
        self._batch, self._pairs = self._client.batch(), 0

    def process(self, element: Any) -> None:
        key = element["candidate_id"]
        meta = {_META: meta_of("0" * 32, 0)}
        self._batch.set(self._full.document(key), element | meta)
        self._batch.set(self._flat.document(key), flat_of(element) | meta)
        self._pairs += 1
        if self._pairs == _PAIRS:
            self._commit()

    def finish_bundle(self) -> None:
        if self._pairs:
            self._commit()

    def _commit(self) -> None:
        self._batch.commit()
        self._batch, self._pairs = self._client.batch(), 0


class _BulkWriterFn(beam.DoFn):
    def __init__(self, project: str):
        self._project = project

    def setup(self) -> None:
        self._client = firestore.Client(project=self._project)
        self._full, self._flat = self._client.collection(_FULL), self._client.collection(_FLAT)

    def start_bundle(self) -> None:
        self._writer = unthrottled(self._client)

    def process(self, element: Any) -> None:
        key = element["candidate_id"]
        meta = {_META: meta_of("0" * 32, 0)}
        self._writer.set(self._full.document(key), element | meta)
        self._writer.set(self._flat.document(key), flat_of(element) | meta)

    def finish_bundle(self) -> None:
        self._writer.close()


def store_pairs(project: str, profiles: list[dict[str, Any]]) -> None:
    """A few pairs in one batch of the client library."""
    client = firestore.Client(project=project)
    batch, meta = client.batch(), {_META: meta_of("0" * 32, 0)}
    for profile in profiles:
        batch.set(client.collection(_FULL).document(profile["candidate_id"]), profile | meta)
        batch.set(client.collection(_FLAT).document(profile["candidate_id"]), flat_of(profile) | meta)
    batch.commit()


def unthrottled(client: Any) -> Any:
    """A BulkWriter without its limit of 500 writes a second, which raises what fails."""

    def failed(error: Any, writer: Any) -> bool:
        raise CaseError(f"BulkWriter failed with {error.message}")

    options = BulkWriterOptions(initial_ops_per_second=_UNTHROTTLED, max_ops_per_second=_UNTHROTTLED)
    writer = client.bulk_writer(options=options)
    writer.on_write_error(failed)
    return writer


def bare_loop(path: str, profiles: int, project: str, *, written: int | None = None, in_flight: int = 3) -> Sample:
    """No Beam: 250 profiles at a time are parsed, encoded and hashed, looked up and committed, a few at once."""
    with Meter(profiles) as meter, open(path, "rb") as file, ThreadPoolExecutor(in_flight) as senders:  # noqa: PTH123
        loop, sent = _BareLoop(RawFirestore(project)), 0
        flying: list[Future[int]] = []
        position = 0
        while lines := list(itertools.islice(file, _PAIRS)):
            request, n_pairs = loop.request(lines, position)
            position += len(lines)
            if n_pairs:
                flying.append(senders.submit(loop.firestore.commit, request))
                sent += n_pairs
            if len(flying) >= in_flight:
                flying.pop(0).result()
        for future in flying:
            future.result()
    if sent != (profiles if written is None else written):
        raise CaseError(f"the bare loop sent {sent} of {profiles} profiles")
    return meter.sample()


class _BareLoop:
    def __init__(self, client: "RawFirestore"):
        self.firestore = client
        self._stored = ""

    def request(self, lines: list[bytes], position: int) -> tuple[Any, int]:
        """The CommitRequest of those profiles that are not stored as they are, and how many they are."""
        root = self.firestore.root
        encoded: dict[str, tuple[dict[str, Any], Any, str]] = {}
        for line in lines:
            profile = orjson.loads(line)
            document = DOCUMENT(name=f"{root}/{_FULL}/{profile['candidate_id']}")
            encode_map(profile, document.fields)
            digest = hashlib.blake2b(document.SerializeToString(deterministic=True), digest_size=16).hexdigest()
            encoded[profile["candidate_id"]] = (profile, document, digest)
        stored = self.firestore.hashes([f"{root}/{c}/{key}" for key in encoded for c in (_FULL, _FLAT)])
        request, n_pairs = COMMIT_REQUEST(database=self.firestore.database), 0
        for offset, (key, (profile, document, digest)) in enumerate(encoded.items()):
            flat_name = f"{root}/{_FLAT}/{key}"
            if stored.get(document.name) == digest and stored.get(flat_name) == digest:
                continue
            n_pairs += 1
            meta = {_META: meta_of(digest, position + offset)}
            encode_map(meta, document.fields)
            write = request.writes.add()
            write.update.CopyFrom(document)
            write.current_document.exists = False
            write = request.writes.add()
            write.update.name = flat_name
            encode_map(flat_of(profile) | meta, write.update.fields)
            write.current_document.exists = False
        return request, n_pairs


def _protobuf_class(wrapper: Any) -> Any:
    return wrapper.pb(wrapper()).__class__


DOCUMENT = _protobuf_class(types.Document)
COMMIT_REQUEST = _protobuf_class(types.CommitRequest)
BATCH_WRITE_REQUEST = _protobuf_class(types.BatchWriteRequest)
_COMMIT_RESPONSE = _protobuf_class(types.CommitResponse)
_BATCH_WRITE_RESPONSE = _protobuf_class(types.BatchWriteResponse)
_BATCH_GET_REQUEST = _protobuf_class(types.BatchGetDocumentsRequest)
_BATCH_GET_RESPONSE = _protobuf_class(types.BatchGetDocumentsResponse)


class RawFirestore:
    """The fewest lines that reach the emulator: gRPC and protobuf, nothing else. One channel a thread."""

    def __init__(self, project: str):
        self.database = f"projects/{project}/databases/(default)"
        self.root = f"{self.database}/documents"
        self._metadata = (("authorization", "Bearer owner"), ("google-cloud-resource-prefix", self.database))
        self._threads = threading.local()

    def hashes(self, names: list[str]) -> dict[str, str]:
        """`_meta.content_hash` of the documents that exist, by name."""
        request = _BATCH_GET_REQUEST(database=self.database, documents=names)
        request.mask.field_paths.append(_META)
        answers: Iterator[Any] = self._stub(
            "unary_stream", "BatchGetDocuments", _BATCH_GET_REQUEST, _BATCH_GET_RESPONSE
        )(request, metadata=self._metadata, timeout=60)
        return {
            answer.found.name: answer.found.fields[_META].map_value.fields["content_hash"].string_value
            for answer in answers
            if answer.HasField("found")
        }

    def commit(self, request: Any) -> int:
        """Sends a CommitRequest; returns how many writes were acknowledged."""
        stub = self._stub("unary_unary", "Commit", COMMIT_REQUEST, _COMMIT_RESPONSE)
        return len(stub(request, metadata=self._metadata, timeout=60).write_results)

    def batch_write(self, request: Any) -> int:
        """Sends a BatchWriteRequest; returns how many writes were acknowledged."""
        stub = self._stub("unary_unary", "BatchWrite", BATCH_WRITE_REQUEST, _BATCH_WRITE_RESPONSE)
        response = stub(request, metadata=self._metadata, timeout=60)
        return sum(not status.code for status in response.status)

    def _stub(self, kind: str, name: str, request: Any, response: Any) -> Callable[..., Any]:
        if not hasattr(self._threads, "channel"):
            options = (("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1))
            self._threads.channel = grpc.insecure_channel(os.environ["FIRESTORE_EMULATOR_HOST"], options)
        stub: Callable[..., Any] = getattr(self._threads.channel, kind)(
            f"/google.firestore.v1.Firestore/{name}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        return stub


def encode_map(values: dict[str, Any], fields: Any) -> None:
    """Python values into a protobuf map, in the plainest way."""
    for name, value in values.items():
        _encode(value, fields[name])


def _encode(value: Any, out: Any) -> None:
    kind = type(value)
    if kind is str:
        out.string_value = value
    elif kind is bool:
        out.boolean_value = value
    elif kind is int:
        out.integer_value = value
    elif kind is float:
        out.double_value = value
    elif value is None:
        out.null_value = 0
    elif kind is dict:
        out.map_value.SetInParent()
        encode_map(value, out.map_value.fields)
    elif kind is list:
        out.array_value.SetInParent()
        for item in value:
            _encode(item, out.array_value.values.add())
    elif kind is bytes:
        out.bytes_value = value
    else:
        out.timestamp_value.FromDatetime(value)
