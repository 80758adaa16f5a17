"""The fields of a STRUCT are matched by place, so that the order that counts is the one that the table has."""

import datetime
from typing import Any

import pytest

from transforms.errors import JobError
from transforms.export.columns import JSON, RECORD, fixed_columns
from transforms.export.options import FLAT, IGNORE, MERGE
from transforms.export.shapes import observe
from transforms.export.tables import provide
from transforms.export.target import ExportTarget
from transforms.firestore import messages
from transforms.firestore.collection_patterns import CollectionPattern
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import encode_fields

MISSING = (404, {"error": {"code": 404, "message": "Not found"}})
NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)


def target(service: Any) -> ExportTarget:
    users = (CollectionPattern("users"),)
    return ExportTarget(
        FirestoreTarget("demo-x"), users, service.target, FLAT, MERGE, IGNORE, RECORD, None, True, "run", NOON
    )


def table(*members: str) -> tuple[int, Any]:
    """An answer: a table of users whose address has these members."""
    struct = [{"name": name, "type": "STRING", "description": f"Firestore field `address.{name}`"} for name in members]
    fields = [{"name": column.name, "type": column.legacy_type} for column in fixed_columns()]
    fields.append({"name": "address", "type": "RECORD", "description": "Firestore field `address`", "fields": struct})
    reference = {"projectId": "demo-script", "datasetId": "people", "tableId": "candidates"}
    return 200, {"tableReference": reference, "type": "TABLE", "etag": "1", "schema": {"fields": fields}}


def shapes_of(*members: str) -> Any:
    document, shapes = messages.Document(), dict[str, Any]()
    encode_fields({"address": dict.fromkeys(members, "x")}, document.fields)
    observe(document.fields, shapes, within_maps=RECORD != JSON)
    return shapes


def members_of(fields: Any) -> list[str]:
    """The names of the address's members, in their order, of an answer or a request."""
    (address,) = (field for field in fields if field["name"] == "address")
    return [member["name"] for member in address["fields"]]


def test_fields_that_another_job_adds_in_between_keep_their_places_in_the_staging_table(service: Any) -> None:
    of_flat = [table("city"), table("city", "theirs"), table(), table("city", "theirs", "ours")]
    service.script = [*of_flat, MISSING, table(), MISSING, table()]
    columns = provide(target(service), shapes_of("city", "ours"))
    assert service.script == []
    widened, staged = (
        request["schema"]["fields"]
        for request, path in zip(service.requests, service.paths, strict=True)
        if path.startswith(("PATCH", "POST")) and "schema" in (request or {})
    )
    assert members_of(widened) == members_of(staged) == ["city", "theirs", "ours"]
    (address,) = (column for column in columns if column.name == "address")
    assert [member.name for member in address.fields] == ["city", "theirs", "ours"]


def test_a_staging_table_whose_fields_stand_otherwise_is_refused_before_anything_is_read(service: Any) -> None:
    flat, staging = table("city", "theirs", "ours"), table("city", "ours", "theirs")
    service.script = [flat, flat, MISSING, table(), staging, staging, staging, staging]
    with pytest.raises(JobError, match="another job has added fields to column address"):
        provide(target(service), shapes_of("city"))
