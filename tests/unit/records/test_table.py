"""The table of a record spec: its view."""

from transforms.bigquery.target import BigQueryTarget
from transforms.records.table import latest_rows


def test_the_latest_view_breaks_ties_by_all_that_tells_rows_apart() -> None:
    assert latest_rows(BigQueryTarget("p", "d", "t"), "id") == (
        "SELECT *\nFROM `p.d.t`\nWHERE TRUE\n"
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY `id` ORDER BY `update_time` DESC, `_meta_version` DESC, "
        "`_meta_updated_at` DESC, `_meta_position` DESC, `_meta_job_id` DESC, `_meta_batch_id` DESC, "
        "`_meta_content_hash` DESC) = 1"
    )


def test_the_view_of_a_table_that_shows_deletes_leaves_out_what_is_gone() -> None:
    target = BigQueryTarget("p", "d", "t")
    newest = latest_rows(target, "id")
    assert latest_rows(target, "id", shows_deletes=True) == (
        f"SELECT *\nFROM (\n{newest}\n)\nWHERE `_meta_deleted_at` IS NULL"
    )
