"""The ways in which the rows of a batch get into a table. No Beam.

    method                       rows are                       BigQuery answers   a batch done again
    INSERT_ROWS                  sent with insertAll            per row            may have its rows twice
    STORAGE_WRITE                appended, default stream       per row            may have its rows twice
    STORAGE_WRITE_EXACTLY_ONCE   appended, stream of its own    per row            has every row once
    FILE_LOADS                   collected for load jobs        per job            has its rows twice

Rows that are there twice show once in the `_latest` view, and are merged once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from transforms.bigquery.inserter import InsertResult, RowInserter
from transforms.bigquery.schema import Column
from transforms.bigquery.storage_target import StorageTarget
from transforms.bigquery.storage_write import StorageWriter
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import UsageError
from transforms.files import GCS
from transforms.retry import Retry


class Sender(Protocol):
    """Takes the rows of one table, batch by batch, and answers for each; for one thread."""

    def send(self, batch_id: str, rows: Sequence[Mapping[str, Any]], insert_ids: Sequence[str]) -> InsertResult:
        """Raises TransientError or JobError when nothing is known about the rows."""


class KeptStream(Protocol):
    """The stream of the rows of one batch, as a ledger keeps it; see `storage_write.py`.

    Attributes:
      text: what was kept last; None for a batch that has no stream yet.
    """

    text: str | None

    def keep(self, text: str) -> None:
        """Keeps another text in the place of the last one."""


class Streams(Protocol):
    """Where the streams of batches are kept."""

    def of(self, batch_id: str, row_ids: Sequence[str]) -> KeptStream:
        """The stream of the rows of a batch."""


class InsertAllSender:
    """insertAll.

    Args:
      may_all_be_bad: as in `RowInserter`.
    """

    def __init__(self, table: BigQueryTarget, *, may_all_be_bad: bool, retry: Retry):
        self._inserter = RowInserter(table, may_all_be_bad=may_all_be_bad, retry=retry)

    def send(self, batch_id: str, rows: Sequence[Mapping[str, Any]], insert_ids: Sequence[str]) -> InsertResult:
        return self._inserter.insert(rows, insert_ids)


class StorageWriteSender:
    """The Storage Write API.

    Args:
      columns: that rows may have.
      streams: where the streams of batches are kept; None for the table's default stream.
    """

    def __init__(self, target: StorageTarget, columns: Sequence[Column], streams: Streams | None, *, retry: Retry):
        self._writer, self._streams = StorageWriter(target, columns, retry=retry), streams

    def send(self, batch_id: str, rows: Sequence[Mapping[str, Any]], insert_ids: Sequence[str]) -> InsertResult:
        if self._streams is None or not rows:
            return self._writer.insert(rows, insert_ids)
        kept = self._streams.of(batch_id, insert_ids)
        if kept.text is None:
            kept.keep(self._writer.begin_stream())
        return self._writer.insert(rows, insert_ids, stream=kept.text, keep=kept.keep)


class Collector:
    """Keeps the rows of one batch for whoever loads them."""

    def __init__(self) -> None:
        self._rows: list[Mapping[str, Any]] = []

    def send(self, batch_id: str, rows: Sequence[Mapping[str, Any]], insert_ids: Sequence[str]) -> InsertResult:
        self._rows += rows
        return InsertResult(len(rows), (), 0, 0)

    def take(self) -> list[Mapping[str, Any]]:
        """The rows since the last call."""
        taken, self._rows = self._rows, []
        return taken


def check_temp_location(temp_location: str | None) -> None:
    """Refuses what load jobs cannot read from.

    >>> check_temp_location(None)
    Traceback (most recent call last):
    transforms.errors.UsageError: FILE_LOADS needs --temp_location=gs://BUCKET/FOLDER, got None; or use --bigquery_method=INSERT_ROWS
    """  # noqa: E501  # the message is one line
    if not temp_location or not temp_location.startswith(GCS):
        raise UsageError(
            f"FILE_LOADS needs --temp_location=gs://BUCKET/FOLDER, got {temp_location}; "
            "or use --bigquery_method=INSERT_ROWS"
        )
