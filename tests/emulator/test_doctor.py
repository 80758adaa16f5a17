"""doctor on the real emulators: all is well, and nothing stays behind."""

import pytest
from google.cloud import bigquery as client_library

from pipeline.commands.bigquery_probes import PROBE_TABLE_PREFIX
from pipeline.commands.doctor import Config, Verdict, diagnose
from pipeline.commands.firestore_probes import PROBE_COLLECTION
from tests.support.documents import read_collection
from transforms.firestore.target import FirestoreTarget

pytestmark = pytest.mark.emulator


@pytest.fixture
def examine(firestore_host, firestore_project, bigquery, tmp_path):
    def examine(**flags):
        environ = {"FIRESTORE_EMULATOR_HOST": firestore_host, "BIGQUERY_EMULATOR_HOST": bigquery.rest}
        config = Config(**{"project": firestore_project, "dead_letters": str(tmp_path / "dead_letters"), **flags})
        # An emulator that has just been started may take a while to answer for the first time.
        return {check.name: check for check in diagnose(config, environ, check_timeout_s=60)}

    return examine


def named(table):
    return table.name


def tables_beside(table):
    return {each.table_id for each in table.client().list_tables(f"{table.project}.{table.dataset}")}


def test_where_everything_is_there_every_line_is_ok_and_nothing_stays_behind(
    examine, table, firestore_host, firestore_project, tmp_path
):
    checks = examine(bigquery_table=named(table))
    assert [check for check in checks.values() if check.verdict is not Verdict.OK] == []
    assert checks.keys() >= {"database", "read and write", "BigQuery dataset", "BigQuery table", "dead letters"}
    assert read_collection(FirestoreTarget(firestore_project, emulator_host=firestore_host), PROBE_COLLECTION) == {}
    assert [name for name in tables_beside(table) if name.startswith(PROBE_TABLE_PREFIX)] == []
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def test_a_table_that_does_not_exist_yet_is_ok_if_it_may_be_made(examine, table):
    detail = examine(bigquery_table=named(table))["BigQuery table"].detail
    assert detail == f"{table.id} does not exist yet; the job may make it"
    assert table.table not in tables_beside(table)


def test_a_table_that_exists_is_left_alone(examine, table):
    schema = [client_library.SchemaField("n", "INTEGER")]
    made = table.client().create_table(client_library.Table(table.id, schema))
    assert examine(bigquery_table=named(table))["BigQuery table"].detail == f"{table.id} exists and takes rows"
    assert table.client().get_table(table.id).schema == made.schema


def test_a_missing_dataset_says_how_to_make_it_and_its_table_is_not_looked_for(examine, table):
    checks = examine(bigquery_table=f"{table.project}:nowhere.candidates")
    assert checks["BigQuery dataset"].verdict is Verdict.FIX
    assert "bq mk --dataset" in checks["BigQuery dataset"].detail
    assert checks["BigQuery table"].detail == "not checked: fix BigQuery dataset first"
    assert checks["read and write"].ok


def of_source(checks):
    return {name.removeprefix("source "): check for name, check in checks.items() if name.startswith("source")}


def test_a_table_of_a_database_is_described_line_by_line(examine, database):
    database.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, n numeric, tags text[], at timestamptz NOT NULL, seen timestamptz)"
    )
    checks = of_source(examine(source=database.location("orders")))
    assert [check for check in checks.values() if check.verdict is not Verdict.OK] == []
    assert ": PostgreSQL 18" in checks["source"].detail
    assert "about 0 rows, 5 columns" in checks["source"].detail
    assert checks["columns"].detail == "id INT64, n BIGNUMERIC, tags ARRAY<STRING>, at TIMESTAMP, seen TIMESTAMP"
    assert checks["key"].detail == "id"
    assert checks["cursor"].detail.startswith("--cursor_field=at (a scan) or xmin (a scan)")


def test_what_a_user_may_not_see_is_said_with_what_to_do_about_it(examine, database):
    database.execute(
        "CREATE TABLE orders (id int, n int)",
        "ALTER TABLE orders ENABLE ROW LEVEL SECURITY",
        "DROP ROLE IF EXISTS doctor_reader",
        "CREATE ROLE doctor_reader LOGIN",
        "GRANT SELECT ON orders TO doctor_reader",
    )
    checks = of_source(examine(source=database.location("orders", user="doctor_reader")))
    assert (checks["source"].verdict, checks["key"].verdict) == (Verdict.OK, Verdict.FIX)
    assert "pass --key=COLUMN" in checks["key"].detail
    assert checks["rows"].verdict is Verdict.FIX
    assert "BYPASSRLS" in checks["rows"].detail
    database.execute("DROP OWNED BY doctor_reader", "DROP ROLE doctor_reader")


def test_a_source_that_is_not_there_is_one_line_and_hides_no_other(examine, database, tmp_path):
    checks = of_source(examine(source=database.location("nowhere")))
    assert checks["source"].verdict is Verdict.FIX
    assert "there is no table public.nowhere" in checks["source"].detail
    assert {check.verdict for name, check in checks.items() if name != "source"} == {Verdict.SKIPPED}
    (tmp_path / "a.csv").write_text("id\n1\n")
    assert of_source(examine(source=str(tmp_path / "*.csv")))["source"].detail == "1 files, 5 bytes"
    missing = of_source(examine(source=str(tmp_path / "*.json")))["source"]
    assert (missing.verdict, "matches no file" in missing.detail) == (Verdict.FIX, True)
