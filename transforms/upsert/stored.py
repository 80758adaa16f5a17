"""What the database already holds about records: the `_meta` of their documents. Plain Python."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

from transforms.batch import SourceVersion
from transforms.firestore.client import FirestoreClient
from transforms.firestore.fetch import fetch_all
from transforms.firestore.values import decode, timestamp
from transforms.retry import Retry
from transforms.upsert.layout import META_FIELD, Layout, names
from transforms.upsert.modes import OVERWRITE

_READ_TIMEOUT_S = 60.0

# Of a request; the rest is for the database's name and the mask. A name has a tag and a length before it.
_SHARE_OF_NAMES = 0.9
_NAME_OVERHEAD_BYTES = 4


# Source, position and part. Of two records in one input, the one with the greater place is the later one.
Place: TypeAlias = tuple[str, int, int]


class StoredDocument:
    """What is known about one document: when it was written, and its `_meta`, as far as it has one.

    It reads the message when it is asked: of the many that are found unchanged only the hash and the job are wanted,
    and to decode them all would cost five times as much.

    Args:
      document: protobuf `Document` with `_meta` and what else the layout asks for; one without, written by somebody
        else, has version 0.
    """

    __slots__ = ("_document", "content_hash")

    def __init__(self, document: Any):
        self._document = document
        self.content_hash: str = self._member("content_hash").string_value

    @property
    def update_time(self) -> datetime.datetime:
        """When it was last changed, which is its version for Firestore."""
        return timestamp(self._document.update_time.seconds, self._document.update_time.nanos)

    @property
    def create_time(self) -> datetime.datetime:
        """When it was created."""
        return timestamp(self._document.create_time.seconds, self._document.create_time.nanos)

    @property
    def version(self) -> int:
        """Counted by Firebeam; 0 if it never wrote the document."""
        return int(self._member("version").integer_value)

    @property
    def created_at(self) -> datetime.datetime | None:
        """When Firebeam wrote the record first."""
        return self._time("created_at")

    @property
    def updated_at(self) -> datetime.datetime | None:
        """When Firebeam wrote the record last."""
        return self._time("updated_at")

    @property
    def source(self) -> str:
        """Where the record was read."""
        return str(self._member("source").string_value)

    @property
    def position(self) -> int:
        """Where in the source; -1 if nobody knows."""
        member = self._member("position")
        return int(member.integer_value) if member.HasField("integer_value") else -1

    @property
    def place(self) -> Place:
        """Source, position, and which of several records of an answer; 0 if it is not one of several."""
        return self.source, self.position, int(self._member("part").integer_value)

    @property
    def job_id(self) -> str:
        """Of the job that wrote it."""
        return str(self._member("job_id").string_value)

    @property
    def batch_id(self) -> str:
        """Of the batch that wrote it."""
        return str(self._member("batch_id").string_value)

    @property
    def attempt(self) -> int:
        """Which run of that job wrote it; 0 if nobody knows, as of documents of earlier versions."""
        return int(self._member("attempt").integer_value)

    @property
    def version_of_source(self) -> SourceVersion | None:
        """Of which version of the source's record it is a copy; None if it does not say."""
        time = self._member("_ts")
        if not time.HasField("integer_value"):
            return None
        return SourceVersion(int(time.integer_value), str(self._member("_etag").string_value))

    @property
    def is_pending(self) -> bool:
        """Whether an application wrote it that could not write it to the source."""
        return bool(self._member("pending").boolean_value)

    @property
    def fields(self) -> dict[str, Any]:
        """What was read of it beside `_meta`: see `Layout.read_fields`."""
        return {name: decode(value) for name, value in self._document.fields.items() if name != META_FIELD}

    def _member(self, name: str) -> Any:
        """A member of `_meta`; protobuf gives an empty value for what is not there."""
        return self._document.fields[META_FIELD].map_value.fields[name]

    def _time(self, name: str) -> datetime.datetime | None:
        member = self._member(name)
        if not member.HasField("timestamp_value"):
            return None
        return timestamp(member.timestamp_value.seconds, member.timestamp_value.nanos)


class Stored(tuple[StoredDocument | None, ...]):
    """The documents of a record, in the layout's order; None for one that does not exist. Empty if none does."""

    __slots__ = ()

    @property
    def present(self) -> list[StoredDocument]:
        """Those that exist."""
        return [document for document in self if document is not None]

    @property
    def first(self) -> StoredDocument | None:
        """The one that holds the record as it came."""
        return self[0] if self else None

    @property
    def is_inconsistent(self) -> bool:
        """Whether one of them is missing beside another, or is of another content."""
        present = self.present
        return 0 < len(present) < len(self) or len({document.content_hash for document in present}) > 1

    def is_newer_than(self, earlier: Stored) -> bool:
        """Whether one of the documents was written since the record was looked at earlier."""
        known = {document.update_time for document in earlier.present}
        return any(document.update_time not in known for document in self.present)

    def holds(self, content_hash: str) -> bool:
        """Whether all documents are there, and of this content."""
        return bool(self) and all(document is not None and document.content_hash == content_hash for document in self)


NOTHING = Stored()


def read_stored(client: FirestoreClient, layout: Layout, keys: Sequence[str], retry: Retry) -> dict[str, Stored]:
    """What is stored under these ids, by id; ids without any document are left out. Overwriting looks at nothing.

    Raises:
      TransientError, JobError: as `fetch_all`.
    """
    wanted = [] if layout.mode == OVERWRITE else names(layout, dict.fromkeys(keys))
    if not wanted:
        return {}
    answers: list[Any] = []
    for part in _requests(wanted, client.target.max_request_bytes):
        answers += fetch_all(client, partial(client.batch_get, part, layout.read_fields, _READ_TIMEOUT_S), retry)
    return stored_records(answers, layout.prefixes)


def _requests(names: Sequence[str], max_request_bytes: int) -> Iterator[Sequence[str]]:
    """The names of one BatchGetDocuments after the other: nearly always of a single one.

    >>> [len(part) for part in _requests(["x" * 100] * 10, 600)]
    [5, 5]
    """
    budget = int(max_request_bytes * _SHARE_OF_NAMES)
    first = held_bytes = 0
    for at, name in enumerate(names):
        size = len(name.encode()) + _NAME_OVERHEAD_BYTES
        if held_bytes + size > budget and at > first:
            yield names[first:at]
            first, held_bytes = at, 0
        held_bytes += size
    yield names[first:]


def stored_records(answers: Iterable[Any], prefixes: Sequence[str]) -> dict[str, Stored]:
    """What exists of each record, by document id, from the answers of one BatchGetDocuments.

    Args:
      answers: `BatchGetDocumentsResponse`s whose documents hold nothing but `_meta`.
      prefixes: the documents' names up to the id.
    """
    found: dict[str, list[StoredDocument | None]] = {}
    last = len(prefixes) - 1
    for document in _found(answers):
        # One prefix may be the beginning of another only if what follows is a path: ids have no slash.
        name = document.name
        at = next((at for at in range(last) if "/" not in name.removeprefix(prefixes[at])), last)
        key = name[len(prefixes[at]) :]
        found.setdefault(key, [None] * len(prefixes))[at] = StoredDocument(document)
    return {key: Stored(documents) for key, documents in found.items()}


def _found(answers: Iterable[Any]) -> Iterator[Any]:
    return (answer.found for answer in answers if answer.HasField("found"))
