"""Deletes what a query finds, in ranges, without moving a document through the job.

    DeleteFromFirestore("users", confirm="users")
        query ─▶ ReadFromFirestore, names only ─▶ Delete(path) ─▶ WriteToFirestore ─▶ written, dead_letters
    DeleteFromFirestore("users", dry_run=True)
        query ─▶ RunAggregationQuery ─▶ counted

Deleting is for good, so it needs `confirm`, the name of the very collection; what would be deleted is counted before,
by a dry run.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection
from apache_beam.typehints.decorators import no_annotations

from transforms.errors import UsageError
from transforms.firestore.client import FirestoreTarget
from transforms.firestore.connection import target_of
from transforms.firestore.documents import Document
from transforms.firestore.names import DEFAULT_DATABASE
from transforms.firestore.operations import Delete
from transforms.firestore.query import NAME, Query
from transforms.firestore.read import ReadFromFirestore
from transforms.firestore.read_time import JOB_START, ReadTimeChoice, fix_read_time, utc_now
from transforms.firestore.reader import count
from transforms.firestore.write import WriteSettings, WriteToFirestore
from transforms.firestore.written import FailedWrite, WrittenDocument


class DeleteResult(NamedTuple):
    """What was deleted, what was not, and, of a dry run, how many documents there are: a single number."""

    counted: PCollection[int]
    written: PCollection[WrittenDocument]
    dead_letters: PCollection[FailedWrite]


class DeleteFromFirestore(beam.PTransform[PBegin, DeleteResult]):
    """Deletes the documents of a collection, a group or a query; not the collections below them.

    In: nothing. Out: every document found in exactly one of `written` and `dead_letters`; `counted` of a dry run.
    Delivery: documents that the query finds at `read_time` are deleted, those created later are not; doing it again
    deletes nothing more. RPCs: RunQuery for names, BatchWrite; RunAggregationQuery for the dry run. Parallel: ranges of
    names, as ReadFromFirestore. Fails: as ReadFromFirestore and WriteToFirestore.

    Args:
      source: path of a collection, or `Query`.
      confirm: the collection of `source`, once more, as consent; not needed for a dry run.
      dry_run: count, and delete nothing.
      only_unchanged: a document that was changed after `read_time` stays, and is a dead letter.
      project, database, target: as ReadFromFirestore.
      read_time: as ReadFromFirestore.
      settings: the fields of `WriteSettings`, such as max_writes_per_s.

    Raises:
      UsageError: no consent, or no such collection.
    """

    def __init__(
        self,
        source: str | Query,
        *,
        confirm: str | None = None,
        dry_run: bool = False,
        only_unchanged: bool = False,
        project: str | None = None,
        database: str = DEFAULT_DATABASE,
        target: FirestoreTarget | None = None,
        read_time: ReadTimeChoice = JOB_START,
        now: Callable[[], Any] = utc_now,
        **settings: Any,
    ):
        super().__init__()
        self._query = source if isinstance(source, Query) else Query(source)
        check_consent(self._query, confirm, dry_run=dry_run)
        self._dry_run, self._only_unchanged = dry_run, only_unchanged
        self._project, self._database, self._target = project, database, target
        WriteSettings(**settings)  # refuses what it does not know before anything is read
        self._settings = settings
        self._read_time, self._now = read_time, now

    @no_annotations  # type: ignore[untyped-decorator]  # Beam warns of every output that is a NamedTuple
    def expand(self, begin: PBegin) -> DeleteResult:
        target = self._target or target_of(begin.pipeline.options, self._project, self._database)
        if self._dry_run:
            query = begin | "Query" >> beam.Create([self._query], reshuffle=False)
            counted = query | "Count" >> beam.ParDo(_CountFn(target, self._read_time))
            nothing = begin | "Nothing" >> beam.Create([], reshuffle=False)
            return DeleteResult(counted, nothing, nothing)
        names = begin | "ReadNames" >> ReadFromFirestore(
            self._query.select(NAME), target=target, read_time=self._read_time, now=self._now
        )
        deletes = names | "AsDeletes" >> beam.Map(deletion_of, self._only_unchanged)
        result = deletes | "Delete" >> WriteToFirestore(target=target, **self._settings)
        nothing = begin | "Nothing" >> beam.Create([], reshuffle=False)
        return DeleteResult(nothing, result.written, result.dead_letters)


class _CountFn(beam.DoFn):
    def __init__(self, target: FirestoreTarget, read_time: ReadTimeChoice):
        super().__init__()
        self._target, self._read_time = target, read_time

    def process(self, element: Query) -> Iterator[int]:
        client = self._target.connect()
        yield count(client, element, fix_read_time(client, self._read_time))


def check_consent(query: Query, confirm: str | None, *, dry_run: bool) -> None:
    """Raises UsageError unless nothing is deleted or somebody has said what.

    >>> check_consent(Query("users"), "user", dry_run=False)
    Traceback (most recent call last):
    transforms.errors.UsageError: deleting from users is for good: count with dry_run=True, then pass confirm="users"
    """
    if not dry_run and confirm != query.collection:
        raise UsageError(
            f"deleting from {query.collection} is for good: count with dry_run=True, then pass "
            f'confirm="{query.collection}"'
        )


def deletion_of(document: Document, only_unchanged: bool) -> Delete:
    """The operation that deletes a document that was read."""
    return Delete(document.path, update_time=document.update_time if only_unchanged else None)
