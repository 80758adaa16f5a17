"""Which tables a layout has: TABLE of typed rows, TABLE or TABLE_changelog of changes. Plain data."""

from __future__ import annotations

from dataclasses import replace

from transforms.bigquery.target import BigQueryTarget
from transforms.export.options import CHANGELOG, FLAT


def flat_table(table: BigQueryTarget, layout: str) -> BigQueryTarget | None:
    """The table of typed rows, if the layout has one."""
    return None if layout == CHANGELOG else table


def changelog_table(table: BigQueryTarget, layout: str) -> BigQueryTarget | None:
    """The table of changes, if the layout has one."""
    if layout == FLAT:
        return None
    return table if layout == CHANGELOG else replace(table, table=f"{table.table}_changelog")
