"""Reads Firestore: a collection, a collection group, a query, a list of documents.

    ReadFromFirestore("users") ─▶ PlanReads ─▶ Reshuffle ─▶ ReadPieces ─▶ PCollection[Document]
                                  ranges of names            one stream a range, resumed when cut, split when slow

    documents = pipeline | ReadFromFirestore("users")
    adults    = pipeline | ReadFromFirestore(Query("users").where("age", ">=", 21))
    posts     = pipeline | ReadFromFirestore(Query.group("posts"), as_dicts=True)
    some      = pipeline | ReadFromFirestore(["users/ada", "users/bob"])
    of_each   = users | beam.Map(lambda user: f"{user.path}/posts") | ReadAllFromFirestore()

Documents come from one moment, each once, and are decoded only when somebody asks for their fields.
"""

import datetime
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from transforms.errors import UsageError
from transforms.firestore.client import FirestoreTarget
from transforms.firestore.connection import target_of
from transforms.firestore.documents import Document
from transforms.firestore.names import DEFAULT_DATABASE
from transforms.firestore.query import Query, check_document_path
from transforms.firestore.read_plan import check_max_ranges
from transforms.firestore.read_steps import PlanReads, ReadPieces
from transforms.firestore.read_time import JOB_START, ReadTimeChoice, check_read_time, utc_now

DEFAULT_MAX_RANGES = 256


class ReadFromFirestore(beam.PTransform[PBegin, PCollection[Any]]):
    """Reads the documents of a collection, a group, a query, or a list of paths.

    In: nothing. Out: `Document`, or dicts of fields with the path under `__name__`; a query's `order_by` decides which
    documents a `limit` takes, not the order of a PCollection, which has none. A path without a document gives a
    `Document` that does not exist, or no dict; both count as `documents_missing`. Delivery: every document once, all as
    of one moment. Parallel: ranges of names, each split further while it is read; one stream for a query with a limit,
    an order of its own or an inequality. Fails: JobError says what to mend about query, index, permission or read time;
    TransientError when Firestore does not answer.

    Args:
      source: path of a collection, `Query`, or paths of documents.
      project: Google Cloud project; the pipeline's own, or GOOGLE_CLOUD_PROJECT, when absent.
      database: database id.
      read_time: the moment to read at: a datetime, JOB_START or LATEST; see read_time.py.
      as_dicts: plain dicts instead of `Document`.
      max_ranges: ranges at the start, in [1, 10,000]; Firestore makes fewer of a small collection.
      target: instead of project and database, for private endpoints and credentials of one's own.
      now: this computer's time; injected by tests.

    Raises:
      UsageError: no such path, query or read time can exist.
    """

    def __init__(
        self,
        source: str | Query | Sequence[str],
        *,
        project: str | None = None,
        database: str = DEFAULT_DATABASE,
        read_time: ReadTimeChoice = JOB_START,
        as_dicts: bool = False,
        max_ranges: int = DEFAULT_MAX_RANGES,
        target: FirestoreTarget | None = None,
        now: Callable[[], datetime.datetime] = utc_now,
    ):
        super().__init__()
        self._requests = requests_of(source)
        self._read_all = ReadAllFromFirestore(
            project=project,
            database=database,
            read_time=read_time,
            as_dicts=as_dicts,
            max_ranges=max_ranges,
            target=target,
            now=now,
        )

    def expand(self, begin: PBegin) -> PCollection[Any]:
        requests = begin | "Source" >> beam.Create(self._requests, reshuffle=False)
        documents: PCollection[Any] = requests | "ReadAll" >> self._read_all
        return documents


class ReadAllFromFirestore(beam.PTransform[PCollection[Any], PCollection[Any]]):
    """Reads what each element of its input names.

    In: `Query`, or path of a collection or of a document. Out, delivery, parallel, fails and arguments: as
    `ReadFromFirestore`; each document has the timestamp and window of the element that named it. A query that is
    named twice is read twice; a document path may be, but those of one bundle, window and timestamp are asked for once.
    With an unbounded input JOB_START is fixed for each bundle: no version of a document outlives a job without end.
    """

    def __init__(
        self,
        *,
        project: str | None = None,
        database: str = DEFAULT_DATABASE,
        read_time: ReadTimeChoice = JOB_START,
        as_dicts: bool = False,
        max_ranges: int = DEFAULT_MAX_RANGES,
        target: FirestoreTarget | None = None,
        now: Callable[[], datetime.datetime] = utc_now,
    ):
        super().__init__()
        check_read_time(read_time, now)
        check_max_ranges(max_ranges)
        self._project, self._database, self._target = project, database, target
        self._read_time, self._as_dicts, self._max_ranges = read_time, as_dicts, max_ranges

    def expand(self, requests: PCollection[Any]) -> PCollection[Any]:
        target = self._target or target_of(requests.pipeline.options, self._project, self._database)
        pieces = requests | "PlanReads" >> PlanReads(target, self._read_time, self._max_ranges)
        documents: PCollection[Any] = pieces | "ReadPieces" >> ReadPieces(target)
        if self._as_dicts:
            documents = documents | "AsDicts" >> beam.FlatMap(existing_as_dict)
        return documents


def requests_of(source: str | Query | Sequence[str]) -> list[Query | str]:
    """What `ReadFromFirestore` was asked for, as requests that are known to be well-formed.

    >>> requests_of(["users/ada", "users/bob"])
    ['users/ada', 'users/bob']

    Raises:
      UsageError: a path that is none.
    """
    if isinstance(source, Query):
        return [source]
    if isinstance(source, str):
        return [Query(source)]
    if not isinstance(source, Sequence) or not source:
        raise UsageError("source must be the path of a collection, a Query, or a list of paths of documents")
    for path in source:
        check_document_path(path)
    return list(source)


def existing_as_dict(document: Document) -> Iterator[dict[str, Any]]:
    """The document as a plain dict; nothing where there is none."""
    if document.exists:
        yield document.to_dict()
