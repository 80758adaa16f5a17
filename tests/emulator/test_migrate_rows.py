"""migrate --mode=copy with rows: items of Cosmos DB in Firestore and typed in BigQuery, on the real emulators."""

import pytest

from pipeline.__main__ import main
from tests.support.cosmos import new_container
from tests.support.followed_process import Followed
from tests.support.migrated import COLLECTION, Migration, attempt
from transforms.migrate.phases import DUAL_WRITE

pytestmark = pytest.mark.emulator


def test_items_have_rows_that_equal_their_documents_and_only_changed_ones_get_another(
    cosmos, target, table, tmp_path, monkeypatch
):
    for name, value in cosmos.environ.items():
        monkeypatch.setenv(name, value)
    migration = Migration(new_container(cosmos), target, tmp_path)
    migration.container.put(*(attempt(n, score=n / 2) for n in range(30)), attempt(30, score=1.5, matrix=[[1], 2.0]))
    migration.container.put(attempt(31, ttl=3_600), attempt(32, expire_at=1))
    flags = (
        "--mode=copy",
        "--page_items=10",
        "--nested_arrays=wrap",
        f"--bigquery_table={table.name}",
    )
    first = migration.run(*flags)
    assert (first["exit_code"], first["written"], first["dead_letters"]) == (0, 32, 1)

    migration.container.put(attempt(7, score=99))
    again = migration.run(*flags)
    assert again["written"] == 1
    ((n_rows,),) = table.client().query_and_wait(f"SELECT COUNT(*) FROM `{table.id}`")
    assert n_rows == 33
    latest = {
        row["attempt_id"]: row["score"] for row in table.client().query_and_wait(f"SELECT * FROM `{table.latest.id}`")
    }
    assert latest == {id_: item["score"] for id_, item in migration.items().items() if id_ != "a-00032"}
    right = f"bigquery:{table.name}_latest"
    stores = [f"--left=firestore://{COLLECTION}", f"--right={right}"]
    assert main(["verify", f"--project={target.project}", f"--dead_letters={tmp_path}", *stores]) == 0


def test_a_second_copy_brings_the_rows_of_documents_that_dualstore_wrote_meanwhile(
    cosmos, target, table, tmp_path, monkeypatch
):
    for name, value in cosmos.environ.items():
        monkeypatch.setenv(name, value)
    migration = Followed(new_container(cosmos), target, tmp_path)
    migration.container.put(attempt(0), attempt(1))
    flags = ("--mode=copy", f"--bigquery_table={table.project}:{table.dataset}.{table.table}")
    assert migration.run(*flags)["exit_code"] == 0
    migration.set_phase(DUAL_WRITE)
    with migration.application() as application:
        application.put(attempt(1, score=99))
        application.put(attempt(2))
    assert migration.run(*flags)["written"] == 0
    found = table.client().query_and_wait(f"SELECT attempt_id, score FROM `{table.latest.id}`")
    assert {row["attempt_id"]: row["score"] for row in found} == {"a-00000": 0, "a-00001": 99, "a-00002": 2}
