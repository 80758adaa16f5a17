"""migrate --mode=copy with rows: items of Cosmos DB in Firestore and typed in BigQuery, on the real emulators."""

import pytest

from pipeline.__main__ import main
from tests.support.cosmos import new_container
from tests.support.migrated import COLLECTION, Migration, attempt

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
        f"--bigquery_table={table.project}:{table.dataset}.{table.table}",
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
    right = f"bigquery:{table.project}:{table.dataset}.{table.table}_latest"
    stores = [f"--left=firestore://{COLLECTION}", f"--right={right}"]
    assert main(["verify", f"--project={target.project}", *stores]) == 0
