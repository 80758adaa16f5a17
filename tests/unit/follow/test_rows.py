"""Rows of what is followed: of each change one that says what Firestore holds, before its position is kept."""

import dataclasses
import datetime
import json

import pytest

from pipeline.specs import read_spec
from tests.stand_ins import comes_true
from tests.support.clocks import no_waiting
from tests.support.followed import Following, World
from tests.support.scripted_bigquery import error, row_errors, scripted_bigquery
from transforms.batch import Batch, Record
from transforms.bigquery.methods import INSERT_ROWS
from transforms.bigquery.row_writer import RowWriter
from transforms.dual.kinds import Key
from transforms.dual.stored import FIRESTORE
from transforms.errors import JobError, TransientError
from transforms.firestore.documents import Document
from transforms.follow.changes import Changed, Gone, Page
from transforms.follow.repairing import Counts
from transforms.follow.rows import RowsOfPages
from transforms.migrate.items import ItemForm, order_of
from transforms.migrate.rows import RowsOfDeleted, rows_of_held
from transforms.records.table import table_columns
from transforms.retry import Retry
from transforms.testing import ScriptedFirestore
from transforms.upsert.entries import Written
from transforms.upsert.rows import rows_of_records

SPEC = read_spec("student_attempts")
COLLECTION = "student_attempts"
META = {"_ts": 7, "_etag": "e", "content_hash": "c0ffee", "schema_version": 1, "version": 3, "job_id": "migrate-1"}


@pytest.fixture
def bigquery():
    with scripted_bigquery() as service:
        yield service


@pytest.fixture
def firestore():
    with ScriptedFirestore({f"{COLLECTION}/a": document("a", 0.5)}) as server:
        yield server


def document(name, score, **more):
    fields = {"id": name, "student_id": "s", "score": score, "rows": [{"_array": [1]}], **more}
    return {**fields, "source_system": "cosmos_migration", "_meta": META}


def plan_of(bigquery):
    columns = table_columns(SPEC, shows_deletes=True)
    order = order_of(SPEC, ["/student_id"])
    plan = rows_of_records(bigquery.target, columns, INSERT_ROWS, form=ItemForm(order))
    return dataclasses.replace(plan, retry=Retry(2, clock=no_waiting()))


class Refused:
    def __init__(self):
        self.rows = []

    def row(self, version, dead_letter):
        self.rows.append(dead_letter)


def rows_of(bigquery, firestore, refused=None, counts=None):
    held = rows_of_held(plan_of(bigquery), SPEC)
    return RowsOfPages(held, COLLECTION, firestore.target, COLLECTION, refused or Refused(), counts or Counts())


def page(*names, gone=()):
    return Page(FIRESTORE, [Changed(Key(name, name, ("s",)), 0) for name in names], gone=gone)


def sent(bigquery):
    return [row["json"] for body in bigquery.requests if body for row in body["rows"]]


def test_a_document_has_the_row_that_a_copy_made_of_its_item(bigquery, firestore):
    rows_of(bigquery, firestore).write(page("a"))
    stored = firestore.documents[f"{COLLECTION}/a"]
    item = {"id": "a", "student_id": "s", "score": 0.5, "rows": [[1]]}
    entry = Written("a", Record(0, item), SPEC.flatten(item, "a"), META, stored.update_time)
    RowWriter(plan_of(bigquery)).write(Batch("b", "", 1, (entry,)))
    of_follow, of_copy = sent(bigquery)
    assert json.loads(of_follow.pop("profile")) == json.loads(of_copy.pop("profile")) == item
    assert of_follow == of_copy


def test_a_deleted_document_has_a_row_of_its_tombstone_and_one_that_nobody_knows_of_has_none(bigquery, firestore):
    firestore.delete(f"{COLLECTION}/a")
    at = firestore.put({f"{COLLECTION}_tombstones/a": {"_meta": {"key": {"id": "a"}}}})
    rows_of(bigquery, firestore).write(page("a", "b"))
    time = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert [
        (row[SPEC.key.name], row["_meta_deleted_at"].replace("+00:00", "Z"), row["update_time"].replace("+00:00", "Z"))
        for row in sent(bigquery)
    ] == [("a", time, time)]


def test_a_document_that_was_deleted_by_others_ends_later_than_all_that_it_had(bigquery, firestore):
    firestore.put({f"{COLLECTION}_tombstones/a": {"_meta": {}}})  # of an earlier delete
    written_at = firestore.put({f"{COLLECTION}/a": document("a", 1)})
    removed_at = firestore.delete(f"{COLLECTION}/a")
    rows_of(bigquery, firestore).write(page(gone=[Gone("a", written_at, removed_at)]))
    (row,) = sent(bigquery)
    assert datetime.datetime.fromisoformat(row["update_time"].replace("Z", "+00:00")) == removed_at > written_at


def test_a_page_that_comes_again_has_the_insert_ids_it_had_and_another_version_has_others(bigquery, firestore):
    rows = rows_of(bigquery, firestore)
    rows.write(page("a"))
    rows.write(page("a"))
    firestore.put({f"{COLLECTION}/a": document("a", 1)})
    firestore.put({f"{COLLECTION}/a": document("a", 0.5)})
    rows.write(page("a"))
    first, again, later = (ids[0] for ids in bigquery.sent_ids())
    assert first == again != later


def test_a_row_that_is_refused_or_cannot_be_made_is_a_dead_letter_with_its_item(bigquery, firestore):
    firestore.put({f"{COLLECTION}/b": {**document("b", 1), "_ts": 1}})
    bigquery.script.append(row_errors((0, "invalid", "score", "Cannot convert value")))
    refused, counts = Refused(), Counts()
    rows_of(bigquery, firestore, refused, counts).write(page("a", "b"))
    assert {(each.step, each.record_id, each.code) for each in refused.rows} == {
        ("InsertRows", "a", "INVALID"),
        ("InsertRows", "b", "RESERVED_FIELD"),
    }
    (of_a,) = [each.original for each in refused.rows if each.record_id == "a"]
    assert (of_a["_ts"], of_a["_etag"], of_a["rows"]) == (7, "e", [[1]])
    assert counts.all()["rows_refused"] == 2


def test_rows_that_bigquery_does_not_take_now_are_an_error_for_the_loop(bigquery, firestore):
    bigquery.script += [error(503, "backendError", "try again")] * 9
    with pytest.raises(TransientError):
        rows_of(bigquery, firestore).write(page("a"))
    bigquery.script[:] = [row_errors((0, "stopped", "", ""))] * 9
    with pytest.raises(TransientError, match="has not taken the row of a yet"):
        rows_of(bigquery, firestore).write(page("a"))


def test_a_row_that_ends_a_document_is_between_its_version_and_any_later_one(bigquery, firestore):
    stored: Document = firestore.documents[f"{COLLECTION}/a"]
    ends = RowsOfDeleted(rows_of_held(plan_of(bigquery), SPEC), "migrate-1")
    ends([stored])
    (row,) = sent(bigquery)
    since = datetime.datetime.fromisoformat(row["update_time"].replace("Z", "+00:00"))
    assert since - stored.update_time == datetime.timedelta(microseconds=1)
    bigquery.script.append(row_errors((0, "invalid", "", "bad value")))
    with pytest.raises(JobError, match="refused the row that ends a with INVALID"):
        ends([stored])


def test_a_position_is_kept_only_behind_its_rows(tmp_path):
    seen, is_away = [], [True]

    def write(page):
        if is_away[0]:
            raise TransientError("BigQuery does not answer")
        seen.extend(each.key.item_id for each in page.changes)

    world = World(rows=write)
    with Following(world) as follower:
        application = world.application()
        application.put({"id": "a", "student_id": "s"})
        assert comes_true(lambda: follower.waits == "BigQuery does not answer")
        assert comes_true(lambda: set(world.contents(FIRESTORE)) == {"a"})
        assert world.positions == {}
        is_away[0] = False
        assert comes_true(lambda: bool(world.positions) and "a" in seen)
        application.close()
