"""Firestore into BigQuery on the real emulators: no type, no row and no run is lost."""

import dataclasses
import datetime
import math

import pytest

from tests.support.export import COMPLETION, own, people
from transforms.export.columns import JSON
from transforms.export.options import APPEND, FLAT, IGNORE, MERGE
from transforms.export.tables import provide
from transforms.export.target import ExportTarget
from transforms.firestore.collection_patterns import CollectionPattern
from transforms.firestore.values import GeoPoint, Reference, Vector

pytestmark = pytest.mark.emulator

MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.timezone.utc)


def test_a_document_of_every_type_comes_back_with_exact_values(desk):
    reference = desk.database.document_name("users/ada")
    fields = {
        "null": None,
        "bool": True,
        "int": -(2**63),
        "double": 0.1 + 0.2,
        "whole": 1.0,
        "nan": math.nan,
        "inf": -math.inf,
        "timestamp": MOMENT,
        "text": 'Zoë 😀 "quoted" \n',
        "bytes": b"\x00\xff",
        "reference": Reference(reference),
        "point": GeoPoint(-12.25, 130.5),
        "vector": Vector((0.5, -1.0)),
        "map": {"a": 1, "b": {"c": [1, "x", None]}},
        "texts": ["a", ""],
        "numbers": [1, 2**62],
        "times": [MOMENT],
        "mixed": [1, "a", 2.5],
        "empty": {},
    }
    desk.store({"users/ada": fields})
    assert desk.export() == 0
    (row,) = desk.rows()
    assert desk.columns() == {
        "bool": "BOOLEAN",
        "int": "INTEGER",
        "double": "FLOAT",
        "whole": "FLOAT",
        "nan": "FLOAT",
        "inf": "FLOAT",
        "timestamp": "TIMESTAMP",
        "text": "STRING",
        "bytes": "BYTES",
        "reference": "STRING",
        "point": "GEOGRAPHY",
        "vector": "ARRAY FLOAT",
        "map": "JSON",
        "texts": "ARRAY STRING",
        "numbers": "ARRAY INTEGER",
        "times": "ARRAY TIMESTAMP",
        "mixed": "JSON",
        "empty": "JSON",
    }
    assert math.isnan(row.pop("nan"))
    expected = {**fields, "reference": reference, "vector": [0.5, -1.0], "point": "POINT(130.5 -12.25)"}
    del expected["null"], expected["nan"]
    assert own(row) == expected
    assert (row["document_id"], row["document_name"]) == ("ada", reference)
    assert row["create_time"] == row["update_time"] < row["read_time"]


def test_the_case_that_data_frames_die_of_600_documents_with_last_modified_nested_maps_and_mixed_types(desk):
    stored = {
        f"users/u{n:03d}": {
            "last_modified": MOMENT + datetime.timedelta(microseconds=n) if n % 3 else MOMENT.isoformat(),
            "profile": {"seen": MOMENT, "scores": [n, n / 2], "address": {"zip": n if n % 2 else str(n)}},
            "value": n if n % 2 else n + 0.5,
            "tags": ["a"] if n % 2 else None,
        }
        for n in range(600)
    }
    desk.store(stored)
    assert desk.export() == 0
    assert desk.counts() == (600, 600, 0)
    assert desk.summary["overflowed"] == 0
    assert desk.columns() == {"last_modified": "JSON", "profile": "JSON", "value": "FLOAT", "tags": "ARRAY STRING"}
    rows = {f"users/{row['document_id']}": row for row in desk.rows()}
    assert rows.keys() == stored.keys()
    for path, fields in stored.items():
        last_modified = fields["last_modified"]
        if isinstance(last_modified, datetime.datetime):
            last_modified = last_modified.isoformat(timespec="microseconds")
        assert rows[path]["last_modified"] == last_modified
        assert rows[path]["profile"]["address"] == fields["profile"]["address"]
        assert rows[path]["value"] == fields["value"]


METHODS = ("INSERT_ROWS", "STORAGE_WRITE", "STORAGE_WRITE_EXACTLY_ONCE", "FILE_LOADS")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_ends_in_the_same_rows(desk, method):
    flags = (f"--bigquery_method={method}", f"--temp_location=gs://{desk.bigquery.bucket}/temp", "--layout=both")
    fields = {
        "at": MOMENT,
        "nan": math.inf,
        "map": {"a": [1]},
        "point": GeoPoint(1.5, 2),
        "v": Vector((0.5,)),
    }
    # Not text: the emulator's load jobs take no text for a JSON value.
    desk.store({**people(1, 2, **fields), "users/u3": {"n": [True], "raw": b"\x00\xff"}})
    assert desk.export(*flags, "--deletes=mark", "--batch_size=2") == 0
    desk.store({"users/u3": None})
    assert desk.export(*flags, "--deletes=mark", "--batch_size=2", "--mode=incremental") == 0
    assert desk.counts() == (2, 0, 2)
    first, second = desk.rows()
    assert own(first) == {
        "n": 1,
        "at": MOMENT,
        "nan": math.inf,
        "map": {"a": [1]},
        "point": "POINT(2 1.5)",
        "v": [0.5],
        "raw": None,
    }
    assert second["n"] == 2
    assert [row["document_id"] for row in desk.rows("")] == ["u001", "u002", "u3"]
    assert [row["raw"] for row in desk.rows("")][2] == b"\x00\xff"
    assert [row["document_id"] for row in desk.rows("_changelog_latest")] == ["u001", "u002"]


def test_a_batch_that_is_done_again_has_every_row_once_with_exactly_once(desk):
    desk.store(people(*range(10)))
    flags = ("--write=append", "--batch_size=4", "--bigquery_method=STORAGE_WRITE_EXACTLY_ONCE")

    assert desk.export_refused(COMPLETION, *flags) == 1
    assert [row["n"] for row in desk.rows("")] != []
    assert desk.export(*flags) == 0
    assert sorted(row["n"] for row in desk.rows("")) == list(range(10))


def test_the_schema_grows_three_times_and_no_column_is_ever_retyped(desk):
    desk.store(people(1, age=7))
    assert desk.export() == 0
    desk.store({"users/u002": {"n": 2, "age": "seven"}})
    assert desk.export() == 0
    desk.store({"users/u003": {"n": 3, "age": 8, "Age": True}, "users/u004": {"n": 4, "at": MOMENT}})
    assert desk.export() == 0
    desk.store({"users/u004": {"n": 4, "at": "noon", "full name": "Ada"}})
    assert desk.export() == 0
    names = desk.columns()
    assert list(names.values()) == ["INTEGER", "INTEGER", "BOOLEAN", "TIMESTAMP", "STRING"]
    assert [name for name in names if name not in ("n", "age", "at", "full_name")] == ["Age_" + list(names)[2][4:]]
    by_id = {row["document_id"]: row for row in desk.rows()}
    assert by_id["u002"]["age"] is None
    assert by_id["u002"]["_overflow"] == {"age": "seven"}
    assert by_id["u004"]["_overflow"] == {"at": "noon"}
    assert by_id["u004"]["full_name"] == "Ada"
    assert desk.summary["overflowed_by"] == {"age": 1, "at": 1}
    assert desk.summary["results"]["renamed_fields"] == {"Age": list(names)[2], "`full name`": "full_name"}


@pytest.mark.parametrize(
    ("nested", "columns"),
    [
        ("json", {"address": "JSON", "n": "INTEGER"}),
        ("record", {"address": "RECORD", "n": "INTEGER"}),
        ("flatten", {"address_city": "STRING", "address_geo_lat": "FLOAT", "n": "INTEGER"}),
    ],
)
def test_maps_become_json_structs_or_columns(desk, nested, columns):
    desk.store(people(1, address={"city": "London", "geo": {"lat": 51.5}}))
    assert desk.export(f"--nested={nested}") == 0
    assert desk.columns() == columns
    (row,) = desk.rows()
    if nested == "flatten":
        assert (row["address_city"], row["address_geo_lat"]) == ("London", 51.5)
    else:
        assert row["address"] == {"city": "London", "geo": {"lat": 51.5}}


def test_merging_again_changes_nothing_and_a_newer_update_time_wins(desk):
    desk.store(people(1, 2, 3))
    assert desk.export() == 0
    first = desk.rows("")
    assert desk.export() == 0
    assert desk.rows("") == first
    assert desk.summary["results"]["rows_changed"] == 0
    desk.store({"users/u002": {"n": 20}})
    assert desk.export() == 0
    assert desk.summary["results"]["rows_changed"] == 1
    assert [row["n"] for row in desk.rows("")] == [1, 20, 3]
    assert desk.staging_tables() == []


def test_both_sides_are_counted_and_the_documents_billed_are_told(desk):
    desk.store(people(*range(30)))
    assert desk.export("--infer=10") == 0
    assert desk.summary["results"] == {
        "firestore_documents": 30,
        "documents_read": 40,
        "rows_latest": 30,
        "rows_changed": 30,
    }


def test_rows_appended_twice_show_once_in_the_latest_view(desk):
    desk.store(people(1, 2))
    assert desk.export("--write=append") == 0
    desk.store({"users/u002": {"n": 5}})
    assert desk.export("--write=append") == 0
    assert len(desk.rows("")) == 4
    assert [row["n"] for row in desk.rows()] == [1, 5]


def test_replacing_puts_the_new_rows_in_the_place_of_all_others(desk):
    desk.store({**people(1, 2), "teams/t": {"n": 9}})
    assert desk.export("--collection=users,teams") == 0
    desk.store({"users/u001": None})
    assert desk.export("--write=replace") == 0
    assert [row["document_id"] for row in desk.rows("")] == ["u002"]


def test_what_is_gone_is_marked_removed_or_left_and_others_rows_are_not_touched(desk):
    desk.store({**people(1, 2, 3), "teams/t": {"n": 9}})
    assert desk.export("--collection=users,teams") == 0
    desk.store({"users/u001": None, "teams/t": None})
    assert desk.export("--deletes=ignore") == 0
    assert len(desk.rows()) == 4
    assert desk.export("--deletes=mark") == 0
    assert [row["document_id"] for row in desk.rows()] == ["t", "u002", "u003"]
    marked = [row["document_id"] for row in desk.rows("") if row["deleted_at"] is not None]
    assert marked == ["u001"]
    desk.store({"users/u002": None, "users/u001": {"n": 11}})
    assert desk.export("--deletes=remove") == 0
    assert [(row["document_id"], row["n"], row["deleted_at"]) for row in desk.rows("")] == [
        ("t", 9, None),
        ("u001", 11, None),
        ("u003", 3, None),
    ]


def test_conditions_and_fields_say_what_is_exported(desk):
    desk.store({f"users/u{n}": {"n": n, "city": "London" if n % 2 else "Rome", "x": 1} for n in range(6)})
    assert desk.export("--where=n >= 2", '--where=city in ["London", "Oslo"]', "--fields=n") == 0
    assert [own(row) for row in desk.rows()] == [{"n": 3}, {"n": 5}]


def test_an_earlier_moment_is_exported_as_it_was(desk):
    desk.store(people(1))
    assert desk.export("--write=append") == 0
    before = desk.rows()[0]["read_time"]
    desk.store({"users/u001": {"n": 2}})
    assert desk.export("--write=replace", f"--read_time={before.isoformat()}") == 0
    assert [row["n"] for row in desk.rows()] == [1]


def test_a_record_spec_gives_the_columns(desk):
    desk.store({"users/u1": {"candidate_id": "u1", "name": "Ada", "skills": ["Go"]}, "users/u2": {"name": 7}})
    assert desk.export("--spec=profiles", "--max_dead_letter_ratio=1") == 0
    (row,) = [row for row in desk.rows() if row["document_id"] == "u1"]
    assert row["name"] == "Ada"
    assert desk.columns() == {}


def test_an_empty_collection_makes_an_empty_table(desk):
    assert desk.export() == 0
    assert desk.rows() == []
    assert desk.counts() == (0, 0, 0)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--collection=users/ada",), "names a document"),
        (("--collection={x}/ada/posts",), "a path parameter stands for a document id"),
        (("--collection=posts", "--collection_group=posts"), "**/posts means the documents of posts, too"),
        (("--where=age",), "a condition is FIELD OPERATOR VALUE"),
        (("--where=age >= [1",), "is not JSON"),
        (("--infer=some",), "--infer must be all or a number of documents, got 'some'"),
        (("--cursor_field=at",), "--cursor_field is for --mode=incremental"),
        (("--deletes=mark", "--where=n > 1"), "--deletes=mark needs all documents to be read; leave --where out"),
        (("--deletes=remove", "--write=append"), "--deletes=remove needs --write=merge, got append"),
        (("--layout=changelog", "--write=replace"), "a changelog is only ever appended to"),
        (("--write=replace", "--mode=incremental"), "--write=replace leaves nothing but what this run writes"),
        (("--mode=incremental", "--cursor_field=a..b"), "a..b"),
        (("--mode=incremental", "--cursor_field=__name__"), "__name__ never changes"),
        (("--collection=users/{document_id}/posts",), "columns document_id and document_id are one for BigQuery"),
        (("--collection=a/{User}/b,c/{user}/d",), "columns User and user are one for BigQuery"),
        (("--collection=a/{_table_x}/b",), "column _table_x starts with _TABLE_"),
        (("--read_time=noon",), "--read_time must be a time"),
        (("--read_time=2020-01-01T00:00:00Z",), "older than the 7 days"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(desk, capsys, flags, message):
    assert desk.export(*flags) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_dataset_that_is_missing_is_named_with_the_command_that_makes_it(desk, capsys):
    desk.store(people(1))
    assert desk.export(f"--bigquery_table={desk.bigquery.project}:nowhere.users") == 1
    assert "bq --location=EU mk --dataset" in " ".join(capsys.readouterr().err.split())


def test_a_table_whose_columns_must_not_be_null_is_refused_unless_every_row_has_them(desk, capsys):
    desk.store(people(1, 2))
    client = desk.target.client()
    client.query_and_wait(f"CREATE TABLE `{desk.target.id}` (document_name STRING NOT NULL, owner STRING NOT NULL)")
    assert desk.export() == 1
    assert "column owner is REQUIRED, but a document may lack it" in " ".join(capsys.readouterr().err.split())
    client.query_and_wait(f"ALTER TABLE `{desk.target.id}` ALTER COLUMN owner DROP NOT NULL")
    desk.store({"users/gone": {"n": 1}})
    assert desk.export() == 0
    desk.store({"users/gone": None})
    assert desk.export() == 0
    assert desk.counts() == (2, 2, 0)
    assert len(desk.rows()) == 2


def test_rows_are_written_with_the_modes_of_their_staging_table(desk):
    desk.target.client().query_and_wait(f"CREATE TABLE `{desk.target.id}` (document_name STRING NOT NULL)")
    target = ExportTarget(
        desk.database,
        (CollectionPattern("users"),),
        desk.target,
        FLAT,
        MERGE,
        IGNORE,
        JSON,
        None,
        imported=True,
        run_id="a run",
        read_time=datetime.datetime.now(datetime.timezone.utc),
    )
    assert {column.mode for column in provide(target, {})} == {"NULLABLE"}
    assert {column.mode for column in provide(dataclasses.replace(target, write=APPEND), {})} == {
        "NULLABLE",
        "REQUIRED",
    }
