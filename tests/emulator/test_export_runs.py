"""Incremental exports, changelogs and interrupted ones: what is held is not written again, what is gone is told."""

import datetime
import json

import pytest
from google.cloud import bigquery

from tests.support.documents import read_collection
from tests.support.export import COMPLETION, people
from transforms.firestore.values import GeoPoint, Reference

pytestmark = pytest.mark.emulator

MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.timezone.utc)


def test_an_incremental_scan_writes_only_what_bigquery_does_not_hold(desk):
    desk.store(people(*range(10)))
    assert desk.export("--mode=incremental") == 0
    assert desk.counts() == (10, 10, 0)
    desk.store({"users/u003": {"n": 33}, "users/u004": None, **people(77)})
    assert desk.export("--mode=incremental", "--deletes=mark") == 0
    assert desk.counts() == (10, 2, 8)
    assert sorted(row["n"] for row in desk.rows()) == [0, 1, 2, 5, 6, 7, 8, 9, 33, 77]


def test_a_cursor_reads_only_what_lies_behind_it_and_never_skips_equal_times(desk):
    def at(seconds):
        return MOMENT + datetime.timedelta(seconds=seconds)

    flags = ("--mode=incremental", "--cursor_field=last_modified", "--lookback_s=0")
    desk.store({f"users/u{n}": {"last_modified": at(n)} for n in range(5)})
    assert desk.export(*flags) == 0
    assert desk.counts() == (5, 5, 0)
    desk.store({"users/a-late-one-of-the-same-time": {"last_modified": at(4)}, "users/u9": {"last_modified": at(9)}})
    assert desk.export(*flags) == 0
    assert desk.counts() == (3, 2, 1)  # the one at the cursor is read again
    assert desk.export(*flags) == 0
    assert desk.counts() == (1, 0, 1)
    desk.store({"users/u0": {"last_modified": at(7)}})
    assert desk.export(*flags) == 0
    assert desk.counts() == (1, 0, 1)  # behind the cursor, by a writer whose clock is late
    assert desk.export(*flags[:2], "--lookback_s=5") == 0
    assert desk.counts() == (4, 1, 3)
    assert len(desk.rows()) == 7


def test_a_changelog_has_the_columns_and_the_json_of_the_extension(desk):
    desk.store(people(1, at=MOMENT, place=GeoPoint(1.5, 2.5), ref=Reference(desk.database.document_name("a/b"))))
    assert desk.export("--layout=changelog") == 0
    (row,) = desk.rows("")
    assert row["operation"] == "IMPORT"
    assert json.loads(row["data"]) == {
        "n": 1,
        "at": {"_seconds": 1767323045, "_nanoseconds": 678901000},
        "place": {"_latitude": 1.5, "_longitude": 2.5},
        "ref": "a/b",
    }
    assert (row["document_id"], row["old_data"], row["timestamp"]) == ("u001", None, row["update_time"])
    (again,) = desk.rows()
    assert again["event_id"] == row["event_id"]


def test_a_changelog_goes_on_in_a_table_that_the_extension_has_made(desk):
    required = [
        bigquery.SchemaField(name, kind, "REQUIRED")
        for name, kind in {
            "timestamp": "TIMESTAMP",
            "event_id": "STRING",
            "document_name": "STRING",
            "operation": "STRING",
        }.items()
    ]
    others = [bigquery.SchemaField(name, "STRING") for name in ("data", "document_id", "path_params", "old_data")]
    client = desk.target.client()
    client.create_table(bigquery.Table(desk.target.id, [*required, *others]))
    desk.store(people(1, 2))
    old, gone = (desk.database.document_name(f"users/{name}") for name in ("u001", "gone"))
    client.query_and_wait(
        f"INSERT INTO `{desk.target.id}` (timestamp, event_id, document_name, operation, data, document_id) VALUES "
        f"(TIMESTAMP '1970-01-01', '', '{old}', 'IMPORT', '{{\"n\": 0}}', 'u001'), "
        f"(TIMESTAMP '1970-01-01', '', '{gone}', 'IMPORT', '{{\"n\": 9}}', 'gone')"
    )
    assert desk.export("--layout=changelog", "--mode=incremental", "--deletes=mark") == 0
    assert desk.counts() == (2, 2, 0)
    assert [(row["document_id"], json.loads(row["data"])["n"]) for row in desk.rows()] == [("u001", 1), ("u002", 2)]


def test_an_incremental_changelog_tells_created_updated_and_deleted_documents(desk):
    flags = ("--layout=changelog", "--mode=incremental", "--deletes=mark")
    desk.store(people(1, 2, 3))
    assert desk.export(*flags) == 0
    desk.store({"users/u001": None, "users/u002": {"n": 22}})
    assert desk.export(*flags) == 0
    assert desk.export(*flags) == 0
    changes = [(row["document_id"], row["operation"]) for row in desk.rows("", "update_time, document_name")]
    assert sorted(changes) == [
        ("u001", "CREATE"),
        ("u001", "DELETE"),
        ("u002", "CREATE"),
        ("u002", "UPDATE"),
        ("u003", "CREATE"),
    ]
    assert [json.loads(row["data"])["n"] for row in desk.rows()] == [22, 3]


def test_both_layouts_at_once_have_the_same_documents(desk):
    desk.store(people(1, 2))
    assert desk.export("--layout=both", "--deletes=mark") == 0
    desk.store({"users/u001": None})
    assert desk.export("--layout=both", "--deletes=mark", "--mode=incremental") == 0
    assert [row["document_id"] for row in desk.rows()] == ["u002"]
    assert [row["document_id"] for row in desk.rows("_changelog_latest")] == ["u002"]


def test_collections_below_any_document_have_their_parents_as_columns(desk):
    desk.store(
        {
            "users/ada/posts/1": {"n": 1},
            "users/bob/posts/2": {"n": 2},
            "teams/x/posts/3": {"n": 3},
            "posts/4": {"n": 4},
        }
    )
    assert desk.export("--collection=users/{user}/posts") == 0
    assert [(row["user"], row["n"]) for row in desk.rows()] == [("ada", 1), ("bob", 2)]
    assert desk.counts() == (2, 2, 0)
    assert desk.export("--collection_group=posts") == 0
    assert sorted(row["n"] for row in desk.rows()) == [1, 2, 3, 4]


# The second batch's last write comes before the merge, the results behind it.
@pytest.mark.parametrize(("marker", "passed"), [(COMPLETION, 1), (b"/results/", 0)], ids=["before", "after"])
def test_an_interrupted_merge_is_done_by_the_same_command_and_changes_nothing_twice(desk, marker, passed):
    desk.store(people(*range(20)))
    flags = ("--batch_size=7", "--deletes=mark")
    assert desk.export_refused(marker, *flags, passed=passed) == 1
    assert len(desk.staging_tables()) == 1
    assert desk.export(*flags) == 0
    assert [row["n"] for row in desk.rows("")] == list(range(20))
    assert all(row["deleted_at"] is None for row in desk.rows(""))
    assert desk.staging_tables() == []


def test_an_unfinished_run_goes_on_only_with_the_table_and_the_method_that_its_batches_were_written_to(desk, capsys):
    desk.store(people(*range(20)))
    flags = ("--batch_size=7", "--job_id=nightly")
    assert desk.export_refused(COMPLETION, *flags, passed=1) == 1
    elsewhere = f"--bigquery_table={desk.bigquery.project}:local.{desk.table}_2"
    for flag in ("--write=append", "--deletes=mark", "--bigquery_method=STORAGE_WRITE", elsewhere):
        assert desk.export(*flags, flag) == 2
        assert "is unfinished, and the input changed since it began" in " ".join(capsys.readouterr().err.split())
    assert desk.export(*flags) == 0
    assert [row["n"] for row in desk.rows("")] == list(range(20))


def test_collections_of_one_id_below_several_parents_are_read_once_and_each_document_has_its_own_parent(desk):
    desk.store({f"users/u{n}/posts/{n}": {"n": n} for n in range(3)})
    desk.store({**{f"teams/t{n}/posts/{n}": {"n": n} for n in range(3, 5)}, "posts/5": {"n": 5}})
    assert desk.export("--collection=users/{user}/posts,teams/{team}/posts,users/{user}/posts") == 0
    assert desk.counts() == (5, 5, 0)
    assert desk.summary["results"]["documents_read"] == 12
    assert [(row["user"], row["team"], row["n"]) for row in sorted(desk.rows(), key=lambda row: row["n"])] == [
        ("u0", None, 0),
        ("u1", None, 1),
        ("u2", None, 2),
        (None, "t3", 3),
        (None, "t4", 4),
    ]
    assert desk.export("--collection=users/{user}/posts", "--collection_group=posts", "--deletes=mark") == 0
    assert desk.counts() == (6, 6, 0)
    assert len(desk.rows()) == 6


@pytest.mark.parametrize("deletes", ["mark", "remove"])
def test_a_run_that_reads_an_earlier_moment_undoes_nothing_of_a_later_one(desk, deletes):
    flags = (f"--deletes={deletes}", "--layout=both") if deletes == "mark" else (f"--deletes={deletes}",)
    desk.store(people(1, 2))
    assert desk.export(*flags) == 0
    earlier = desk.rows()[0]["read_time"].isoformat()
    desk.store({"users/u002": None, **people(3)})
    assert desk.export(*flags) == 0
    before = desk.rows("")
    assert desk.export("--deletes=mark", "--layout=both", "--fields=n", f"--read_time={earlier}") == 0
    expected = {"mark": ["u001", "u003"], "remove": ["u001", "u002", "u003"]}  # what is removed leaves no trace
    assert [row["document_id"] for row in desk.rows()] == expected[deletes]
    if deletes == "mark":
        assert desk.rows("") == before
        logged = [row["document_id"] for row in desk.rows("_changelog") if row["operation"] == "DELETE"]
        assert logged == ["u002"]


def test_a_row_that_was_marked_by_mistake_comes_back_with_the_version_it_had(desk):
    desk.store(people(1, 2))
    assert desk.export() == 0
    sql = f"UPDATE `{desk.target.id}` SET deleted_at = update_time WHERE document_id = 'u001'"
    desk.target.client().query_and_wait(sql)
    assert [row["document_id"] for row in desk.rows()] == ["u002"]
    assert desk.export("--mode=incremental") == 0
    assert [row["document_id"] for row in desk.rows()] == ["u001", "u002"]


def test_what_only_one_of_two_tables_holds_is_written_again(desk):
    flags = ("--mode=incremental", "--write=append")
    desk.store(people(1, 2))
    assert desk.export(*flags) == 0
    desk.store(people(3))
    assert desk.export(*flags, "--layout=both") == 0
    assert desk.counts() == (3, 3, 0)
    assert [row["document_id"] for row in desk.rows("_changelog_latest")] == ["u001", "u002", "u003"]
    assert desk.export(*flags, "--layout=both") == 0
    assert desk.counts() == (3, 0, 3)


def test_an_incremental_batch_that_is_done_again_loses_no_row_with_exactly_once(desk):
    desk.store(people(*range(8)))
    flags = ("--write=append", "--mode=incremental", "--bigquery_method=STORAGE_WRITE_EXACTLY_ONCE")

    assert desk.export_refused(COMPLETION, *flags) == 1
    # As if the worker had died behind its first rows.
    desk.target.client().query_and_wait(f"DELETE FROM `{desk.target.id}` WHERE n >= 4")
    assert desk.export(*flags) == 0
    assert [row["n"] for row in desk.rows("")] == list(range(8))


BY_CURSOR = ("--mode=incremental", "--cursor_field=at", "--lookback_s=0")


def test_a_time_to_come_hides_nothing_from_the_next_run(desk):
    desk.store({"users/u1": {"at": datetime.datetime(2999, 1, 1, tzinfo=datetime.timezone.utc)}})
    assert desk.export(*BY_CURSOR) == 0
    desk.store({"users/u2": {"at": datetime.datetime.now(datetime.timezone.utc)}})
    assert desk.export(*BY_CURSOR) == 0
    assert [row["document_id"] for row in desk.rows()] == ["u1", "u2"]


def test_a_cursor_field_that_holds_text_and_times_hides_nothing_from_the_next_run(desk):
    desk.store({"users/u1": {"at": MOMENT}, "users/u2": {"at": MOMENT.isoformat()}, "users/u3": {"at": None}})
    assert desk.export(*BY_CURSOR) == 0
    desk.store({"users/u4": {"at": MOMENT + datetime.timedelta(days=1)}})
    assert desk.export(*BY_CURSOR) == 0
    assert desk.counts() == (4, 1, 3)


def test_cursors_are_good_only_for_what_they_were_made_for(desk):
    desk.store({f"users/u{n}": {"at": MOMENT + datetime.timedelta(days=n), "n": n} for n in range(4)})
    flags = (*BY_CURSOR, "--job_id=nightly")
    assert desk.export(*flags, "--where=at < 2") == 0
    assert desk.counts() == (0, 0, 0)
    assert desk.export(*flags) == 0
    assert desk.counts() == (4, 4, 0)


def test_a_table_that_is_gone_is_not_filled_from_the_last_run_s_end(desk, capsys):
    desk.store({"users/u1": {"at": MOMENT}})
    assert desk.export(*BY_CURSOR) == 0
    desk.target.client().delete_table(desk.target.id)
    assert desk.export(*BY_CURSOR) == 1
    assert "Run once without --cursor_field" in " ".join(capsys.readouterr().err.split())
    assert desk.export("--mode=incremental") == 0
    assert desk.export(*BY_CURSOR) == 0
    assert len(desk.rows()) == 1


def test_a_new_run_begins_without_its_old_dead_letters(desk):
    spec = desk.folder / "people.yaml"
    spec.write_text(
        "name: people\nschema_version: 1\nfull_collection: a\nflat_collection: b\n"
        "key: {name: id, from: [id]}\nfields: {name: {type: string, from: [name], required: true}}\n"
    )
    flags = (f"--spec={spec}", "--max_dead_letter_ratio=1")
    desk.store({"users/u1": {"name": "Ada"}, "users/u2": {"n": 1}})
    assert desk.export(*flags) == 0
    assert [path.parent.name for path in desk.folder.glob("dead_letters/*/*.jsonl")] == ["permanent"]
    desk.store({"users/u2": None})
    assert desk.export(*flags) == 0
    assert list(desk.folder.glob("dead_letters/*/*.jsonl")) == []


@pytest.mark.parametrize("flags", [(), ("--mode=incremental",)], ids=["full", "incremental"])
def test_no_more_than_one_batch_is_read_ahead_of_the_one_that_is_written(desk, flags):
    desk.store(people(*range(12)))
    assert desk.export("--batch_size=3", "--job_id=fused", *flags) == 0
    batches = read_collection(desk.database, "pipeline_jobs/fused/batches").values()
    times = sorted((batch["started_at"], batch["completed_at"]) for batch in batches)
    assert len(times) == 4
    assert all(completed <= started for (_, completed), (started, _) in zip(times, times[2:], strict=False))
