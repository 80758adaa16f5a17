"""Tables that exist take the rows of the next version, and rows that are sent again are known by their ids."""

import dataclasses
import datetime
import json
import re

import pytest

from pipeline.specs import SPECS, read_spec
from tests.support.identities import NOON, columns_as_json, pinned
from transforms.batch import Batch, Record
from transforms.bigquery.methods import INSERT_ROWS
from transforms.bigquery.row_writer import RowWriter
from transforms.bigquery.rows import insert_id
from transforms.bigquery.target import BigQueryTarget
from transforms.export.changelog import CHANGELOG_COLUMNS, event_id
from transforms.export.columns import fixed_columns, legal_name
from transforms.export.entries import Exported
from transforms.export.options import APPEND, BOTH, FLAT, MARK, MERGE
from transforms.export.rows import rows_of_documents
from transforms.export.target import ROW_OPTIONS, ExportTarget
from transforms.firestore import messages
from transforms.firestore.collection_patterns import CollectionPattern
from transforms.firestore.documents import Document
from transforms.firestore.ranges import NameRange
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import encode_fields
from transforms.ledger.entry import LedgerEntry
from transforms.records.table import table_columns, table_options
from transforms.retry import Retry
from transforms.upsert.entries import Written
from transforms.upsert.rows import rows_of_records
from transforms.verify.comparison import Compared
from transforms.verify.parts import Parts
from transforms.verify.reports import REPORT_COLUMNS, REPORT_OPTIONS, Report

DATABASE = FirestoreTarget("acme-prod")
USERS = CollectionPattern("users/{user}/posts")
TARGET = ExportTarget(
    DATABASE,
    (USERS,),
    BigQueryTarget("acme-prod", "people", "posts"),
    FLAT,
    MERGE,
    MARK,
    "json",
    None,
    True,
    "projects/acme-prod/databases/(default) export-1 2 2026-01-01T12:00:00+00:00",
    NOON,
)


@pytest.mark.parametrize("name", SPECS.names())
def test_the_table_of_a_shipped_spec_keeps_its_columns_and_its_layout(name):
    spec = read_spec(name)
    columns = table_columns(spec)
    assert columns_as_json(columns) == pinned("columns")[name]
    assert list(layout_of(table_options(spec, columns))) == pinned("columns")["layouts"][name]


def layout_of(options):
    return options.partition_by, options.partition_unit, list(options.cluster_by)


@pytest.mark.parametrize(
    ("name", "columns", "layout"),
    [
        ("documents", fixed_columns(("user",)), ROW_OPTIONS),
        ("changelog", CHANGELOG_COLUMNS, ROW_OPTIONS),
        ("verify", REPORT_COLUMNS, REPORT_OPTIONS),
    ],
)
def test_the_tables_of_exports_and_of_reports_keep_their_columns_and_their_layout(name, columns, layout):
    assert columns_as_json(columns) == pinned("columns")[name]
    assert list(layout_of(layout)) == pinned("columns")["layouts"][name]


@pytest.mark.parametrize(
    ("taken", "column"),
    [
        ((), "full_name"),
        (("full_name",), "full_name_3409ef"),
        (("full_name", "full_name_3409ef"), "full_name_3409ef4"),
    ],
)
def test_a_field_keeps_the_column_that_its_name_had_to_be_changed_to(taken, column):
    assert legal_name("full name", set(taken)) == column


def test_the_tables_of_an_export_keep_their_names():
    assert TARGET.staging.id == "acme-prod.people.posts_staging_876bd0f78ef3"
    both = dataclasses.replace(TARGET, layout=BOTH)
    assert (both.flat.id, both.changelog.id) == ("acme-prod.people.posts", "acme-prod.people.posts_changelog")
    assert both.changelog.latest.id == "acme-prod.people.posts_changelog_latest"


def test_ids_of_rows_and_of_events_are_always_the_same():
    assert insert_id("ada", "1f", "batch-1") == "c304321175aa4ae5bc7fc95a7d92513f"
    assert insert_id("Zoë", "", "\ud800") == "419570505b9e5cc34a0503053b4d61b8"
    name = DATABASE.document_name("users/ada")
    assert event_id(name, NOON) == "bd2f1b804a8409b8c25bf5ffa983bc54"
    assert event_id(name, NOON.replace(microsecond=0)) == "da380a41dcd4562fe99ef9b8efebb654"
    assert event_id(name, None) == "c8a66bb94f9c27c8d288c4c57db945a3"


def test_a_row_of_a_record_is_sent_under_the_id_of_key_content_and_batch(service):
    meta = {"content_hash": "c0ffee", "batch_id": "b-0", "position": 0, "source": "in.jsonl"}
    entry = Written("ada", Record(0, {"candidate_id": "ada"}), {"candidate_id": "ada"}, meta, NOON)
    columns = table_columns(read_spec("profiles"))
    RowWriter(rows_of_records(service.target, columns, INSERT_ROWS)).write(Batch("b-0", "in.jsonl", 1, (entry,)))
    assert service.sent_ids() == [["9353e03374c9bd390ab44a7d57d98ac2"]]


def test_a_row_of_a_document_is_sent_under_the_id_of_name_version_and_batch(service):
    """The rows that only name a document have none of a version."""
    target = dataclasses.replace(TARGET, table=service.target, layout=BOTH, write=APPEND)
    rows = rows_of_documents(target, NOON, INSERT_ROWS, LedgerEntry(DATABASE, "export-1", 2, Retry()))
    writer = RowWriter(rows, fixed_columns(("user",)))
    message = messages.Document(name=DATABASE.document_name("users/ada/posts/p1"))
    encode_fields({"n": 1}, message.fields)
    message.create_time.FromDatetime(NOON - datetime.timedelta(hours=1))
    message.update_time.FromDatetime(NOON)
    entry = Exported("users/ada/posts/p1", 0, Document(message), {"user": "ada"})
    writer.write(Batch("b-0", "firestore://**/posts", 1, (entry,)))
    assert [body["rows"] for body in service.requests] == pinned("export_rows")


def test_a_report_is_loaded_by_jobs_of_the_same_names(service, tmp_path):
    parts = Parts(str(tmp_path), "verify-1", 2)
    parts.write_plan(NOON, [NameRange()])
    with parts.written("range-00000") as write:
        write(json.dumps({"key": "ada", "difference": "MISSING_LEFT"}))
    parts.write_found("range-00000", Compared(differing={"MISSING_LEFT": 1}))
    service.script = [loaded()]
    Report(parts, NOON, table=service.target)()
    (upload,) = service.requests
    assert set(re.findall(rb"firebeam_verify_\w+", upload)) == {b"firebeam_verify_f62cf848a80cfbf444ee054a_2_0_0"}


def loaded():
    table = {"projectId": "demo-script", "datasetId": "people", "tableId": "candidates"}
    return 200, {
        "jobReference": {"projectId": "demo-script", "jobId": "job-1", "location": "EU"},
        "configuration": {"load": {"destinationTable": table}},
        "status": {"state": "DONE"},
    }
