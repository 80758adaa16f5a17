"""Rows of BigQuery for the records of a page: what Firestore holds of them once the page is repaired.

    page, repaired ──▶ its documents, or their tombstones ──▶ rows ──▶ every row answered ──▶ the page is applied
                                                                └─ refused: a dead letter

Guarantee: a position moves on behind rows that BigQuery has, so that none is missing after a crash; a row may come
twice, under one insert id, and shows once in the `_latest` view. Every change has its row, whoever brought it to
Firestore: a row's version is the document's update_time, so that the order in which rows arrive does not matter.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from typing import Protocol

from transforms.batch import Batch, DeadLetter
from transforms.bigquery.row_writer import RowsPlan, RowWriter
from transforms.firestore.documents import Document
from transforms.firestore.reader import read_paths
from transforms.firestore.target import FirestoreTarget
from transforms.follow.changes import Gone, Page
from transforms.follow.repairing import Counts
from transforms.migrate.documents import tombstones_of
from transforms.migrate.rows import Held, check_answered, held_of
from transforms.retry import Retry

# A page that fails is tried again by the loop, which waits and says so meanwhile.
ONE_ATTEMPT = Retry(1)


class RefusedRows(Protocol):
    """Where rows that BigQuery refuses are kept."""

    def row(self, version: str, dead_letter: DeadLetter) -> None:
        """A row of a record, in this version."""


class RowsOfPages:
    """For one thread. Connects when it has its first page.

    Args:
      plan: how rows are made and sent.
      batch_id: begins the insert ids.
      target, collection: where the documents are.
      refused: keeps rows that are refused.
      counts: of what was done.
    """

    def __init__(
        self,
        plan: RowsPlan[Held],
        batch_id: str,
        target: FirestoreTarget,
        collection: str,
        refused: RefusedRows,
        counts: Counts,
    ):
        self._writer, self._batch_id = RowWriter(plan), batch_id
        self._target, self._collection = target, collection
        self._refused, self._counts = refused, counts

    def write(self, page: Page) -> None:
        """Writes the rows of a page's records; what comes again changes nothing.

        Raises:
          TransientError: a service does not answer.
          JobError: no row can succeed.
        """
        ids = dict.fromkeys([each.key.document_id for each in page.changes])
        gone = {each.document_id: each for each in page.gone}
        entries = tuple(self._held([*ids, *(each for each in gone if each not in ids)], gone))
        if not entries:
            return
        written = self._writer.write(Batch(self._batch_id, self._collection, len(entries), entries))
        check_answered(written.dead_letters)
        versions = {entry.key: entry.version.isoformat() for entry in entries}
        for dead_letter in written.dead_letters:
            self._refused.row(versions[str(dead_letter.record_id)], dead_letter)
        self._counts.add("rows", len(written.entries))
        if written.dead_letters:
            self._counts.add("rows_refused", len(written.dead_letters))

    def _held(self, ids: Iterable[str], gone: dict[str, Gone]) -> Iterator[Held]:
        missing = []
        for document in self._read(self._collection, ids):
            if document.exists:
                yield held_of(document)
            else:
                missing.append(document.id)
        for tombstone in self._read(tombstones_of(self._collection), missing):
            since = ended_at(tombstone, gone.get(tombstone.id))
            if since is not None:
                yield Held(tombstone.id, since, None)

    def _read(self, collection: str, ids: Iterable[str]) -> Iterator[Document]:
        paths = [f"{collection}/{each}" for each in ids]
        return read_paths(self._target.connect(), paths, retry=ONE_ATTEMPT)


def ended_at(tombstone: Document, gone: Gone | None) -> datetime.datetime | None:
    """The version of the row of a document that is gone: later than all that it had.

    Args:
      tombstone: perhaps of an earlier delete; perhaps there is none.
      gone: what Listen said; None if it said nothing.

    Returns:
      None if nobody says that there was a document, or when it went.
    """
    since = tombstone.update_time
    if gone is None or (since is not None and gone.seen_at is not None and since >= gone.seen_at):
        return since
    return gone.removed_at
