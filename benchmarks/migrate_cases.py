"""A container of Cosmos DB into Firestore: the copy, the audit, and the fewest lines that copy it.

    copy         firebeam migrate --mode=copy
    copy again   a second one, of a container in which nothing has changed
    audit        the same with its writes off
    bare loop    pages of the feed by azure-cosmos, BatchGetDocuments, a hash, Commit; gRPC and protobuf alone
    WriteBatch   pages of the feed by azure-cosmos, written by the client library

The account is the scripted one, in a process of its own, so what it costs is nobody's. Items have 3.0 KB.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import orjson
from azure.cosmos import ContainerProxy, CosmosClient, PartitionKey
from google.cloud import firestore

from benchmarks.generated_account import CONTAINER, DATABASE, generated_account
from benchmarks.jobs import run_job
from benchmarks.measure import CaseError, Meter, Sample
from benchmarks.peers import COMMIT_REQUEST, DOCUMENT, RawFirestore, encode_map, meta_of
from benchmarks.workload import profile
from pipeline.jobs.migrate import JOB
from transforms.migrate.documents import content_of
from transforms.testing.cosmos import scripted_cosmos

_DATABASE, _CONTAINER, _COLLECTION = "school", "attempts", "student_attempts"
_ITEMS_PER_PUT = 1_000
_PAGE_ITEMS = 500
_SYSTEM = frozenset({"_rid", "_self", "_etag", "_attachments", "_ts", "_lsn"})


def migrate(mode: str, items: int, project: str, *, again: bool = False) -> Sample:
    """Runs the job on a container of so many items.

    Args:
      mode: audit or copy.
      again: whether a copy is measured that finds everything copied.
    """
    with _container(items):
        if again:
            _run(mode, f"{_DATABASE}/{_CONTAINER}", items, project)
        return _run(mode, f"{_DATABASE}/{_CONTAINER}", items, project, done="unchanged" if again else "written")


def migrate_generated(mode: str, items: int, project: str) -> Sample:
    """Runs the job on a container of so many items of 0.6 KB that nobody keeps."""
    with generated_account(items) as environ:
        os.environ.update(environ)
        return _run(mode, f"{DATABASE}/{CONTAINER}", items, project)


def _run(mode: str, container: str, items: int, project: str, done: str = "written") -> Sample:
    with tempfile.TemporaryDirectory() as report:
        flags = [
            "--migration=benchmark",
            f"--from=cosmos://{container}",
            f"--to=firestore://{_COLLECTION}",
            "--spec=student_attempts",
            f"--mode={mode}",
            f"--project={project}",
            f"--report={report}",
            "--deletes=ignore",
        ]
        meter, summary = run_job(JOB, items, flags)
    n_done = summary["audited" if mode == "audit" else done]
    if (summary["read"], n_done, summary["dead_letters"]) != (items, items, 0):
        raise CaseError(f"{mode} of {items} items ended so: {summary}")
    return meter.sample()


def write_batch(items: int, project: str) -> Sample:
    """The same documents by the client library: nothing is compared, checked or accounted for."""
    with _container(items) as container:
        client = firestore.Client(project=project)
        collection = client.collection(_COLLECTION)
        sent = 0
        with Meter(items) as meter:
            for page in _pages(container):
                batch = client.batch()
                for position, item in enumerate(page):
                    content = {name: value for name, value in item.items() if name not in _SYSTEM}
                    batch.set(collection.document(item["id"]), {**content, "_meta": _meta_of(item, "0" * 32, position)})
                sent += len(batch.commit())
    if sent != items:
        raise CaseError(f"WriteBatch sent {sent} of {items} items")
    return meter.sample()


def bare_loop(items: int, project: str, *, in_flight: int = 3) -> Sample:
    """No Beam, no ledger, no checks: page by page, a few Commits at once."""
    with _container(items) as container:
        firestore = RawFirestore(project)
        with Meter(items) as meter, ThreadPoolExecutor(in_flight) as senders:
            flying: list[Future[int]] = []
            sent = 0
            for page in _pages(container):
                request = _request(firestore, page)
                sent += len(request.writes)
                flying.append(senders.submit(firestore.commit, request))
                if len(flying) >= in_flight:
                    flying.pop(0).result()
            for future in flying:
                future.result()
    if sent != items:
        raise CaseError(f"the bare loop sent {sent} of {items} items")
    return meter.sample()


def _request(firestore: RawFirestore, page: list[dict[str, Any]]) -> Any:
    request = COMMIT_REQUEST(database=firestore.database)
    found: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {}
    for item in page:
        content = {name: value for name, value in item.items() if name not in _SYSTEM}
        digest = hashlib.blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
        found[f"{firestore.root}/{_COLLECTION}/{item['id']}"] = item, content, digest
    stored = firestore.hashes(list(found))
    for position, (name, (item, content, digest)) in enumerate(found.items()):
        if stored.get(name) == digest:
            continue
        document = DOCUMENT(name=name)
        encode_map(content, document.fields)
        encode_map({"_meta": _meta_of(item, digest, position)}, document.fields)
        write = request.writes.add()
        write.update.CopyFrom(document)
        write.current_document.exists = False
    return request


def _meta_of(item: dict[str, Any], digest: str, position: int) -> dict[str, Any]:
    return {**meta_of(digest, position), "_ts": item["_ts"], "_etag": item["_etag"]}


def _pages(container: ContainerProxy) -> Iterator[list[dict[str, Any]]]:
    for span in container.read_feed_ranges():
        pages = container.query_items_change_feed(
            feed_range=span, start_time="Beginning", max_item_count=_PAGE_ITEMS
        ).by_page()
        for page in pages:
            if items := list(page):
                yield items


@contextmanager
def _container(items: int) -> Iterator[ContainerProxy]:
    """An account with one container, which the environment names."""
    with scripted_cosmos() as server:
        os.environ.update(server.environ)
        client = CosmosClient(server.endpoint, server.key)
        container = client.create_database(_DATABASE).create_container(_CONTAINER, PartitionKey("/student_id"))
        for first in range(0, items, _ITEMS_PER_PUT):
            numbers = range(first, min(first + _ITEMS_PER_PUT, items))
            server.put_items(_DATABASE, _CONTAINER, [_item(n) for n in numbers])
        yield container


def _item(n: int) -> dict[str, Any]:
    """A profile with its numbers as Cosmos DB gives them back."""
    return content_of({**profile(n), "id": f"a-{n:07}", "student_id": f"s-{n % 1009}"})
