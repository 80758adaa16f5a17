"""A table of BigQuery into another one, by one statement, on the emulator."""

import pytest
from google.cloud import bigquery

pytestmark = pytest.mark.emulator


@pytest.fixture
def orders(desk):
    """The source: a table with three orders."""
    table = f"{desk.target.id}_orders"
    run(desk, f"CREATE TABLE `{table}` (id INT64, n NUMERIC, tags ARRAY<STRING>, at TIMESTAMP)")
    insert(desk, table, "(1, 1.5, ['a'], '2026-01-01'), (2, NULL, [], '2026-01-02'), (3, 3, ['b', 'c'], '2026-01-03')")
    return table


def run(desk, sql):
    desk.target.client().query_and_wait(sql)


def insert(desk, table, rows):
    run(desk, f"INSERT INTO `{table}` (id, n, tags, at) VALUES {rows}")


def copy(desk, orders, *flags):
    return desk.export(f"--source=bigquery:{orders.replace('.', ':', 1)}", *flags)


def ns(desk):
    return {row["id"]: row["n"] and float(row["n"]) for row in desk.rows("", order="id")}


def test_a_merge_inserts_updates_and_can_be_done_again(desk, orders):
    assert copy(desk, orders, "--key=id") == 0
    assert desk.summary["results"] == {"rows_read": 3, "rows_changed": 3, "rows_latest": 3}
    assert desk.rows("", order="id") == [
        dict(row) for row in desk.target.client().query_and_wait(f"SELECT * FROM `{orders}` ORDER BY id")
    ]
    run(desk, f"UPDATE `{orders}` SET n = 2.5 WHERE id = 2")
    run(desk, f"DELETE FROM `{orders}` WHERE id = 3")
    assert copy(desk, orders, "--key=id") == 0
    assert ns(desk) == {1: 1.5, 2: 2.5, 3: 3.0}
    assert copy(desk, orders, "--key=id", "--deletes=remove") == 0
    assert ns(desk) == {1: 1.5, 2: 2.5}


def test_replace_needs_no_key_and_leaves_what_the_source_has(desk, orders):
    assert copy(desk, orders, "--write=replace") == 0
    run(desk, f"DELETE FROM `{orders}` WHERE id = 1")
    assert copy(desk, orders, "--write=replace") == 0
    assert (ns(desk), desk.summary["results"]["rows_latest"]) == ({2: None, 3: 3.0}, 2)


def test_an_incremental_copy_goes_on_from_the_greatest_time_less_the_lookback(desk, orders):
    flags = ("--key=id", "--mode=incremental", "--cursor_field=at", "--lookback_s=3600")
    assert copy(desk, orders, *flags) == 0
    insert(desk, orders, "(4, 4, [], '2026-01-02 23:30:00'), (5, 5, [], '2026-01-02 12:00:00'), (6, 6, [], NULL)")
    assert copy(desk, orders, *flags) == 0
    assert desk.summary["results"]["rows_read"] == 3  # the last one again, the one within the hour, the one without
    assert sorted(ns(desk)) == [1, 2, 3, 4, 6]


def test_a_key_that_does_not_identify_rows_copies_nothing(desk, orders, capsys):
    insert(desk, orders, "(3, 7, [], NULL)")
    assert copy(desk, orders, "--key=id") == 1
    assert "has 4 rows, but id only 3 values: it does not identify rows" in capsys.readouterr().err
    assert ns(desk) == {}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "--write=merge needs to know what identifies a row: pass --key=COLUMN"),
        (("--write=append",), "would append rows twice"),
        (("--key=idd",), "has no column idd; is it id?"),
        (("--key=tags",), "--key=tags is ARRAY<STRING>, which identifies nothing"),
        (("--key=id", "--mode=incremental"), "goes by a column of times"),
        (("--key=id", "--mode=incremental", "--cursor_field=n"), "--cursor_field=n is NUMERIC; it must be TIMESTAMP"),
        (("--key=id", "--deletes=mark"), "--deletes=mark is not for a table of BigQuery"),
    ],
)
def test_bad_input_is_one_line(desk, orders, capsys, flags, message):
    assert copy(desk, orders, *flags) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_table_that_is_not_there_is_one_line(desk, capsys):
    assert copy(desk, f"{desk.target.id}_none", "--key=id") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--source: there is no table" in line


def test_a_table_in_another_location_is_one_line(desk, capsys):
    client, name = desk.target.client(), f"{desk.bigquery.project}.elsewhere_{desk.table}"
    dataset = bigquery.Dataset(name)
    dataset.location = "asia-east1"
    client.create_dataset(dataset)
    try:
        run(desk, f"CREATE TABLE `{name}.orders` (id INT64)")
        assert copy(desk, f"{name}.orders", "--key=id") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "--source is in ASIA-EAST1 and --bigquery_table in " in line
    finally:
        client.delete_dataset(name, delete_contents=True)
