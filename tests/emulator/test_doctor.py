"""doctor on the real emulators: all is well, and nothing stays behind."""

import pytest
from google.cloud import bigquery as client_library

from pipeline.doctor import Config, Verdict, diagnose
from pipeline.probes import PROBE_COLLECTION, PROBE_TABLE_PREFIX
from tests.support.documents import read_collection
from transforms.bigquery.tables import BigQueryTarget
from transforms.firestore.client import FirestoreTarget

pytestmark = pytest.mark.emulator


@pytest.fixture
def target(bigquery, firestore_project):
    """A table of the test's own, which does not exist yet."""
    target = BigQueryTarget(bigquery.project, "local", firestore_project.replace("-", "_"), bigquery.rest)
    yield target
    target.client().delete_table(target.latest.id, not_found_ok=True)
    target.client().delete_table(target.id, not_found_ok=True)


@pytest.fixture
def examine(firestore_host, firestore_project, bigquery, tmp_path):
    def examine(**flags):
        environ = {"FIRESTORE_EMULATOR_HOST": firestore_host, "BIGQUERY_EMULATOR_HOST": bigquery.rest}
        config = Config(**{"project": firestore_project, "dead_letters": str(tmp_path / "dead_letters"), **flags})
        return {check.name: check for check in diagnose(config, environ)}

    return examine


def named(target):
    return f"{target.project}:{target.dataset}.{target.table}"


def tables(target):
    return {table.table_id for table in target.client().list_tables(f"{target.project}.{target.dataset}")}


def test_where_everything_is_there_every_line_is_ok_and_nothing_stays_behind(
    examine, target, firestore_host, firestore_project, tmp_path
):
    checks = examine(bigquery_table=named(target))
    assert [check for check in checks.values() if check.verdict is not Verdict.OK] == []
    assert checks.keys() >= {"database", "read and write", "BigQuery dataset", "BigQuery table", "dead letters"}
    assert read_collection(FirestoreTarget(firestore_project, emulator_host=firestore_host), PROBE_COLLECTION) == {}
    assert [name for name in tables(target) if name.startswith(PROBE_TABLE_PREFIX)] == []
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def test_a_table_that_does_not_exist_yet_is_ok_if_it_may_be_made(examine, target):
    detail = examine(bigquery_table=named(target))["BigQuery table"].detail
    assert detail == f"{target.id} does not exist yet; the job may make it"
    assert target.table not in tables(target)


def test_a_table_that_exists_is_left_alone(examine, target):
    schema = [client_library.SchemaField("n", "INTEGER")]
    made = target.client().create_table(client_library.Table(target.id, schema))
    assert examine(bigquery_table=named(target))["BigQuery table"].detail == f"{target.id} exists and takes rows"
    assert target.client().get_table(target.id).schema == made.schema


def test_a_missing_dataset_says_how_to_make_it_and_its_table_is_not_looked_for(examine, target):
    checks = examine(bigquery_table=f"{target.project}:nowhere.candidates")
    assert checks["BigQuery dataset"].verdict is Verdict.FIX
    assert "bq mk --dataset" in checks["BigQuery dataset"].detail
    assert checks["BigQuery table"].detail == "not checked: fix BigQuery dataset first"
    assert checks["read and write"].ok
