"""Firestore beside tables of BigQuery, on the real emulators."""

import datetime
import json
import random
from dataclasses import replace

import pytest
from google.cloud import bigquery

from pipeline.__main__ import main
from tests.support.exported import columns_of, documents_of, insert, make_table, name_of, rows_of
from tests.support.ingest import ingest, profile
from tests.support.verified import every_type, put, verify
from transforms.bigquery.schema import Column
from transforms.bigquery.target import BigQueryTarget
from transforms.export.changelog import CHANGELOG_COLUMNS, ChangelogRows
from transforms.firestore.query import Query
from transforms.firestore.target import FirestoreTarget
from transforms.verify.parts import Parts
from transforms.verify.reports import Report

pytestmark = pytest.mark.emulator


@pytest.fixture
def target(firestore_host, firestore_project, monkeypatch):
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_host)
    return FirestoreTarget(firestore_project, emulator_host=firestore_host)


@pytest.fixture
def table(request, firestore_project, monkeypatch):
    emulator = request.getfixturevalue("bigquery")
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", emulator.rest)
    target = BigQueryTarget(emulator.project, firestore_project.replace("-", "_"), "users", emulator.rest)
    yield target
    target.client().delete_dataset(target.dataset, delete_contents=True, not_found_ok=True)


def users(n_users):
    return {f"users/user-{n:04d}": every_type(n) for n in range(n_users)}


def test_one_percent_of_a_typed_table_is_wrong_and_exactly_that_is_found(target, table, tmp_path):
    put(target, users(400))
    documents = documents_of(target, Query("users"))
    columns = columns_of(documents, "json")
    make_table(table, columns)
    rows = rows_of(columns, documents)
    lost, *spoilt = random.Random(2).sample(sorted(rows), 3)
    gone = rows.pop(lost)
    rows[spoilt[0]]["age"] = -1
    rows[spoilt[1]]["tags"] = ["a"]
    extra = {"document_id": "extra", "document_name": gone["document_name"].replace(lost, "users/extra")}
    insert(table, [*rows.values(), {**gone, **extra}])
    wrong = {lost: "MISSING_RIGHT", spoilt[0]: "DIFFERENT", spoilt[1]: "DIFFERENT", "users/extra": "MISSING_LEFT"}
    by_id = {path.removeprefix("users/"): kind for path, kind in wrong.items()}

    for flags in ((), ("--max_keys=150",)):
        found = verify(tmp_path, target, "firestore://users", name_of(table), *flags)
        assert (found.exit_code, found.kinds, found.counts) == (3, by_id, (401, 397, 0, 4))
    assert sorted(line["fields"] for line in found.differences) == [[], [], ["age"], ["tags"]]


def test_every_column_is_compared_and_either_side_may_be_the_left(target, table, tmp_path):
    put(target, users(12))
    documents = documents_of(target, Query("users"))
    columns = columns_of(documents, "json")
    make_table(table, columns)
    rows = rows_of(columns, documents)
    fields = {
        "age": None,
        "name": "Nobody",
        "score": 0.25,
        "active": None,
        "seen_at": "2026-01-01T00:00:00.000009+00:00",
        "photo": "AAAA",
        "friend": "users/1",
        "at": "POINT(1 2)",
        "embedding": [0.5],
        "tags": ["a"],
        "mixed": '"7"',
        "_overflow": '{"a":1}',
    }
    for row, (column, value) in zip(rows.values(), fields.items(), strict=True):
        row[column] = value
    insert(table, rows.values())
    found = verify(tmp_path, target, name_of(table), "firestore://users", "--match_by=path")
    assert [line["fields"] for line in found.differences] == [
        [field] if field != "_overflow" else ["__overflow__.a"] for field in fields
    ]
    assert set(found.kinds) == {f"users/user-{n:04d}" for n in range(12)}


@pytest.mark.parametrize("nested", ["record", "flatten"])
def test_maps_are_equal_whatever_the_table_makes_of_them(target, table, tmp_path, nested):
    put(target, users(30))
    documents = documents_of(target, Query("users"))
    columns = columns_of(documents, nested)
    make_table(table, columns)
    rows = rows_of(columns, documents)
    if nested == "record":
        rows["users/user-0007"]["address"]["city"] = "Paris"
    else:
        rows["users/user-0007"]["address_city"] = "Paris"
    insert(table, rows.values())
    (line,) = verify(tmp_path, target, "firestore://users", name_of(table)).differences
    assert (line["key"], line["fields"]) == ("user-0007", ["address.city"])


def test_a_value_that_its_column_cannot_hold_is_equal_in_overflow(target, table, tmp_path):
    put(target, users(20))
    columns = columns_of(documents_of(target, Query("users")), "json")
    make_table(table, columns)
    put(
        target,
        {"users/user-0003": {"age": "many", "address": {"city": 1.0}, "later": [1, {"a": b"x"}], "score": 2**60 + 1}},
    )
    insert(table, rows_of(columns, documents_of(target, Query("users"))).values())
    assert verify(tmp_path, target, "firestore://users", name_of(table)).counts == (20, 20, 0, 0)
    put(
        target,
        {"users/user-0003": {"age": "more", "address": {"city": 1.0}, "later": [1, {"a": b"x"}], "score": 2**60}},
    )
    (line,) = verify(tmp_path, target, "firestore://users", name_of(table)).differences
    assert line["fields"] == ["__overflow__.age", "__overflow__.score", "score"]
    assert verify(tmp_path, target, "firestore://users", name_of(table), "--ignore=age,score").exit_code == 0


def test_of_several_rows_the_newest_counts_and_a_deleted_document_is_none(target, table, tmp_path):
    put(target, users(3))
    first = documents_of(target, Query("users"))
    columns = columns_of(first, "json")
    make_table(table, columns)
    put(target, {"users/user-0001": {"age": 7}})
    now = documents_of(target, Query("users"))
    rows, old = rows_of(columns, now), rows_of(columns, first)
    insert(table, [*rows.values(), *old.values()])
    assert verify(tmp_path, target, "firestore://users", name_of(table)).counts == (3, 3, 0, 0)
    gone = {
        **rows["users/user-0002"],
        "deleted_at": "2026-01-01T00:00:00+00:00",
        "read_time": "2030-01-01T00:00:00+00:00",
    }
    insert(table, [gone])
    assert verify(tmp_path, target, "firestore://users", name_of(table)).kinds == {"user-0002": "MISSING_RIGHT"}


def test_documents_of_several_collections_with_one_id_are_told_apart(target, table, tmp_path):
    put(target, {"users/ada": {"n": 1}, "users/edi": {"n": 1}, "others/ada": {"n": 1}})
    documents = [*documents_of(target, Query("users")), *documents_of(target, Query("others"))]
    columns = columns_of(documents, "json")
    make_table(table, columns)
    insert(table, rows_of(columns, documents).values())
    (line,) = verify(tmp_path, target, "firestore://users", name_of(table)).differences
    assert (line["key"], line["left_copies"], line["right_copies"]) == ("ada", 1, 2)
    by_path = verify(tmp_path, target, "firestore://users", name_of(table), "--match_by=path")
    assert by_path.kinds == {"others/ada": "MISSING_LEFT"}


def test_groups_and_numeric_ids_are_found_in_tables(target, table, tmp_path):
    ids = ["__id7__", "__id70__", "a", "a!", "a-b", "é", "~"]
    put(target, {f"users/{user}/posts/{post}": {"n": 1} for user in ids for post in ids})
    documents = documents_of(target, Query.group("posts"))
    columns = columns_of(documents, "json")
    make_table(table, columns)
    rows = rows_of(columns, documents)
    del rows["users/a!/posts/__id70__"]
    insert(table, rows.values())
    for flags in ("--max_keys=100", "--max_keys=20"):
        found = verify(tmp_path, target, "firestore://**/posts", name_of(table), flags)
        assert (found.counts, list(found.kinds)) == ((49, 48, 0, 1), ["users/a!/posts/__id70__"])


def test_rows_that_name_no_document_are_refused(target, table, tmp_path, capsys):
    put(target, users(2))
    columns = columns_of(documents_of(target, Query("users")), "json")
    make_table(table, columns)
    insert(
        table, [{"age": 1}, {"age": 2, "document_id": "a", "document_name": "projects/p/databases/d/documents/users/a"}]
    )
    assert verify(tmp_path, target, "firestore://users", name_of(table)).exit_code == 2
    assert "1 rows of" in (shown := capsys.readouterr().err)
    assert "have no document_name, so nobody can say which documents they are" in shown


def test_a_changelog_is_compared_by_its_newest_data(target, table, tmp_path):
    put(target, users(5))
    first = documents_of(target, Query("users"))
    put(target, {"users/user-0001": {"age": 7}})
    now = documents_of(target, Query("users"))
    make_table(table, CHANGELOG_COLUMNS)
    changes = ChangelogRows(imported=False)
    insert(table, [changes.row(document).cells for document in (*first, *now)])
    assert verify(tmp_path, target, "firestore://users", name_of(table)).counts == (5, 5, 0, 0)
    gone = {**changes.row(now[4]).cells, "operation": "DELETE", "update_time": "2030-01-01T00:00:00+00:00"}
    spoilt = {**changes.row(now[3]).cells, "data": "{", "update_time": "2030-01-01T00:00:00+00:00"}
    insert(table, [gone, spoilt])
    found = verify(tmp_path, target, "firestore://users", name_of(table))
    assert found.kinds == {"user-0004": "MISSING_RIGHT"}
    assert found.counts == (5, 3, 1, 1)  # a version from the future counts as a change during the run


def test_a_table_of_ingest_is_compared_by_its_profiles(target, table, tmp_path):
    source = tmp_path / "profiles.jsonl"
    table.client().create_dataset(table.dataset)
    source.write_text("".join(json.dumps(profile(n, rating=1.0)) + "\n" for n in range(30)))
    ingest(tmp_path, target, f"--input={source}", f"--bigquery_table={table.name}")
    found = verify(tmp_path, target, "firestore://enriched_profiles", name_of(table))
    assert (found.exit_code, found.counts) == (0, (30, 30, 0, 0))
    files = verify(tmp_path, target, f"jsonl:{source}", name_of(table), "--id_field=candidate_id")
    assert files.counts == (30, 30, 0, 0)
    put(target, {"enriched_profiles/cand-00007": {"name": "Nobody"}})
    found = verify(tmp_path, target, name_of(table), "firestore://enriched_profiles", "--ignore=_meta")
    assert found.kinds == {"cand-00007": "DIFFERENT"}


def test_the_report_goes_into_a_table_once(target, table, tmp_path):
    put(target, {"users/ada": {"n": 1}, "users/edi": {"n": 1}, "copies/ada": {"n": 2}})
    table.client().create_dataset(table.dataset, exists_ok=True)
    report = replace(table, table="report")
    flag = f"--report_table={report.name}"
    found = verify(tmp_path, target, "firestore://users", "firestore://copies", flag, "--show_values")
    parts = Parts(str(tmp_path / "dead_letters"), found.summary["job_id"], 1)
    again = Report(parts, datetime.datetime.now(datetime.timezone.utc), table=report)
    results = again()
    assert (results["different"], results["missing_right"], results["missing_left"]) == (1, 1, 0)
    assert found.summary["results"] == results
    rows = [dict(row) for row in report.client().query(f"SELECT * FROM `{report.id}` ORDER BY key").result()]
    assert [(row["key"], row["difference"], row["fields"], row["left"], row["right"]) for row in rows] == [
        ("ada", "DIFFERENT", ["n"], {"n": 1}, {"n": 2}),
        ("edi", "MISSING_RIGHT", [], {"n": 1}, None),
    ]
    assert {(row["job_id"], row["attempt"], row["left_copies"]) for row in rows} == {(found.summary["job_id"], 1, 1)}


@pytest.mark.parametrize(
    ("columns", "flags", "message"),
    [
        ([Column("name", "STRING")], [], "has no column document_id, as tables of export have; pass --key_column"),
        ([Column("n", "INT64")], ["--key_column=n"], "has no STRING column n; pass --key_column, one of none"),
        ([Column("document_id", "STRING")], ["--match_by=path"], "has no column document_name, so the paths"),
        (None, [], "does not exist. Make it where the data should live"),
    ],
)
def test_a_table_that_cannot_be_compared_is_refused_with_what_to_pass(columns, flags, message, target, table, capsys):
    if columns:
        client = table.client()
        client.create_dataset(table.dataset)
        client.create_table(
            bigquery.Table(table.id, [bigquery.SchemaField(column.name, column.legacy_type) for column in columns])
        )
    arguments = [f"--project={target.project}", "--left=firestore://a", f"--right={name_of(table)}", *flags]
    assert main(["verify", *arguments]) in (1, 2)
    assert message in capsys.readouterr().err
