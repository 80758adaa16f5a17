"""Rows of BigQuery that say what Firestore holds of a record just now: its document, or that it is gone. Plain Python.

    the document is there   the row that a copy makes of it: same columns, same version, its update_time
    it is gone              id, _meta_deleted_at, and a version later than all that the document had

Rows are appended: one that comes again is there twice and shows once in the `_latest` view, which lacks what is gone.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from transforms.batch import Batch, DeadLetter
from transforms.bigquery.row_writer import RowsPlan, RowTable, RowWriter
from transforms.bigquery.rows import Row
from transforms.bigquery.schema import Column
from transforms.errors import JobError, RecordError, TransientError
from transforms.firestore.changes.times import micros
from transforms.firestore.documents import Document
from transforms.migrate.documents import META_FIELD, content_in
from transforms.records.spec import RecordSpec
from transforms.records.table import DELETED_AT, table_columns
from transforms.upsert.entries import Written
from transforms.upsert.rows import STEP, RowEncoder

_MICROSECOND = datetime.timedelta(microseconds=1)


class Held(NamedTuple):
    """What Firestore holds of a record.

    Attributes:
      key: id of the document.
      version: its update_time; of one that is gone, later than all that it had.
      fields: of the document; None for one that is gone.
    """

    key: str
    version: datetime.datetime
    fields: Mapping[str, Any] | None


def held_of(document: Document) -> Held:
    """Of a document that is there."""
    assert document.update_time is not None, "a document that is there has a version"
    return Held(document.id, document.update_time, document.fields)


def ended(document: Document) -> Held:
    """Of a document that is about to be deleted in the version that was read: earlier than all it may get again."""
    assert document.update_time is not None, "a document that is there has a version"
    return Held(document.id, document.update_time + _MICROSECOND, None)


def rows_of_held(like: RowsPlan[Written], spec: RecordSpec) -> RowsPlan[Held]:
    """How rows are made and sent.

    Args:
      like: how a copy sends its rows; see `pipeline/jobs/destination.py`.
      spec: of the records.
    """
    (table,) = like.tables
    columns = table_columns(spec, shows_deletes=True)
    return RowsPlan(
        (RowTable(table.purpose, table.target, partial(_HeldRows, spec), columns),),
        like.method,
        _dead_letter,
        "the documents are in both stores, the row is missing",
        names_overflow=False,
        storage_host=like.storage_host,
        retry=like.retry,
    )


@dataclass(frozen=True)
class RowsOfDeleted:
    """Ends the rows of documents that are about to be deleted: a process that is killed in between does both again.

    Picklable.

    Attributes:
      plan: of `rows_of_held`.
      batch_id: begins the insert ids.
    """

    plan: RowsPlan[Held]
    batch_id: str

    def __call__(self, documents: Sequence[Document]) -> None:
        """Raises JobError, TransientError: a row is missing, so nothing must be deleted yet."""
        entries = tuple(ended(document) for document in documents)
        written = RowWriter(self.plan).write(Batch(self.batch_id, "", len(entries), entries))
        check_answered(written.dead_letters)
        if written.dead_letters:
            first = written.dead_letters[0]
            raise JobError(f"BigQuery refused the row that ends {first.record_id} with {first.code}: {first.message}")


def check_answered(dead_letters: Sequence[DeadLetter]) -> None:
    """Raises TransientError if BigQuery did not get to a row: it is sent again rather than given up."""
    for each in dead_letters:
        if each.retryable:
            raise TransientError(f"BigQuery has not taken the row of {each.record_id} yet: {each.code}")


class _HeldRows:
    def __init__(self, spec: RecordSpec, columns: Sequence[Column], typed: bool):
        self._spec, self._encoder = spec, RowEncoder(columns, typed=typed)

    def takes(self, entry: Held, is_dead: bool) -> bool:
        return not is_dead

    def row(self, entry: Held) -> Row:
        if entry.fields is None:
            return self._encoder.row({self._spec.key.name: entry.key}, {DELETED_AT: entry.version}, entry.version)
        content = content_in(entry.fields, entry.key)
        flat = self._spec.flatten(content, entry.key)
        return self._encoder.row(flat, entry.fields.get(META_FIELD, {}), entry.version, content)

    def identity(self, entry: Held) -> tuple[str, ...]:
        return entry.key, str(micros(entry.version)), *(("deleted",) if entry.fields is None else ())


def _dead_letter(entry: Held, code: str, message: str, retryable: bool) -> DeadLetter:
    return DeadLetter(STEP, code, message, _original(entry), entry.key, retryable=retryable)


def _original(entry: Held) -> Mapping[str, Any]:
    """The item that the document is a copy of, so that a replay makes its row; the document if it cannot be one."""
    if entry.fields is None:
        return {"id": entry.key}
    meta = entry.fields.get(META_FIELD)
    version = {name: meta[name] for name in ("_ts", "_etag") if name in meta} if isinstance(meta, Mapping) else {}
    try:
        return {**content_in(entry.fields, entry.key), **version}
    except RecordError:
        return entry.fields
