"""Makes the rows of a batch of documents and sends them. Plain Python.

Batch[Exported] ─┬─ changed ──▶ flat row, changelog row ──▶ RowInserter ─┬─ accepted
                 │                                                       └─ refused: dead letter
                 └─ unchanged ─▶ its name, where missing documents are looked for
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from transforms.bigquery.changelog import ChangelogRows
from transforms.bigquery.document_columns import DOCUMENT_NAME
from transforms.bigquery.document_rows import DocumentRows
from transforms.bigquery.inserter import InsertResult, Rejected, RowInserter
from transforms.bigquery.rows import Row, insert_id
from transforms.bigquery.schema import Column
from transforms.bigquery.tables import BigQueryTarget
from transforms.errors import RecordError
from transforms.export.target import ExportTarget
from transforms.types import Batch, DeadLetter, Exported

STEP = "WriteRows"


class RowMaker(Protocol):
    """Makes rows of one table."""

    def row(self, document: Any, parameters: Mapping[str, str] | None = None) -> Row:
        """Raises RecordError for a document that no row can be made of."""


class Sink(Protocol):
    """Takes rows of one table and has an answer for each."""

    def insert(self, rows: Sequence[Mapping[str, Any]], insert_ids: Sequence[str]) -> InsertResult:
        """Raises TransientError or JobError when nothing is known about the rows."""


class RowWriter:
    """Writes the rows of batches to the tables of an export; picklable, connects when it is first used.

    Args:
      target: the tables.
      extracted_at: of all rows.
    """

    def __init__(self, target: ExportTarget, extracted_at: datetime.datetime):
        self._target, self._extracted_at = target, extracted_at
        self._makers: list[tuple[RowMaker, Sink]] = []
        self._names: Sink | None = None

    def __reduce__(self) -> tuple[type[RowWriter], tuple[Any, ...]]:
        return RowWriter, (self._target, self._extracted_at)

    def write(self, batch: Batch[Exported], columns: Sequence[Column]) -> Batch[Exported]:
        """Writes a batch; every entry is afterwards still an entry or a dead letter.

        Args:
          columns: of the flat table; the same for every batch.
        """
        if not self._makers:
            self._connect(columns)
        books = _Books(batch)
        for maker, sink in self._makers:
            books.send(maker, sink)
        if self._names is not None:
            books.name(self._names, every=not self._target.is_staged)
        return books.closed()

    def _connect(self, columns: Sequence[Column]) -> None:
        target = self._target
        if target.flat:
            rows = DocumentRows(columns, target.parameters, read_time=target.read_time, extracted_at=self._extracted_at)
            maker = _SpecRows(target.spec, rows) if target.spec else rows
            destination = target.staging if target.is_staged and target.staging else target.flat
            self._makers.append((maker, _inserter(destination)))
        if target.changelog:
            self._makers.append((ChangelogRows(target.imported), _inserter(target.changelog)))
        if target.staging and target.names_all:
            self._names = _inserter(target.staging)


class _SpecRows:
    """Rows of what a record spec makes of a document."""

    def __init__(self, spec: Any, rows: DocumentRows):
        self._spec, self._rows = spec, rows

    def row(self, document: Any, parameters: Mapping[str, str] | None = None) -> Row:
        return self._rows.row(document, parameters, self._spec.flatten(document.fields, document.id))


class _Books:
    """What has become of the documents of one batch so far."""

    def __init__(self, batch: Batch[Exported]):
        self._batch = batch
        self._letters: dict[int, DeadLetter] = {}
        self._overflowed: Counter[str] = Counter()
        self._retries = 0

    def send(self, maker: RowMaker, sink: Sink) -> None:
        """Sends the rows of one table for all documents that are to be written and are no dead letters yet."""
        rows, ids, indices = [], [], []
        for index, entry in enumerate(self._batch.entries):
            if entry.unchanged or index in self._letters:
                continue
            try:
                row = maker.row(entry.document, entry.parameters)
            except RecordError as error:
                self._letters[index] = _letter(entry, error.code, error.message, retryable=False)
                continue
            rows.append(row.cells)
            ids.append(insert_id(entry.document.name, str(entry.document.update_time), self._batch.batch_id))
            indices.append(index)
            self._overflowed.update(row.overflowed)
        result = sink.insert(rows, ids)
        self._retries += result.retries
        for answer in result.rejected:
            entry = self._batch.entries[indices[answer.index]]
            self._letters[indices[answer.index]] = _refused(entry, answer)

    def name(self, sink: Sink, *, every: bool) -> None:
        """Writes the names of documents without a row there, refused ones included: they are not missing."""
        rowless = [
            entry for index, entry in enumerate(self._batch.entries) if entry.unchanged or index in self._letters
        ]
        named = self._batch.entries if every else rowless
        ids = [insert_id(entry.document.name, self._batch.batch_id) for entry in named]
        self._retries += sink.insert([{DOCUMENT_NAME: entry.document.name} for entry in named], ids).retries

    def closed(self) -> Batch[Exported]:
        entries = [entry for index, entry in enumerate(self._batch.entries) if index not in self._letters]
        return self._batch.then(
            entries,
            [letter for _, letter in sorted(self._letters.items())],
            retries=self._retries,
            overflowed=self._overflowed.total(),
            overflowed_by=dict(self._overflowed),
        )


def _refused(entry: Exported, answer: Rejected) -> DeadLetter:
    return _letter(entry, answer.code, f"{answer.message}; the row is missing", retryable=answer.retryable)


def _letter(entry: Exported, code: str, message: str, *, retryable: bool) -> DeadLetter:
    return DeadLetter(
        STEP, code, message, entry.document.to_dict(), entry.key, entry.position, entry.line, retryable=retryable
    )


def _inserter(target: BigQueryTarget) -> RowInserter:
    return RowInserter(target.client, target.id)
