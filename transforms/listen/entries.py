"""The entry of a batch of changes on its way into sinks. Plain, frozen, picklable.

    ChangeBatch ──entered──▶ Batch[Changed], and behind it a StreamPoint ─ … sinks … ─▶ SavePositions

A sink is a transform from batches to batches: what it took stays an entry, what it refused is a dead letter. `behind`
of a batch says where the stream stands once all of them have answered; steps in between only carry it.
"""

from __future__ import annotations

import collections
import datetime
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from transforms.batch import Batch, DeadLetter
from transforms.firestore.changes.change import REMOVED, Change
from transforms.firestore.changes.change_batch import Again, ChangeBatch, StreamState
from transforms.firestore.changes.positions import Position
from transforms.firestore.changes.times import micros
from transforms.firestore.collection_patterns import CollectionPattern, all_parameters

_ID_DIGITS = 12


class Changed(NamedTuple):
    """A change on its way into sinks.

    Attributes:
      key: path of the document.
      position: its version, in microseconds since 1970; of a removed one when that was seen.
      change: what became of the document.
      parameters: of the stream, and of the path.
      record: what the record spec made of the document; None without a spec, and for a removed one.
      line: never known.
      attempts: how often it was tried before, as a dead letter.
    """

    key: str
    position: int
    change: Change
    parameters: Mapping[str, str]
    record: Mapping[str, Any] | None = None
    line: None = None
    attempts: int = 0

    @property
    def unchanged(self) -> bool:
        """Whether sinks had it already: nobody looks."""
        return False

    @property
    def is_removed(self) -> bool:
        """Whether the document is gone, or left the query."""
        return self.change.kind == REMOVED


@dataclass(frozen=True)
class StreamSettings:
    """What the entries of one stream have in common.

    Attributes:
      patterns: documents that none of them means are passed over.
      parameters: of every entry.
    """

    patterns: tuple[CollectionPattern, ...]
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters that an entry has."""
        return (*self.parameters, *all_parameters(self.patterns))

    def parameters_of(self, path: str) -> dict[str, str] | None:
        """Of a document; None for one that only shares the collection's name."""
        for pattern in self.patterns:
            if (found := pattern.parameters_of(path)) is not None:
                return {**self.parameters, **found}
        return None


@dataclass(frozen=True, slots=True)
class StreamPoint:
    """Where a stream stands behind a batch.

    Attributes:
      stream_id: of the stream.
      position: to be saved once every sink has answered for the batch; None for a stream that failed before it had one.
      read_time: of the snapshot that has the changes.
      state, reason: of the stream, as the connector says.
      save_now: the position must be saved before the next batch reaches a sink.
      kinds: how many changes are of which kind.
      n_bytes: of their documents.
      again: of a batch of dead letters that are tried again.
    """

    stream_id: str
    position: Position | None
    read_time: datetime.datetime
    state: StreamState
    reason: str
    save_now: bool
    kinds: Mapping[str, int]
    n_bytes: int
    again: Again | None = None


def entered(changes: ChangeBatch, job_id: str, settings: StreamSettings) -> Batch[Changed]:
    """The batch of a batch of changes.

    Its id is the same for the same changes, so that what a repeated batch leaves replaces what the first one left.
    Dead letters come again under the id that they have; those that are not true any more are superseded.
    """
    entries: list[Changed] = []
    again = changes.again
    for change in changes.changes:
        parameters = settings.parameters_of(change.path)
        if parameters is not None:
            version = micros(change.update_time or change.read_time)
            attempts = again.attempts[change.path] if again else 0
            entries.append(Changed(change.path, version, change, parameters, attempts=attempts))
    point = StreamPoint(
        changes.stream_id,
        changes.position,
        changes.read_time,
        changes.state,
        changes.reason,
        changes.save_now,
        {} if again else collections.Counter(entry.change.kind for entry in entries),
        0 if again else sum(entry.change.n_bytes for entry in entries),
        again,
    )
    if again:
        superseded = again.n_changes - len(entries)
        n, ids = again.n_changes, (again.batch_id, changes.stream_id)
        return Batch(*ids, n, tuple(entries), superseded=superseded, behind=point)
    return Batch(
        _batch_id(job_id, changes),
        changes.stream_id,
        len(entries),
        tuple(entries),
        bytes_read=point.n_bytes,
        behind=point,
    )


def input_id_of_stream(job_id: str, stream_id: str) -> str:
    """What the ids of all batches of a stream begin with.

    >>> input_id_of_stream("listen-1", "users")
    'fa23919fd41b'
    """
    return _digest(job_id, stream_id)


def _batch_id(job_id: str, changes: ChangeBatch) -> str:
    listed = [
        part for each in changes.changes for part in (each.kind, each.path, str(each.update_time or each.read_time))
    ]
    return f"{input_id_of_stream(job_id, changes.stream_id)}-{_digest(*listed)}"


def _digest(*parts: str) -> str:
    digest = hashlib.blake2b(digest_size=_ID_DIGITS // 2)
    for part in parts:
        digest.update(b"%d:%b" % (len(part), part.encode("utf-8", "surrogatepass")))
    return digest.hexdigest()


def refused(entry: Changed, step: str, code: str, message: str, *, retryable: bool) -> DeadLetter:
    """The dead letter of a change that a sink, or the spec, did not take.

    It keeps the document with its path under `__name__`, and of a removed one the path alone: who tries again reads the
    document as it is then.
    """
    document = entry.change.document
    original = {"__name__": entry.key} if document is None else document.to_dict()
    return DeadLetter(
        step, code, message, original, entry.key, entry.position, retryable=retryable, attempts=entry.attempts + 1
    )
