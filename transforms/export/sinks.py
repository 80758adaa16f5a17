"""The ways in which rows of a batch get into a table. Plain Python.

    method                       rows are                      an answer     a batch done again
    INSERT_ROWS                  sent with insertAll           a row         may have its rows twice
    STORAGE_WRITE                appended, default stream      a row         may have its rows twice
    STORAGE_WRITE_EXACTLY_ONCE   appended, stream of its own   a row         has every row once
    FILE_LOADS                   collected for load jobs       none          has its rows twice

Rows that are there twice show once in the `_latest` view, and are merged once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from transforms.bigquery.inserter import InsertResult, RowInserter
from transforms.bigquery.schema import Column
from transforms.bigquery.storage_target import StorageTarget
from transforms.bigquery.storage_write import StorageWriter
from transforms.bigquery.tables import BigQueryTarget
from transforms.export.streams import StreamLedger


class Sink(Protocol):
    """Takes the rows of one table, batch by batch, and has an answer for each; for one thread."""

    def insert(self, batch_id: str, rows: Sequence[Mapping[str, Any]], insert_ids: Sequence[str]) -> InsertResult:
        """Raises TransientError or JobError when nothing is known about the rows."""


class Inserted:
    """insertAll."""

    def __init__(self, table: BigQueryTarget):
        self._inserter = RowInserter(table)

    def insert(self, batch_id: str, rows: Sequence[Mapping[str, Any]], insert_ids: Sequence[str]) -> InsertResult:
        return self._inserter.insert(rows, insert_ids)


class Appended:
    """The Storage Write API.

    Args:
      columns: that rows may have.
      streams: where the streams of batches are kept; None for the table's default stream.
    """

    def __init__(self, target: StorageTarget, columns: Sequence[Column], streams: StreamLedger | None):
        self._writer, self._streams = StorageWriter(target, columns), streams

    def insert(self, batch_id: str, rows: Sequence[Mapping[str, Any]], insert_ids: Sequence[str]) -> InsertResult:
        if self._streams is None or not rows:
            return self._writer.insert(rows, insert_ids)
        kept = self._streams.of(batch_id, insert_ids)
        if kept.text is None:
            kept.keep(self._writer.begin_stream())
        return self._writer.insert(rows, insert_ids, stream=kept.text, keep=kept.keep)


class Collected:
    """Keeps the rows of one batch for whoever loads them."""

    def __init__(self) -> None:
        self._rows: list[Mapping[str, Any]] = []

    def insert(self, batch_id: str, rows: Sequence[Mapping[str, Any]], insert_ids: Sequence[str]) -> InsertResult:
        self._rows += rows
        return InsertResult(len(rows), (), 0, 0)

    def take(self) -> list[Mapping[str, Any]]:
        """The rows since the last call."""
        taken, self._rows = self._rows, []
        return taken
