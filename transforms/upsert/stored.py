"""What the database already holds about records: the `_meta` of their pairs. Plain Python."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from transforms.firestore.client import FirestoreClient
from transforms.firestore.fetch import fetch_all
from transforms.firestore.values import timestamp
from transforms.retry import Retry
from transforms.upsert.layout import META_FIELD, PairLayout
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
      document: protobuf `Document` with nothing but `_meta`; one without, written by somebody else, has version 0.
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
        """When Firebeam wrote the pair first."""
        return self._time("created_at")

    @property
    def updated_at(self) -> datetime.datetime | None:
        """When Firebeam wrote the pair last."""
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

    def _member(self, name: str) -> Any:
        """A member of `_meta`; protobuf gives an empty value for what is not there."""
        return self._document.fields[META_FIELD].map_value.fields[name]

    def _time(self, name: str) -> datetime.datetime | None:
        member = self._member(name)
        if not member.HasField("timestamp_value"):
            return None
        return timestamp(member.timestamp_value.seconds, member.timestamp_value.nanos)


class StoredPair(NamedTuple):
    """The two documents of a record; None for one that does not exist."""

    full: StoredDocument | None = None
    flat: StoredDocument | None = None

    @property
    def present(self) -> list[StoredDocument]:
        """Those of the two that exist."""
        return [document for document in self if document is not None]

    @property
    def is_inconsistent(self) -> bool:
        """Whether one of the two is missing, or is of another content than its partner."""
        full, flat = self
        if full is None or flat is None:
            return full is not flat
        return full.content_hash != flat.content_hash

    def is_newer_than(self, earlier: StoredPair) -> bool:
        """Whether one of the documents was written since the pair was read earlier."""
        known = {document.update_time for document in earlier.present}
        return any(document.update_time not in known for document in self.present)

    def holds(self, content_hash: str) -> bool:
        """Whether both documents are of this content."""
        full, flat = self
        return full is not None and flat is not None and full.content_hash == flat.content_hash == content_hash


NOTHING = StoredPair()


def read_stored(
    client: FirestoreClient, layout: PairLayout, keys: Sequence[str], retry: Retry
) -> dict[str, StoredPair]:
    """What is stored under these ids, by id; ids with neither document are left out. Overwriting looks at nothing.

    Raises:
      TransientError, JobError: as `fetch_all`.
    """
    names = [] if layout.mode == OVERWRITE else layout.names(dict.fromkeys(keys))
    if not names:
        return {}
    answers: list[Any] = []
    for part in _requests(names, client.target.max_request_bytes):
        answers += fetch_all(client, partial(client.batch_get, part, (META_FIELD,), _READ_TIMEOUT_S), retry)
    return stored_pairs(answers, layout.full_prefix, layout.flat_prefix)


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


def stored_pairs(answers: Iterable[Any], full_prefix: str, flat_prefix: str) -> dict[str, StoredPair]:
    """The pairs that exist, by document id, from the answers of one BatchGetDocuments.

    Args:
      answers: `BatchGetDocumentsResponse`s whose documents hold nothing but `_meta`.
      full_prefix, flat_prefix: the documents' names up to the id.
    """
    full: dict[str, StoredDocument] = {}
    flat: dict[str, StoredDocument] = {}
    for document in _found(answers):
        name = document.name
        if name.startswith(full_prefix) and "/" not in (key := name[len(full_prefix) :]):
            full[key] = StoredDocument(document)
        else:
            flat[name[len(flat_prefix) :]] = StoredDocument(document)
    return {key: StoredPair(full.get(key), flat.get(key)) for key in full.keys() | flat.keys()}


def _found(answers: Iterable[Any]) -> Iterator[Any]:
    return (answer.found for answer in answers if answer.HasField("found"))
