"""The tables of an export of documents: made and widened before its rows, merged and counted after.

shapes ──provide──▶ columns, tables, views ─ … rows … ─▶ conclude ──▶ merged, compared, results
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from transforms.bigquery.queries import drop, execute, number, query
from transforms.bigquery.schema import Column
from transforms.bigquery.tables import ensure_latest_view, ensure_table, existing_columns
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import JobError
from transforms.export import statements
from transforms.export.changelog import changelog_columns
from transforms.export.columns import document_columns, fixed_columns, misfits, renames
from transforms.export.options import APPEND, IGNORE, REPLACE
from transforms.export.shapes import Shape
from transforms.export.target import ROW_OPTIONS, STAGING_KEPT, STAGING_OPTIONS, ExportTarget
from transforms.firestore import field_paths
from transforms.firestore.client import FirestoreClient
from transforms.firestore.query import Query
from transforms.firestore.reader import count, read
from transforms.ledger.jobs import job_document
from transforms.ledger.totals import read_totals
from transforms.outcomes import RECORDS
from transforms.retry import Retry

if TYPE_CHECKING:
    from transforms.bigquery.client import BigQueryClient


def provide(target: ExportTarget, shapes: Mapping[str, Shape]) -> tuple[Column, ...]:
    """Makes the tables and their views, or widens them; returns the columns of the table that flat rows are written to.

    Raises:
      JobError: a dataset is missing, access is refused, or a table does not fit.
      TransientError: BigQuery does not answer.
    """
    client = target.table.client()
    columns: tuple[Column, ...] = ()
    if target.flat:
        columns = provide_flat(target.flat, target.parameters, target.fixed, shapes, target.nested, client)
    if target.changelog:
        provide_changelog(target.changelog, client)
    if target.staging:
        # Some of its rows only name a document.
        staged = tuple(
            replace(each, mode=each.mode.replace("REQUIRED", "NULLABLE")) for each in columns or target.fixed
        )
        made = ensure_table(target.staging, staged, STAGING_OPTIONS, client=client, kept=STAGING_KEPT)
        if target.is_staged:
            if not made.created:
                check_structs(existing_columns(target.staging, client=client), columns)
            return staged  # a load job is refused that has other modes than its table
    return columns


def provide_flat(
    table: BigQueryTarget,
    parameters: Sequence[str],
    fixed: Sequence[Column],
    shapes: Mapping[str, Shape],
    nested: str,
    client: BigQueryClient,
) -> tuple[Column, ...]:
    """Makes the table of typed rows and its view, or widens it; returns its columns.

    Args:
      parameters: names of path parameters.
      fixed: columns that do not depend on what documents hold.
      shapes: of the documents' fields.
      nested: what becomes of maps; see `columns.py`.

    Raises:
      JobError, TransientError: as `provide`.
    """
    present = existing_columns(table, client=client)
    if reasons := misfits(present, fixed_columns(parameters)):
        raise JobError(
            f"BigQuery table {table.id} cannot hold documents: {'; '.join(reasons)}. Change the table "
            "(ALTER COLUMN … DROP NOT NULL), rename the path parameter, or export to another table"
        )
    columns = document_columns(shapes, nested, fixed, present)
    made = ensure_table(table, columns, ROW_OPTIONS, client=client)
    if made.added and not made.created:
        # Another job may have added fields to a STRUCT in between; they are matched by place.
        columns = existing_columns(table, client=client)
    ensure_latest_view(table, statements.latest_rows(table), client=client)
    return columns


def provide_changelog(table: BigQueryTarget, client: BigQueryClient) -> None:
    """Makes the table of changes and its view. Raises JobError and TransientError as `provide`."""
    ensure_table(table, changelog_columns(existing_columns(table, client=client)), ROW_OPTIONS, client=client)
    ensure_latest_view(table, statements.latest_changes(table), client=client)


def held_versions(client: BigQueryClient, target: ExportTarget, names: Iterable[str]) -> dict[str, datetime]:
    """The versions of documents that every table has already, by name."""
    ordered = sorted(names)
    if not ordered:
        return {}
    parameters = {"names": ordered, "first": ordered[0], "last": ordered[-1]}
    tables = [table for table in (target.flat, target.changelog) if table]
    held = [dict(query(client, statements.held_versions(table), parameters)) for table in tables]
    return {name: min(versions[name] for versions in held) for name in set(held[0]).intersection(*held[1:])}


@dataclass(frozen=True)
class ConcludeExport:
    """The last act of an export; picklable. May be done again: it changes nothing then.

    Attributes:
      target: what was written.
      job_id: whose ledger says how many documents that are.
      queries: what was read, pattern by pattern.
      compares: whether the number of documents that Firestore has must be the number read.
      sampled: how many documents of each query were read beforehand, and billed; None for all of them.
      cursor_field: by which the next run continues; None for none.
      cursors_of: what the cursors are good for; kept beside them.
      retry: of every request to Firestore, and of counting rows that were just streamed.
    """

    target: ExportTarget
    job_id: str
    queries: tuple[Query, ...]
    compares: bool
    sampled: int | None
    cursor_field: str | None
    cursors_of: str
    retry: Retry

    def __call__(self) -> dict[str, Any]:
        """Merges what was staged and compares both sides.

        Raises:
          JobError: a statement is refused, or documents are missing.
        """
        target, firestore = self.target, self.target.database.connect()
        client = target.table.client()
        totals = read_totals(job_document(firestore, self.job_id, self.retry), RECORDS)
        counts = [count(firestore, each, target.read_time, self.retry) for each in self.queries]
        found = sum(counts)
        beforehand = sum(each if self.sampled is None else min(each, self.sampled) for each in counts)
        results: dict[str, Any] = {"firestore_documents": found, "documents_read": found + beforehand}
        if self.compares and found != totals["read"]:
            raise JobError(
                f"Firestore has {found:,} documents as of {target.read_time.isoformat()}, but {totals['read']:,} were "
                "read; nothing was merged. Start again with --restart"
            )
        staged = totals["read"] if target.names_all else totals["written"]
        results |= self._merge(client, staged)
        for name, table in (("rows_latest", target.flat), ("changelog_latest", target.changelog)):
            if table:
                results[name] = number(client, statements.count_living(table), self._scope())
        if target.flat and (renamed := renames(existing_columns(target.flat, client=client))):
            results["renamed_fields"] = {each.field: each.column for each in renamed}
        if self.cursor_field:
            results |= {"cursors": self._cursors(firestore, self.cursor_field), "_cursors_of": self.cursors_of}
        return results

    def clean_up(self) -> None:
        """Removes the staging table."""
        if self.target.staging:
            drop(self.target.table.client(), self.target.staging.id)

    def _merge(self, client: BigQueryClient, staged: int) -> dict[str, int]:
        target, staging = self.target, self.target.staging
        if staging is None:
            return {}
        there = counted(lambda: number(client, statements.count_staged(staging)), staged, self.retry)
        if there != staged:
            raise JobError(
                f"BigQuery table {staging.id} names {there:,} documents instead of {staged:,}; nothing was merged. "
                "Start again in a few minutes; if that does not help, with --restart"
            )
        done = {}
        read_time = {"read_time": target.read_time}
        if target.flat and target.write != APPEND:
            columns = existing_columns(staging, client=client)
            check_structs(columns, existing_columns(target.flat, client=client))
            if target.write == REPLACE:
                statement, parameters = statements.replace(target.flat, staging, columns), {}
            else:
                statement = statements.merge(target.flat, staging, columns, target.deletes)
                parameters = {} if target.deletes == IGNORE else {**self._scope(), **read_time}
            done["rows_changed"] = execute(client, statement, parameters).affected
        if target.changelog and target.deletes != IGNORE:
            statement = statements.log_deletes(target.changelog, staging)
            done["deletes_logged"] = execute(client, statement, {**self._scope(), **read_time}).affected
        return done

    def _scope(self) -> dict[str, str]:
        return {"scope": self.target.scope()}

    def _cursors(self, firestore: FirestoreClient, field: str) -> dict[str, Any]:
        """Where the next run begins: at the greatest value that each pattern's cursor field has.

        A time in the future, from a writer whose clock is wrong, would hide all that is written until then: the run's
        read time takes its place. Firestore compares values of one type only, so where a field has several there is no
        cursor, and the next run reads everything.
        """
        found = {}
        for pattern in self.target.patterns:
            typed = pattern.query.select(field).where(field, "!=", None)
            oldest = self._first(firestore, typed.order_by(field), field)
            newest = self._first(firestore, typed.order_by(field, descending=True), field)
            if newest is not None and _rank(oldest) == _rank(newest) and newest == newest:
                is_ahead = isinstance(newest, datetime) and newest > self.target.read_time
                found[pattern.text] = self.target.read_time if is_ahead else newest
        return found

    def _first(self, firestore: FirestoreClient, query: Query, field: str) -> Any:
        documents = read(firestore, query.limit(1), read_time=self.target.read_time, retry=self.retry)
        return next((field_paths.lookup(document.fields, field) for document in documents), None)


def _rank(value: Any) -> type:
    """Stands for the type of a value as Firestore compares them: integers and doubles alike."""
    return float if type(value) is int else type(value)


def check_structs(staged: Iterable[Column], wanted: Iterable[Column]) -> None:
    """Refuses STRUCTs whose fields stand in another order: BigQuery matches them by place, and would swap values.

    >>> a, b = Column("a", "STRING"), Column("b", "STRING")
    >>> check_structs([Column("s", "STRUCT", fields=(a, b))], [Column("s", "STRUCT", fields=(b, a))])
    Traceback (most recent call last):
    transforms.errors.JobError: another job has added fields to column s meanwhile; nothing was merged. Start again with --restart

    Raises:
      JobError: names the column.
    """  # noqa: E501  # the message is one line
    forms = {column.name: column.form for column in wanted}
    for column in staged:
        if column.type == "STRUCT" and column.form != forms[column.name]:
            raise JobError(
                f"another job has added fields to column {column.name} meanwhile; nothing was merged. "
                "Start again with --restart"
            )


def counted(
    count_rows: Callable[[], int],
    expected: int,
    retry: Retry,
) -> int:
    """The number of rows, counted again for a while as long as some are missing: queries may see streamed rows late.

    >>> answers = iter([7, 9, 10])
    >>> counted(lambda: next(answers), 10, Retry(initial_s=0))
    10
    """
    attempts = retry.attempts()
    while (there := count_rows()) < expected and attempts.again():
        pass
    return there
