"""The tables that rows of changes go to: made or widened before the first one. Plain Python.

spec, or the first documents ──▶ columns ──▶ TABLE, TABLE_latest; TABLE_changelog, TABLE_changelog_latest

Without a record spec the columns are those that the table has, and those that a sample of the documents needs. What is
in no column goes to `_overflow`, so nothing is lost when a document has a new field; `firebeam export` adds its column.
"""

from __future__ import annotations

from collections.abc import Iterable

from transforms.bigquery.schema import Column
from transforms.bigquery.tables import existing_columns
from transforms.export.columns import JSON, fixed_columns
from transforms.export.shapes import Shape, observe
from transforms.export.tables import provide_changelog, provide_flat
from transforms.firestore.client import FirestoreClient
from transforms.firestore.query import Query
from transforms.firestore.reader import read
from transforms.listen.rows import ChangeTables
from transforms.records.spec import RecordSpec
from transforms.records.table import spec_columns
from transforms.retry import Retry

SAMPLED = 1_000  # documents of each stream


def provide_tables(
    tables: ChangeTables, spec: RecordSpec | None, firestore: FirestoreClient, queries: Iterable[Query], retry: Retry
) -> None:
    """Makes the tables and their views, or adds the columns they lack.

    Args:
      spec: gives the columns of the flat table.
      queries: what is listened to.

    Raises:
      JobError: a dataset is missing, access is refused, or a table does not fit.
      TransientError: a service does not answer.
    """
    client = tables.table.client()
    if tables.flat:
        shapes: dict[str, Shape] = {}
        for query in () if spec else queries:
            for document in read(firestore, query.limit(SAMPLED), retry=retry):
                observe(document.message.fields, shapes, within_maps=False)
        fixed = fixed_columns(tables.parameters) + (spec_columns(spec) if spec else ())
        provide_flat(tables.flat, tables.parameters, fixed, shapes, JSON, client)
    if tables.changelog:
        provide_changelog(tables.changelog, client)


def flat_columns(tables: ChangeTables) -> tuple[Column, ...]:
    """The columns of the flat table; none without one."""
    return existing_columns(tables.flat, client=tables.table.client()) if tables.flat else ()
