"""Reads Firestore: a collection, a collection group, a query, a list of documents.

    ReadFromFirestore("users") ─▶ PlanReads ─▶ Reshuffle ─▶ ReadPieces ─▶ PCollection[Document]
                                  ranges of names            one stream per range, resumed when cut, split when slow

    documents = pipeline | ReadFromFirestore("users")
    adults    = pipeline | ReadFromFirestore(Query("users").where("age", ">=", 21))
    posts     = pipeline | ReadFromFirestore(Query.group("posts"), as_dicts=True)
    some      = pipeline | ReadFromFirestore(["users/ada", "users/bob"])
    of_each   = users | beam.Map(lambda user: f"{user.path}/posts") | ReadAllFromFirestore()

Documents come from one snapshot, each once, and are decoded only when somebody asks for their fields.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from transforms.errors import UsageError
from transforms.firestore.arguments import ReadArguments
from transforms.firestore.documents import Document
from transforms.firestore.query import Query, check_document_path
from transforms.firestore.steps import PlanReads, ReadPieces
from transforms.runtime.services import services_of


@dataclass
class ReadFromFirestore(ReadArguments, beam.PTransform[PBegin, PCollection[Any]]):
    """Reads the documents of a collection, a group, a query, or a list of paths.

    In: nothing. Out: `Document`, or dicts of fields with the path under `__name__`; a query's `order_by` decides which
    documents a `limit` takes, not the order of a PCollection, which has none. A path without a document gives a
    `Document` that does not exist, or no dict; both count as `documents_missing`. Delivery: every document once, all as
    of one read time. Parallel: ranges of names, each split further while it is read; one stream for a query with a
    limit, an order of its own or an inequality. Fails: JobError says what to correct about query, index, permission or
    read time; TransientError when Firestore does not answer.

    Args:
      source: path of a collection, `Query`, or paths of documents.
      Further: those of `ReadArguments` and `DatabaseArguments`, see arguments.py.

    Raises:
      UsageError: no such path, query or read time can exist.
    """

    source: str | Query | Sequence[str]

    def __post_init__(self) -> None:
        self.check()
        self._requests = requests_of(self.source)

    def expand(self, begin: PBegin) -> PCollection[Any]:
        requests = begin | "Source" >> beam.Create(self._requests, reshuffle=False)
        documents: PCollection[Any] = requests | "ReadAll" >> ReadAllFromFirestore(**self.read_arguments())
        return documents


@dataclass
class ReadAllFromFirestore(ReadArguments, beam.PTransform[PCollection[Any], PCollection[Any]]):
    """Reads what each element of its input names.

    In: `Query`, or path of a collection or of a document. Out, delivery, parallel, fails and arguments: as
    `ReadFromFirestore`; each document has the timestamp and window of the element that named it. A query that is
    named twice is read twice; a document path may be, but those of one bundle, window and timestamp are asked for once.
    With an unbounded input JOB_START is fixed for each bundle: no version of a document outlives a job without end.
    """

    def __post_init__(self) -> None:
        self.check()

    def expand(self, requests: PCollection[Any]) -> PCollection[Any]:
        target = self.target_of(services_of(requests.pipeline.options))
        pieces = requests | "PlanReads" >> PlanReads(target, self.read_time, self.max_ranges)
        documents: PCollection[Any] = pieces | "ReadPieces" >> ReadPieces(target)
        if self.as_dicts:
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
