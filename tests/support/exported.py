"""A typed table with the rows of documents in it, as export makes them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from transforms.bigquery.inserter import RowInserter
from transforms.bigquery.schema import Column
from transforms.bigquery.tables import ensure_table
from transforms.bigquery.target import BigQueryTarget
from transforms.export.columns import document_columns, fixed_columns
from transforms.export.document_rows import DocumentRows
from transforms.export.shapes import Shape, observe
from transforms.export.target import ROW_OPTIONS
from transforms.firestore.documents import Document
from transforms.firestore.query import Query
from transforms.firestore.reader import read
from transforms.firestore.target import FirestoreTarget


def documents_of(target: FirestoreTarget, query: Query) -> list[Document]:
    """All documents of a query."""
    return list(read(target.connect(), query))


def columns_of(documents: Iterable[Document], nested: str) -> tuple[Column, ...]:
    """The columns that export makes for documents."""
    shapes: dict[str, Shape] = {}
    for document in documents:
        observe(document.message.fields, shapes, within_maps=nested != "json")
    return document_columns(shapes, nested, fixed_columns())


def make_table(table: BigQueryTarget, columns: Sequence[Column]) -> None:
    """An empty table."""
    table.client().create_dataset(table.dataset, exists_ok=True)
    ensure_table(table, columns, ROW_OPTIONS)


def rows_of(columns: Sequence[Column], documents: Iterable[Document]) -> dict[str, dict[str, Any]]:
    """The row of each document by its path."""
    rows = DocumentRows(columns)
    return {document.path: dict(rows.row(document).cells) for document in documents}


def insert(table: BigQueryTarget, rows: Iterable[Mapping[str, Any]]) -> None:
    """Adds rows."""
    rows = list(rows)
    result = RowInserter(table).insert(rows, [uuid.uuid4().hex for _ in rows])
    assert result.rejected == ()


def name_of(table: BigQueryTarget) -> str:
    """As a flag names it."""
    return f"bigquery:{table.name}"
