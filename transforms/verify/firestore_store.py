"""Firestore as one side of a comparison. Plain Python.

A collection's keys are the ids of its documents, or their paths; those of a collection group are always paths. Ranges
are read at one read time, so that all of them belong together; `refetch` reads what is there now.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from transforms.errors import UsageError
from transforms.firestore.documents import Document
from transforms.firestore.query import Query, check_document_path
from transforms.firestore.ranges import Bound, NameRange
from transforms.firestore.read_plan import DOCUMENTS_PER_RANGE, RangePlanner
from transforms.firestore.reader import read, read_paths
from transforms.firestore.target import FirestoreTarget
from transforms.retry import Retry
from transforms.verify.entries import Entry
from transforms.verify.forms import Form


@dataclass(frozen=True)
class FirestoreStore:
    """The documents of a collection or of a collection group.

    Attributes:
      target: the database.
      query: which documents.
      by_path: whether keys are paths rather than ids.
      form: what of a document is compared.
      reads_past: whether a read time that is asked for is used; else the newest state is read.
      read_time: None for the newest state.
      retry: of every request.
      documents_per_range: how many documents are worth a range where the database cannot say how to cut.
    """

    target: FirestoreTarget
    query: Query
    by_path: bool
    form: Form
    reads_past: bool = True
    read_time: datetime.datetime | None = None
    retry: Retry | None = None
    documents_per_range: int = DOCUMENTS_PER_RANGE
    bytes_scanned = 0  # Firestore is billed by documents

    def __post_init__(self) -> None:
        if self.query.all_descendants and not self.by_path:
            raise UsageError(
                f"ids alone do not name the documents of the collection group {self.query.collection}: several may "
                "have the same; match by path"
            )

    def as_of(self, read_time: datetime.datetime) -> FirestoreStore:
        """As `Store`."""
        return replace(self, read_time=read_time) if self.reads_past else self

    def ranges(self, max_ranges: int) -> list[NameRange]:
        """As `Store`."""
        planner = RangePlanner(self.target.connect(), max_ranges, self.documents_per_range)
        planned = planner.ranges(self.query, self.read_time)
        return [NameRange(self._of_keys(span.start), self._of_keys(span.end)) for span in planned]

    def entries(self, span: NameRange) -> Iterator[Entry]:
        """As `Store`."""
        start, end = self._of_paths(span.start), self._of_paths(span.end)
        # A key of the other store may be no name that Firestore takes: then more is read than needed.
        is_wider = (start is None and span.start is not None) or (end is None and span.end is not None)
        paths = NameRange(start, end, shared_segments=self.query.shared_segments)
        with closing(read(self.target.connect(), self.query, paths, self.read_time, self.retry)) as documents:
            for document in documents:
                if not is_wider or span.contains(self._key(document.path)):
                    yield from self._entry(document)

    def refetch(self, keys: Sequence[str]) -> Iterator[Entry]:
        """As `Store`."""
        paths = [path for path in map(self._path, keys) if self._may_hold(path)]
        with closing(read_paths(self.target.connect(), paths, retry=self.retry)) as documents:
            for document in documents:
                if document.exists:
                    yield from self._entry(document)

    @property
    def _prefix(self) -> str:
        return "" if self.by_path else f"{self.query.collection}/"

    def _key(self, path: str) -> str:
        return path.removeprefix(self._prefix)

    def _path(self, key: str) -> str:
        return self._prefix + key

    def _entry(self, document: Document) -> Iterator[Entry]:
        content = self.form.of_document(document)
        if content is not None:
            yield Entry(self._key(document.path), content, document.update_time)

    def _may_hold(self, path: str) -> bool:
        """Whether Firestore can have a document of this path, and the query find it; other stores have other keys."""
        try:
            check_document_path(path)
        except UsageError:
            return False
        return self.query.holds(path)

    def _of_keys(self, bound: Bound | None) -> Bound | None:
        return bound and replace(bound, path=self._key(bound.path))

    def _of_paths(self, bound: Bound | None) -> Bound | None:
        path = bound and self._path(bound.path)
        return replace(bound, path=path) if bound and path and self._may_hold(path) else None
