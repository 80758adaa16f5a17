"""Deletes what a query finds, in ranges, without moving a document through the job.

    DeleteFromFirestore("users", confirm="users")
        query ─▶ ReadFromFirestore, names only ─▶ Delete(path) ─▶ WriteToFirestore ─▶ written, dead_letters
    DeleteFromFirestore("users", dry_run=True)
        query ─▶ RunAggregationQuery ─▶ counted

Deleting cannot be undone, so it needs `confirm`, the name of the very collection; a dry run counts what would be
deleted.
"""

import datetime
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection
from apache_beam.typehints.decorators import no_annotations

from transforms.errors import UsageError
from transforms.firestore.arguments import DatabaseArguments, WriteArguments
from transforms.firestore.documents import Document
from transforms.firestore.operations import Delete
from transforms.firestore.query import NAME, Query
from transforms.firestore.read import ReadFromFirestore
from transforms.firestore.read_time import JOB_START, ReadTimeChoice, fix_read_time, utc_now
from transforms.firestore.reader import count
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.write import WriteToFirestore
from transforms.firestore.written import FailedWrite, WrittenDocument
from transforms.runtime.services import services_of


class DeleteResult(NamedTuple):
    """What was deleted, what was not, and, of a dry run, how many documents there are: a single number."""

    counted: PCollection[int]
    written: PCollection[WrittenDocument]
    dead_letters: PCollection[FailedWrite]


@dataclass
class DeleteFromFirestore(WriteArguments, DatabaseArguments, beam.PTransform[PBegin, DeleteResult]):
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
      read_time: as ReadFromFirestore.
      now: this computer's time; injected by tests.
      Further: those of `DatabaseArguments` and `WriteArguments`, see arguments.py.

    Raises:
      UsageError: no consent, or no such collection.
    """

    source: str | Query
    _: KW_ONLY
    confirm: str | None = None
    dry_run: bool = False
    only_unchanged: bool = False
    read_time: ReadTimeChoice = JOB_START
    now: Callable[[], datetime.datetime] = utc_now

    def __post_init__(self) -> None:
        self.check()
        self._query = self.source if isinstance(self.source, Query) else Query(self.source)
        check_consent(self._query, self.confirm, dry_run=self.dry_run)

    @no_annotations  # type: ignore[untyped-decorator]  # Beam warns of every output that is a NamedTuple
    def expand(self, begin: PBegin) -> DeleteResult:
        target = self.target_of(services_of(begin.pipeline.options))
        if self.dry_run:
            query = begin | "Query" >> beam.Create([self._query], reshuffle=False)
            counted = query | "Count" >> beam.ParDo(_CountFn(target, self.read_time))
            nothing = begin | "Nothing" >> beam.Create([], reshuffle=False)
            return DeleteResult(counted, nothing, nothing)
        names = begin | "ReadNames" >> ReadFromFirestore(
            self._query.select(NAME), target=target, read_time=self.read_time, now=self.now
        )
        deletes = names | "AsDeletes" >> beam.Map(deletion_of, self.only_unchanged)
        result = deletes | "Delete" >> WriteToFirestore(target=target, **vars(self.write_arguments()))
        nothing = begin | "Nothing" >> beam.Create([], reshuffle=False)
        return DeleteResult(nothing, result.written, result.dead_letters)


@dataclass
class _CountFn(beam.DoFn):
    target: FirestoreTarget
    read_time: ReadTimeChoice

    def process(self, element: Query) -> Iterator[int]:
        client = self.target.connect()
        yield count(client, element, fix_read_time(client, self.read_time))


def check_consent(query: Query, confirm: str | None, *, dry_run: bool) -> None:
    """Raises UsageError unless nothing is deleted or somebody has said what.

    >>> check_consent(Query("users"), "user", dry_run=False)
    Traceback (most recent call last):
    transforms.errors.UsageError: deleting from users cannot be undone: count with dry_run=True, then pass confirm="users"
    """  # noqa: E501  # the message is one line
    if not dry_run and confirm != query.collection:
        raise UsageError(
            f"deleting from {query.collection} cannot be undone: count with dry_run=True, then pass "
            f'confirm="{query.collection}"'
        )


def deletion_of(document: Document, only_unchanged: bool) -> Delete:
    """The operation that deletes a document that was read."""
    return Delete(document.path, update_time=document.update_time if only_unchanged else None)
