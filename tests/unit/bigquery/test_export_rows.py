"""What becomes of the rows of a batch: accepted, refused, unchanged."""

import datetime
import json

import pytest

from transforms.batch import Batch
from transforms.bigquery.methods import FILE_LOADS, INSERT_ROWS
from transforms.bigquery.row_writer import RowWriter
from transforms.bigquery.schema import Column
from transforms.export.columns import fixed_columns
from transforms.export.entries import Exported
from transforms.export.options import APPEND, BOTH, CHANGELOG, FLAT, IGNORE, MARK, MERGE
from transforms.export.rows import rows_of_documents
from transforms.export.target import ExportTarget
from transforms.firestore import messages
from transforms.firestore.collection_patterns import CollectionPattern
from transforms.firestore.documents import Document
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import encode_fields
from transforms.ledger.entry import LedgerEntry
from transforms.retry import Retry

MOMENT = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
DATABASE = FirestoreTarget("demo-x", emulator_host="127.0.0.1:1")
COLUMNS = (*fixed_columns(), Column("n", "INT64", description="Firestore field `n`"))


def entry(n, *, unchanged=False, value=None):
    message = messages.Document(name=DATABASE.document_name(f"users/u{n}"))
    encode_fields({"n": n if value is None else value}, message.fields)
    message.create_time.FromDatetime(MOMENT)
    message.update_time.FromDatetime(MOMENT)
    return Exported(f"users/u{n}", n, Document(message), {}, unchanged=unchanged)


def batch(*entries):
    return Batch("b-0", "firestore://users", len(entries), entries)


@pytest.fixture
def writer(service):
    def make(layout=FLAT, write=APPEND, deletes=IGNORE, method=INSERT_ROWS, columns=COLUMNS):
        target = ExportTarget(
            DATABASE,
            (CollectionPattern("users"),),
            service.target,
            layout,
            write,
            deletes,
            "json",
            None,
            True,
            "run",
            MOMENT,
        )
        ledger = LedgerEntry(DATABASE, "job", 1, Retry())
        return RowWriter(rows_of_documents(target, MOMENT, method, ledger), columns)

    return make


def rows_of(service):
    return [[row["json"] for row in body["rows"]] for body in service.requests]


def test_a_refused_row_is_a_dead_letter_with_bigquery_s_own_message_and_the_whole_document(
    service, writer, refused_rows
):
    service.script = [refused_rows((1, "invalid", "n", "Could not parse 'secret' as an integer"))]
    written = writer().write(batch(entry(0), entry(1), entry(2)))
    assert [each.key for each in written.entries] == ["users/u0", "users/u2"]
    (letter,) = written.dead_letters
    assert (letter.code, letter.record_id, letter.retryable) == ("INVALID", "users/u1", False)
    assert letter.message == "column n: Could not parse '…' as an integer; the row is missing"
    assert letter.original == {"__name__": "users/u1", "n": 1}


def test_what_does_not_fit_is_counted_by_field(writer):
    written = writer().write(batch(entry(0), entry(1, value="x"), entry(2, value=1.5)))
    assert (written.overflowed, written.overflowed_by) == (2, {"n": 2})


def test_unchanged_documents_have_no_row_and_are_named_where_missing_ones_are_looked_for(service, writer):
    writer(write=MERGE, deletes=MARK).write(batch(entry(0), entry(1, unchanged=True)))
    rows, names = rows_of(service)
    assert [row["document_id"] for row in rows] == ["u0"]
    assert names == [{"document_name": DATABASE.document_name("users/u1")}]


def test_a_document_whose_row_is_refused_is_not_missing(service, writer, refused_rows):
    service.script = [refused_rows((0, "invalid", "n", "no"))]
    written = writer(write=MERGE, deletes=MARK).write(batch(entry(0), entry(1)))
    assert rows_of(service)[1] == [{"document_name": DATABASE.document_name("users/u0")}]
    assert len(written.dead_letters) == 1


def test_a_changelog_names_every_document_apart_from_its_changes(service, writer):
    writer(layout=CHANGELOG, deletes=MARK).write(batch(entry(0), entry(1, unchanged=True)))
    changes, names = rows_of(service)
    assert [row["operation"] for row in changes] == ["IMPORT"]
    assert len(names) == 2


def test_a_batch_without_a_change_sends_nothing(service, writer):
    written = writer().write(batch(entry(0, unchanged=True)))
    assert service.requests == []
    assert len(written.entries) == 1


def test_load_jobs_get_json_values_wherever_a_column_holds_them_and_text_where_a_changelog_has_a_column_of_that_name(
    writer,
):
    field = Column("n", "STRUCT", description="Firestore field `n`", fields=(Column("b", "JSON"), Column("c", "INT64")))
    data = Column("data", "JSON", description="Firestore field `data`")
    writing = writer(BOTH, method=FILE_LOADS, columns=(*fixed_columns(), field, data))
    document = entry(0, value={"b": {"deep": [1]}, "c": 2})
    encode_fields({"data": {"a": 1}}, document.document.message.fields)
    writing.write(batch(document))
    collected = writing.collected()
    (row,), (change,) = collected["rows"], collected["changes"]
    assert (row["n"], row["data"]) == ({"b": {"deep": [1]}, "c": 2}, {"a": 1})
    assert json.loads(change["data"]) == {"n": {"b": {"deep": [1]}, "c": 2}, "data": {"a": 1}}


def test_of_many_fields_without_a_column_those_that_overflow_most_are_told_by_name(writer):
    ids = entry(0, value=1)
    encode_fields({f"id{n:04d}": 1 for n in range(3000)}, ids.document.message.fields)
    written = writer().write(batch(ids, entry(1, value="x")))
    assert written.overflowed == 3001
    assert len(written.overflowed_by) == 50
