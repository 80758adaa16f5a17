"""The SQL of an export."""

import pytest

from transforms.bigquery.schema import Column
from transforms.bigquery.target import BigQueryTarget
from transforms.export import statements
from transforms.export.options import IGNORE, MARK, REMOVE

TABLE = BigQueryTarget("acme-prod", "people", "users")
STAGING = BigQueryTarget("acme-prod", "people", "users_staging_1")
COLUMNS = (Column("document_name", "STRING"), Column("n", "INT64"))


def test_the_newer_update_time_wins_and_names_alone_are_no_rows():
    assert statements.merge(TABLE, STAGING, COLUMNS, IGNORE).splitlines() == [
        "MERGE `acme-prod.people.users` AS t",
        "USING (",
        "  SELECT *",
        "  FROM `acme-prod.people.users_staging_1`",
        "  WHERE TRUE",
        "  QUALIFY ROW_NUMBER() OVER (PARTITION BY `document_name` ORDER BY `update_time` DESC, extracted_at DESC) = 1",
        ") AS s",
        "ON t.`document_name` = s.`document_name`",
        "WHEN MATCHED AND s.extracted_at IS NOT NULL AND (t.`update_time` IS NULL OR s.`update_time` > t.`update_time` "
        "OR (t.`deleted_at` IS NOT NULL AND s.`update_time` = t.`update_time`)) "
        "AND (t.`deleted_at` IS NULL OR t.`deleted_at` < s.`read_time`) THEN UPDATE SET `n` = s.`n`",
        "WHEN NOT MATCHED AND s.extracted_at IS NOT NULL"
        " THEN INSERT (`document_name`, `n`) VALUES (s.`document_name`, s.`n`)",
    ]


@pytest.mark.parametrize(("deletes", "action"), [(MARK, "UPDATE SET `deleted_at` = @read_time"), (REMOVE, "DELETE")])
def test_rows_that_nobody_names_go_only_within_the_scope(deletes, action):
    assert statements.merge(TABLE, STAGING, COLUMNS, deletes).splitlines()[-1] == (
        "WHEN NOT MATCHED BY SOURCE AND t.`deleted_at` IS NULL AND (t.`update_time` IS NULL OR t.`update_time` <= "
        f"@read_time) AND REGEXP_CONTAINS(t.`document_name`, @scope) THEN {action}"
    )


def test_replacing_is_one_statement():
    statement = statements.replace(TABLE, STAGING, COLUMNS)
    assert statement.count("MERGE") == 1
    assert "WHEN NOT MATCHED BY SOURCE THEN DELETE" in statement
    assert ";" not in statement
