"""The export job as a user runs it, beside the loop that one would write by hand."""

from __future__ import annotations

import base64
import datetime
import itertools
import json
import os
from collections.abc import Iterator
from typing import Any

from google.cloud import firestore

from benchmarks.connector_cases import COLLECTION
from benchmarks.jobs import run_job
from benchmarks.measure import LAUNCHED_AT_VARIABLE, CaseError, Meter, Sample
from pipeline.jobs.export import JOB
from pipeline.locations import firestore_target
from transforms.bigquery.schema import Column, TableOptions
from transforms.bigquery.tables import ensure_table
from transforms.bigquery.target import BigQueryTarget
from transforms.firestore import messages
from transforms.firestore.committer import AtomicGroup, Committer
from transforms.firestore.names import DEFAULT_DATABASE
from transforms.firestore.values import GeoPoint, Reference, Vector, serialised_fields
from transforms.services import Services

_MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.timezone.utc)
_ROWS = 500


def store_every_type(documents: int, project: str) -> Sample:
    """Documents that have every type of Firestore's, nested maps, and a field of mixed types."""
    target = firestore_target(project, DEFAULT_DATABASE, Services.of())

    def groups() -> Iterator[AtomicGroup]:
        for n in range(documents):
            name = target.document_name(f"{COLLECTION}/{n:08d}")
            fields = serialised_fields(_every_type(n, target.document_name("users/ada")))
            yield AtomicGroup((messages.update(messages.document(name, fields)),))

    with Meter(documents) as meter:
        Committer(target.connect()).commit(groups())
    return meter.sample()


def _every_type(n: int, reference: str) -> dict[str, Any]:
    return {
        "null": None,
        "bool": n % 2 == 0,
        "integer": n,
        "double": n / 7,
        "nan": float("nan"),
        "last_modified": _MOMENT + datetime.timedelta(microseconds=n),
        "text": f"person {n}",
        "bytes": n.to_bytes(8, "big"),
        "reference": Reference(reference),
        "point": GeoPoint(n % 90, n % 180),
        "vector": Vector((0.5, float(n))),
        "map": {"seen": _MOMENT, "address": {"zip": n if n % 2 else str(n)}},
        "texts": ["a", "b"],
        "mixed": n if n % 3 else str(n),
    }


def export(documents: int, project: str, bigquery_table: str, *, flags: list[str]) -> Sample:
    """Exports a collection and checks that both sides have as many documents."""
    named = [f"--collection={COLLECTION}", f"--project={project}", f"--bigquery_table={bigquery_table}"]
    meter, summary = run_job(JOB, documents, [*named, *flags])
    if (summary["read"], summary["results"]["rows_latest"], summary["dead_letters"]) != (documents, documents, 0):
        raise CaseError(f"export should have {documents} documents on both sides: {summary}")
    launched_s = meter.ended_at - float(os.environ[LAUNCHED_AT_VARIABLE])
    return meter.sample(first_result_s=summary["first_result_s"], whole_s=round(launched_s, 3))


def export_by_hand(documents: int, project: str, bigquery_table: str) -> Sample:
    """The client libraries: stream(), to_dict(), one JSON column, insert_rows_json; no types, no check."""
    target = BigQueryTarget.parse(bigquery_table, Services.of())
    columns = [Column("document_id", "STRING"), Column("update_time", "TIMESTAMP"), Column("data", "JSON")]
    bigquery = target.client()
    ensure_table(target, columns, TableOptions(), client=bigquery)
    collection, sent = firestore.Client(project=project).collection(COLLECTION), 0
    with Meter(documents) as meter:
        snapshots = collection.stream()
        while block := list(itertools.islice(snapshots, _ROWS)):
            rows = [
                {
                    "document_id": snapshot.id,
                    "update_time": snapshot.update_time.isoformat(),
                    "data": json.dumps(snapshot.to_dict(), default=_text),
                }
                for snapshot in block
            ]
            if errors := bigquery.insert_rows_json(target.id, rows):
                raise CaseError(f"insert_rows_json: {errors[0]}")
            sent += len(rows)
    if sent != documents:
        raise CaseError(f"{sent} of {documents} documents came through")
    return meter.sample()


def _text(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
