"""Turns the messages of one listened target into consistent snapshots. Plain data in, plain data out.

    ADD ─▶ document, delete, document, … ─▶ CURRENT ─▶ NO_CHANGE with a read time: Snapshot ─▶ … ─▶ NO_CHANGE: Snapshot
                         ▲                                                                             │
                         └──────────────── RESET: everything is sent again ◀───────────────────────────┘

Nothing leaves before such a NO_CHANGE: what came before it may be outdated. Of several messages about one document the
newest version counts, whatever their order. A document that the position already covers is remembered by its name only,
so a replay costs no memory for documents. Source: the Firestore RPC reference, `TargetChange` and `DocumentChange`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from google.rpc.code_pb2 import Code

from transforms.firestore import messages
from transforms.firestore.changes.bloom import BloomFilter
from transforms.firestore.changes.times import micros_of
from transforms.firestore.documents import Document

TARGET_ID = 1
MAX_BUFFERED_BYTES = 128 * 1024 * 1024
MAX_BUFFERED_CHANGES = 50_000  # so that the names of all that are added fit into a journal

_TYPE = messages.TargetChange.TargetChangeType
_NO_CHANGE, _REMOVE, _CURRENT, _RESET = (_TYPE.Value(name) for name in ("NO_CHANGE", "REMOVE", "CURRENT", "RESET"))


class State(enum.Enum):
    """What the newest message about a document says."""

    CHANGED = "it matches, in a version that the position does not cover"
    REPLAYED = "it matches, as it did at the position"
    DELETED = "it is deleted"
    LEFT = "it exists and does not match any more"
    GONE = "it is deleted or does not match any more"

    @property
    def is_present(self) -> bool:
        """Whether the document matches."""
        return self in (State.CHANGED, State.REPLAYED)


class Latest(NamedTuple):
    """The newest message about a document; `document` is there where the state is CHANGED."""

    version_us: int
    state: State
    document: Document | None = None


class ExistenceFilter(NamedTuple):
    """How many documents match, as the server counts them, and perhaps which; and what it had sent by then.

    Attributes:
      present, gone: paths of the documents that it had sent as matching, and as not matching any more.
      n_changed, n_created: how many of those that match changed, and were created, behind the position.
    """

    n_documents: int
    bloom: BloomFilter | None
    present: frozenset[str]
    gone: frozenset[str]
    n_changed: int
    n_created: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What has changed between the position and a consistent read time.

    Attributes:
      read_time_us: of the snapshot.
      token: from which to resume behind it; empty where the server gave none.
      latest: by path, what became of every document that was mentioned.
      is_full: all documents that match are among them, because the server began again.
      filter: the last one the server sent.
    """

    read_time_us: int
    token: bytes
    latest: Mapping[str, Latest]
    is_full: bool
    filter: ExistenceFilter | None


class TargetRemovedError(Exception):
    """The server has ended the target.

    Args:
      code: canonical gRPC code name of the cause, `OK` where none was given.
      message: the server's own text.
      was_current: whether the target had caught up before.
    """

    def __init__(self, code: str, message: str, was_current: bool):
        self.code, self.message, self.was_current = code, message, was_current
        super().__init__(f"{code}: {message}")


class TooManyChangesError(Exception):
    """More has changed before a consistent point than is kept in memory."""


class Watch:
    """The state of one target from the request on.

    Args:
      read_time_us: the position.
      prefix: what the full names of all documents begin with, `projects/P/databases/D/documents/`.
      known: update times by path of the documents at the position; None where they are not known.
      max_replayed: how many documents may be remembered when the server sends everything again.
      max_bytes, max_changes: of documents kept before a consistent point.
    """

    def __init__(
        self,
        read_time_us: int,
        prefix: str,
        known: Mapping[str, int] | None,
        *,
        max_replayed: int,
        max_bytes: int = MAX_BUFFERED_BYTES,
        max_changes: int = MAX_BUFFERED_CHANGES,
    ):
        self._n_prefix = len(prefix)
        self._max_replayed, self._max_bytes, self._max_changes = max_replayed, max_bytes, max_changes
        self.is_current = False
        self._is_full = False
        self._filter: ExistenceFilter | None = None
        self.accept(read_time_us, known)

    def accept(self, read_time_us: int, known: Mapping[str, int] | None) -> None:
        """The last snapshot was taken over: this is the position now."""
        self._read_time_us, self._known = read_time_us, known
        self._forget()
        self._is_full = False

    def take(self, response: Any) -> Snapshot | None:
        """The snapshot that a `ListenResponse` completes; None for most.

        Raises:
          TargetRemovedError: nothing more will come.
          TooManyChangesError: what has changed must be found out otherwise.
        """
        kind = response.WhichOneof("response_type")
        if kind == "document_change":
            self._document_change(response.document_change)
        elif kind == "document_delete":
            gone = response.document_delete
            self._record(gone.document, self._version_of(gone), State.DELETED)
        elif kind == "document_remove":
            gone = response.document_remove
            self._record(gone.document, self._version_of(gone), State.GONE)
        elif kind == "filter":
            self._filter = self._filter_of(response.filter)
        elif kind == "target_change":
            return self._target_change(response.target_change)
        return None

    def read_again(self, documents: Iterable[Document], read_time_us: int) -> Snapshot:
        """The snapshot of all documents that match at a read time. What was received is forgotten.

        Raises:
          TooManyChangesError: they are too many.
        """
        self._forget()
        for document in documents:
            self._match(document.message)
        return Snapshot(read_time_us, b"", self._latest, True, None)

    def _target_change(self, change: Any) -> Snapshot | None:
        kind = change.target_change_type
        if kind == _REMOVE:
            raise TargetRemovedError(Code.Name(change.cause.code), change.cause.message, self.is_current)
        if kind == _RESET:
            self._forget()
            self._is_full, self.is_current = True, False
        elif kind == _CURRENT:
            self.is_current = True
        elif kind == _NO_CHANGE and self.is_current and not change.target_ids and change.HasField("read_time"):
            read_time_us = max(micros_of(change.read_time), self._read_time_us)
            return Snapshot(read_time_us, change.resume_token, self._latest, self._is_full, self._filter)
        return None

    def _document_change(self, change: Any) -> None:
        if TARGET_ID in change.target_ids:
            self._match(change.document)
        elif TARGET_ID in change.removed_target_ids:
            self._record(change.document.name, micros_of(change.document.update_time), State.LEFT)

    def _match(self, document: Any) -> None:
        version_us = micros_of(document.update_time)
        if self._is_covered(document.name[self._n_prefix :], version_us):
            self._record(document.name, version_us, State.REPLAYED)
        else:
            self._record(document.name, version_us, State.CHANGED, Document(document))

    def _is_covered(self, path: str, version_us: int) -> bool:
        if self._known is None:
            return version_us <= self._read_time_us
        return version_us <= self._known.get(path, -1)

    def _version_of(self, gone: Any) -> int | None:
        return micros_of(gone.read_time) if gone.HasField("read_time") else None

    def _record(self, name: str, version_us: int | None, state: State, document: Document | None = None) -> None:
        path = name[self._n_prefix :]
        earlier = self._latest.get(path)
        if earlier is not None:
            if version_us is not None and version_us < earlier.version_us:
                return  # outdated
            self._forget_document(earlier)
        version_us = version_us if version_us is not None else earlier.version_us if earlier else 0
        self._latest[path] = Latest(version_us, state, document)
        if document is not None:
            self._n_bytes += document.n_bytes
            self._n_changes += 1
        self._check_size()

    def _forget_document(self, earlier: Latest) -> None:
        if earlier.document is not None:
            self._n_bytes -= earlier.document.n_bytes
            self._n_changes -= 1

    def _check_size(self) -> None:
        if self._n_bytes > self._max_bytes:
            raise TooManyChangesError(
                f"more than {self._max_bytes:,} bytes of documents changed before a consistent point"
            )
        if self._n_changes > self._max_changes:
            raise TooManyChangesError(f"more than {self._max_changes:,} documents changed before a consistent point")
        if len(self._latest) > self._max_replayed + self._n_changes:
            raise TooManyChangesError(f"the server sent more than {self._max_replayed:,} documents again")

    def _filter_of(self, message: Any) -> ExistenceFilter:
        changed = [each.document.message for each in self._latest.values() if each.document is not None]
        return ExistenceFilter(
            message.count,
            BloomFilter.of(message.unchanged_names) if message.HasField("unchanged_names") else None,
            frozenset(path for path, each in self._latest.items() if each.state.is_present),
            frozenset(path for path, each in self._latest.items() if not each.state.is_present),
            len(changed),
            sum(micros_of(document.create_time) > self._read_time_us for document in changed),
        )

    def _forget(self) -> None:
        self._latest: dict[str, Latest] = {}
        self._n_bytes = self._n_changes = 0
        self._filter = None
