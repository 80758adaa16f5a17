"""The tables of an export of rows of a table, or of files: made before them, merged and counted behind the last.

source ──provide──▶ table, view, staging table ─ … rows … ─▶ conclude ──▶ merged, compared, results
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from transforms.bigquery.queries import drop, execute, number
from transforms.bigquery.schema import Column
from transforms.bigquery.tables import ensure_latest_view, ensure_table, existing_columns
from transforms.errors import JobError
from transforms.export import statements
from transforms.export.options import APPEND, IGNORE, REPLACE
from transforms.export.source_target import OF_ROWS, TABLE_OPTIONS, SourceTarget, misfits, renames, table_columns
from transforms.export.tables import counted
from transforms.export.target import STAGING_KEPT, STAGING_OPTIONS
from transforms.ledger.entry import LedgerEntry
from transforms.ledger.parts import PartsInLedger
from transforms.ledger.totals import read_totals
from transforms.retry import Retry
from transforms.sql.rows import BATCH, BATCH_COLUMN, FIXED_COLUMNS

if TYPE_CHECKING:
    from transforms.bigquery.client import BigQueryClient

_HIDDEN = (
    "transactions of other users, or of the primary, are hidden: what commits later than --lookback_s after it began "
    "is missed; grant pg_read_all_stats (PostgreSQL, or use --cursor_field=xmin) or PROCESS (MySQL), read the primary"
)
_REPLACED = "replaced"  # parameter of statements
_ALL_KEYS = ""  # a table has the rows of one source


def provide(target: SourceTarget) -> None:
    """Makes the tables and their view, or adds the columns they lack.

    Raises:
      JobError: the dataset is missing, access is refused, or the table does not fit.
      TransientError: BigQuery does not answer.
    """
    client = target.table.client()
    present = existing_columns(target.table, client=client)
    columns = table_columns(target.source.columns, present)
    if reasons := misfits(present, columns):
        raise JobError(
            f"BigQuery table {target.table.id} cannot hold rows of {target.source.label}: {'; '.join(reasons)}. Export "
            "to another table; a column's type is never changed"
        )
    new = [column for column in columns if column.name.lower() not in {each.name.lower() for each in present}]
    wanted = (*present, *new, *(each for each in FIXED_COLUMNS if each.name not in {one.name for one in present}))
    ensure_table(target.table, wanted, TABLE_OPTIONS, client=client)
    ensure_latest_view(target.table, statements.latest_rows(target.table, OF_ROWS), client=client)
    if target.is_staged or target.names_all:
        staged = tuple(replace(each, mode=each.mode.replace("REQUIRED", "NULLABLE")) for each in wanted)
        ensure_table(target.staging, (*staged, BATCH_COLUMN), STAGING_OPTIONS, client=client, kept=STAGING_KEPT)


def columns_of(target: SourceTarget) -> tuple[Column, ...]:
    """The column of each column of the source, as `provide` has left the table. Raises as `provide`."""
    return table_columns(target.source.columns, existing_columns(target.table))


@dataclass(frozen=True)
class ConcludeSourceExport:
    """The last act of an export of rows; picklable. May be done again: it changes nothing then.

    Attributes:
      target: what was written.
      ledger: of the run, which says how many rows that are.
      parts: which batches others have taken the place of.
      consistency: of the rows, see `options.py`; empty where they are not a database's.
      cursor: where the next incremental run begins; None for none.
      cursor_of: what the cursor is good for; kept beside it.
      is_blind: whether transactions that may commit later were hidden when the cursor was taken.
      retry: of counting rows that were just streamed.
    """

    target: SourceTarget
    ledger: LedgerEntry
    parts: PartsInLedger
    consistency: str
    cursor: str | None
    cursor_of: str
    is_blind: bool
    retry: Retry

    def __call__(self) -> dict[str, Any]:
        """Merges what was staged and compares both sides.

        Raises:
          JobError: a statement is refused, or rows are missing.
        """
        target, client = self.target, self.target.table.client()
        totals = read_totals(self.ledger.connect(), self.ledger.counters)
        staged = totals["read"] if target.names_all else totals["written"]
        results: dict[str, Any] = {
            "rows_read": totals["read"],
            **({"consistency": self.consistency} if self.consistency else {}),
            "types": {own.name: f"{own.declared} → {own.column('').form}" for own in target.source.columns},
            **self._merge(client, staged),
        }
        results["rows_latest"] = number(client, statements.count_living(target.table, OF_ROWS), {"scope": _ALL_KEYS})
        if renamed := renames(target.source.columns, columns_of(target)):
            results["renamed_fields"] = {each.field: each.column for each in renamed}
        if self.cursor is not None:
            results |= {"cursor": self.cursor, "_cursor_of": self.cursor_of}
            if self.is_blind:
                results["cursor_warning"] = _HIDDEN
        return results

    def clean_up(self) -> None:
        """Removes the staging table."""
        drop(self.target.table.client(), self.target.staging.id)

    def _merge(self, client: BigQueryClient, staged: int) -> dict[str, int]:
        target, staging = self.target, self.target.staging
        if target.write == APPEND:
            return {}
        replaced = self.parts.replaced()
        names, of_replaced = OF_ROWS, {}
        if replaced:
            names, of_replaced = OF_ROWS._replace(replaced=_REPLACED), {_REPLACED: list(replaced)}
        count = statements.count_staged(staging, names)
        there = counted(lambda: number(client, count, of_replaced), staged, self.retry)
        if there < staged:
            raise JobError(
                f"BigQuery table {staging.id} names {there:,} rows instead of {staged:,}; nothing was merged. Either "
                f"{', '.join(target.key)} does not identify rows of {target.source.label}: pass --key=COLUMN,… with "
                "columns that do. Or BigQuery shows them late: run the command again in a few minutes"
            )
        if there > staged:
            raise JobError(
                f"BigQuery table {staging.id} names {there:,} rows instead of {staged:,}; nothing was merged. Run the "
                "command again"
            )
        columns = [column for column in existing_columns(staging, client=client) if column.name != BATCH]
        parameters: dict[str, Any] = dict(of_replaced)
        if target.write == REPLACE:
            statement = statements.replace(target.table, staging, columns, names)
        else:
            statement = statements.merge(target.table, staging, columns, target.deletes, names)
            if target.deletes != IGNORE:
                parameters |= {"scope": _ALL_KEYS, "read_time": target.read_time}
        return {"rows_changed": execute(client, statement, parameters).affected}
